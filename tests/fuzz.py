"""Feed the readers thousands of spoilt films, tables and JSON files: only our own errors may come out.

    python -m tests.fuzz --cases 12000

Films: bytes of PNG, JPEG, TIFF, BMP, GIF and DICOM files are flipped, cut, doubled, swapped between files, and set to
extremes; half of the PNGs get right checksums again, so that the decoder behind them is reached. DICOM headers stay
well formed, and their elements are emptied, doubled, taken away, of another VR, or of other values. Masks have random
grays, shapes, modes and formats. Tables and JSON files come from hypothesis (pip install -e ".[fuzz]"). Every batch
runs in a process of its own with limited memory and a time limit a case: a crash, a hang or a memory that grows is
seen, and the case is kept.
"""

import argparse
import faulthandler
import functools
import io
import json
import multiprocessing
import resource
import struct
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from cxr.core.configuration import load_params, load_settings, params_from
from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.core.parameters import STAGES
from cxr.core.settings import Settings
from cxr.external import label_tables, prediction_files
from cxr.imaging.decoding import read_film
from cxr.tables import merging
from cxr.tables.lung_sets import read_pair
from cxr.tables.sources import chexpert, nih
from tests.imaging.test_decoding import dicom

MEMORY = 6_000_000_000  # bytes of address space; OpenCV, pandas and their threads take about two
SECONDS = 20  # a case
GRAYS = np.random.default_rng(0).integers(0, 255, (60, 80)).astype(np.uint8)


# --- films ----------------------------------------------------------------------------------------------------------


def seeds(folder: Path) -> list[tuple[str, bytes]]:
    """Small whole files of every format, by suffix."""
    film, deep = Image.fromarray(GRAYS), Image.fromarray(GRAYS.astype(np.uint16) * 16)
    made = []
    for suffix, kind, image, options in (
        (".png", "PNG", film, {}),
        (".png", "PNG", deep, {}),
        (".png", "PNG", film.convert("RGBA"), {}),
        (".png", "PNG", film.convert("P"), {}),
        (".jpg", "JPEG", film, {}),
        (".jpg", "JPEG", film.convert("RGB"), {"progressive": True}),
        (".jpg", "JPEG", film.convert("CMYK"), {}),
        (".tif", "TIFF", film, {"compression": "tiff_lzw"}),
        (".tif", "TIFF", deep, {}),
        (".bmp", "BMP", film, {}),
        (".gif", "GIF", film, {}),
    ):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        made.append((suffix, buffer.getvalue()))
    made.append((".dcm", dicom(folder, GRAYS).read_bytes()))
    twelve = {"BitsStored": 12, "WindowCenter": 2000, "WindowWidth": 900, "RescaleSlope": 1, "RescaleIntercept": -9}
    made.append((".dcm", dicom(folder, GRAYS.astype(np.uint16) * 16, **twelve).read_bytes()))
    made.append((".dcm", compressed_dicom(folder)))
    return made


def compressed_dicom(folder: Path) -> bytes:
    import pydicom
    from pydicom.encaps import encapsulate

    whole = pydicom.dcmread(dicom(folder, GRAYS))
    buffer = io.BytesIO()
    Image.fromarray(GRAYS).save(buffer, "JPEG")
    whole.PixelData = encapsulate([buffer.getvalue()])
    whole["PixelData"].is_undefined_length = True
    whole.file_meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    whole.save_as(folder / "jpeg.dcm")
    return (folder / "jpeg.dcm").read_bytes()


