"""What the scripts of the chest X-ray pipeline share: a room a stage, a module a concern; importing one does nothing.

But for what two libraries read when they are loaded. OpenCV: a file that unpacks to more pixels is refused by its
header; what is wrong with a broken one, we say. Matplotlib: no window is opened, and a notebook's setting, which our
processes inherit, would stop its import (googlecolab/colabtools issue 5148). And for what a script says on Ctrl-C while
it imports, which takes seconds, and where packages are missing: `core.command_line.run` is not there yet.
"""

import os
import sys

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(100_000_000))
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ["MPLBACKEND"] = "agg"


def _told(error, script):
    """One line on what ended a script while it imported, None where nothing is known. For any Python 3."""
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):
        return "interrupted. The same command goes on where it stopped."
    project = os.path.realpath(__file__).rsplit("/", 3)[0]
    if not os.path.realpath(script).startswith((project + "/src/", project + "/demo/")):
        return None  # somebody's own
    if sys.version_info < (3, 11):  # noqa: UP036
        return f"{sys.executable} is Python {sys.version.split()[0]}; 3.11 or newer is needed: docs/install.md"
    from cxr.core import machine

    return machine.told_of_import(error) if isinstance(error, ImportError) else None


def _hook(kind, error, trace, otherwise=sys.excepthook):
    script = getattr(sys.modules["__main__"], "__file__", None)
    said = _told(error, script) if script and "--debug" not in sys.argv[1:] else None
    if said:
        sys.stderr.write(f"error: {said}\n")
    else:
        otherwise(kind, error, trace)


sys.excepthook = _hook
