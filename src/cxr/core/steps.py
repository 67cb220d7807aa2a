"""A step's record: what its outputs were made from; it is done again only when that changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from cxr.core.artifacts import as_json, read_record, write_json
from cxr.core.errors import InputError, counted


def _stamp(path: Path) -> list:
    """Size and modification time: enough to see that an output was touched, and quick for an 88 GB pack."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def refuse_problems(csv: Path | None) -> None:
    """Raise an InputError where a table of problems (``path``, ``problem``) is not empty; None = none is asked for."""
    listed = pd.DataFrame() if csv is None else pd.read_csv(csv, dtype=str, keep_default_na=False)
    if len(listed):
        shown = "; ".join(f"{path}: {problem}" for path, problem in listed.head(5).itertuples(index=False))
        raise InputError(
            f"--strict: {counted(len(listed), 'problem')}, listed in {csv}: {shown}{' …' if len(listed) > 5 else ''}. "
            "Mend them, or run without --strict."
        )


class Step:
    """The record of one step, beside its outputs: what they were made from; done again only when that changed.

    Parameters
    ----------
    record : Path
        JSON file of the step, written by `finish`.
    inputs : dict
        Name to digest (`digest`, `raw_state`) of everything that is read.
    parameters : dict
        The keys of PARAMS.json that the outputs depend on.
    outputs : list of Path
        Every file that the step writes.
    refuse : Path, optional
        One of them, a table of problems that must be empty (--strict).
    """

    def __init__(
        self, record: Path, inputs: dict[str, str], parameters: dict[str, Any], outputs: list[Path],
        refuse: Path | None = None,
    ):  # fmt: skip
        self.record, self.outputs, self.refuse = record, outputs, refuse
        self.made_from = as_json({"inputs": inputs, "parameters": parameters})

    def is_current(self) -> bool:
        """True where the outputs are there, untouched, and made from these very inputs and parameters.

        Raises
        ------
        InputError
            They are, and the problems that `refuse` lists are still there; so does `finish`.
        """
        recorded = read_record(self.record)
        if not recorded or any(not path.exists() for path in self.outputs):
            return False
        stamps = {path.name: _stamp(path) for path in self.outputs}
        current = {**self.made_from, "outputs": stamps} == recorded
        if current:
            refuse_problems(self.refuse)
        return current

    def run(self, make: Callable[[], list[str]]) -> list[str]:
        """Lines to print: that the outputs are up to date, or what ``make``, which writes them, says of them."""
        if self.is_current():
            return [f"{self.outputs[0]}: up to date"]
        self.begin()
        lines = make()
        self.finish()
        return lines

    def begin(self) -> None:
        """Remove the old record: what it vouches for is about to be replaced."""
        self.record.unlink(missing_ok=True)

    def finish(self) -> None:
        """Write the record; called last, so that an interrupted step counts as not done."""
        write_json({**self.made_from, "outputs": {path.name: _stamp(path) for path in self.outputs}}, self.record)
        refuse_problems(self.refuse)
