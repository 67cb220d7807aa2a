"""Films to come: read as in training, named safely, refused by name; bundles that stand alone and are checked."""

import functools
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from cxr.core import artifacts, configuration
from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.core.settings import Settings
from cxr.delivery import dicom_results, serving
from cxr.evaluation import predictions
from cxr.maps import family_maps
from cxr.maps.detections import film_detections
from cxr.new_films import bundle_check, bundles, predicting
from cxr.preparation import packs
from cxr.tables import schema
from tests.conftest import PROJECT, TINY, load_script, settings_in

SIZE = 48
PARAMS = TINY | {
    "DENSENET_INPUT_SIZE": SIZE,
    "EFFICIENTNET_INPUT_SIZE": SIZE,
    "LUNG_MASKING": "loose",
    "LUNG_MARGIN": 0.1,
}
FILMS = 28
# Masking -> digest of the films as step 5 packs them: training and prediction change together, or not at all.
MODES = {
    "loose": "f66a9f9d5255828f",
    "hard": "174919597e75fbee",
    "crop": "40eba8a444be2699",
    "none": "1dc0c23eb3ab2047",
}


def film(number: int) -> np.ndarray:
    """A film of 60 x 80: dark lungs of its own size in a bright body; the third has none."""
    random = np.random.default_rng(number)
    pixels = 170 + random.normal(0, 12, (60, 80)) + np.linspace(0, 30, 60)[:, None]
    height, shift = int(random.integers(26, 40)), int(random.integers(-3, 4))
    if number != 2:
        for left in (14, 46):
            pixels[10 : 10 + height, left + shift : left + shift + 20] -= 130
    pixels[0] = np.linspace(0, 255, 80)  # the whole range and no outlier: deeper files give the same grays
    return pixels.clip(0, 255).astype(np.uint8)


def write_dicom(pixels: np.ndarray, path, **tags):
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID = pydicom.uid.ComputedRadiographyImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID = "1.2.3"
    header.Modality, header.BodyPartExamined, header.PatientName, header.PatientID = (
        "CR",
        "CHEST",
        "DOE^JANE",
        "ID-77123-JANE",
    )
    header.Rows, header.Columns = pixels.shape
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PixelRepresentation = 1, "MONOCHROME2", 0
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit = 15
    for tag, value in tags.items():
        setattr(header, tag, value)
    header.PixelData = pixels.astype("<u2").tobytes()
    header["PixelData"].VR = "OW"
    header.save_as(path, enforce_file_format=True)


def write_films(folder) -> list[str]:
    """Films in the formats that they come in; their names."""
    folder.mkdir()
    names = []
    for number in range(FILMS):
        pixels = film(number)
        kind = ("png", "tif", "dcm", "16.png", "jpg")[number % 5]
        names.append(f"{number:08d}_000.{kind}")
        path = folder / names[-1]
        if kind == "dcm":
            write_dicom(pixels.astype(np.uint16) * 16, path)
        else:
            assert cv2.imwrite(str(path), pixels.astype(np.uint16) * 257 if kind == "16.png" else pixels)
    return names


def write_unet(settings: Settings) -> None:
    """A network that takes what is dark, but not the black margin, for lung: exact, and at once."""
    from cxr.networks.backend import keras

    whole = keras.Input((32, 32, 1))
    dark, inside = (
        keras.layers.Activation("sigmoid")(keras.layers.Rescaling(scale, offset)(whole))
        for scale, offset in ((-0.2, 22), (1, -12))
    )
    lung = keras.layers.Multiply()([dark, inside])
    settings.unet.parent.mkdir(parents=True)
    keras.Model(whole, lung).save(settings.unet)


