"""DICOM results: whom they are about comes from the film's header and nowhere else, and others can read them."""

import shutil
import subprocess
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset

from cxr.core.errors import FilmError
from cxr.core.findings import FINDINGS
from cxr.delivery import dicom_results
from cxr.new_films import predicting
from tests.imaging.dicom_files import dicom

needs_highdicom = pytest.mark.skipif(dicom_results.why_not() != "", reason=dicom_results.why_not())
GRAYS = (np.arange(48 * 64).reshape(48, 64) % 251).astype(np.uint8)
UIDS = {"SOPClassUID": pydicom.uid.DigitalXRayImageStorageForPresentation, "SOPInstanceUID": "1.2.3.4"}
UIDS |= {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.5"}
WHO = {"PatientName": "Hong^Gildong=洪^吉洞=홍^길동", "PatientID": "77123", "PatientBirthDate": "19610203"}
WHO |= {"PatientSex": "F", "IssuerOfPatientID": "A ward", "AccessionNumber": "ACC-9", "StudyID": "S1"}
WHO |= {"StudyDate": "20261127", "StudyTime": "0915", "ReferringPhysicianName": "Kim^Yuna"}


def film(folder, name="SECRET-WARD.dcm", charset="ISO_IR 192", **tags):
    return dicom(folder, GRAYS, name, SpecificCharacterSet=charset, **{**UIDS, **WHO, **tags})


def predicted(paths, findings=FINDINGS):
    """One member's probabilities .1, .2 … of each film, thresholds .3, nothing calibrated but the first finding."""
    shape = (len(paths), len(findings))
    members = np.broadcast_to(np.arange(1, shape[1] + 1, dtype=np.float32) / 10, (1, *shape))
    films = pd.DataFrame({"filename": map(str, paths), "path": paths, "row": range(len(paths))})
    films["notes"] = "low resolution: 48 pixels, expected 200 or more"
    table = predicting._table(films, "pooled", members, findings, {})
    scored = SimpleNamespace(
        table=table, findings=list(findings), decisions=members[0] >= 0.3,
        probability=lambda finding: table[f"{finding}_prob"],
    )  # fmt: skip
    fitted = {finding: {"pooled": {"threshold": 0.3, "fitted_on": "pooled"}} for finding in findings}
    bundle = SimpleNamespace(
        model="cxr_ensemble", version="1.2.0", digest="ab" * 16, thresholds={"findings": fitted},
        reference={"made_from": {"models": {"tiny": "cd" * 16}}},
    )  # fmt: skip
    calibrated = np.full(shape, np.nan)
    calibrated[:, 0] = 0.05
    return predicting.Predicted(
        bundle=bundle, hospital="pooled", films=films, scored=scored, calibrated=calibrated, members=members,
        flip_risk=np.full(shape, np.nan), no_flip_risk="one member", masks=None, pack=np.zeros(0),
        problems=pd.DataFrame(),
    )  # fmt: skip


def write(monkeypatch, folder, paths, findings=FINDINGS, drawn=None):
    """dicom.csv as a table, and the title of the picture."""
    titles = []

    def draw(predicted, row, path, title):
        titles.append(title)
        cv2.imwrite(str(path), np.dstack([GRAYS, GRAYS, 255 - GRAYS]))  # OpenCV's order: blue, green, red

    monkeypatch.setattr(dicom_results, "draw_overlay", draw)
    (folder / "work").mkdir()
    ours = predicted(paths, findings)
    ours.bundle.reference["drawn"] = drawn
    table = dicom_results.write(ours, folder, folder / "work", lambda rows, doing: rows)
    return table, titles


@pytest.fixture
def results(tmp_path, monkeypatch):
    """(film, picture, report, folder) of one film, read back by pydicom."""
    private = Dataset()
    private.add_new(0x00091001, "LO", "Private^Jane")
    path = film(
        tmp_path, PatientAddress="12 Main Street", OtherPatientIDsSequence=[private], StudyDescription="Jane's study"
    )
    header = pydicom.dcmread(path)
    header.private_block(0x0011, "VENDOR", create=True).add_new(1, "LO", "Private^Jane")
    header.save_as(path)
    table, titles = write(monkeypatch, tmp_path, [path])
    assert table["problem"].tolist() == [""]
    assert titles == ["cxr_ensemble: Research only. Not a medical device."]
    picture, report = (pydicom.dcmread(tmp_path / table[kind][0]) for kind in ("picture", "report"))
    return header, picture, report, tmp_path


@needs_highdicom
def test_results_of_networks_that_learned_from_drawn_films_say_so(tmp_path, monkeypatch):
    table, titles = write(monkeypatch, tmp_path, [film(tmp_path)], drawn=True)
    assert titles == ["cxr_ensemble: SYNTHETIC FILMS. Research only."]
    picture, report = (pydicom.dcmread(tmp_path / table[kind][0]) for kind in ("picture", "report"))
    assert picture.SeriesDescription == report.SeriesDescription == titles[0]
    assert "these networks learned from films that this project drew" in report.to_json()


@needs_highdicom
def test_patient_and_study_are_those_of_the_film_and_series_and_instances_new(results):
    header, picture, report, _ = results
    for result in (picture, report):
        for keyword, value in (WHO | {"StudyInstanceUID": "1.2.3"}).items():
            assert str(result[keyword].value) == value, keyword
        assert result.SpecificCharacterSet == "ISO_IR 192"
    uids = {one[name].value for one in (header, picture, report) for name in ("SeriesInstanceUID", "SOPInstanceUID")}
    assert len(uids) == 6


@needs_highdicom
def test_no_private_tag_no_other_attribute_and_no_name_of_a_file_reaches_a_result(results):
    for result, kind in zip(results[1:3], ("picture", "report"), strict=True):
        assert not [element for element in result.iterall() if element.tag.is_private]
        assert "PatientAddress" not in result
        assert "StudyDescription" not in result
        content = (results[3] / dicom_results.result_paths(results[3] / "SECRET-WARD.dcm")[kind]).read_bytes()
        for word in (b"Jane", b"Main Street", b"SECRET", b".png", str(results[3]).encode()):
            assert word not in content, (kind, word)


@needs_highdicom
def test_the_picture_has_the_pixels_that_were_drawn_and_names_the_film_it_shows(results):
    _, picture, _, _ = results
    assert picture.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage
    np.testing.assert_array_equal(picture.pixel_array, np.dstack([255 - GRAYS, GRAYS, GRAYS]))
    assert picture.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    assert not picture.PatientOrientation
    assert "Research only" in picture.SeriesDescription


@needs_highdicom
def test_the_report_is_read_back_as_tid_1500_with_every_finding_s_figures_and_the_model(results):
    import highdicom.sr
    from pydicom.sr.codedict import codes

    path = results[3] / dicom_results.result_paths(results[3] / "SECRET-WARD.dcm")["report"]
    report = highdicom.sr.srread(path)
    assert (report.ContentTemplateSequence[0].TemplateIdentifier, report.VerificationFlag) == ("1500", "UNVERIFIED")
    groups = report.content.get_image_measurement_groups()
    assert [group.tracking_identifier for group in groups] == list(FINDINGS)
    for number, group in enumerate(groups, 1):
        figures = {one.name.meaning: one.value for one in group.get_measurements()}
        expected = {"Probability": number / 10, "Threshold Value": 0.3}
        assert figures == expected | ({"Calibrated probability": 0.05} if number == 1 else {})
        assert [one.value for one in group.get_qualitative_evaluations()] == [
            codes.SCT.Yes if number >= 3 else codes.SCT.No
        ]
        assert group.source_images[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    assert groups[3].finding_type == codes.SCT.PleuralEffusion
    texts = [item.TextValue for group in groups[0] for item in group.ContentSequence if "TextValue" in item]
    assert texts == [
        "Consolidation", "cxr_ensemble", "1.2.0", f"digest: {'ab' * 16}", f"tiny: {'cd' * 16}", "threshold: pooled",
        "Research only. Not a medical device.", "low resolution: 48 pixels, expected 200 or more",
    ]  # fmt: skip


@needs_highdicom
def test_dciodvfy_finds_no_error(results):
    checker = shutil.which("dciodvfy")
    if checker is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    for path in sorted((results[3] / "dicom").iterdir()):
        said = subprocess.run([checker, path], capture_output=True, text=True).stderr
        assert not [line for line in said.splitlines() if line.startswith("Error")], said


@needs_highdicom
def test_what_is_no_dicom_or_cannot_be_placed_gets_no_result_and_is_said(tmp_path, monkeypatch):
    png = tmp_path / "film.png"
    cv2.imwrite(str(png), GRAYS)
    no_study = film(tmp_path, "no_study.dcm", StudyInstanceUID="")
    good = film(tmp_path, "good.dcm")
    table, _ = write(monkeypatch, tmp_path, [png, no_study, good])
    assert table["problem"].tolist() == ["is no DICOM file", "its header does not state StudyInstanceUID", ""]
    assert len(list((tmp_path / "dicom").iterdir())) == 2
    assert dicom_results.written(table) == ["dicom.csv", *table.loc[2, ["picture", "report"]]]
    assert pd.read_csv(tmp_path / "dicom.csv", keep_default_na=False).equals(table)


@needs_highdicom
@pytest.mark.filterwarnings("error")
def test_a_name_that_is_unusual_is_copied_and_not_printed(tmp_path, monkeypatch, capfd):
    table, _ = write(
        monkeypatch, tmp_path, [film(tmp_path, PatientName="Jane", PatientID="", StudyDate="", StudyTime="")]
    )
    for kind in ("picture", "report"):
        result = pydicom.dcmread(tmp_path / table[kind][0])
        assert (str(result.PatientName), result.PatientID, result.StudyDate) == ("Jane", "", "")
    assert "Jane" not in "".join(capfd.readouterr())


@needs_highdicom
def test_films_of_one_study_share_a_series_of_each_kind(tmp_path, monkeypatch):
    paths = [film(tmp_path, f"{number}.dcm", SOPInstanceUID=f"1.2.3.{number}") for number in (7, 8)]
    table, _ = write(monkeypatch, tmp_path, paths)
    for kind in ("picture", "report"):
        read = [pydicom.dcmread(tmp_path / name) for name in table[kind]]
        assert read[0].SeriesInstanceUID == read[1].SeriesInstanceUID
        assert [one.InstanceNumber for one in read] == [1, 2]


@needs_highdicom
def test_a_finding_of_one_s_own_has_a_code_of_its_own_in_any_script(tmp_path, monkeypatch):
    table, _ = write(monkeypatch, tmp_path, [film(tmp_path)], ["Hernia", "골절"])
    report = pydicom.dcmread(tmp_path / table["report"][0])
    elements = [element for element in report.iterall() if element.keyword == "ConceptCodeSequence"]
    codes = [element.value[0] for element in elements if element.value[0].CodingSchemeDesignator == "99CXR"]
    assert [code.CodeMeaning for code in codes] == ["Hernia", "골절"]
    assert codes[0].CodeValue != codes[1].CodeValue


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientSex", "FEMALE"), ("StudyDate", "27 November"), ("StudyDate", "20260231"), ("PatientID", ["77123", "4"])],
    ids=["sex", "date", "no_day", "two_ids"],
)
def test_a_value_that_dicom_does_not_allow_is_refused_and_never_quoted(tmp_path, monkeypatch, keyword, value):
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
    path = film(tmp_path, **{keyword: value})
    with pytest.raises(FilmError, match=f"its {keyword} is no value that DICOM allows") as raised:
        dicom_results.identity(path)
    assert "77123" not in str(raised.value)


@pytest.mark.filterwarnings("ignore:Unknown encoding")
@pytest.mark.parametrize(
    ("charset", "written", "read"),
    [
        ("ISO_IR 100", b"M\xfcller", "Müller"),
        ("ISO_IR 192", b"M\xc3\xbcllr", "Müllr"),
        (["", "ISO 2022 IR 149"], b"\x1b$)C\xc8\xab", "홍"),
        ("", b"M\xfcller", None),
        ("NONE_SUCH", b"M\xfcller", None),
        ("ISO_IR 192", b"M\xfcller", None),
        (["", "ISO 2022 IR 149"], b"\xc8\xab\xb1\xe6\xb5\xbf", None),
    ],
    ids=["latin", "utf_8", "korean", "none_stated", "unknown", "no_utf_8", "no_escape"],
)
def test_letters_are_read_in_the_film_s_character_set_and_refused_where_it_has_none_for_them(
    tmp_path, monkeypatch, charset, written, read
):
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)
    path = film(tmp_path, charset=charset, PatientName="XXXXXX")
    path.write_bytes(path.read_bytes().replace(b"XXXXXX", written))
    if read:
        assert str(dicom_results.identity(path).PatientName) == read
        return
    with pytest.raises(FilmError, match="PatientName") as raised:
        dicom_results.identity(path)
    assert "ller" not in str(raised.value)
