"""Lists are known by their films; who is in both is counted by patient."""

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import InputError
from cxr.new_hospital import split_passport
from cxr.tables.sources.known_lists import known_lists, packed, unpacked
from tests.conftest import PROJECT


def test_public_lists_have_their_films_and_overlap_as_counted():
    by_name = {(known.title, known.split): known.films for known in known_lists()}
    official, train = by_name["NIH's official lists", "test"], by_name["arnoweng/CheXNet's lists", "train"]
    assert (len(official), len(train), len(official & train)) == (25596, 78468, 17920)


def test_packed_bits_come_back():
    bits, counts = np.array([True, True, False, True, False, False]), np.array([2, 1, 3], dtype=np.uint8)
    assert (unpacked(packed(bits, counts), counts) == bits).all()


def test_a_list_is_recognised_in_any_order_and_not_when_a_film_is_missing():
    films = sorted(known_lists()[1].films, reverse=True)
    assert split_passport.recognise(films).split == "test"
    assert split_passport.recognise(films[1:]) is None
    assert "17,920 in arnoweng/CheXNet's lists, train" in split_passport.line(films)


def test_films_of_other_releases_are_left_aside():
    films = known_lists()[1].films
    both = split_passport.line([*films, "own/1"])
    assert "the 25,596 of that release among them are NIH's official lists, test" in both
    assert split_passport.line(["own/1"]).endswith("none of these films is of a release whose public lists are known.")


def test_patients_in_both_are_counted_and_a_film_without_one_is_its_own():
    train = pd.DataFrame({"image_id": ["a", "b", "c"], "patient_id": ["1", "2", np.nan]})
    test = pd.DataFrame({"image_id": ["d", "e", "c"], "patient_id": ["1", "3", np.nan]})
    assert split_passport.overlap(train, test) == {"patients": 2, "test_films": 2, "films": 1}


def test_labels_of_the_same_patient_are_recalled():
    train = pd.DataFrame({"patient_id": ["1", "2"], "Edema": [1, 0]})
    test = pd.DataFrame({"patient_id": ["1", "2", "3"], "Edema": [1, 0, 1]})
    # Scores 1, 0 and the prevalence .5: both positives above the negative.
    assert split_passport.recalled(train, test, "Edema") == 1
    assert split_passport.recalled(train, test.assign(patient_id="9"), "Edema") is None


def test_a_list_reads_names_before_labels_and_refuses_a_film_twice(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("images_001/00000001_000.png 0 1\n00000002_000.png 1 0\n")
    assert split_passport.read_list(path, "test")["patient_id"].tolist() == ["nih-1", "nih-2"]
    path.write_text("00000001_000.png\n00000001_000.png\n")
    with pytest.raises(InputError, match="nih/00000001_000 stands twice"):
        split_passport.read_list(path, "test")
    path.write_text("image,label\n00000001_000.png,1\n")
    with pytest.raises(InputError, match=r"commas; a table must be named \.csv"):
        split_passport.read_list(path, "test")
    table = path.rename(tmp_path / "list.CSV")
    assert split_passport.read_list(table, "test")["image_id"].tolist() == ["nih/00000001_000"]
    table.write_text("image,split\n00000001_000.png,train\n00000002_000.png,test\n")
    assert split_passport.read_list(table, "train")["image_id"].tolist() == ["nih/00000001_000"]
    table.write_text("image,split\n00000001_000.png,train\n")
    with pytest.raises(InputError, match="split: expected test in some rows"):
        split_passport.read_list(table, "test")


def test_the_published_rows_that_may_stand_beside_a_list_are_rows_of_the_page():
    page = (PROJECT / "docs/known_values.md").read_text(encoding="utf-8")
    rows = {row for known in known_lists() for row in known.beside}
    assert rows
    assert all(f"| {row} |" in page for row in rows)


def test_shift_has_the_share_of_each_view_and_sex_beside_prevalence_and_age():
    train = pd.DataFrame({"Edema": [1, 0], "view": ["PA", "AP"], "sex": ["F", None], "age": [40, 60]})
    test = pd.DataFrame({"Edema": [0, 0], "view": [None, None], "sex": ["F", "M"], "age": [None, None]})
    found = split_passport.shift({"train": train, "test": test}, ["Edema"])
    assert found["train"].dropna().to_dict() == {
        "Edema": 0.5,
        "view PA": 0.5,
        "view AP": 0.5,
        "sex F": 1,
        "median age": 50,
    }
    assert found["test"].dropna().to_dict() == {"Edema": 0, "sex F": 0.5, "sex M": 0.5}


def test_a_split_of_the_project_says_who_of_test_is_in_training_too():
    films = pd.DataFrame(
        {"image_id": ["own/1", "own/2", "own/3", "own/4"], "patient_id": ["a", "b", "c", "d"],
         "split": ["train", "val", "test", "test"]}
    )  # fmt: skip
    assert split_passport.of_split(films).endswith("No patient of test is in train or val.")
    films["patient_id"] = ["a", "b", "a", "b"]
    assert "2 patients of test (2 films of 2) are in train or val too: no published figure" in split_passport.of_split(
        films
    )
    drawn = split_passport.of_split(films.assign(image_id="nih/00000001_000"), drawn=True)
    assert drawn.startswith("Split passport: drawn films")
    assert "Rajpurkar" not in drawn


def test_aggregates_tell_no_count_under_ten_of_films_in_a_training_list():
    official = sorted(known_lists()[1].films & known_lists()[2].films)
    line = split_passport.line(official[:4], aggregates=True)
    assert "fewer than 10 in arnoweng/CheXNet's lists, train" in line
    assert " 4 in " not in line
    mixed = split_passport.line([*official[:40], *(f"own/{n}" for n in range(3))], aggregates=True)
    assert "the films of that release among them" in mixed
    assert "of these all but fewer than 10 in arnoweng/CheXNet's lists, train" in mixed  # 43 films less 40 would be 3


def test_aggregates_show_no_share_of_few_films():
    test = pd.DataFrame(
        {"Edema": [1] * 9 + [0] * 31, "Mass": [1] * 10 + [0] * 30, "view": ["PA"] * 36 + ["AP"] * 4,
         "sex": ["F"] * 20 + ["M"] * 20, "age": [40] * 9 + [None] * 31}
    )  # fmt: skip
    found = split_passport.shift({"test": test}, ["Edema", "Mass"], aggregates=True)["test"]
    assert found.dropna().to_dict() == {"Mass": 0.25, "sex F": 0.5, "sex M": 0.5}
