"""What windows, tables, padding and outliers make of values: pixels worked out by hand."""

import struct

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from cxr.core.errors import FilmError
from cxr.imaging.decoding import open_film, read_film
from cxr.imaging.grays import range_without_outliers
from tests.imaging.dicom_files import dicom

# 48 x 64, every gray of 0..250; 12 bits: 0, 16 … 4000.
GRAYS = (np.arange(48 * 64).reshape(48, 64) % 251).astype(np.uint8)
TWELVE_BITS = GRAYS.astype(np.uint16) * 16
FULL = np.round(GRAYS * (255 / 250)).astype(np.uint8)


# --- windows


def test_the_window_of_the_header_is_applied(tmp_path):
    film = read_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12, WindowCenter=2000, WindowWidth=1000))
    assert set(film[TWELVE_BITS <= 1500]) == {0}
    assert set(film[TWELVE_BITS >= 2500]) == {255}
    # DICOM PS3.3 C.11.2: ((x - (c - 0.5)) / (w - 1) + 0.5) * range
    assert film[TWELVE_BITS == 2000][0] == round(((2000 - 1999.5) / 999 + 0.5) * 255)


def test_the_rescale_slope_is_applied_before_the_window(tmp_path):
    rescaled = {"RescaleSlope": -1, "RescaleIntercept": 4000}
    film = read_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12, **rescaled, WindowCenter=3000, WindowWidth=1001))
    assert set(film[4000 - TWELVE_BITS.astype(int) <= 2499]) == {0}
    assert set(film[4000 - TWELVE_BITS.astype(int) >= 3501]) == {255}
    film = read_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12, **rescaled))
    np.testing.assert_allclose(film, 255.0 - FULL, atol=1)


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": 2048, "WindowWidth": 0},
        {"WindowCenter": 2048, "WindowWidth": -4096},
        {"WindowCenter": 2048, "WindowWidth": 0.5},  # LINEAR: at least 1
        {"WindowCenter": 30000, "WindowWidth": 100},
        {"WindowCenter": -5000, "WindowWidth": 100},
        {"WindowCenter": 128, "WindowWidth": 256},  # what software writes for 8 bits: 16 of 251 grays
        {"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": "LOG"},
    ],
)
def test_a_window_that_shows_nothing_is_ignored_with_a_note(tmp_path, tags):
    film = open_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12, **tags))
    np.testing.assert_array_equal(film.pixels, FULL)
    assert film.notes == ("a window in its header shows nothing of the film and was ignored",)


def test_the_first_window_that_shows_something_counts(tmp_path):
    tags = {"WindowCenter": [30000, 2000, 0], "WindowWidth": [100, 1000, 9]}
    film = open_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12, **tags))
    alone = dicom(tmp_path, TWELVE_BITS, "alone.dcm", BitsStored=12, WindowCenter=2000, WindowWidth=1000)
    np.testing.assert_array_equal(film.pixels, read_film(alone))
    assert (len(film.notes), open_film(alone).notes) == (1, ())


@pytest.mark.parametrize(
    ("function", "expected"), [("LINEAR_EXACT", 0.5 + 96 / 1000), ("SIGMOID", 1 / (1 + np.exp(-4 * 96 / 1000)))]
)
def test_other_functions_of_a_window_are_those_of_the_standard(tmp_path, function, expected):
    tags = {"WindowCenter": 2000, "WindowWidth": 1000, "VOILUTFunction": function}
    film = read_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12, **tags))
    ends = [1 / (1 + np.exp(8)), 1 / (1 + np.exp(-8))] if function == "SIGMOID" else [0, 1]  # of 0 and 4000
    assert film[TWELVE_BITS == 2096][0] == round((expected - ends[0]) / (ends[1] - ends[0]) * 255)


