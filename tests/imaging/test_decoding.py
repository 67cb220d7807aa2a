"""Every format that a film may come in, and the geometry from film to square and back."""

import io
import os

import cv2
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cxr.anatomy.lungs import mask_film
from cxr.core.errors import FilmError
from cxr.imaging.decoding import open_film, read_film, write_image
from cxr.imaging.dicom_terms import other_part
from cxr.imaging.geometry import blank_corners, fit_square, square_to_film, to_film, to_square
from cxr.preparation.packing import Packing, pack_shard
from tests.conftest import PROJECT
from tests.imaging.dicom_files import dicom

SHARED = PROJECT.parent / "shared" / "data"
# 48 x 64, every gray of 0..250, no symmetry: a flip, a transposed or an inverted film would be seen.
GRAYS = (np.arange(48 * 64).reshape(48, 64) % 251).astype(np.uint8)
FULL = np.round(GRAYS * (255 / 250)).astype(np.uint8)  # the same, stretched to 0..255


def saved(folder, image: Image.Image, name="film.png", **options):
    image.save(folder / name, **options)
    return folder / name


def palette_image(indices: np.ndarray, grays: list[int]) -> Image.Image:
    image = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    image.putpalette([value for gray in grays for value in (gray, gray, gray)])
    return image


# --- PNG modes


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_an_8_bit_png_keeps_its_grays_in_any_mode(tmp_path, mode):
    film = read_film(saved(tmp_path, Image.fromarray(GRAYS).convert(mode)))
    assert film.dtype == np.uint8
    np.testing.assert_array_equal(film, GRAYS)


def test_transparency_does_not_darken_a_film(tmp_path):
    rgba = np.dstack([GRAYS, GRAYS, GRAYS, np.full_like(GRAYS, 10)])
    np.testing.assert_array_equal(read_film(saved(tmp_path, Image.fromarray(rgba, "RGBA"))), GRAYS)


def test_a_palette_is_looked_up(tmp_path):
    film = read_film(saved(tmp_path, palette_image(GRAYS, list(range(256)))))
    np.testing.assert_array_equal(film, GRAYS)


def test_an_inverted_palette_is_looked_up_not_shown_as_a_negative(tmp_path):
    film = read_film(saved(tmp_path, palette_image(255 - GRAYS, list(range(255, -1, -1)))))
    np.testing.assert_array_equal(film, GRAYS)


def test_16_bits_become_8_over_the_film_s_own_range(tmp_path):
    assert cv2.imwrite(str(tmp_path / "film.png"), 1000 + 200 * GRAYS.astype(np.uint16))
    np.testing.assert_array_equal(read_film(tmp_path / "film.png"), FULL)


def test_12_bits_in_a_16_bit_file_are_not_almost_black(tmp_path):
    twelve = np.where(GRAYS == 250, 4095, GRAYS.astype(np.uint16) * 16)
    assert cv2.imwrite(str(tmp_path / "film.png"), twelve)
    film = read_film(tmp_path / "film.png")
    assert (film.min(), film.max()) == (0, 255)
    assert film[GRAYS == 125][0] == round(125 * 16 * 255 / 4095)


def test_16_bit_colour_is_read(tmp_path):
    assert cv2.imwrite(str(tmp_path / "film.png"), np.dstack([GRAYS.astype(np.uint16) * 16] * 3))
    np.testing.assert_array_equal(read_film(tmp_path / "film.png"), FULL)


def test_one_bit_is_black_and_white(tmp_path):
    film = read_film(saved(tmp_path, Image.fromarray(GRAYS > 100)))
    np.testing.assert_array_equal(film, np.where(GRAYS > 100, 255, 0))


# --- other formats