def spoilt(content: bytes, other: bytes, draw: np.random.Generator) -> bytes:
    """The content after one to four random injuries."""
    content = bytearray(content)
    for _ in range(draw.integers(1, 5)):
        place, length = int(draw.integers(0, len(content) + 1)), int(draw.integers(1, 40))
        match draw.integers(0, 9):
            case 0:  # flipped bits
                for where in draw.integers(0, max(1, len(content)), length):
                    content[where : where + 1] = (
                        bytes([content[where] ^ (1 << draw.integers(0, 8))]) if content else b""
                    )
            case 1:  # overwritten
                content[place : place + length] = draw.bytes(length)
            case 2:  # cut out
                del content[place : place + length]
            case 3:  # inserted
                content[place:place] = draw.bytes(length)
            case 4:  # truncated
                del content[place:]
            case 5:  # doubled
                content[place:place] = content[place : place + 10 * length]
            case 6:  # spliced with another file
                content[place:] = other[min(place, len(other)) :]
            case 7:  # extremes
                value = [0, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF][draw.integers(0, 6)]
                content[place : place + 4] = struct.pack(draw.choice([">I", "<I"]), value)
            case 8:  # in the header
                place = int(draw.integers(0, min(200, len(content) + 1)))
                content[place : place + 2] = draw.bytes(2)
        if not content:
            content = bytearray(b"\0")
    return bytes(content)


def right_checksums(png: bytes) -> bytes:
    """A PNG whose chunks are what they were, with the checksums that they should have."""
    whole, place = bytearray(png), 8
    while place + 12 <= len(whole):
        (length,) = struct.unpack(">I", whole[place : place + 4])
        end = place + 8 + length
        if end + 4 > len(whole):
            break
        whole[end : end + 4] = struct.pack(">I", zlib.crc32(bytes(whole[place + 4 : end])))
        place = end + 4
    return bytes(whole)


def fuzz_films(cases: int, seed: int, folder: Path, kept: Path) -> Counter:
    draw, whole, outcomes = np.random.default_rng(seed), seeds(folder), Counter()
    for number in range(cases):
        suffix, content = whole[draw.integers(len(whole))]
        content = spoilt(content, whole[draw.integers(len(whole))][1], draw)
        if content.startswith(b"\x89PNG") and number % 2:
            content = right_checksums(content)
        kept.write_bytes(content)
        path = folder / f"film{suffix}"
        path.write_bytes(content)
        one(lambda path=path: is_film(read_film(path)), outcomes, kept)
    return outcomes