def test_an_8_bit_film_is_as_its_window_shows_it(tmp_path):
    film = read_film(dicom(tmp_path, GRAYS, WindowCenter=100, WindowWidth=101))
    assert [film[gray == GRAYS][0] for gray in (0, 100, 250)] == [0, round((0.5 / 100 + 0.5) * 255), 255]


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": 500, "WindowWidth": 1000},
        {"WindowCenter": 2048, "WindowWidth": 4096},
        {"RescaleSlope": "0.5", "RescaleIntercept": "0"},
        {"RescaleSlope": "0.004", "RescaleIntercept": "0"},
    ],
)
def test_a_window_or_a_slope_for_more_bits_does_not_darken_an_8_bit_film(tmp_path, tags):
    np.testing.assert_allclose(read_film(dicom(tmp_path, GRAYS, **tags)), FULL, atol=1)


def test_a_contradiction_of_the_header_is_noted(tmp_path):
    film = open_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12, PresentationLUTShape="INVERSE"))
    np.testing.assert_array_equal(film.pixels, FULL)
    assert film.notes[0].startswith("its PresentationLUTShape is INVERSE")
    tags = {"PresentationLUTShape": "INVERSE", "PhotometricInterpretation": "MONOCHROME1"}
    assert open_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12, **tags)).notes == ()


# --- attributes without a value, or with something else


@pytest.mark.parametrize(
    "tags",
    [
        {"RescaleSlope": "", "RescaleIntercept": ""},
        {"RescaleSlope": "1", "RescaleIntercept": ""},
        {"RescaleSlope": "", "RescaleIntercept": "", "WindowCenter": "2000", "WindowWidth": "9000"},
        {"WindowCenter": "", "WindowWidth": ""},
        {"WindowCenter": "2048"},
        {"VOILUTSequence": []},
        {"ModalityLUTSequence": [Dataset()], "VOILUTSequence": [Dataset()]},
        {"NumberOfFrames": ""},
    ],
)
def test_an_attribute_without_a_value_is_none(tmp_path, tags):
    np.testing.assert_allclose(read_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12, **tags)), FULL, atol=1)


def test_a_decimal_comma_is_understood(tmp_path):
    path = dicom(tmp_path, TWELVE_BITS, BitsStored=12, WindowCenter="2000.5", WindowWidth="1000.0")
    expected = read_film(path)
    path.write_bytes(path.read_bytes().replace(b"2000.5", b"2000,5").replace(b"1000.0", b"1000,0"))
    np.testing.assert_array_equal(read_film(path), expected)


@pytest.mark.parametrize("slope", ["0", "1e999"])
def test_a_slope_that_pixels_cannot_be_rescaled_with_is_named(tmp_path, slope):
    with pytest.raises(FilmError, match=r"film.dcm: its RescaleSlope is no number by which pixels can be rescaled"):
        read_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12, RescaleSlope=slope, RescaleIntercept="0"))


@pytest.mark.parametrize(
    ("keyword", "assumed"),
    [
        ("PhotometricInterpretation", "MONOCHROME2"),
        ("SamplesPerPixel", 1),
        ("PixelRepresentation", 0),
        ("BitsStored", 16),
    ],
)
@pytest.mark.parametrize("emptied", [True, False])
def test_what_a_header_lacks_and_can_only_be_one_thing_is_assumed_with_a_note(tmp_path, keyword, assumed, emptied):
    path = dicom(tmp_path, TWELVE_BITS)
    header = pydicom.dcmread(path)
    if emptied:
        setattr(header, keyword, None)
    else:
        delattr(header, keyword)
    header.save_as(path)
    film = open_film(path)
    np.testing.assert_array_equal(film.pixels, FULL)
    assert film.notes == (f"its header does not state {keyword}; {assumed} was assumed",)


def test_codes_in_lower_case_are_understood(tmp_path):
    path = dicom(tmp_path, 4000 - TWELVE_BITS, Modality="dx", PhotometricInterpretation="monochrome1")
    np.testing.assert_array_equal(read_film(path), FULL)


SMOOTH = np.add.outer(np.arange(48) * 40, np.arange(64) * 30).astype(np.uint16)  # 0 … 3770: 12 bits


