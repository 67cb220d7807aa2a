"""What a family's JSON files must hold before anything is computed with them: every key, of its kind, and finite."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from cxr.core.errors import InputError
from cxr.core.members import FAMILIES
from cxr.core.parameters import Params
from cxr.evaluation.source_fits import POOLED
from cxr.imaging.film_checks import SIDE
from cxr.maps import heatmaps

PIXELS = SIDE * SIDE


def is_line(text: str) -> str:
    """The text, where it can be printed on one line; a ValueError else."""
    if not text.isprintable() or not 0 < len(text) <= 200:
        raise ValueError("expected one line of text, with no control codes")
    return text


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)  # a threshold "0.5" is text; more keys than these are no harm


Line = Annotated[str, AfterValidator(is_line)]


def is_array(mean: list[list[list[float]]]) -> list[list[list[float]]]:
    """The nested lists, where they are one array (F, h, w) with a place at least; a ValueError else."""
    if len(np.shape(mean)) != 3 or not np.size(mean):  # of lists of unequal lengths NumPy raises it
        raise ValueError("expected maps of one size")
    if np.abs(mean).max() > np.finfo(np.float32).max:
        raise ValueError("expected numbers that float32 can hold")
    return mean


Positive = Annotated[FiniteFloat, Field(gt=0)]
Row = Annotated[list[FiniteFloat], Field(min_length=PIXELS, max_length=PIXELS)]
MeanMap = Annotated[list[list[list[FiniteFloat]]], AfterValidator(is_array)]
Contents = TypeVar("Contents", bound=_Strict)


class _Threshold(_Strict):
    threshold: FiniteFloat
    fitted_on: Line


class _Scaling(_Strict):
    slope: Positive | None
    intercept: FiniteFloat | None
    fitted_on: Line | None

    @model_validator(mode="after")
    def both(self):
        if (self.slope is None) != (self.intercept is None):
            raise ValueError("expected slope and intercept, or neither")
        return self


class _Calibration(_Strict):
    findings: dict[str, dict[Line, _Scaling]]


class _Val(_Strict):
    films: int
    patients: int
    digest: Line


class _Together(_Strict):
    weights: dict[str, Annotated[FiniteFloat, Field(ge=0)]] | None


class _Ensemble(_Strict):
    findings: dict[str, _Together]


class Thresholds(_Strict):
    ensemble: _Ensemble = _Ensemble(findings={})  # without it members count alike
    rule: Line
    val: _Val
    findings: dict[str, dict[Line, _Threshold]]
    operating_points: dict[str, dict[str, dict[Line, _Threshold]]]
    calibration: _Calibration


class _Outline(_Strict):
    share: Annotated[FiniteFloat, Field(ge=0, le=1)]
    fitted_on: Line


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
    boxes: str | None
    parameters: dict[str, Any]


class _Guessing(_Strict):
    macro: Line | None
    findings: dict[str, Line | None]


class _Flips(_Strict):
    variance: dict[str, Annotated[FiniteFloat, Field(ge=0)]]
    start: list[FiniteFloat] = Field(alias="from", min_length=1)
    flips: list[Annotated[FiniteFloat, Field(ge=0, le=1)]]
    thresholds: dict[str, dict[str, dict[Line, FiniteFloat]]]

    @model_validator(mode="after")
    def one_each(self):
        if len(self.start) != len(self.flips) or self.start != sorted(self.start) or self.start[0] != 0:
            raise ValueError("expected distances from 0 upwards, and a share for each")
        return self


class Reference(_Strict):
    mean_maps: dict[str, dict[Line, MeanMap]]
    scale: Positive
    outlines: dict[str, _Outline]
    distance: _Distance
    guessing: _Guessing | None = None  # a bundle of before it was told
    flips: _Flips | None = None  # one member, or a bundle of before it was told
    drawn: bool | None = None  # not known of a bundle of before it was told
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
    if (heat := known.made_from.parameters.get("heat")) != heatmaps.READ_AGAINST:
        raise InputError(
            f"{folder / 'reference.json'}: its maps are read by the rule {heat!r}, this version's is "
            f"{heatmaps.READ_AGAINST!r}. Make it again with: {made_by}"
        )
    for finding in params.findings:
        if any(POOLED not in part.get(finding, {}) for part in (fitted.findings, fitted.calibration.findings)):
            where = folder / "thresholds.json"
            raise InputError(f"{where}: nothing pooled of {finding}. Make it again with: {made_by}")
        if finding not in known.outlines:
            raise InputError(f"{folder / 'reference.json'}: no outline of {finding}. Make it again with: {made_by}")
    members = set(params.members(family))
    for finding, fit in fitted.ensemble.findings.items():
        if fit.weights is not None and (set(fit.weights) != members or abs(sum(fit.weights.values()) - 1) > 1e-6):
            where = f"{folder / 'thresholds.json'}: ensemble.findings.{finding}.weights"
            raise InputError(f"{where}: expected one for each member, 1 together. Make it again with: {made_by}")
    for member in params.members(family):
        if known.flips and not all(
            finding in known.flips.variance and POOLED in known.flips.thresholds.get(member, {}).get(finding, {})
            for finding in params.findings
        ):
            raise InputError(
                f"{folder / 'reference.json'}: flips: nothing pooled of {member}. Make it again with: {made_by}"
            )
        of_member = known.mean_maps.get(member, {})
        shapes = {np.shape(mean) for mean in of_member.values()}
        if POOLED not in of_member or len(shapes) > 1 or len(of_member[POOLED]) != len(params.findings):
            raise InputError(
                f"{folder / 'reference.json'}: mean_maps.{member}: expected {len(params.findings)} maps of one "
                f"size, one a finding, pooled and by source. Make it again with: {made_by}"
            )