def fuzz_masks(cases: int, seed: int, folder: Path, kept: Path) -> Counter:
    """Masks of random levels, shapes, modes and formats beside a film: refused, or what lungs can be."""
    draw, outcomes = np.random.default_rng(seed), Counter()
    Image.fromarray(GRAYS).save(folder / "film.png")
    for number in range(cases):
        height, width = (60, 80) if draw.random() < 0.8 else draw.integers(1, 200, 2).tolist()
        levels = draw.choice([0, 1, 2, 3, 20, 127, 128, 200, 254, 255], draw.integers(1, 5)).astype(np.uint8)
        mask = np.full((height, width), levels[0])
        for gray in levels[1:]:
            top, left = draw.integers(0, height), draw.integers(0, width)
            mask[top : top + draw.integers(1, 50), left : left + draw.integers(1, 50)] = gray
        if draw.random() < 0.2:
            mask = cv2.GaussianBlur(mask, (0, 0), draw.uniform(0.5, 9))
        image = Image.fromarray(mask if draw.random() < 0.9 else GRAYS)
        mode = draw.choice(["L", "L", "L", "RGB", "1", "P", "I;16"])
        image = Image.fromarray(mask.astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
        kind = "JPEG" if mode in ("L", "RGB") and draw.random() < 0.3 else draw.choice(["PNG", "TIFF"])
        image.save(folder / "mask", kind)
        kept.write_bytes((folder / "mask").read_bytes())
        masks = [folder / "mask"] * (1 + number % 2)
        one(lambda masks=masks: is_pair(*read_pair(folder / "film.png", masks)), outcomes, kept)
    return outcomes


def is_pair(film: np.ndarray, mask: np.ndarray) -> None:
    is_film(film)
    is_film(mask)
    assert mask.shape == film.shape
    assert set(np.unique(mask)) == {0, 255}
    assert 0.02 < (mask > 0).mean() < 0.6


# --- DICOM headers --------------------------------------------------------------------------------------------------

TEXT_VRS = ("AS", "CS", "DA", "DS", "IS", "LO", "LT", "PN", "SH", "UC", "UI", "UT")
OTHER_VRS = (*TEXT_VRS, "AT", "FD", "FL", "OB", "OW", "SL", "SQ", "SS", "UL", "UN", "US", "XX")
ODD_VALUES = (
    b"", b" ", b"0", b"-1", b"1,5", b"nan", b"1e400", b"9" * 40, b"\\", b"1\\\\2", b"CHEST\\ABDOMEN", b"MONOCHROME1",
    b"YBR_FULL_422", b"PALETTE COLOR", b"SIGMOID", b"ISO 2022 IR 149", b"\xc8\xeb\xb1\xe6", b"\0" * 8, b"\xff" * 2,
    b"\xff" * 4,
)  # fmt: skip


def headers(folder: Path) -> list[bytes]:
    """Whole DICOM files whose headers hold all that a reader of grays may look at."""
    from pydicom.dataset import Dataset

    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 16], np.arange(0, 65536, 16).astype(np.uint16).tobytes()
    said = {
        "RescaleSlope": "1", "RescaleIntercept": "-9", "WindowCenter": ["2000", "900"], "WindowWidth": ["900", "500"],
        "VOILUTFunction": "LINEAR", "NumberOfFrames": "1", "PixelPaddingValue": 0, "ViewPosition": "PA",
        "PresentationLUTShape": "IDENTITY", "SpecificCharacterSet": "ISO_IR 192", "PatientName": "Hong",
        "PixelSpacing": ["0.1", "0.1"],
    }  # fmt: skip
    deep = GRAYS.astype(np.uint16) * 16
    rgb = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "Columns": 80}
    made = [dicom(folder, deep, **said, BitsStored=12), dicom(folder, GRAYS, "b.dcm", **said, VOILUTSequence=[table])]
    made.append(dicom(folder, np.repeat(GRAYS, 3, axis=1), "c.dcm", **said | rgb))
    made.append(
        dicom(folder, deep, "d.dcm", **said, ModalityLUTSequence=[table], PhotometricInterpretation="MONOCHROME1")
    )
    return [*[path.read_bytes() for path in made], compressed_dicom(folder)]


def spoilt_header(content: bytes, draw: np.random.Generator) -> bytes:
    """The file after one to three injuries to elements of its header."""
    import pydicom
    from pydicom.dataelem import RawDataElement
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset, write_file_meta_info

    header = pydicom.dcmread(io.BytesIO(content))
    for _ in range(draw.integers(1, 4)):
        part = header.file_meta if draw.random() < 0.1 else header
        tag = list(part.keys())[draw.integers(len(part))] if len(part) else None
        element = part.get_item(tag) if tag else None
        if not isinstance(element, RawDataElement):  # injured already, or read while the file was opened
            continue
        value, vr = element.value or b"", element.VR
        match draw.integers(0, 5):
            case 0:
                del part[tag]
                continue
            case 1:
                value = b""
            case 2:
                value += b"\\" + value if vr in TEXT_VRS else value
            case 3:
                vr = str(draw.choice(OTHER_VRS))
            case 4:
                value = ODD_VALUES[draw.integers(len(ODD_VALUES))] if draw.random() < 0.7 else draw.bytes(len(value))
        part._dict[tag] = element._replace(VR=vr, value=value, length=len(value))
    written = DicomBytesIO(b"\0" * 128 + b"DICM")
    written.seek(132)
    written.is_little_endian, written.is_implicit_VR = True, False
    write_file_meta_info(written, header.file_meta, enforce_standard=False)
    write_dataset(written, header)
    return written.getvalue()


def fuzz_headers(cases: int, seed: int, folder: Path, kept: Path) -> Counter:
    draw, whole, outcomes = np.random.default_rng(seed), headers(folder), Counter()
    path = folder / "header.dcm"
    for number in range(cases):
        content = spoilt_header(whole[number % len(whole)], draw)
        kept.write_bytes(content)
        path.write_bytes(content)
        one(lambda: is_film(read_film(path)), outcomes, kept)
    return outcomes