def test_more_bits_than_stated_are_film_where_it_is_smoother_with_them(tmp_path):
    film = open_film(dicom(tmp_path, SMOOTH, BitsStored=10))
    np.testing.assert_array_equal(film.pixels, read_film(dicom(tmp_path, SMOOTH, BitsStored=12)))
    assert film.notes == ("its pixels have more bits than the 10 that BitsStored says",)


def test_an_overlay_in_the_upper_bits_is_no_film(tmp_path):
    drawn = SMOOTH.copy()
    drawn[::7] |= 1 << 14
    film = open_film(dicom(tmp_path, drawn, BitsStored=12))
    np.testing.assert_array_equal(film.pixels, read_film(dicom(tmp_path, SMOOTH, BitsStored=12)))
    assert film.notes == ()


def test_a_film_in_the_upper_bits_is_brought_down_before_its_window(tmp_path):
    expected = read_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12, WindowCenter=2000, WindowWidth=1000))
    path = dicom(tmp_path, TWELVE_BITS << 4, BitsStored=12, WindowCenter=2000, WindowWidth=1000)
    header = pydicom.dcmread(path)
    header.HighBit = 15
    header.save_as(path)
    np.testing.assert_array_equal(read_film(path), expected)


def test_padding_beyond_the_bits_of_the_film_is_padding(tmp_path):
    film, right = framed(63536)
    read = open_film(dicom(tmp_path, film, BitsStored=12, PixelPaddingValue=63536))
    np.testing.assert_array_equal(read.pixels, right)
    assert read.notes == ()


# --- look-up tables


def table(entries, bits: int, first=0, dtype="<u2") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) % 65536, first % 65536, bits])
    item.add_new("LUTData", "OW", np.asarray(entries).astype(dtype).tobytes())
    return item


CURVE = (np.arange(4096) / 4095) ** 0.5
BENT = np.round((CURVE[TWELVE_BITS] / CURVE[4000]) * 255)


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize(("bits", "dtype"), [(16, "<u2"), (12, "<u2"), (8, "<u2"), (8, "u1")])
def test_tables_of_any_depth_are_looked_up(tmp_path, sequence, bits, dtype):
    item = table(np.round(CURVE * (2**bits - 1)), bits, dtype=dtype)
    film = read_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12, **{sequence: [item]}))
    np.testing.assert_allclose(film, BENT, atol=1)


def test_the_first_entry_of_a_table_stands_for_the_value_that_it_says(tmp_path):
    # Values -1000 … 3000 after rescaling; the table begins at -1000 and runs backwards.
    item = table(np.arange(4000, -1, -1), 16, first=-1000)
    tags = {"RescaleSlope": 1, "RescaleIntercept": -1000, "VOILUTSequence": [item]}
    np.testing.assert_allclose(read_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12, **tags)), 255.0 - FULL, atol=1)


def test_a_big_endian_table_is_read(tmp_path):
    item = table(np.round(CURVE * 4095), 12, dtype=">u2")
    path = dicom(tmp_path, TWELVE_BITS, syntax=ExplicitVRBigEndian, BitsStored=12, VOILUTSequence=[item])
    np.testing.assert_allclose(read_film(path), BENT, atol=1)


def test_a_table_that_shows_nothing_is_ignored_with_a_note_and_the_window_counts(tmp_path):
    tags = {"VOILUTSequence": [table(np.full(4096, 7), 12)], "WindowCenter": 2000, "WindowWidth": 1000}
    film = open_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12, **tags))
    assert film.notes == ("the VOI LUT in its header shows nothing of the film and was ignored",)
    assert film.pixels[TWELVE_BITS == 1504][0] == round((1504 - 1999.5) / 999 * 255 + 127.5)


