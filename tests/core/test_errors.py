import os

import pytest

from cxr.core.errors import composed, counted, escaped, hint, one_line, unescaped


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("EPOCH", ["EPOCHS", "SEED"], " Did you mean EPOCHS?"),
        ("epochs", ["EPOCHS", "SEED"], " Did you mean EPOCHS?"),
        ("Image Index", ["image_index", "Finding"], " Did you mean image_index?"),
        ("nhi", iter(["nih", "chexpert"]), " Did you mean nih?"),
        ("sky", ["EPOCHS", "SEED"], ""),
        ("sky", [], ""),
        ("train.csv", ["valid.csv", "test.csv"], ""),  # each is there by its own name, or is not
        ("MASKS_DIR", ["MODELS_DIR"], ""),
        ("MASKS_DIR", ["MODELS_DIR", "MASK_DIR"], " Did you mean MASK_DIR?"),
        ("LR", ["BLUR", "SEED"], ""),
        ("PATIENCE", ["A_PATIENCE", "B_PATIENCE", "C_PATIENCE"], " Did you mean A_PATIENCE, B_PATIENCE or C_PATIENCE?"),
        ("DIR", [f"{letter}_DIR" for letter in "ABCDEF"], ""),  # too many
    ],
)
def test_a_misspelt_word_gets_the_nearest_known_one_or_nothing(word, known, said):
    assert hint(word, known) == said


def test_whatever_a_name_holds_it_is_shown_in_one_line():
    assert one_line("line\nend\t\udcff \x1b[31m\r\u2028 흉부.png") == r"line\nend\t\udcff \x1b[31m\r\u2028 흉부.png"
    assert one_line("as it is: \\ ' \"") == "as it is: \\ ' \""


def test_bytes_of_a_name_that_are_no_utf8_are_escaped_and_come_back():
    name = os.fsdecode("환자 표".encode("cp949") + b"\\ \xff.png")
    assert escaped(name).encode().decode() == escaped(name) != name
    assert os.fsencode(unescaped(escaped(name))) == os.fsencode(name)
    assert escaped("흉부 \\ a.png") == unescaped("흉부 \\ a.png") == "흉부 \\ a.png"


def test_a_name_in_parts_and_the_same_composed_are_one():
    assert composed("\u1112\u1172\u11bc e\u0301") == "흉 é"


@pytest.mark.parametrize(
    ("number", "thing", "said"),
    [
        (1, "film", "1 film"),
        (0, "box", "0 boxes"),
        (2, "process", "2 processes"),
        (2000, "mask", "2,000 masks"),
    ],
)
def test_one_of_a_thing_is_told_as_one(number, thing, said):
    assert counted(number, thing) == said