# --- what a case shows ----------------------------------------------------------------------------------------------


def is_film(film: np.ndarray) -> None:
    assert film.dtype == np.uint8
    assert film.ndim == 2
    assert film.min() < film.max()


def one(work, outcomes: Counter, kept: Path) -> None:
    """Count what comes of one case. Whatever is not our own error is a bug, and its case is kept; a hang ends all."""
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        work()
        outcome = "read"
    except InputError as error:
        outcome = "refused" if str(error).strip() else "BUG: an error that says nothing"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in place if "cxr" in Path(frame.filename).parts] or place
        outcome = f"BUG: {type(error).__name__} in {Path(ours[-1].filename).name}, line {ours[-1].lineno}"
        if not outcomes[outcome]:
            print(f"{outcome}: {str(error)[:300]}", flush=True)
            kept.with_name(f"{kept.name}_{sum(map(len, outcomes))}").write_bytes(kept.read_bytes())
    faulthandler.cancel_dump_traceback_later()
    outcomes[outcome] += 1


# --- tables and JSON files ------------------------------------------------------------------------------------------

NIH_HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position".split(",")
CHEXPERT_HEADER = [
    "Path",
    "Sex",
    "Age",
    "Frontal/Lateral",
    "AP/PA",
    *(n.replace("Eff", "Pleural Eff") for n in FINDINGS),
]
PARAMS = params_from({}, "x")
FILMS = [f"{n:08d}_000.png" for n in range(4)]
STUDIES = [
    f"CheXpert-v1.0-small/{part}/patient{n:05d}/study1/view1_frontal.jpg" for part in ("train", "valid") for n in (1, 2)
]


def strategies():
    from hypothesis import strategies as st

    odd = st.one_of(
        st.text(max_size=12), st.integers().map(str), st.floats().map(str),
        st.sampled_from(["", "NaN", "inf", "-1", "058Y", "411", "../x", "/etc/passwd", "\0", "'", '"', "9" * 99]),
    )  # fmt: skip
    usual = {
        "Image Index": st.sampled_from(FILMS),
        "Finding Labels": st.sampled_from(["No Finding", "Effusion|Edema", "Efusion", "Mass"]),
        "Patient ID": st.integers(0, 9).map(str),
        "Patient Age": st.sampled_from(["58", "058Y", "013M", "411"]),
        "Patient Gender": st.sampled_from("MF"),
        "View Position": st.sampled_from(["PA", "AP", "LL"]),
        "Path": st.sampled_from(STUDIES),
        "Sex": st.sampled_from(["Male", "Female", "Unknown"]),
        "Frontal/Lateral": st.sampled_from(["Frontal", "Lateral"]),
        "AP/PA": st.sampled_from(["AP", "PA", "", "LL"]),
        "Finding Label": st.sampled_from(["Effusion", "Infiltrate", "Nothing"]),
        **dict.fromkeys(("prob_Edema", "Effusion_prob"), st.sampled_from(["0", "1", "0.25", "1e-9"])),
        "split": st.sampled_from(["val", "test", "train", ""]),
    }
    number = st.sampled_from(["1", "0", "-1", "", "1.0", "0.5"])

    def rows(header):
        cells = [st.one_of(*[usual.get(name, number)] * 9, odd) for name in header]
        row = st.one_of(*[st.tuples(*cells).map(list)] * 7, st.lists(odd, max_size=9))
        return st.lists(row, max_size=6).map(
            lambda found: pd.DataFrame([header, *found]).to_csv(index=False, header=False)
        )

    def content(header):
        broken = st.tuples(rows(header), st.integers(0, 400), st.text(max_size=4)).map(
            lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
        )
        text = st.one_of(*[rows(header)] * 5, broken, st.text(max_size=200))
        return text.map(lambda found: found.encode("utf-8", "surrogatepass")) | st.binary(max_size=200)

    keys = [name.upper() for stage in (Settings, *STAGES.values()) for name in stage.model_fields]
    value = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
        | st.sampled_from(["imagenet", "none", "pad", "loose", "PA", "Edema", "positive", "tiny", 0, 1, 0.5, 32]),
        lambda inner: st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*keys, *FINDINGS, "tiny"]), inner, max_size=4),
        max_leaves=8,
    )  # fmt: skip
    whole = st.dictionaries(st.sampled_from(keys) | st.text(max_size=8), value, max_size=5) | value
    spoilt_json = st.tuples(whole.map(json.dumps), st.integers(0, 80), st.text(max_size=3)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
    )
    text = (whole.map(json.dumps) | spoilt_json | st.text(max_size=60)).map(
        lambda t: t.encode("utf-8", "surrogatepass")
    )
    scores = ["Image Index", "prob_Edema", "Effusion_prob", "Edema_true", "patient_id", "age", "split"]
    return {
        "nih": content(NIH_HEADER), "boxes": content(["Image Index", "Finding Label", "Bbox [x", "y", "w", "h]"]),
        "chexpert": content(CHEXPERT_HEADER), "scores": content(scores), "names": named_files(),
        "json": text | st.binary(max_size=60),
    }  # fmt: skip


