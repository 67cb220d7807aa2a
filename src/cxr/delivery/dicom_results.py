"""Results as DICOM, beside the film in its study: the picture as a Secondary Capture, the figures as a TID 1500 report.

Of the film's header only what `IDENTITY` lists is read, and no identifier comes from anywhere else: no name of a file,
no id of ours.
"""

import hashlib
import importlib.util
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from cxr.core.artifacts import write_csv, written_whole
from cxr.core.errors import FilmError
from cxr.core.findings import SNOMED
from cxr.imaging.decoding import stated_by_header
from cxr.new_films.bundles import told_of_drawn
from cxr.new_films.film_files import overlay_path
from cxr.new_films.new_films_report import draw_overlay
from cxr.new_films.predicting import Predicted
from cxr.new_films.run_record import thresholds_used

RESEARCH_ONLY = "Research only. Not a medical device."
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
IDENTITY = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
    *("BurnedInAnnotation", "LossyImageCompression"),
    *UIDS,
)
SEXES = ("M", "F", "O", "")
SCHEME = "99CXR"  # of codes that no standard has: those that begin with 99 are private (PS3.16, 8.2)
TABLE = "dicom.csv"
PATTERNS = (TABLE, "dicom/*.dcm")
SERIES = {"picture": 9001, "report": 9002}  # their numbers: behind those of films


def why_not() -> str:
    """Why no DICOM result can be written here, and what to do; "" where it can."""
    missing = importlib.util.find_spec("highdicom") is None
    return 'highdicom not installed. Run: pip install -e ".[dicom]"' if missing else ""


def result_paths(path: Path) -> dict[str, str]:
    """Where in --out a film's picture and report lie."""
    stem = Path(overlay_path(path)).stem
    return {kind: f"dicom/{stem}_{kind}.dcm" for kind in SERIES}


def names(paths: Iterable[Path]) -> list[str]:
    """Every name in --out that `write` may give."""
    return [TABLE, *(name for path in paths for name in result_paths(path).values())]


def write(
    predicted: Predicted, folder: Path, work: Path, progress: Callable[[Iterable, str], Iterable]
) -> pd.DataFrame:
    """Write a picture and a report for every predicted film that is DICOM.

    Returns
    -------
    table : DataFrame
        dicom.csv, a row a film: ``filename``, ``picture``, ``report`` (names in ``folder``), and ``problem``: why there
        is neither, "" where both were written.
    """
    from highdicom import UID

    series, rows = defaultdict(UID), []  # a series of each kind for a study
    for row in progress(range(len(predicted.films)), "DICOM results"):
        path, name = predicted.films["path"].iloc[row], predicted.films["filename"].iloc[row]
        made, problem = result_paths(path), ""
        try:
            film = identity(path)
            common = {
                kind: dict(
                    series_instance_uid=series[film.StudyInstanceUID, kind], series_number=number,
                    sop_instance_uid=UID(), instance_number=row + 1, **_made_by(predicted),
                )
                for kind, number in SERIES.items()
            }  # fmt: skip
            draw_overlay(predicted, row, work / "picture.png", f"{predicted.bundle.model}: {_research_only(predicted)}")
            pixels = cv2.imread(str(work / "picture.png"))[..., ::-1]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # highdicom's quote names of patients
                results = {
                    "picture": _picture(film, pixels, common["picture"]),
                    "report": _report(predicted, row, film, common["report"]),
                }
                for kind, result in results.items():
                    with written_whole(folder / made[kind]) as temporary:
                        result.save_as(temporary, enforce_file_format=True)
        except FilmError as error:
            made, problem = dict.fromkeys(SERIES, ""), str(error).removeprefix(f"{path}: ")
        rows.append({"filename": name, **made, "problem": problem})
    table = pd.DataFrame(rows, columns=["filename", *SERIES, "problem"])
    write_csv(table, folder / TABLE)
    return table


def written(table: pd.DataFrame) -> list[str]:
    """Names of the files that `write` made; none of an empty table."""
    return [TABLE, *filter(None, table[list(SERIES)].to_numpy().ravel())] if len(table) else []


def identity(path: Path) -> Any:
    """What a film's header says of who and what it shows, as a data set of `IDENTITY` and nothing else.

    Raises
    ------
    FilmError
        No DICOM file, a value that DICOM does not allow, or a UID is missing, without which nothing can lie beside it.
    """
    from pydicom.dataset import Dataset

    values = stated_by_header(path, IDENTITY)
    if missing := [keyword for keyword in UIDS if not values[keyword]]:
        raise FilmError(f"{path}: its header does not state {', '.join(missing)}")
    if values["PatientSex"] not in SEXES:
        raise FilmError(f"{path}: its PatientSex is no value that DICOM allows")
    film = Dataset()
    film.SpecificCharacterSet = "ISO_IR 192"  # UTF-8, whatever the film's was
    for keyword, value in values.items():
        if value or keyword not in ("IssuerOfPatientID", "BurnedInAnnotation", "LossyImageCompression"):
            setattr(film, keyword, value)
    return film


