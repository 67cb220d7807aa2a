"""Scans are counted where they are, not in a thumbnail and not in the picture's own bytes."""

import io

import cv2
import numpy as np
import pydicom.encaps
import pytest
from PIL import Image

from cxr.core.errors import FilmError
from cxr.imaging.decoding import read_film
from cxr.imaging.jpeg import MOST_SCANS, lacks_bytes, refuse_many_scans
from tests.imaging.test_decoding import dicom

GRAYS = np.random.default_rng(0).integers(0, 255, (40, 48)).astype(np.uint8)
SCAN = b"\xff\xda"


def jpeg(more: int = 0, **options) -> bytes:
    """A progressive JPEG, its last scan written ``more`` times again."""
    buffer = io.BytesIO()
    Image.fromarray(GRAYS).save(buffer, "JPEG", progressive=True, **options)
    content = buffer.getvalue()[:-2]
    return content + content[content.rindex(SCAN) :] * more + b"\xff\xd9"


def test_a_film_of_more_scans_than_any_encoder_writes_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    usual = jpeg().count(SCAN)
    assert 3 < usual < 12
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(MOST_SCANS - usual))
    assert read_film(path).shape == GRAYS.shape
    monkeypatch.setattr(cv2, "imdecodemulti", None)
    for more in (MOST_SCANS - usual + 1, 20_000):
        path.write_bytes(jpeg(more))
        with pytest.raises(FilmError, match=r"a.jpg: its JPEG has more than 100 scans; no film has"):
            read_film(path)


def test_so_is_one_in_dicom(tmp_path):
    for more, said in ((0, None), (MOST_SCANS, "its JPEG has more than 100 scans")):
        film = pydicom.dcmread(dicom(tmp_path, GRAYS, "a.dcm"))
        film.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.50"
        film.PixelData = pydicom.encaps.encapsulate([jpeg(more)])
        film["PixelData"].VR = "OB"
        film.BitsAllocated = film.BitsStored = 8
        film.HighBit = 7
        film.save_as(tmp_path / "b.dcm")
        if said:
            with pytest.raises(FilmError, match=said):
                read_film(tmp_path / "b.dcm")
        else:
            assert read_film(tmp_path / "b.dcm").shape == GRAYS.shape


def test_what_looks_like_scans_in_a_thumbnail_or_behind_the_end_does_not_count(tmp_path):
    content = jpeg()
    thumbnail = b"\xff\xe1" + (2 + 2 * 500).to_bytes(2, "big") + SCAN * 500
    refuse_many_scans(content[:2] + thumbnail + content[2:] + SCAN * 500, tmp_path)
    refuse_many_scans(b"\x89PNG" + SCAN * 500, tmp_path)
    refuse_many_scans(b"", tmp_path)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}])
def test_zeros_in_the_place_of_a_part_are_refused_and_flat_pictures_are_not(tmp_path, options):
    path = tmp_path / "a.jpg"
    for pixels in (GRAYS, np.zeros((400, 480), np.uint8), np.kron(GRAYS[:4, :4], np.ones((200, 200), np.uint8))):
        Image.fromarray(pixels).save(path, **options)
        whole = path.read_bytes()
        assert not lacks_bytes(whole, pixels.shape)
    Image.fromarray(GRAYS).save(path, quality=98, **options)
    whole = path.read_bytes()
    half = len(whole) - 500
    path.write_bytes(whole[:half] + bytes(498) + b"\xff\xd9")
    with pytest.raises(FilmError, match=r"a.jpg: not readable as an image \(a part of it is missing"):
        read_film(path)
    path.write_bytes(whole + bytes(9999))
    assert read_film(path).shape == GRAYS.shape