@pytest.mark.parametrize("name", ["film.tif", "film.bmp", "film.gif", "film.TIFF"])
def test_lossless_formats_keep_their_grays(tmp_path, name):
    np.testing.assert_array_equal(read_film(saved(tmp_path, Image.fromarray(GRAYS), name)), GRAYS)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_is_read_to_its_own_loss(tmp_path, mode):
    smooth = cv2.GaussianBlur(GRAYS, (0, 0), 8)
    film = read_film(saved(tmp_path, Image.fromarray(smooth).convert(mode), "film.jpg", quality=98))
    assert np.abs(film.astype(int) - smooth).max() <= 3


def test_a_16_bit_and_a_float_tiff_fill_the_range(tmp_path):
    assert cv2.imwrite(str(tmp_path / "a.tif"), GRAYS.astype(np.uint16) * 16)
    assert cv2.imwrite(str(tmp_path / "b.tif"), GRAYS.astype(np.float32) / 250)
    for name in ("a.tif", "b.tif"):
        np.testing.assert_array_equal(read_film(tmp_path / name), FULL)


def test_the_content_counts_not_the_suffix(tmp_path):
    saved(tmp_path, Image.fromarray(GRAYS), "film.png").rename(tmp_path / "film.jpg")
    np.testing.assert_array_equal(read_film(tmp_path / "film.jpg"), GRAYS)


# --- files that are no films


@pytest.mark.filterwarnings("ignore:Expected implicit VR")
def test_a_broken_file_is_refused_by_name(tmp_path):
    whole = saved(tmp_path, Image.fromarray(GRAYS)).read_bytes()
    jpeg = saved(tmp_path, Image.fromarray(GRAYS), "film.jpg").read_bytes()
    for name, content, message in (
        ("half.png", whole[: len(whole) // 2], "not readable as an image"),
        ("half.jpg", jpeg[: len(jpeg) // 2], "not readable as an image"),
        ("end.png", whole[:-20], "not readable as an image"),
        ("empty.png", b"", r"is empty \(0 bytes\)"),
        ("empty.dcm", b"", r"is empty \(0 bytes\)"),
        ("page.png", b"<!DOCTYPE html><html>404</html>", "is a web page, which is not read; download it again"),
        (
            "pointer.dcm",
            b"version https://git-lfs.github.com/spec/v1",
            "is a Git LFS pointer, which is not read; fetch the file",
        ),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FilmError, match=f"{name}: {message}|{name}: its {message}"):
            read_film(tmp_path / name)


def test_a_missing_film_and_a_folder_are_refused_by_name(tmp_path):
    with pytest.raises(FilmError, match=r"none.png: cannot be read: No such file"):
        read_film(tmp_path / "none.png")
    with pytest.raises(FilmError, match=r"cannot be read: Is a directory"):
        read_film(tmp_path)


@pytest.mark.parametrize("gray", [0, 77, 255])
def test_a_constant_film_is_refused(tmp_path, gray):
    path = saved(tmp_path, Image.fromarray(np.full((8, 8), gray, np.uint8)))
    with pytest.raises(FilmError, match=f"film.png: every pixel is {gray}; expected a film"):
        read_film(path)


def test_pixels_that_are_no_numbers_are_refused(tmp_path):
    film = np.ones((8, 8), np.float32)
    film[0, 0] = np.nan
    assert cv2.imwrite(str(tmp_path / "film.tif"), film)
    with pytest.raises(FilmError, match=r"film.tif: holds pixels that are no numbers"):
        read_film(tmp_path / "film.tif")


# --- DICOM


TWELVE_BITS = GRAYS.astype(np.uint16) * 16


def test_an_8_bit_dicom_keeps_its_grays(tmp_path):
    np.testing.assert_array_equal(read_film(dicom(tmp_path, GRAYS)), GRAYS)


def test_a_12_bit_dicom_fills_the_range(tmp_path):
    np.testing.assert_array_equal(read_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12)), FULL)


def test_monochrome1_is_turned_so_that_dense_is_bright(tmp_path):
    path = dicom(tmp_path, 255 - GRAYS, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_film(path), GRAYS)
    path = dicom(tmp_path, 4000 - TWELVE_BITS, BitsStored=12, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_film(path), FULL)


def test_a_big_endian_dicom_is_read(tmp_path):
    path = dicom(tmp_path, TWELVE_BITS, BitsStored=12, syntax=ExplicitVRBigEndian)
    np.testing.assert_array_equal(read_film(path), FULL)


def test_a_dicom_is_known_without_its_suffix(tmp_path):
    np.testing.assert_array_equal(read_film(dicom(tmp_path, GRAYS, name="IM000001")), GRAYS)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"Modality": "CT"}, "its Modality is CT; expected one of CR, DR, DX"),
        ({"Modality": "MG"}, "its Modality is MG"),
        ({"Modality": None, "SOPClassUID": pydicom.uid.CTImageStorage}, "its SOPClassUID is CTImageStorage"),
        ({"BodyPartExamined": "ABDOMEN"}, "its BodyPartExamined is ABDOMEN; expected CHEST"),
        ({"BodyPartExamined": "HAND"}, "its BodyPartExamined is HAND"),
        ({"Rows": 60}, r"not readable as DICOM \(a part of its pixels is missing\)"),
    ],
)
def test_a_dicom_that_is_no_chest_film_is_refused_by_name(tmp_path, tags, message):
    with pytest.raises(FilmError, match=f"film.dcm: {message}"):
        read_film(dicom(tmp_path, GRAYS, **tags))