def _research_only(predicted: Predicted) -> str:
    """The same in a word where the networks saw drawn films: a series has 64 characters for it."""
    return "SYNTHETIC FILMS. Research only." if told_of_drawn(predicted.bundle) else RESEARCH_ONLY


def _made_by(predicted: Predicted) -> dict[str, Any]:
    bundle = predicted.bundle
    return {
        "manufacturer": "cxr, a research program",
        "manufacturer_model_name": bundle.model[:64],
        "software_versions": bundle.version[:64],
        "device_serial_number": bundle.digest,
        "series_description": f"{bundle.model[:20]}: {_research_only(predicted)}",
        "specific_character_set": "ISO_IR 192",
        "content_qualification": "RESEARCH",
    }


def _picture(film: Any, pixels: np.ndarray, common: dict[str, Any]) -> Any:
    """A Secondary Capture of a picture (H, W, 3), uint8, RGB."""
    from highdicom import sc
    from pydicom.dataset import Dataset
    from pydicom.uid import ExplicitVRLittleEndian

    picture = sc.SCImage.from_ref_dataset(
        film, pixels, "RGB", 8, "PATIENT", patient_orientation=("L", "F"), transfer_syntax_uid=ExplicitVRLittleEndian,
        **common,
    )  # fmt: skip
    picture.PatientOrientation = None  # the page is no film, and highdicom wants one
    picture.BodyPartExamined = "CHEST"  # which has no Laterality
    source = Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = film.SOPClassUID, film.SOPInstanceUID
    picture.SourceImageSequence = [source]
    picture.DerivationDescription = "Film with maps and probabilities of a network"
    for keyword in ("IssuerOfPatientID", "BurnedInAnnotation", "LossyImageCompression"):
        if keyword in film:
            setattr(picture, keyword, film[keyword].value)
    return picture


def _report(predicted: Predicted, row: int, film: Any, common: dict[str, Any]) -> Any:
    """A Comprehensive SR with a group for each finding: probability, threshold, whether it is called, by what model."""
    from highdicom import sr
    from highdicom.uid import UID
    from pydicom.sr.codedict import codes

    bundle, unique = predicted.bundle, hashlib.blake2b(predicted.bundle.digest.encode(), digest_size=15).digest()
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=UID(f"2.25.{int.from_bytes(unique)}"), name=bundle.model, manufacturer_name=common["manufacturer"],
        model_name=bundle.model, serial_number=bundle.digest,
    )  # fmt: skip
    observer = sr.ObserverContext(codes.DCM.Device, device)
    notes = [*told_of_drawn(bundle), RESEARCH_ONLY, *filter(None, [predicted.films["notes"].iloc[row]])]
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=sr.CodedConcept("399208008", "SCT", "Plain chest X-ray"),
        imaging_measurements=[
            _group(predicted, row, column, film, notes) for column in range(len(predicted.scored.findings))
        ],
    )
    report = sr.ComprehensiveSR(evidence=[film], content=content[0], is_complete=True, **common)
    if "IssuerOfPatientID" in film:
        report.IssuerOfPatientID = film.IssuerOfPatientID
    return report


def _group(predicted: Predicted, row: int, column: int, film: Any, notes: list[str]) -> Any:
    """One finding, TID 1501."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    finding, bundle = predicted.scored.findings[column], predicted.bundle
    used, calibrated = thresholds_used(predicted)[finding], predicted.calibrated[row, column]
    figures = {
        codes.DCM.Probability: predicted.scored.probability(finding)[row],
        codes.DCM.ThresholdValue: used["threshold"],
        sr.CodedConcept("calibrated", SCHEME, "Calibrated probability"): calibrated,
    }
    models = [f"{name}: {value}" for name, value in bundle.reference["made_from"]["models"].items()]
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(identifier=finding),
        finding_type=coded(finding),
        algorithm_id=sr.AlgorithmIdentification(
            bundle.model, bundle.version, [f"digest: {bundle.digest}", *models, f"threshold: {used['fitted_on']}"]
        ),
        measurements=[
            sr.Measurement(name, float(f"{value:.6g}"), codes.UCUM.NoUnits)
            for name, value in figures.items() if not np.isnan(value)
        ],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(
                sr.CodedConcept("called", SCHEME, "Called: at or above the threshold"),
                codes.SCT.Yes if predicted.scored.decisions[row, column] else codes.SCT.No,
            )
        ],
        source_images=[sr.SourceImageForMeasurementGroup(film.SOPClassUID, film.SOPInstanceUID)],
    )  # fmt: skip
    comments = [sr.TextContentItem(codes.DCM.Comment, note, "CONTAINS") for note in notes]
    group[0].ContentSequence.extend(comments)
    return group


def coded(finding: str) -> Any:
    """A finding as a coded concept: SNOMED CT's, or one of ours that is the same for the same name."""
    from highdicom.sr import CodedConcept

    if finding in SNOMED:
        value, meaning = SNOMED[finding]
        return CodedConcept(value, "SCT", meaning)
    value = hashlib.blake2b(finding.encode(), digest_size=6).hexdigest()  # a code has 16 letters at most
    return CodedConcept(value, SCHEME, finding[:64])