def test_a_palette_is_looked_up(tmp_path):
    backwards = (np.arange(255, -1, -1, dtype=np.uint16) * 257).tobytes()
    tags = {f"{colour}PaletteColorLookupTable{what}": value for colour in ("Red", "Green", "Blue")
            for what, value in (("Descriptor", [256, 0, 16]), ("Data", backwards))}  # fmt: skip
    path = dicom(tmp_path, 255 - GRAYS, PhotometricInterpretation="PALETTE COLOR", **tags)
    np.testing.assert_array_equal(read_film(path), GRAYS)


def test_a_window_does_not_count_in_colour(tmp_path):
    path = dicom(tmp_path, GRAYS, WindowCenter="128", WindowWidth="256")
    header = pydicom.dcmread(path)
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PlanarConfiguration = 3, "RGB", 0
    header.PixelData = np.repeat(GRAYS[..., None], 3, axis=2).tobytes()
    header.save_as(path)
    np.testing.assert_array_equal(read_film(path), GRAYS)


def test_luminance_and_chroma_that_are_called_rgb_are_read_as_what_they_are(tmp_path):
    path = dicom(tmp_path, GRAYS)
    header = pydicom.dcmread(path)
    header.SamplesPerPixel, header.PhotometricInterpretation, header.PlanarConfiguration = 3, "RGB", 0
    header.PixelData = np.dstack([GRAYS, np.full_like(GRAYS, 128), np.full_like(GRAYS, 129)]).tobytes()
    header.save_as(path)
    np.testing.assert_array_equal(read_film(path), GRAYS)


# --- padding


def framed(value: int, dtype=np.uint16) -> tuple[np.ndarray, np.ndarray]:
    """A film in a frame of padding, and the grays that are right: those of the film alone, in black."""
    inner = np.zeros(GRAYS.shape, bool)
    inner[8:-8, 8:-8] = True
    low, high = TWELVE_BITS[inner].min(), TWELVE_BITS[inner].max()
    right = np.round((TWELVE_BITS.astype(float) - low) * 255 / (high - low))
    return np.where(inner, TWELVE_BITS, value).astype(dtype), np.where(inner, right, 0)


def test_padding_is_black_and_does_not_count(tmp_path):
    film, right = framed(65535)
    np.testing.assert_array_equal(read_film(dicom(tmp_path, film, PixelPaddingValue=65535)), right)
    film[0, :9] = 65000
    tags = {"PixelPaddingValue": 65535, "PixelPaddingRangeLimit": 65000}
    np.testing.assert_array_equal(read_film(dicom(tmp_path, film, **tags)), right)
    film, right = framed(-32768, np.int16)
    path = dicom(tmp_path, film, PixelRepresentation=1, PixelPaddingValue=-32768)
    np.testing.assert_array_equal(read_film(path), right)


def test_padding_of_a_negative_is_black_too(tmp_path):
    film, right = framed(65535)
    film[film < 65535] = 4000 - film[film < 65535]
    path = dicom(tmp_path, film, PixelPaddingValue=65535, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_film(path), right)


def test_what_would_leave_no_film_is_no_padding(tmp_path):
    tags = {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095}
    np.testing.assert_array_equal(read_film(dicom(tmp_path, TWELVE_BITS, BitsStored=12, **tags)), FULL)


# --- outliers


@pytest.mark.parametrize("value", [4500, 6000, 16383])
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_one_bright_pixel_changes_no_other(tmp_path, value, photometric):
    film, tags = TWELVE_BITS.copy(), {"PhotometricInterpretation": photometric}
    expected = read_film(dicom(tmp_path, film, **tags))
    film[20, 30] = value
    read = open_film(dicom(tmp_path, film, **tags))
    expected[20, 30] = 255 if photometric == "MONOCHROME2" else 0
    np.testing.assert_array_equal(read.pixels, expected)
    assert read.notes == ("pixels far beyond the others' values, which were clipped: 1",)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_hot_and_dead_pixels_of_a_deep_picture_are_clipped(tmp_path, suffix):
    film = TWELVE_BITS + 20000
    film[20, 30:32], film[21, 30:33] = 65535, 0
    assert cv2.imwrite(str(tmp_path / f"film{suffix}"), film)
    expected = FULL.copy()
    expected[20, 30:32], expected[21, 30:33] = 255, 0
    np.testing.assert_array_equal(read_film(tmp_path / f"film{suffix}"), expected)


