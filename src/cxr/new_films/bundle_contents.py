"""What a family's JSON files must hold before anything is computed with them: every key, of its kind, and finite."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from cxr.core.errors import InputError
from cxr.core.parameters import FAMILIES, Params
from cxr.evaluation.source_fits import POOLED
from cxr.imaging.film_checks import SIDE

PIXELS = SIDE * SIDE


def is_line(text: str) -> str:
    """The text, where it can be printed on one line; a ValueError else."""
    if not text.isprintable() or not 0 < len(text) <= 200:
        raise ValueError("expected one line of text, with no control codes")
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)  # a threshold "0.5" is text; more keys than these are no harm


Line = Annotated[str, AfterValidator(is_line)]
Positive = Annotated[FiniteFloat, Field(gt=0)]
Row = Annotated[list[FiniteFloat], Field(min_length=PIXELS, max_length=PIXELS)]
Contents = TypeVar("Contents", bound=_Strict)


class _Threshold(_Strict):
    threshold: FiniteFloat
    fitted_on: Line


class _Scaling(_Strict):
    slope: Positive | None
    intercept: FiniteFloat | None

    @model_validator(mode="after")
    def both(self):
        if (self.slope is None) != (self.intercept is None):
            raise ValueError("expected slope and intercept, or neither")
        return self


class _Calibration(_Strict):
    findings: dict[str, dict[Line, _Scaling]]


class Thresholds(_Strict):
    findings: dict[str, dict[Line, _Threshold]]
    calibration: _Calibration


class _Distance(_Strict):
    mean: Row
    components: list[Row]
    variances: list[Positive]
    noise: Positive
    cut: FiniteFloat

    @model_validator(mode="after")
    def one_each(self):
        if len(self.components) != len(self.variances):
            raise ValueError("expected a variance for each of the components")
        return self


class _MadeFrom(_Strict):
    models: dict[str, str]
    unet: str | None
    parameters: dict[str, Any]


class Reference(_Strict):
    mean_maps: dict[str, dict[Line, list[list[list[FiniteFloat]]]]]
    scale: Positive
    distance: _Distance
    made_from: _MadeFrom


class Metadata(_Strict):
    name: Line
    version: Line
    family: Literal[FAMILIES]
    changelog: dict[str, str]


def checked(kind: type[Contents], content: Any, path: Path, made_by: str) -> Contents:
    """The content of a JSON file as what it is to be.

    Raises
    ------
    InputError
        A key is missing, or its value is of another kind or not finite; the first one is named.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "its content"
        raise InputError(
            f"{path}: {key}: {first['msg'].removeprefix('Value error, ')}. Make it again with: {made_by}"
        ) from None


def check_fits(folder: Path, params: Params, family: str, thresholds: Any, reference: Any, made_by: str) -> None:
    """Raise an InputError where thresholds.json or reference.json of a folder is not whole, or of another family."""
    fitted = checked(Thresholds, thresholds, folder / "thresholds.json", made_by)
    known = checked(Reference, reference, folder / "reference.json", made_by)
    for finding in params.findings:
        if any(POOLED not in part.get(finding, {}) for part in (fitted.findings, fitted.calibration.findings)):
            where = folder / "thresholds.json"
            raise InputError(f"{where}: nothing pooled of {finding}. Make it again with: {made_by}")
    for member in params.members(family):
        of_member = known.mean_maps.get(member, {})
        sides = {np.shape(mean) if _is_even(mean) else () for mean in of_member.values()}
        if POOLED not in of_member or len(sides) != 1 or next(iter(sides))[:1] != (len(params.findings),):
            raise InputError(
                f"{folder / 'reference.json'}: mean_maps.{member}: expected {len(params.findings)} maps of one "
                f"size, one a finding, pooled and by source. Make it again with: {made_by}"
            )


def _is_even(mean: list[list[list[float]]]) -> bool:
    """Whether nested lists are one array (F, h, w) with at least a place."""
    widths = {len(row) for finding in mean for row in finding}
    return len({len(finding) for finding in mean}) == 1 and len(widths) == 1 and widths != {0}
