import pytest

from cxr.core.errors import hint, one_line


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("EPOCH", ["EPOCHS", "SEED"], " Did you mean EPOCHS?"),
        ("epochs", ["EPOCHS", "SEED"], " Did you mean EPOCHS?"),
        ("Image Index", ["image_index", "Finding"], " Did you mean image_index?"),
        ("nhi", iter(["nih", "chexpert"]), " Did you mean nih?"),
        ("sky", ["EPOCHS", "SEED"], ""),
        ("sky", [], ""),
    ],
)
def test_a_misspelt_word_gets_the_nearest_known_one_or_nothing(word, known, said):
    assert hint(word, known) == said


def test_whatever_a_name_holds_it_is_shown_in_one_line():
    assert one_line("line\nend\t\udcff \x1b[31m\r\u2028 흉부.png") == r"line\nend\t\udcff \x1b[31m\r\u2028 흉부.png"
    assert one_line("as it is: \\ ' \"") == "as it is: \\ ' \""