def named_files():
    """Prediction files whose columns are called by random words: films, then what these words mean.

    0, 1, 0 … in a label; 1, 0, 1 … in a decision of the model (words of it, or of both kinds); labels too in what a
    merge made of two; numbers between 0 and 1 in all else.
    """
    from hypothesis import strategies as st

    words = {
        "probability": ["prob", "p", "pred", "score", "Predicted", "y_pred", "hat"],
        "truth": ["true", "label", "GT", "y_true", "ground_truth", "target"],
        "decision": ["binary", "decision", "called", "class"],
        "other": ["std", "logit", "1", "model", "lower"],
    }
    word = st.sampled_from([(kind, name) for kind, names in words.items() for name in names])
    finding = st.sampled_from(
        [*FINDINGS, "Pleural Effusion", "pleural_effusion", "EDEMA", "Pericardial effusion", "Edma"]
    )
    parts = st.tuples(
        st.lists(word, max_size=1), finding, st.lists(word, max_size=2), st.sampled_from(["_", " ", "-", ".", ""]),
        st.sampled_from(["", "", "", "_x", "_y", ".1", "_right"]),
    )  # fmt: skip

    def column(number, before, finding, after, separator, suffix):
        kinds = {kind for kind, _ in before + after}
        name = separator.join([*(name for _, name in before), finding, *(name for _, name in after)]) + suffix
        decided = "decision" in kinds or {"probability", "truth"} <= kinds
        if decided:
            return [name, "1", "0", "1", "0"]
        if "truth" in kinds or (suffix and "probability" not in kinds):
            return [name, "0", "1", "0", "1"]
        return [name, *[f"0.{n + 1}{number}" for n in range(4)]]

    def file(columns):
        table = [["image", *(f"{n}.png" for n in range(4))], *(column(n, *one) for n, one in enumerate(columns))]
        return "\n".join(",".join(cells) for cells in zip(*table, strict=True)).encode()

    return st.lists(parts, min_size=1, max_size=4).map(file)


def read_as_nih(path: Path) -> None:
    on_disk = pd.Series([f"images/{name}" for name in FILMS], dtype=str)
    release = nih.read_nih(path, path.parent, on_disk, FINDINGS)
    str(release)
    merging.merge({"nih": release.table}, {"nih": on_disk}, PARAMS.tables)


def read_as_boxes(path: Path) -> None:
    nih.read_nih_boxes(path, pd.Series([f"nih/{name[:-4]}" for name in FILMS]), FINDINGS)


def read_as_chexpert(path: Path) -> None:
    on_disk = pd.Series(STUDIES, dtype=str)
    release = chexpert.read_chexpert({"DATASET_CHEXPERT_TRAIN_CSV_DIR": path}, path.parent, on_disk, PARAMS)
    str(release)
    merging.merge({"chexpert": release.table}, {"chexpert": on_disk}, PARAMS.tables)


