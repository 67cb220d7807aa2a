import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import InputError
from cxr.evaluation import predictions, subgroups
from cxr.external import label_tables
from cxr.new_hospital import stress
from tests.conftest import tiny_params


def test_auroc_its_change_and_flips_of_films_made_worse():
    truth = np.array([[1, 1], [1, 0], [0, 0], [0, 0]], float)
    clean = np.array([[0.9, 0.9], [0.8, 0.1], [0.3, 0.1], [0.1, 0.1]])
    worse = clean.copy()
    worse[1, 0] = 0.2  # below one of two negatives: AUROC 3 of 4 pairs; and no longer called
    rows = stress.compare(truth, (clean, clean >= 0.5), (worse, worse >= 0.5), ["Edema", "Mass"])
    assert rows[0] == {"finding": "Edema", "films": 4, "auroc": 0.75, "change": -0.25, "flips": 0.25}
    assert rows[1] == {"finding": "Mass", "films": 4, "auroc": 1.0, "change": 0.0, "flips": 0.0}
    assert rows[2] == {"finding": "mean", "films": 4, "auroc": 0.875, "change": -0.125, "flips": 0.125}


def test_a_finding_without_positives_has_flips_but_no_auroc():
    clean, worse = np.array([[0.9], [0.1]]), np.array([[0.1], [0.1]])
    row, mean = stress.compare(np.zeros((2, 1)), (clean, clean >= 0.5), (worse, worse >= 0.5), ["Edema"])
    assert np.isnan(row["auroc"])
    assert (row["flips"], mean["flips"]) == (0.5, 0.5)


def test_slices_are_texts_and_what_is_empty_is_not_known():
    known = pd.DataFrame({"scanner": ["A ", 2, None, ""]})
    assert stress.slices(known, ["scanner"])["scanner"].tolist() == ["A", "2", "not known", "not known"]


def test_a_slice_of_few_patients_is_marked_and_its_positives_are_not_told():
    ids = [f"film{i}" for i in range(24)]
    truth, probabilities = np.arange(24) % 2, np.tile([0.2, 0.8], 12)
    table = predictions.build(ids, ids, ["test"] * 24, truth[:, None], probabilities[:, None], ["Edema"])
    groups = {"scanner": np.array(["A"] * 20 + ["B"] * 4, dtype=object)}
    fitted = {"findings": {"Edema": {"pooled": {"threshold": 0.5}}}}
    rows = stress.slice_table(subgroups.evaluate(table, groups, fitted, 20, 1)).set_index("slice")
    assert rows["films"].to_dict() == {"A": 20, "B": 4}
    assert rows["too_few"].to_dict() == {"A": 0, "B": 1}
    assert rows.at["A", "positives"] == 10
    assert pd.isna(rows.at["B", "positives"])
    assert rows["auroc"].tolist() == [1, 1]


def test_labels_bring_the_columns_to_slice_by(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("image,Edema,scanner,sex\na.png,1,X,M\nb.png,0,Y,\n")
    labels = label_tables.read_labels([path], tiny_params(), given=True)
    found = stress.with_columns(labels, path, ["scanner", "sex"]).table.set_index("image_id")
    assert found["scanner"].to_dict() == {"own/a": "X", "own/b": "Y"}
    assert found.at["own/a", "sex"] == "M"
    with pytest.raises(InputError, match=r"--by scaner: no such column.*scanner"):
        stress.with_columns(labels, path, ["scaner"])


def test_the_figure_has_a_line_each_corruption_that_begins_at_the_films_as_they_are():
    about = [("none", 0), *((kind, strength) for kind in stress.SETTINGS for strength in (1, 2, 3))]
    table = pd.DataFrame(
        [
            {"corruption": kind, "strength": strength, "finding": "mean", "auroc": 0.9 - 0.1 * strength, "flips": 0.1}
            for kind, strength in about
        ]
    )
    left, right = stress.figure(table, "title").axes
    assert len(left.lines) == len(right.lines) == len(stress.SETTINGS)
    assert list(left.lines[0].get_ydata()) == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert list(right.lines[0].get_ydata()) == [0, 0.1, 0.1, 0.1]


def rows(kind, strength, films, mass, hernia):
    """Rows of stress.csv of two findings and their mean; ``mass``, ``hernia``: AUROC and films that flip."""
    of_both = [(name, auroc, flipped / films) for name, (auroc, flipped) in (("Mass", mass), ("Hernia", hernia))]
    means = np.mean([values[1:] for values in of_both], axis=0)
    about = {"corruption": kind, "strength": strength, "setting": 1, "films": films, "change": 0.0}
    return [
        {**about, "finding": name, "auroc": auroc, "flips": flips}
        for name, auroc, flips in [*of_both, ("mean", *means)]
    ]


def test_aggregates_have_no_finding_of_few_patients_and_no_flip_of_few_films():
    ids = [f"film{i}" for i in range(100)]
    truth = np.c_[np.arange(100) % 2, np.arange(100) < 9]
    films = predictions.build(ids, ids, ["test"] * 100, truth, np.full((100, 2), 0.5), ["Mass", "Hernia"])
    results = pd.DataFrame(rows("noise", 1, 100, (0.8, 9), (0.9, 20)) + rows("noise", 2, 96, (0.7, 48), (0.9, 20)))
    shown = stress.aggregates(results, films).set_index(["strength", "finding"])
    assert shown.loc[[(1, "Hernia"), (2, "Hernia")], ["auroc", "change", "flips"]].isna().all(axis=None)
    assert pd.isna(shown.at[(1, "Mass"), "flips"])  # nine films
    assert (shown.at[(1, "Mass"), "auroc"], shown.at[(1, "mean"), "auroc"]) == (0.8, 0.8)  # the mean of what is shown
    assert pd.isna(shown.at[(1, "mean"), "flips"])
    assert shown.at[(2, "mean"), "flips"] == 0.5
    assert shown["films"].dropna().tolist() == [100, 100, 100]  # four were refused


def test_a_slice_with_a_small_cell_is_not_named_nor_the_one_that_would_tell_it():
    ids = [f"film{i}" for i in range(200)]
    truth, probabilities = np.arange(200) % 2, np.where(np.arange(200) % 4 < 2, 0.2, 0.8)
    table = predictions.build(ids, ids, ["test"] * 200, truth[:, None], probabilities[:, None], ["Edema"])
    groups = {"scanner": np.array(["A"] * 100 + ["B"] * 80 + ["John Doe"] * 20, dtype=object)}
    fitted = {"findings": {"Edema": {"pooled": {"threshold": 0.5}}}}
    evaluated = subgroups.evaluate(table, groups, fitted, 20, 1)
    assert stress.slice_table(evaluated)["slice"].tolist() == ["A", "B", "John Doe"]
    assert stress.slice_table(evaluated, aggregates=True)["slice"].tolist() == ["A"]
    groups["scanner"][180:] = "A"
    evaluated = subgroups.evaluate(table, groups, fitted, 20, 1)
    assert stress.slice_table(evaluated, aggregates=True)["slice"].tolist() == ["A", "B"]