@pytest.mark.parametrize(
    "tags",
    [{"BodyPartExamined": "DOE^JANE"}, {"Modality": "DOE JANE 1950"}, {"WindowCenter": "DOE^JANE"},
     {"RescaleSlope": "DOE^JANE"}, {"SOPClassUID": "DOE^JANE"}, {"VOILUTFunction": "DOE^JANE"}],
)  # fmt: skip
def test_nothing_is_told_of_what_a_header_says_of_the_patient(tmp_path, tags):
    path = dicom(tmp_path, GRAYS, BodyPartExamined="CHEST", PatientName="DOE^JANE", WindowCenter="9", WindowWidth="10")
    header = pydicom.dcmread(path)
    with pydicom.config.disable_value_validation():
        for tag, value in tags.items():
            header[tag] = pydicom.DataElement(header.data_element(tag).tag if tag in header else tag, "LO", value)
        header.save_as(path)
    try:
        told = " ".join(open_film(path).notes)
    except FilmError as refused:
        told = str(refused)
    assert "DOE" not in told


@pytest.mark.parametrize(
    "tags",
    [{"BodyPartExamined": part} for part in ("CHEST PA", "TORAX", "PECHO", "BRUSTKORB", "CHEST_ABDOMEN", None, "")]
    + [{"Modality": None}, {"Modality": ""}, {"Modality": "XRAY"}],
)  # fmt: skip
def test_only_what_is_known_to_be_no_chest_film_is_refused(tmp_path, tags):
    np.testing.assert_array_equal(read_film(dicom(tmp_path, GRAYS, **tags)), GRAYS)


@pytest.mark.parametrize("part", ["KNEE", "BOTH KNEES", "L-SPINE/PELVIS", "skull"])
def test_another_part_is_named_by_the_known_word_alone(part):
    assert other_part(part) == {"B": "KNEE", "K": "KNEE", "L": "SPINE", "s": "SKULL"}[part[0]]


@pytest.mark.parametrize(("uid", "name"), [(b"100", "MPEG2MPML"), (b"110", "not one that is known here")])
def test_a_compression_that_is_not_read_is_named_with_the_remedy(tmp_path, uid, name):
    path = dicom(tmp_path, GRAYS, syntax=pydicom.uid.UID("1.2.840.10008.1.2.4.100"))
    path.write_bytes(path.read_bytes().replace(b"1.2.4.100", b"1.2.4." + uid))
    with pytest.raises(FilmError, match=f"film.dcm: its transfer syntax is {name}, which is not read. Decompress it"):
        read_film(path)