def read_as_scores(path: Path) -> None:
    prediction_files.read(path, label_tables.read_labels([], PARAMS), FINDINGS)


def read_as_labels(path: Path) -> None:
    label_tables.read_labels([path], PARAMS, majority=True)


def read_as_named(path: Path, given: bool = False) -> None:
    """Columns of any names hold what their words say (`named_files`): only right values may be taken for each thing."""
    labels, pattern = label_tables.read_labels([], PARAMS), [0, 1, 0, 1]
    if given:
        about = {"image_id": [f"own/{n}" for n in range(4)], **dict.fromkeys(label_tables.ABOUT[1:]), "of_study": False}
        labels = label_tables.Labels(pd.DataFrame({**about, **dict.fromkeys(FINDINGS, pattern)}), given=True)
    found = prediction_files.read(path, labels, FINDINGS)
    for finding in found.findings:
        assert not found.table[f"{finding}_prob"].isin([0, 1]).any(), f"a label was scored as {finding}"
        truth = found.table[f"{finding}_true"]
        assert truth.isna().all() or truth.tolist() == pattern, f"no label was the truth of {finding}"


def read_as_list(path: Path) -> None:
    nih.read_list(path)


READERS = {
    "nih": [read_as_nih, read_as_list],
    "boxes": [read_as_boxes],
    "chexpert": [read_as_chexpert],
    "scores": [read_as_scores, read_as_labels],
    "names": [read_as_named, functools.partial(read_as_named, given=True), read_as_labels],
    "json": [load_params, load_settings],
}


def fuzz_texts(kind: str, cases: int, seed: int, folder: Path, kept: Path) -> Counter:
    import hypothesis

    outcomes: Counter = Counter()
    profile = hypothesis.settings(
        max_examples=cases, deadline=None, database=None, phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip

    @hypothesis.seed(seed)
    @profile
    @hypothesis.given(strategies()[kind])
    def feed(content):
        kept.write_bytes(content)
        path = folder / f"{kind}.csv"
        path.write_bytes(content)
        for reader in READERS[kind]:
            one(functools.partial(reader, path), outcomes, kept)

    feed()
    return outcomes


# --- batches --------------------------------------------------------------------------------------------------------


def batch(kind: str, cases: int, seed: int, kept: Path, answer) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        pictures = {"films": fuzz_films, "headers": fuzz_headers, "masks": fuzz_masks}
        work = pictures.get(kind, functools.partial(fuzz_texts, kind))
        outcomes = work(cases, seed, Path(folder), kept)
    answer.send((outcomes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=12_000, help="over all kinds; half of them are films")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kept", type=Path, default=Path("fuzz_case"), help="where a case that breaks something stays")
    arguments = parser.parse_args(argv)
    shares = {
        "films": 0.3, "headers": 0.1, "masks": 0.1, "nih": 0.1, "boxes": 0.05, "chexpert": 0.1, "scores": 0.05,
        "names": 0.05, "json": 0.15,
    }  # fmt: skip
    context, failed = multiprocessing.get_context("spawn"), 0
    for kind, share in shares.items():
        started, cases = time.perf_counter(), round(arguments.cases * share)
        kept = arguments.kept.with_name(f"{arguments.kept.name}_{kind}")
        ours, theirs = context.Pipe()
        process = context.Process(target=batch, args=(kind, cases, arguments.seed, kept, theirs))
        process.start()
        theirs.close()
        try:
            outcomes, peak = ours.recv()
            failed += sum(count for outcome, count in outcomes.items() if outcome.startswith("BUG"))
            told = f"{dict(outcomes)}, at most {peak / 1e6:.0f} MB"
        except EOFError:
            failed += 1
            told = f"FAILED: the case is kept in {kept}"
        process.join()
        if not process.exitcode:
            kept.unlink()
        print(f"{kind}: {cases} cases, {time.perf_counter() - started:.0f} s: {told}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