def arguments(folder, **changes) -> list[str]:
    (folder / "PARAMS.json").write_text(json.dumps(PARAMS | changes))
    return [f"--{name.lower()}={folder / name}.json" for name in ("SETTINGS", "PARAMS")]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A family of one tiny network, evaluated on films that steps 4 and 5 packed: folder, settings."""
    from cxr.networks import classifiers
    from cxr.networks.backend import keras

    folder = tmp_path_factory.mktemp("family")
    settings = settings_in(folder)
    names = write_films(folder / "raw")
    random = np.random.default_rng(0)
    rows = [
        {"image_id": f"{'nih' if number % 2 else 'own'}/{name.split('.')[0]}", "path": name, "view": "PA", "sex": "M",
         "patient_id": f"p-{number}", "age": 50, "source": "nih", "label_source": "nih",
         **dict(zip(FINDINGS, random.integers(0, 2, 6), strict=True))}
        for number, name in enumerate(names)
    ]  # fmt: skip
    images = schema.typed(pd.DataFrame(rows), FINDINGS).sort_values("image_id").reset_index(drop=True)
    artifacts.write_csv(images, settings.images_csv)
    splits = [("train", "val", "test")[number % 3] for number in range(FILMS)]
    artifacts.write_csv(pd.DataFrame({"image_id": images["image_id"], "split": splits}), settings.split_csv)
    write_unet(settings)
    given = arguments(folder)
    for step in ("4_mask_lungs.py", "5_pack_arrays.py"):
        load_script(f"src/classification/etl/{step}").main(given)
    keras.utils.set_random_seed(3)
    member = settings.member_dir("ensemble", "tiny")
    member.mkdir(parents=True)
    classifiers.build_classifier("tiny", configuration.load_params(folder / "PARAMS.json")).save(member / "model.keras")
    made_from = {"pack": artifacts.origin(settings.pack(SIZE).with_suffix(".json"), "-")}
    made_from["split"] = artifacts.digest(settings.split_csv)
    artifacts.write_json({"made_from": made_from}, member / "run.json")
    load_script("src/classification/eval/evaluate.py").main(["ensemble", *given])
    load_script("src/classification/eval/report.py").main(["ensemble", *given])
    return folder, settings


@pytest.fixture(scope="module")
def exported(evaluated, tmp_path_factory):
    """The bundle of that family, copied to another place."""
    folder, _ = evaluated
    out = tmp_path_factory.mktemp("bundles")
    load_script("src/classification/export.py").main([*arguments(folder), f"--out={out / 'first'}", "--no-onnx"])
    return shutil.copytree(out / "first/ensemble", out / "copied")


def predict(*given) -> int:
    return load_script("src/classification/predict.py").main([str(one) for one in given])


def read(out) -> pd.DataFrame:
    return pd.read_csv(out / "predictions.csv", keep_default_na=False, dtype=str)


# Golden films: step 5 and prediction


@pytest.mark.parametrize("masking", MODES)
def test_new_films_become_the_very_pixels_of_step_5(evaluated, tmp_path, masking):
    from cxr.networks import backend

    folder, settings = evaluated
    elsewhere = settings.model_copy(update={"data_dir": tmp_path / "data"})
    elsewhere.classification.mkdir(parents=True)
    for name in ("images.csv", "lung_masks.npy", "lung_masks.csv", "lung_masks.json"):
        shutil.copy2(settings.classification / name, elsewhere.classification / name)
    (tmp_path / "SETTINGS.json").write_text(
        json.dumps({**json.loads((folder / "SETTINGS.json").read_text()), "DATASET_DIR": str(folder / "raw")})
    )
    load_script("src/classification/etl/5_pack_arrays.py").main(arguments(tmp_path, LUNG_MASKING=masking))
    params = configuration.load_params(tmp_path / "PARAMS.json")
    packed = packs.open_pack(elsewhere.pack(SIZE), "-")
    classifiers = {"tiny": settings.member_dir("ensemble", "tiny") / "model.keras"}
    unet = None if masking == "none" else settings.unet
    bundle = bundles.Bundle("-", "ensemble", params, classifiers, unet, {}, {}, "-", "-", "-", "-")
    paths = [settings.dataset_dir / name for name in schema.read_images(settings.images_csv, FINDINGS)["path"]]
    (tmp_path / "work").mkdir()
    films, masks = predicting.prepare(
        bundle, paths, tmp_path / "work", lambda films, doing: films, functools.partial(predicting.opened, bundle)
    )
    assert set(films["problem"]) == {""}
    np.testing.assert_array_equal(packs.open_pack(tmp_path / f"work/{SIZE}.npy", "-"), packed)
    if masking != "none":
        np.testing.assert_array_equal(masks, packs.open_pack(settings.lung_masks, "-"))
        assert films["accepted"].sum() == FILMS - 1
    # On JAX a pixel on a mask's edge may differ, by the last bit of a probability.
    if masking in ("none", "crop") or backend.keras.backend.backend() == "tensorflow":
        assert hashlib.blake2b(packed.tobytes(), digest_size=8).hexdigest() == MODES[masking]


def test_a_film_of_the_test_split_gets_the_probabilities_that_evaluation_gave_it(evaluated, tmp_path):
    folder, settings = evaluated
    assert predict(settings.dataset_dir, f"--out={tmp_path}", *arguments(folder)) == 0
    found = read(tmp_path).set_index("filename")
    known = predictions.read(settings.family_dir("ensemble") / "predictions.csv").set_index("image_id")
    images = schema.read_images(settings.images_csv, FINDINGS).set_index("image_id").loc[known.index]
    new = found.loc[[str(settings.dataset_dir / path) for path in images["path"]]]
    for finding in FINDINGS:
        np.testing.assert_allclose(new[f"{finding}_prob"].astype(float), known[f"{finding}_prob"], atol=2e-6)
    assert set(found["thresholds_of"]) == {"pooled"}
    assert len(list((tmp_path / "overlays").iterdir())) == FILMS


def test_a_film_of_the_test_split_gets_the_boxes_that_evaluation_finds(evaluated, tmp_path):
    folder, settings = evaluated
    arguments(folder)
    params = configuration.load_params(folder / "PARAMS.json")
    known = family_maps.load(settings, params, "ensemble")
    paths = [settings.dataset_dir / path for path in known.films["path"]]
    bundle = bundles.of_models(settings, params, "ensemble")
    new = predicting.predict(bundle, paths, "pooled", tmp_path, lambda films, _: films).scored
    found = 0
    for finding in FINDINGS:
        for row in range(len(paths)):
            boxes, again = (film_detections(scored, finding, row) for scored in (known, new))
            found += len(boxes)
            assert [box for box, _ in again] == [pytest.approx(box, abs=2) for box, _ in boxes]  # maps are float16
            assert [score for _, score in again] == pytest.approx([score for _, score in boxes], abs=1e-3)
    assert found > len(paths)


# What a run leaves


@pytest.fixture(scope="module")
def mixed(evaluated, tmp_path_factory):
    """A folder of good, odd and broken files, predicted: (folder, out, exit status)."""
    folder, _ = evaluated
    place = tmp_path_factory.mktemp("mixed")
    films = place / "films"
    for name in ("one/film.png", "two/film.png", "line\nend.png", '흉부 "1".png', "-dash.png", "<b>.png", "IM0001"):
        (films / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imencode(".png", film(len(name)))[1].tofile(films / name)
    write_dicom(film(1).astype(np.uint16) * 16, films / "IM0001")
    write_dicom(film(1).astype(np.uint16) * 16, films / "ct.dcm", Modality="CT")
    (films / "half.png").write_bytes((films / "-dash.png").read_bytes()[:300])
    cv2.imwrite(str(films / "negative.png"), 255 - film(5))
    cv2.imwrite(str(films / "long.png"), np.vstack([film(5), film(6), film(7)]))
    cv2.imwrite(str(films / "flat.png"), film(5) // 20)
    before = {path: path.read_bytes() for path in films.rglob("*") if path.is_file()}
    status = predict(films, place / "gone.png", f"--out={films / 'out'}", *arguments(folder))
    after = {
        path: path.read_bytes() for path in films.rglob("*") if path.is_file() and films / "out" not in path.parents
    }
    assert after == before
    assert {path.name for path in place.iterdir()} == {"films"}
    return films, films / "out", status


def test_broken_files_and_other_modalities_are_listed_and_the_rest_is_predicted(mixed):
    films, out, status = mixed
    assert status == 3
    problems = pd.read_csv(out / "problems.csv").set_index("filename")["problem"]
    assert sorted(name.rpartition("/")[2] for name in problems.index) == ["ct.dcm", "gone.png", "half.png"]
    assert "its Modality is CT" in problems[str(films / "ct.dcm")]
    assert "No such file" in problems[str(films.parent / "gone.png")]
    assert len(read(out)) == 10


def test_names_come_back_as_given_and_every_film_has_an_overlay_of_its_own(mixed):
    films, out, _ = mixed
    table = read(out)
    assert str(films / "line\nend.png") in set(table["filename"])
    assert str(films / '흉부 "1".png') in set(table["filename"])
    assert {str(films / f"{name}/film.png") for name in ("one", "two")} <= set(table["filename"])
    assert table["overlay"].is_unique
    assert all((out / name).stat().st_size > 10_000 for name in table["overlay"])
    assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".cxr-")) == [
        "overlays", "predictions.csv", "problems.csv", "report.html", "run.json",
    ]  # fmt: skip


def test_flags_stand_in_columns_with_their_reasons(mixed):
    films, out, _ = mixed
    table = read(out).set_index("filename")
    assert table.loc[str(films / "negative.png"), "looks_inverted"] == "1"
    assert table.loc[str(films / "long.png"), "odd_aspect"] == "1"
    assert "sides are as 2.25 to 1" in table.loc[str(films / "long.png"), "notes"]
    assert table.loc[str(films / "flat.png"), "nearly_empty"] == "1"
    plain = table.loc[str(films / "one/film.png")]
    assert plain["doubtful_mask"] in ("0", "1")
    assert plain[["mask_rejected", "looks_inverted", "nearly_empty", "odd_aspect"]].tolist() == ["0"] * 4
    assert set(plain[[f"{finding}_called" for finding in FINDINGS]]) <= {"0", "1"}
    assert set(plain[[f"{finding}_disagreement" for finding in FINDINGS]]) == {""}  # one member has nobody to disagree


def test_nothing_of_a_header_and_no_markup_of_a_name_reaches_the_results(mixed):
    _, out, _ = mixed
    for path in out.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"DOE^JANE" not in content, path
            assert b"ID-77123-JANE" not in content, path
    page = (out / "report.html").read_text()
    assert "<b>.png" not in page
    assert not [link for link in page.split('href="')[1:] if not link.startswith(("#", "data:"))]


def test_another_look_at_the_folder_does_not_take_overlays_for_films(evaluated, mixed):
    folder, _ = evaluated
    films, out, _ = mixed
    first = (out / "predictions.csv").read_bytes(), sorted(path.name for path in (out / "overlays").iterdir())
    predict(films, films.parent / "gone.png", f"--out={out}", *arguments(folder))
    assert ((out / "predictions.csv").read_bytes(), sorted(path.name for path in (out / "overlays").iterdir())) == first


def test_pictures_of_films_that_are_not_asked_for_again_are_removed_and_no_other_file(evaluated, tmp_path):
    folder, _ = evaluated
    films, out = tmp_path / "films", tmp_path / "out"
    films.mkdir()
    for gray in (1, 2):
        cv2.imwrite(str(films / f"{gray}.png"), film(gray))
    predict(films, f"--out={out}", *arguments(folder))
    mine = out / "overlays/mine.png"
    mine.write_bytes(b"")
    old = set((out / "overlays").iterdir())
    predict(films / "2.png", f"--out={out}", *arguments(folder))
    assert set((out / "overlays").iterdir()) == {mine, out / read(out)["overlay"].item()} < old


def test_dicom_results_lie_beside_the_pages_of_films_that_are_dicom_and_go_when_not_asked_for(
    evaluated, tmp_path, capsys
):
    if why_not := dicom_results.why_not():
        pytest.skip(why_not)
    films, out, given = tmp_path / "films", tmp_path / "out", arguments(evaluated[0])
    films.mkdir()
    cv2.imwrite(str(films / "film.png"), film(1))
    write_dicom(film(1).astype(np.uint16) * 16, films / "film.dcm", StudyInstanceUID="1.2", SeriesInstanceUID="1.2.4")
    assert predict(films, f"--out={out}", "--dicom", *given) == 3
    said = capsys.readouterr().out
    assert f"no DICOM result: {films / 'film.png'}: is no DICOM file" in said
    assert f"DICOM results of 1 films, of 1 not -> {out / 'dicom.csv'}" in said
    table = pd.read_csv(out / "dicom.csv", keep_default_na=False).set_index("filename")
    picture, report = (
        pydicom.dcmread(out / name) for name in table.loc[str(films / "film.dcm"), ["picture", "report"]]
    )
    assert picture.PatientID == report.PatientID == "ID-77123-JANE"
    assert picture.pixel_array.shape == cv2.imread(str(out / read(out)["overlay"][0])).shape
    row = read(out).set_index("filename").loc[str(films / "film.dcm")]
    groups = report.ContentSequence[-1].ContentSequence
    probabilities = [float(group.ContentSequence[8].MeasuredValueSequence[0].NumericValue) for group in groups]
    assert probabilities == [float(row[f"{finding}_prob"]) for finding in FINDINGS]
    assert predict(films, f"--out={out}", *given) == 0
    assert not [path for path in out.rglob("*") if path.suffix == ".dcm" or path.name == "dicom.csv"]


def test_dicom_results_without_highdicom_are_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=re.escape('highdicom not installed. Run: pip install -e ".[dicom]"')):
        predict(tmp_path, "--dicom")


def test_only_broken_files_still_make_a_whole_run(evaluated, tmp_path):
    folder, _ = evaluated
    (tmp_path / "bad.png").write_text("no film")
    assert predict(tmp_path / "bad.png", f"--out={tmp_path / 'out'}", *arguments(folder)) == 3
    assert len(read(tmp_path / "out")) == 0
    assert "No film could be predicted" in (tmp_path / "out/report.html").read_text()


def test_a_hospital_s_own_thresholds_can_be_asked_for_and_an_unknown_one_is_refused(evaluated, tmp_path):
    folder, settings = evaluated
    path = settings.dataset_dir / "00000004_000.jpg"
    predict(path, f"--out={tmp_path / 'a'}", *arguments(folder), "--hospital=nih", "--limit=1")
    record = json.loads((tmp_path / "a/run.json").read_text())
    fitted = json.loads((settings.family_dir("ensemble") / "thresholds.json").read_text())["findings"]
    assert record["thresholds_of"] == "nih"
    assert record["thresholds"] == {finding: fitted[finding]["nih"] for finding in FINDINGS}
    with pytest.raises(InputError, match=r"--hospital nhi: expected one of nih, own, pooled.*Did you mean nih\?"):
        predict(path, f"--out={tmp_path / 'b'}", *arguments(folder), "--hospital=nhi")
    assert not (tmp_path / "b").exists()


def test_other_parameters_or_networks_than_evaluated_are_refused(evaluated, tmp_path):
    folder, settings = evaluated
    with pytest.raises(InputError, match=r"reference.json: made with LUNG_MASKING 'loose', now it is 'crop'"):
        predict(settings.dataset_dir, f"--out={tmp_path / 'out'}", *arguments(folder, LUNG_MASKING="crop"))
    artifacts.write_csv(pd.DataFrame(columns=["image_id", "finding", "x", "y", "width", "height"]), settings.boxes_csv)
    with pytest.raises(InputError, match=r"boxes.csv: are not the boxes that .*reference.json was made with. Run: sh"):
        predict(settings.dataset_dir, f"--out={tmp_path / 'out'}", *arguments(folder))
    settings.boxes_csv.unlink()
    content = settings.unet.read_bytes()
    settings.unet.write_bytes(content + b"x")
    try:
        with pytest.raises(InputError, match=r"model.keras: is not the network that reference.json"):
            predict(settings.dataset_dir, f"--out={tmp_path / 'out'}", *arguments(folder))
    finally:
        settings.unet.write_bytes(content)
        arguments(folder)


# Bundles


def test_a_bundle_predicts_the_same_without_anything_else(evaluated, exported, tmp_path):
    folder, settings = evaluated
    predict(settings.dataset_dir, f"--out={tmp_path / 'models'}", *arguments(folder), "--limit=1")
    nowhere = [f"--settings={tmp_path / 'none.json'}", f"--params={tmp_path / 'none.json'}"]
    assert (
        predict(settings.dataset_dir, f"--out={tmp_path / 'bundle'}", f"--bundle={exported}", *nowhere, "--limit=1")
        == 0
    )
    assert (tmp_path / "bundle/predictions.csv").read_bytes() == (tmp_path / "models/predictions.csv").read_bytes()


def test_a_bundle_holds_all_that_it_promises_and_nothing_of_this_machine(evaluated, exported):
    folder, _ = evaluated
    files = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert files == {
        "MODEL_CARD.md", "PARAMS.json", "README.md", "digests.json", "metadata.json", "reference.json",
        "thresholds.json", "models/tiny.keras", "models/unet.keras", "examples/expected.csv",
        *(f"examples/synthetic_{number}.png" for number in range(1, 5)),
    }  # fmt: skip
    about = json.loads((exported / "metadata.json").read_text())
    channels = about["network_data_format"]["tiny"]["outputs"]["pred"]["channel_def"]
    assert [channels[str(place)] for place in range(6)] == about["label_order"] == list(FINDINGS)
    assert about["network_data_format"]["tiny"]["inputs"]["image"]["spatial_shape"] == [SIZE, SIZE]
    assert about["changelog"] == {"1.0.0": "as trained"}
    digests = json.loads((exported / "digests.json").read_text())
    assert set(digests) == files - {"digests.json"}
    for name in files:
        assert str(folder).encode() not in (exported / name).read_bytes(), name


def test_a_bundle_asks_for_nothing_that_a_plain_install_lacks(evaluated, tmp_path, monkeypatch):
    folder, _ = evaluated
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # no TensorBoard, neither here nor there
    given = arguments(folder, TRACKING="tensorboard")
    load_script("src/classification/export.py").main([*given, f"--out={tmp_path / 'bundles'}", "--no-onnx"])
    bundle = tmp_path / "bundles/ensemble"
    assert json.loads((bundle / "PARAMS.json").read_text())["TRACKING"] == ""
    assert predict(bundle / "examples", f"--out={tmp_path / 'out'}", f"--bundle={bundle}", "--limit=1") == 0
    arguments(folder)


def test_the_examples_of_a_bundle_give_what_it_expects(exported, tmp_path):
    predict(exported / "examples", f"--out={tmp_path}", f"--bundle={exported}")
    found, expected = read(tmp_path), pd.read_csv(exported / "examples/expected.csv", keep_default_na=False, dtype=str)
    same = [column for column in expected if column not in ("filename", "overlay")]
    pd.testing.assert_frame_equal(found[same], expected[same])


def test_a_server_answers_with_the_bytes_of_predict(exported, tmp_path, monkeypatch):
    pytest.importorskip("fastapi", reason=serving.why_not())
    pytest.importorskip("httpx2", reason='httpx2 not installed. Run: pip install -e ".[tests]"')
    from starlette.testclient import TestClient

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bundle = bundles.open_bundle(exported)
    answer = functools.partial(serving.predicted_csv, bundle, "pooled", serving.keeper(bundle))
    server = TestClient(serving.app(bundle, answer, "pooled", serving.Limits(), "127.0.0.1"), "http://localhost")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "film"  # as the server calls every film
    for number in (1, 2):  # a PNG, and a DICOM film of which the server has kept the networks
        if number == 1:
            path.write_bytes(cv2.imencode(".png", film(1))[1].tobytes())
        else:
            write_dicom(film(2).astype(np.uint16) * 16, path)
        answers = {kind: server.post(f"/predictions.{kind}", content=path.read_bytes()) for kind in ("csv", "json")}
        assert predict("film", f"--bundle={exported}") == 0
        written = pd.read_csv("predicted/predictions.csv", dtype=str, keep_default_na=False).assign(overlay="")
        assert answers["csv"].content == written.to_csv(index=False, lineterminator="\n").encode()
        assert answers["json"].json()[f"{FINDINGS[0]}_prob"] == float(written[f"{FINDINGS[0]}_prob"][0])
    path.write_bytes(path.read_bytes()[:-100])
    assert predict("film", f"--bundle={exported}") == 3
    (said,) = pd.read_csv("predicted/problems.csv")["problem"]
    broken = server.post("/predictions.csv", content=path.read_bytes())
    assert (broken.status_code, broken.json()) == (422, {"detail": said})
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["film", "predicted"]


def test_a_machine_that_computes_what_a_bundle_expects_passes_its_check_and_another_does_not(
    exported, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    predict(f"--bundle={exported}", "--check")
    assert "4 examples, 18 figures each: as expected.csv has them" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    compared = bundle_check.prediction_table.of

    def shifted(*given):
        table = compared(*given)
        table.loc[1, "Edema_prob"] = f"{float(table.at[1, 'Edema_prob']) + 0.001:.6g}"
        return table

    monkeypatch.setattr(bundle_check.prediction_table, "of", shifted)
    with pytest.raises(
        InputError, match=r"synthetic_2\.png: Edema_prob is .* expected a difference of 0\.0001 or less"
    ):
        predict(f"--bundle={exported}", "--check")
    for wrong in (["--check"], [exported / "examples", f"--bundle={exported}", "--check"]):
        with pytest.raises(InputError, match="--check: expected --bundle DIR, and no film"):
            predict(*wrong)
    with pytest.raises(InputError, match="FILM: missing"):
        predict(f"--bundle={exported}")


def test_a_decision_or_an_empty_cell_that_differs_fails_a_check():
    expected = pd.DataFrame({"A_prob": [0.5, 0.2], "A_called": [1, 0]}, index=["a.png", "b.png"])
    said = bundle_check.compare(expected, expected.assign(A_prob=[0.50005, 0.2]), Path("x"))
    assert "differ by 5.0e-05 at most" in said
    with pytest.raises(InputError, match=r"x/b\.png: A_called is 1 here, expected\.csv has 0"):
        bundle_check.compare(expected, expected.assign(A_called=[1, 1]), Path("x"))
    with pytest.raises(InputError, match=r"x/a\.png: A_prob is nan here"):
        bundle_check.compare(expected, expected.assign(A_prob=[np.nan, 0.2]), Path("x"))


@pytest.mark.parametrize("name", ["models/tiny.keras", "thresholds.json", "PARAMS.json", "MODEL_CARD.md"])
def test_a_changed_or_missing_file_of_a_bundle_is_refused_by_name(exported, tmp_path, name):
    copied = shutil.copytree(exported, tmp_path / "bundle")
    (copied / name).write_bytes((copied / name).read_bytes() + b" ")
    with pytest.raises(InputError, match=f"{name}: was changed since the bundle was written"):
        bundles.open_bundle(copied)
    (copied / name).unlink()
    with pytest.raises(InputError, match=f"{name}: is missing from the bundle"):
        bundles.open_bundle(copied)


def test_what_is_no_bundle_is_neither_opened_nor_replaced(evaluated, exported, tmp_path):
    folder, _ = evaluated
    with pytest.raises(InputError, match=r"no bundle \(digests.json is not in it\)"):
        bundles.open_bundle(tmp_path)
    with pytest.raises(InputError, match=r"--family efficientnet: .* is a bundle of ensemble"):
        predict(exported / "examples", f"--out={tmp_path}", f"--bundle={exported}", "--family=efficientnet")
    (tmp_path / "ensemble").mkdir()
    (tmp_path / "ensemble/thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"is there and no bundle; it is not replaced"):
        load_script("src/classification/export.py").main([*arguments(folder), f"--out={tmp_path}", "--no-onnx"])
    assert (tmp_path / "ensemble/thesis.txt").read_text() == "mine"


def test_a_new_version_replaces_the_old_one_and_carries_its_changelog_on(evaluated, exported, tmp_path):
    folder, _ = evaluated
    shutil.copytree(exported, tmp_path / "ensemble")
    more = ["--no-onnx", "--bundle-version=1.1.0", "--note=new thresholds"]
    load_script("src/classification/export.py").main([*arguments(folder), f"--out={tmp_path}", *more])
    changelog = json.loads((tmp_path / "ensemble/metadata.json").read_text())["changelog"]
    assert changelog == {"1.0.0": "as trained", "1.1.0": "new thresholds"}
    assert bundles.open_bundle(tmp_path / "ensemble").family == "ensemble"
    assert {path.name for path in tmp_path.iterdir()} == {"ensemble", ".cxr-lock"}


def test_onnx_files_give_the_probabilities_of_keras(evaluated, tmp_path):
    from cxr.networks import saved_models
    from cxr.new_films import onnx_models

    if onnx_models.why_not():
        pytest.skip(f"no ONNX: {onnx_models.why_not()}")
    _, settings = evaluated
    network = saved_models.load_model(settings.member_dir("ensemble", "tiny") / "model.keras", SIZE, "-")
    films = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE)).astype(np.uint8)
    assert onnx_models.export(network, tmp_path / "onnx/tiny.onnx", films) < 1e-5
    more = np.random.default_rng(1).integers(0, 256, (5, SIZE, SIZE)).astype(np.uint8)  # another number of films
    expected = np.asarray(network(onnx_models.as_input(more), training=False))
    np.testing.assert_allclose(onnx_models.run(tmp_path / "onnx/tiny.onnx", more), expected, atol=1e-5)
    with pytest.raises(InputError, match=r"tiny.onnx: differs by .* expected -1 or less.*--no-onnx"):
        onnx_models.export(network, tmp_path / "onnx/tiny.onnx", films, tolerance=-1)


def test_the_shell_scripts_hand_the_exit_status_on(exported, tmp_path):
    (tmp_path / "bad.png").write_text("no film")
    command = ["sh", PROJECT / "predict.sh", "--bundle", exported, "--out", "out", "./bad.png", exported / "examples"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 3, result.stderr
    assert "4 films predicted, 1 not" in result.stdout
    result = subprocess.run(
        ["sh", PROJECT / "predict.sh", "--bundle", "none", "x.png"], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 2
    assert "x.png: no such file or folder" in result.stderr