def test_the_range_goes_to_the_last_value_that_does_not_stand_apart():
    film = np.repeat(np.arange(101.0), 100)  # 0 … 100; nine values may be outliers at either end
    assert range_without_outliers(film) == (0, 100)
    assert range_without_outliers(np.append(film, [109, 118])) == (0, 118)  # steps of 9 % of the range
    assert range_without_outliers(np.append(film, [111, 118])) == (0, 100)  # 11 %: apart, and all beyond
    assert range_without_outliers(np.append(film, np.arange(109, 160, 9))) == (0, 118)  # a quarter away: no further
    assert range_without_outliers(np.append(film, [-50, -5])) == (-5, 100)


def test_one_outermost_value_may_be_held_by_any_number_of_pixels_that_leaves_a_film():
    film = np.repeat(np.arange(101.0), 100)
    assert range_without_outliers(np.append(film, np.full(4000, 900))) == (0, 100)  # a line, a letter, a frame
    assert range_without_outliers(np.append(film, np.full(4000, 120))) == (0, 120)  # a fifth away: saturated film
    assert range_without_outliers(np.append(film, [*np.full(500, -900), 900])) == (0, 100)
    assert range_without_outliers(np.append(film, np.full(20_000, 900))) == (0, 900)  # more than the film: a mask


@pytest.mark.parametrize("where", [np.s_[20], np.s_[:, 30], np.s_[5:11, 5:12], np.s_[:2]])
def test_a_hot_line_or_a_burnt_in_letter_changes_no_other_pixel(tmp_path, where):
    film, expected = TWELVE_BITS + 200, FULL.copy()
    film[where], expected[where] = 65535, 255
    assert cv2.imwrite(str(tmp_path / "film.png"), film)
    np.testing.assert_array_equal(read_film(tmp_path / "film.png"), expected)


def test_where_all_but_a_few_have_one_value_the_few_are_seen():
    assert range_without_outliers(np.append(np.full(10_000, 7.0), [9.0])) == (7, 9)


# --- TIFF


def tiff(path, values: np.ndarray, photometric: int, order="<", sample_format=1):
    """A TIFF of one strip, by TIFF 6.0."""
    height, width = values.shape
    bits, start = 8 * values.dtype.itemsize, 8 + 2 + 10 * 12 + 4
    entries = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, start),
               (277, 3, 1), (278, 4, height), (279, 4, values.nbytes), (339, 3, sample_format)]  # fmt: skip
    content = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    for tag, kind, value in entries:
        packed = struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value)
        content += struct.pack(f"{order}HHI", tag, kind, 1) + packed
    path.write_bytes(content + struct.pack(f"{order}I", 0) + values.astype(values.dtype.newbyteorder(order)).tobytes())
    return path


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_means_what_it_says(tmp_path, order):
    path = tmp_path / "film.tif"
    np.testing.assert_array_equal(read_film(tiff(path, TWELVE_BITS, 1, order)), FULL)
    np.testing.assert_array_equal(read_film(tiff(path, 4000 - TWELVE_BITS, 0, order)), FULL)
    np.testing.assert_array_equal(read_film(tiff(path, 255 - GRAYS, 0, order)), GRAYS)
    signed = (TWELVE_BITS.astype(int) - 2000).astype(np.int16)
    np.testing.assert_array_equal(read_film(tiff(path, signed, 1, order, sample_format=2)), FULL)
    np.testing.assert_array_equal(
        read_film(tiff(path, (127 - GRAYS // 2).astype(np.int8), 0, order, 2)) > 127, GRAYS > 125
    )
    floats = (1 - GRAYS / np.float32(250)).astype(np.float32)
    np.testing.assert_array_equal(read_film(tiff(path, floats, 0, order, sample_format=3)), FULL)
