"""What tests share."""

import importlib.util
from pathlib import Path
from types import ModuleType

PROJECT = Path(__file__).resolve().parents[1]


def load_script(relative_path: str) -> ModuleType:
    """A script below the project as a module: numbered names can't be imported."""
    path = PROJECT / relative_path
    spec = importlib.util.spec_from_file_location(path.stem.lstrip("0123456789_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