def test_a_picture_that_is_called_dicom_is_read_as_what_it_is(tmp_path):
    saved(tmp_path, Image.fromarray(GRAYS), "film.png").rename(tmp_path / "film.dcm")
    np.testing.assert_array_equal(read_film(tmp_path / "film.dcm"), GRAYS)


def test_a_jpeg_whose_rest_is_zeros_is_refused_and_what_follows_its_end_is_not_asked_for(tmp_path):
    whole = saved(tmp_path, Image.fromarray(GRAYS), "film.jpg", quality=98).read_bytes()
    expected = read_film(tmp_path / "film.jpg")
    (tmp_path / "film.jpg").write_bytes(whole[: len(whole) // 2] + bytes(len(whole)))
    with pytest.raises(FilmError, match=r"film.jpg: not readable as an image \(a part of it is missing\)"):
        read_film(tmp_path / "film.jpg")
    (tmp_path / "film.jpg").write_bytes(whole + bytes(999))
    np.testing.assert_array_equal(read_film(tmp_path / "film.jpg"), expected)


def test_a_dicom_without_pixels_or_with_unknown_compression_says_so(tmp_path):
    path = dicom(tmp_path, GRAYS)
    header = pydicom.dcmread(path)
    del header.PixelData
    header.save_as(path)
    with pytest.raises(FilmError, match=r"film.dcm: not readable as DICOM \(it holds no pixels\)"):
        read_film(path)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_a_dicom_that_does_not_state_its_transfer_syntax_is_read_as_it_is_written(tmp_path, syntax):
    path = dicom(tmp_path, TWELVE_BITS, BitsStored=12, syntax=syntax)
    header = pydicom.dcmread(path)
    del header.file_meta.TransferSyntaxUID
    header.save_as(path, implicit_vr=syntax.is_implicit_VR, little_endian=True, enforce_file_format=False)
    np.testing.assert_array_equal(read_film(path), FULL)


def test_several_frames_are_no_film(tmp_path):
    with pytest.raises(FilmError, match=r"film.dcm: holds 5 frames; expected one two-dimensional film"):
        read_film(dicom(tmp_path, np.stack([GRAYS] * 5)))


def test_a_truncated_and_a_constant_dicom_are_refused(tmp_path):
    content = dicom(tmp_path, GRAYS).read_bytes()
    (tmp_path / "half.dcm").write_bytes(content[: len(content) // 2])
    with pytest.raises(FilmError, match=r"half.dcm: not readable as DICOM"):
        read_film(tmp_path / "half.dcm")
    with pytest.raises(FilmError, match=r"film.dcm: every pixel is"):
        read_film(dicom(tmp_path, np.full((8, 8), 9, np.uint8)))


# --- real files, where they are


def shared(path: str):
    if not (SHARED / path).exists():
        pytest.skip(f"{SHARED / path} is not on this machine")
    return SHARED / path


def test_public_dicom_files_are_read_or_refused():
    folder = shared("dicom")
    film = read_film(folder / "cr_chest_jpeg_baseline.dcm")
    negative = read_film(folder / "monochrome1.dcm")
    assert film.shape == negative.shape == (1024, 1024)
    np.testing.assert_array_equal(film, 255 - negative)  # the same pixels, flagged
    assert read_film(folder / "secondary_capture_pa.dcm").shape == (1024, 1024)
    for name in ("not_a_chest_abdominal_ct_big_endian.dcm", "secondary_capture_wrong_modality.dcm"):
        with pytest.raises(FilmError, match=f"{name}: its Modality is CT"):
            read_film(folder / name)


def test_odd_public_images_are_read():
    folder = shared("odd_inputs")
    films = {path.name: read_film(path) for path in sorted(folder.iterdir())}
    assert {film.dtype for film in films.values()} == {np.dtype(np.uint8)}
    assert {film.ndim for film in films.values()} == {2}
    jsrt = films["jsrt_palette2048_JPCLN001.IMG.png"]
    assert jsrt[1024, 400] < jsrt[1024, 1024]  # lung darker than spine: the inverted palette was looked up
    assert films["nih_rgba1024_00000100_000.png"].mean() > 100
    assert set(np.unique(films["montgomery_native_leftmask_MCUCXR_0001_0.png"])) == {0, 255}


# --- writing


def test_pixels_come_back_as_they_were_written(tmp_path):
    write_image(GRAYS, tmp_path / "new" / "film.png")
    np.testing.assert_array_equal(read_film(tmp_path / "new" / "film.png"), GRAYS)


# --- geometry


def test_padding_centres_the_film_between_black_margins():
    film = np.full((20, 40), 200, np.uint8)
    square, affine = fit_square(film, 40)
    assert affine == (1, 1, 0, 10)
    assert set(np.unique(square[10:30])) == {200}
    assert set(np.unique(square[[*range(10), *range(30, 40)]])) == {0}


def test_an_odd_margin_is_larger_at_the_end():
    square, affine = fit_square(np.full((40, 37), 200, np.uint8), 40)
    assert affine == (1, 1, 1, 0)
    assert square[0].tolist() == [0] + [200] * 37 + [0] * 2


def test_padding_keeps_proportions_squashing_fills_the_square():
    film = np.full((100, 200), 200, np.uint8)
    _, padded = fit_square(film, 50)
    filled, squashed = fit_square(film, 50, "squash")
    assert padded == (0.25, 0.25, 0, 12.5)
    assert squashed == (0.25, 0.5, 0, 0)
    assert filled.min() == 200


def test_a_box_is_cut_out_before_it_is_fitted():
    film = np.zeros((100, 200), np.uint8)
    film[20:60, 50:130] = 90
    square, affine = fit_square(film, 40, "pad", (50, 20, 80, 40))
    assert affine == (0.5, 0.5, -25, 0)  # 80 wide becomes 40; 20 rows of margin above make up for the box's top
    assert set(np.unique(square[10:30])) == {90}
    assert set(np.unique(square[:10])) == {0}
    _, squashed = fit_square(film, 40, "squash", (50, 20, 80, 40))
    assert squashed == (0.5, 1, -25, -20)


def test_a_mask_stays_black_and_white():
    mask = np.where(GRAYS > 100, 255, 0).astype(np.uint8)
    for size in (20, 40, 100):
        square, _ = fit_square(mask, size, is_mask=True)
        assert set(np.unique(square)) == {0, 255}


def test_a_mask_made_smaller_stays_where_it_was():
    mask = np.zeros((40, 40), np.uint8)
    mask[9:31, 9:31] = 255  # its border runs through the middle of a pixel of 20: half of it counts
    square, _ = fit_square(mask, 20, is_mask=True)
    rows = np.flatnonzero(square.any(axis=1))
    assert (rows[0] + rows[-1] + 1) / 2 == 10  # the nearest pixels would lie from 4 or 5 to 15 or 14


@pytest.mark.parametrize("fit", ["pad", "squash"])
@pytest.mark.parametrize("box", [None, (30, 20, 90, 150)])
def test_boxes_come_back_from_the_square(fit, box):
    _, affine = fit_square(np.zeros((200, 140), np.uint8), 64, fit, box)
    known = (41.5, 50.25, 30.0, 77.0)
    assert to_film(to_square(known, affine), affine) == pytest.approx(known)


def test_a_box_of_the_film_lands_where_the_hand_says():
    assert to_square((20, 40, 100, 10), (0.25, 0.5, 0, 12)) == (5, 32, 25, 5)
    assert to_film((5, 32, 25, 5), (0.25, 0.5, 0, 12)) == (20, 40, 100, 10)


@pytest.mark.parametrize("fit", ["pad", "squash"])
@pytest.mark.parametrize("size", [64, 256, 300])
def test_a_square_goes_back_onto_its_film(fit, size):
    y, x = np.mgrid[:200, :140]
    film = (40 + 0.5 * x + 0.6 * y).astype(np.float32)  # a ramp: a shift of one pixel is half a gray level or more
    square, affine = fit_square(film, size, fit)
    back = square_to_film(square, film.shape, affine)
    assert back.shape == film.shape
    assert back.dtype == np.float32
    inside = np.s_[8:-8, 8:-8]
    np.testing.assert_allclose(back[inside], film[inside], atol=0.1)


def test_what_the_square_does_not_reach_is_zero():
    film = np.full((100, 200), 200, np.uint8)
    square, affine = fit_square(film, 40, "pad", (50, 20, 80, 40))
    back = square_to_film(square, film.shape, affine)
    assert set(np.unique(back[24:56, 54:126])) == {200}
    assert back[:, :48].max() == back[:, 132:].max() == back[:18].max() == back[62:].max() == 0


# --- golden: a dot drawn at a known pixel of the film lands where the affine says

HEIGHT, WIDTH = 200, 140
DOT = (48, 71, 5)  # x, y, side: inside the right lung
BACKGROUND = 60
MASKINGS = ["loose", "hard", "crop", "none"]


def film_with_dot() -> np.ndarray:
    film = np.full((HEIGHT, WIDTH), BACKGROUND, np.uint8)
    x, y, side = DOT
    film[y : y + side, x : x + side] = 255
    return film


def drawn_lungs() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[40:150, 25:60] = 255
    mask[40:150, 80:115] = 255
    return mask


def dot_in(square: np.ndarray) -> tuple[float, float]:
    """Centre of what is brighter than the background, in coordinates where pixel i covers [i, i + 1)."""
    weight = np.clip(square.astype(float) - BACKGROUND - 5, 0, None)
    assert weight.sum() > 0, "the dot is gone"
    y, x = np.mgrid[: square.shape[0], : square.shape[1]] + 0.5
    return (x * weight).sum() / weight.sum(), (y * weight).sum() / weight.sum()


def where_the_affine_says(affine) -> tuple[float, float]:
    x, y, side = DOT
    left, top, width, height = to_square((x, y, side, side), affine)
    return left + width / 2, top + height / 2


@pytest.mark.parametrize("fit", ["pad", "squash"])
@pytest.mark.parametrize("masking", MASKINGS)
@pytest.mark.parametrize("size", [96, 128, 331])
def test_a_dot_lands_where_the_affine_says(masking, fit, size):
    film, box = mask_film(film_with_dot(), drawn_lungs(), masking, margin=0.04)
    assert (box is not None) == (masking == "crop")
    square, affine = fit_square(film, size, fit, box)
    assert dot_in(square) == pytest.approx(where_the_affine_says(affine), abs=0.15)


@pytest.mark.parametrize("fit", ["pad", "squash"])
@pytest.mark.parametrize("masking", MASKINGS)
def test_a_dot_of_a_packed_film_lands_where_its_table_says(tmp_path, masking, fit):
    from cxr.preparation.packs import open_pack, write_rows, written_pack

    write_image(film_with_dot(), tmp_path / "film.png")
    with written_pack(tmp_path / "masks.npy", 2, 64) as temporary:
        write_rows(temporary, 1, fit_square(drawn_lungs(), 64, fit, is_mask=True)[0][None])
    sizes = (96, 128)
    for size in sizes:
        with written_pack(tmp_path / f"images_{size}.npy", 2, size):
            pass
    packs = tuple((size, str(tmp_path / f"images_{size}.npy")) for size in sizes)
    packing = Packing(packs, str(tmp_path / "masks.npy"), "", fit, masking, 0.04)
    (result,) = pack_shard([(1, tmp_path / "film.png", True)], packing)
    assert (result["width"], result["height"], result["problem"]) == (WIDTH, HEIGHT, "")
    for size in sizes:
        square = open_pack(tmp_path / f"images_{size}.npy", "x")[1]
        affine = [result[f"{name}_{size}"] for name in ("scale_x", "scale_y", "offset_x", "offset_y")]
        assert dot_in(square) == pytest.approx(where_the_affine_says(affine), abs=0.15)
        shown = 126 if masking == "crop" else HEIGHT  # rows 40..150 and 8 pixels of margin on either side
        assert affine[1] == pytest.approx(size / shown, rel=0.05)
        if masking == "hard":  # the U-Net's mask came back to its place on the film
            left, top, width, height = to_square((25, 40, 90, 110), affine)
            rows, columns = np.flatnonzero(square.any(axis=1)), np.flatnonzero(square.any(axis=0))
            found = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
            assert found == pytest.approx((left, top, left + width, top + height), abs=2)


def test_corners_are_blanked_with_their_own_median_and_nothing_else():
    film = np.full((100, 200), 80, np.uint8)
    film[2:8, 4:20] = 255  # a marker in the upper left
    square, affine = fit_square(film, 100)  # margins above and below
    blanked = blank_corners(square, affine, 200, 100)
    changed = np.argwhere(blanked != square)
    assert (square[25:34, :11] == 255).any()
    assert set(np.unique(blanked[25:75])) == {80}
    assert changed[:, 0].max() < 25 + 0.16 * 50 + 1
    assert changed[:, 1].max() < 0.16 * 100 + 1


def test_corners_that_a_crop_does_not_show_change_nothing():
    film = np.random.default_rng(0).integers(0, 255, (100, 100)).astype(np.uint8)
    square, affine = fit_square(film, 60, box=(20, 20, 60, 60))
    np.testing.assert_array_equal(blank_corners(square, affine, 100, 100), square)


# --- names and beginnings of files


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
def test_a_name_that_is_no_utf8_is_read_like_any(tmp_path, kind):
    path = tmp_path / os.fsdecode("환자_가.tif".encode("cp949"))  # cv2.imcount was killed by it
    buffer = io.BytesIO()
    Image.fromarray(GRAYS).save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    path.write_bytes(buffer.getvalue())
    np.testing.assert_array_equal(read_film(path), GRAYS)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.jfif", "JPEG"), ("a.jpe", "JPEG"), ("a.webp", "WEBP"), ("a.jp2", "JPEG2000"), ("a.avif", "AVIF"),
     ("a.pgm", "PPM"),
     ("a.png", "JPEG"), ("a.dcm", "PNG"), ("a", "TIFF"), ("a.dib", "BMP")],
)  # fmt: skip
def test_what_opencv_decodes_is_read_whatever_its_suffix(tmp_path, name, kind):
    smooth = np.add.outer(np.arange(64), np.arange(96)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(smooth).save(buffer, kind)
    (tmp_path / name).write_bytes(buffer.getvalue())
    film = read_film(tmp_path / name)
    assert film.shape == smooth.shape
    assert np.abs(film.astype(int) - smooth).max() <= 8


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("name", ["IM0001", "a.dcm", "a.png"])
def test_dicom_without_a_preamble_is_read(tmp_path, syntax, name):
    whole = pydicom.dcmread(dicom(tmp_path, GRAYS, SpecificCharacterSet="ISO_IR 192"))
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, syntax.is_implicit_VR
    pydicom.filewriter.write_dataset(buffer, Dataset(whole))
    (tmp_path / name).write_bytes(buffer.getvalue())
    np.testing.assert_array_equal(read_film(tmp_path / name), GRAYS)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\x1f\x8b\x08" + bytes(40), "is gzip, which is not read; unpack it with gunzip"),
     (b"PK\3\4" + bytes(40), "is zip, which is not read; unpack it"),
     (b"\0\0\0\x18ftypheic" + bytes(40), "is HEIC, which is not read; save it as PNG or JPEG"),
     (b"%PDF-1.7" + bytes(40), "is PDF, which is not read; save its pictures as PNG")],
)  # fmt: skip
def test_what_is_known_and_not_read_is_refused_by_its_name_with_the_remedy(tmp_path, content, message):
    (tmp_path / "film.dcm.gz").write_bytes(content)
    with pytest.raises(FilmError, match=message):
        read_film(tmp_path / "film.dcm.gz")
