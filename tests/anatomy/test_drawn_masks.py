import cv2
import numpy as np
import pytest

from cxr.anatomy.drawn_masks import is_signed, write_signed
from cxr.imaging.decoding import read_film, write_image

MASK = np.zeros((40, 30), np.uint8)
MASK[10:30, 5:12] = 255


def test_a_signed_mask_is_a_plain_png_of_the_same_pixels(tmp_path):
    write_signed(MASK, tmp_path / "a.png", "masks")
    np.testing.assert_array_equal(read_film(tmp_path / "a.png"), MASK)
    from PIL import Image

    with Image.open(tmp_path / "a.png") as image:  # reads and checks every chunk
        image.load()
        assert image.text["cxr"].startswith("masks ")
    assert is_signed(tmp_path / "a.png", "masks")


@pytest.mark.parametrize(
    "change", ["saved again", "a pixel", "another place", "cut", "not ours", "empty", "no picture"]
)
def test_what_is_not_to_the_byte_as_it_was_written_there_is_not_signed(tmp_path, change):
    path, place = tmp_path / "a.png", "masks"
    write_signed(MASK, path, place)
    content = path.read_bytes()
    if change == "saved again":
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    elif change == "a pixel":
        other = MASK.copy()
        other[0, 0] = 255
        write_signed(other, tmp_path / "b.png", place)
        theirs = (tmp_path / "b.png").read_bytes()
        path.write_bytes(theirs[: theirs.rfind(b"tEXt") - 4] + content[content.rfind(b"tEXt") - 4 :])
    elif change == "another place":
        place = "not_accepted"
    elif change == "cut":
        path.write_bytes(content[:-1])
    elif change == "not ours":
        write_image(MASK, path)
    else:
        path.write_bytes(b"" if change == "empty" else b"no picture at all")
    assert not is_signed(path, place)
