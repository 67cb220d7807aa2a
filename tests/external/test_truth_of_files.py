"""Which labels count for anybody's predictions, and what is said of columns that are none, or no probabilities."""

import numpy as np
import pytest

from cxr.core.errors import InputError
from cxr.core.findings import FINDINGS
from cxr.core.parameters import Params
from cxr.evaluation import metrics, predictions
from cxr.evaluation.operating_points import fit_on_val
from cxr.external import label_tables, prediction_files

EDEMA = FINDINGS.index("Edema")


@pytest.fixture
def read(tmp_path):
    """Predictions of a text with labels of others, by --labels or not."""

    def reader(text, *labels, given=True, majority=False):
        paths = []
        for number, table in enumerate(labels):
            paths.append(tmp_path / f"labels{number}.csv")
            paths[-1].write_text(table)
        (tmp_path / "mine.csv").write_text(text)
        known = label_tables.read_labels(paths, Params(), given and bool(labels), majority)
        return prediction_files.read(tmp_path / "mine.csv", known, FINDINGS)

    return reader


def csv(head, *rows):
    return "\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n"


def truth(found):
    return found.table["Edema_true"].fillna(-9).tolist()


LABELS = csv("image,Edema", ("a", 1), ("b", 0), ("c", 1))


# --- whose labels


def test_labels_that_are_given_win_over_the_files_own(read):
    text = csv("image,Edema_prob,Edema_true", ("a", 0.1, 0), ("b", 0.2, 1), ("c", 0.3, 0))
    found = read(text, LABELS)
    assert truth(found) == [1, 0, 1]
    assert any(note.startswith("not used: 'Edema_true': labels come from --labels, which wins") for note in found.notes)
    assert truth(read(text, LABELS, given=False)) == [0, 1, 0]  # a table of SETTINGS.json does not


@pytest.mark.parametrize(
    "name", ["Edema_pred_label", "predicted_label_Edema", "Edema_label_pred", "Edema_binary", "Edema_called", "Edema"]
)
@pytest.mark.parametrize("given", [True, False])
def test_a_models_decisions_are_never_the_truth_where_there_are_labels(read, name, given):
    found = read(csv(f"image,Edema_prob,{name}", ("a", 0.1, 0), ("b", 0.9, 1), ("c", 0.3, 0)), LABELS, given=given)
    assert truth(found) == [1, 0, 1]
    assert any(note.startswith(f"not used: '{name}': ") for note in found.notes)


def test_a_decision_is_no_truth_where_there_are_no_labels_either_but_a_bare_name_is(read):
    rows = [(n, n / 10, int(n > 4)) for n in range(10)]
    with pytest.raises(InputError, match=r"no film of the file has a known label"):
        read(csv("image,Edema_prob,Edema_pred_label", *rows))
    found = read(csv("image,Edema_prob,Edema", *rows))
    assert truth(found) == [0] * 5 + [1] * 5
    told = [note for note in found.notes if "'Edema'" in note]
    assert "column 'Edema', for 'Edema_prob' is the probability and nothing else gives labels" in told[0]
    # Decided by the probability itself, as every own label that a threshold parts: told, for it may be a decision.
    assert told[1].startswith("WARNING: 'Edema' is 1 wherever 'Edema_prob' is above a certain value")
    assert not any("WARNING" in note for note in read(csv("image,Edema_prob,Edema", *rows, ("z", 0.95, 0))).notes)


def test_a_table_of_labels_does_not_take_predictions_for_labels(read):
    text = csv("image,Edema", ("a", 0.1), ("b", 0.9))
    with pytest.raises(InputError, match=r"not used: 'Edema_pred': a prediction by its name, no label"):
        read(text, csv("image,Edema_pred", ("a", 1), ("b", 0)))
    found = read(text, csv("image,Edema_prob,Edema_binary,Edema_true", ("a", 0.3, 0, 1), ("b", 0.3, 1, 0)))
    assert truth(found) == [1, 0]
    assert (
        "labels0.csv: not used: 'Edema_binary': a decision of the model by its name, no label and no probability"
        in (found.notes)
    )


def test_a_lone_suffix_of_a_merge_is_neither_probability_nor_label(read):
    with pytest.raises(InputError, match=r"not used: 'Edema_y': what '_y' stands for is not known; rename it"):
        read(csv("image,Edema_y", ("a", 1), ("b", 0)), LABELS)
    with pytest.raises(InputError, match="2 columns are called 'Edema'; keep or rename one"):
        read(csv("image,Edema,Edema", ("a", 0.5, 1)), LABELS)
    for head in ("image,Edema_x,Edema_y", "image,Edema_true,Edema_prob,Edema_prob_right"):
        row = ("a", 0.5, 1, 0.2)[: head.count(",") + 1]
        with pytest.raises(InputError, match=r"differ in the suffix of a merge only.*Rename them"):
            read(csv(head, row), LABELS)


# --- rows that contradict each other


@pytest.mark.parametrize("tables", [[[("a", 1), ("a", 0)]], [[("a", 1)], [("a", 0)]], [[("a", 0), ("a", -1)]]])
def test_labels_that_contradict_each_other_are_refused_in_any_order(read, tables):
    text = csv("image,Edema", ("a", 0.1), ("b", 0.9))
    for order in (tables, tables[::-1]):
        with pytest.raises(InputError, match=r"Edema of own/a is -?\d in .*labels\d.csv and -?\d in .*--majority"):
            read(text, *(csv("image,Edema", *rows, ("b", 1)) for rows in order))


def test_the_message_names_both_values_and_both_files(read):
    with pytest.raises(InputError, match=r"is 1 in \S*labels0.csv and 0 in \S*labels1.csv; .* \(1 such labels\)"):
        read(csv("image,Edema", ("a", 0.1)), LABELS, csv("image,Edema,Mass", ("a", 0, 1)))


def test_rows_of_releases_that_contradict_each_other_are_refused_too(read):
    head = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
    rows = [("00000001_000.png", name, 0, 1, 50, "M", "PA") for name in ("Edema", "No Finding")]
    with pytest.raises(InputError, match=r"Edema of nih/00000001_000 is 1 in"):
        read(csv("image,Edema", ("00000001_000.png", 0.1)), csv(head, *rows))


def test_rows_that_agree_or_complete_each_other_are_joined_and_what_is_not_predicted_does_not_matter(read):
    text = csv("image,Edema", ("a", 0.1), ("b", 0.9))
    one = csv("image,Edema,Pneumonia,view", ("a", 1, 1, ""), ("a", 1, 0, "PA"), ("x", 0, 0, ""))
    other = csv("image,Edema", ("b", 0), ("x", 1))
    found = read(text, one, other)
    assert truth(found) == [1, 0]
    assert found.films["view"].fillna("").tolist() == ["PA", ""]
    agreeing = read(text, csv("image,Edema", ("a", 1), ("a", 1), ("a", ""), ("b", 0)))
    assert "films or studies in several rows of labels, which agree: 1" in agreeing.notes


def test_a_majority_counts_where_it_is_asked_for_and_a_tie_is_not_known(read):
    text = csv("image,Edema", ("a", 0.1), ("b", 0.9), ("c", 0.5))
    votes = [("a", 1), ("a", 1), ("a", 0), ("b", 1), ("b", 0), ("c", 0), ("c", ""), ("c", "-1")]
    found = read(text, csv("image,Edema", *votes), majority=True)
    assert dict(zip(found.table["image_id"], truth(found), strict=True)) == {"own/a": 1, "own/c": 0}
    told = (
        "3 labels differ between rows of a film: the majority counts; 1 of them, with as many yes as no, are not known"
    )
    assert told in found.notes
    assert "1 of 3 films without a known label are left out" in found.notes


def test_labels_that_are_blank_or_uncertain_are_counted(read):
    found = read(
        csv("image,Edema", ("a", 0.1), ("b", 0.9), ("c", 0.5)), csv("image,Edema", ("a", 1), ("b", ""), ("c", -1))
    )
    assert truth(found) == [1]
    assert "labels0.csv: 1 blank and 1 uncertain labels (-1) of 3 count as not known" in found.notes


# --- studies

DICOM = "8c5fb88c-d990cb43-bf7f5800-6eb7fadf-"
STUDIES = csv("subject_id,study_id,Edema", (10, 50000001, 1), (11, 50000002, 0))


def test_mimics_films_have_the_labels_of_their_study_by_a_column_or_by_their_folder(read):
    rows = [(10, 50000001, f"{DICOM}1", 0.1), (10, 50000001, f"{DICOM}2", 0.2), (11, 50000002, f"{DICOM}3", 0.3)]
    by_column = read(csv("subject_id,study_id,dicom_id,Edema", *rows), STUDIES)
    paths = [(f"files/p10/p{patient}/s{study}/{film}.jpg", score) for patient, study, film, score in rows]
    by_folder = read(csv("path,Edema", *paths), STUDIES)
    for found in (by_column, by_folder):
        assert truth(found) == [1, 1, 0]
        assert found.table["patient_id"].tolist() == ["10", "10", "11"]
        assert "3 of 3 films have the labels of their study" in found.notes
    assert by_column.table["image_id"].iloc[0] == f"own/{DICOM}1"


def test_studies_have_the_labels_of_their_films_but_no_film_those_of_another(read):
    films = csv("dicom_id,study_id,Edema", ("one", 50000001, 1), ("two", 50000001, 1), ("three", 50000002, 0))
    assert truth(read(csv("study_id,Edema", (50000001, 0.9), ("s50000002", 0.1)), films)) == [1, 0]
    found = read(csv("dicom_id,study_id,Edema", ("one", 50000001, 0.9), ("four", 50000001, 0.1)), films)
    assert truth(found) == [1]
    with pytest.raises(InputError, match=r"Edema of own/50000001 is 1 in .* and 0 in"):
        read(csv("study_id,Edema", (50000001, 0.9)), films.replace("two,50000001,1", "two,50000001,0"))


def test_films_of_chexpert_meet_labels_of_studies_of_any_number_of_columns(read):
    films = [(f"CheXpert-v1.0/test/patient64741/study1/view{n}_frontal.jpg", 0.1 * n) for n in (1, 2)]
    text = csv("Path,Edema", *films, ("CheXpert-v1.0/test/patient64742/study1/view1_frontal.jpg", 0.9))
    few = csv("Study,Edema", ("test/patient64741/study1", 1), ("test/patient64742/study1", 0))
    names = "No Finding,Fracture,Edema,Consolidation,Pneumonia,Pneumothorax,Pleural Effusion,Cardiomegaly"
    many = csv(f"Study,{names}", ("test/patient64741/study1", *[1] * 8), ("test/patient64742/study1", *[0] * 8))
    by_path = csv(f"Path,{names}", (films[0][0], *[1] * 8), ("test/patient64742/study1/view1_frontal.jpg", *[0] * 8))
    for labels, of_study in ((few, 3), (many, 3), (by_path, 1)):
        found = read(text, labels)
        assert truth(found) == [1, 1, 0]
        assert f"{of_study} of 3 films have the labels of their study" in found.notes
        by_study = read(
            csv("Study,Edema", ("test/patient64741/study1", 0.7), ("test/patient64742/study1", 0.2)), labels
        )
        assert truth(by_study) == [1, 0]


def test_labels_of_studies_that_meet_no_film_are_told_as_such(read):
    with pytest.raises(InputError, match=r"These labels are of studies: add a column study_id"):
        read(csv("dicom_id,Edema", (f"{DICOM}1", 0.1)), STUDIES)
    with pytest.raises(
        InputError, match=r"line 3: study own/50000001 stands more than once.*column 'study_id'.*a column"
    ):
        read(csv("study_id,Edema", (50000001, 0.1), (50000001, 0.2)), STUDIES)


# --- numbers


def labelled(scores):
    return csv("image,Edema,Edema_true", *[(n, repr(score), n % 2) for n, score in enumerate(scores)])


@pytest.mark.parametrize("scores", [[1 - 2e-9, 1 - 1e-9], [1e-59, 2e-59], [0.3, np.nextafter(0.3, 1)], [0, 5e-324]])
def test_the_files_own_numbers_are_ranked(read, scores):
    found = read(labelled([float(score) for score in scores] * 6))
    assert found.table["Edema_prob"].tolist() == scores * 6
    assert metrics.ranking(metrics.RANKINGS[0], *predictions.arrays(found.table))[EDEMA] == 1


def test_a_threshold_between_neighbours_of_float64_calls_the_upper_one_only(read):
    low = 0.1
    for high in (np.nextafter(low, 1), np.nextafter(np.nextafter(low, 1), 1)):
        table = read(labelled([low, float(high)] * 6)).table
        fitted = metrics.evaluate(table, fit_on_val(table, "youden"), 0, 0)["findings"]["Edema"]
        assert (fitted["true_positives"], fitted["false_positives"], fitted["auroc"]) == (6, 0, 1)


def test_values_that_rounding_put_beyond_the_ends_are_clipped_and_said_once(read):
    found = read(labelled([1.0000000000000002, -1e-17, 0.5, 1 + 9e-7]))
    assert found.table["Edema_prob"].tolist() == [1, 0, 0.5, 1]
    assert [note for note in found.notes if "rounding" in note] == [
        "3 values beyond 0..1 by less than 1e-06 were taken as 0 or 1 (rounding)"
    ]
    with pytest.raises(InputError, match=r"expected a probability in 0..1, found '1.000002'"):
        read(labelled([1.000002, 0.5]))


@pytest.mark.parametrize(
    ("cell", "advice"), [("55%", "Divide by 100"), ('"0,5"', "decimal comma"), ("-3", "sigmoid"), ("high", "Mend")]
)
def test_other_numbers_come_with_their_remedy(read, cell, advice):
    with pytest.raises(InputError, match=rf"line 2, column 'Edema': expected a probability.*{advice}"):
        read(csv("image,Edema", ("a", cell), ("b", cell)), LABELS)


def test_a_column_of_two_values_is_told_to_be_decisions(read):
    found = read(labelled([0, 1, 0, 0, 1, 1]))
    told = "WARNING: two values only (0 and 1) in column 'Edema': decisions, no probabilities."
    assert found.notes[0].startswith(told)
    assert "equal to the labels" not in "".join(found.notes)
    assert "WARNING: equal to the labels in every film: 'Edema'" in read(labelled([0, 1, 0, 1])).notes[1]
    assert not any("two values" in note for note in read(labelled([0, 1, 0.5])).notes)


def test_a_constant_column_is_not_ranked_and_the_others_are(read):
    text = csv("image,Edema,Pneumonia,Edema_true,Pneumonia_true", ("a", 0.5, 0.1, 1, 0), ("b", 0.5, 0.2, 0, 1))
    found = read(text)
    assert found.reasons["Edema"] == "column 'Edema' is constant, 0.5 for every film: no ranking"
    assert found.table["Edema_true"].isna().all()
    assert found.table["Pneumonia_true"].tolist() == [0, 1]
    with pytest.raises(InputError, match=r"nothing can be ranked: Edema: column 'Edema' is constant"):
        read(labelled([0.5, 0.5, 0.5]))


def test_every_column_that_looks_like_a_finding_and_was_not_used_is_named(read):
    head = "image,Edema_prob,Edema_std,prob_Edema_lower,Edma_score,Pneumoniaprob,note"
    notes = "\n".join(read(csv(head, ("a", 0.1, 1, 2, 3, 4, 5), ("b", 0.2, 1, 2, 3, 4, 5)), LABELS).notes)
    for name in ("Edema_std", "prob_Edema_lower", "Edma_score", "Pneumoniaprob"):
        assert f"'{name}'" in notes
    assert "'note'" not in notes
    assert "'Edema_prob'" not in notes


@pytest.mark.parametrize("order", [("Edema_pred", "Edema_prob"), ("Edema_prob", "Edema_pred")])
def test_of_two_columns_for_one_probability_the_one_of_two_values_is_the_decision(read, order):
    values = {"Edema_prob": (0.1, 0.9, 0.3), "Edema_pred": (0, 1, 0)}
    found = read(csv(f"image,{','.join(order)}", *zip("abc", *(values[name] for name in order), strict=True)), LABELS)
    assert found.table["Edema_prob"].tolist() == [0.1, 0.9, 0.3]
    assert "not used: 'Edema_pred': a decision, of two values, beside 'Edema_prob'" in found.notes


def test_of_two_columns_that_may_both_be_the_probability_none_is_chosen(read):
    with pytest.raises(InputError, match="columns 'Edema_prob' and 'p_Edema' both mean Edema; keep one"):
        read(csv("image,Edema_prob,p_Edema", ("a", 0.1, 0.2), ("b", 0.9, 0.8), ("c", 0.3, 0.3)), LABELS)


def test_probabilities_of_findings_that_are_not_looked_for_are_told(read):
    found = read(
        csv("image,Edema_prob,prob_Atelectasis,p_value_of,score", ("a", 0.1, 1, 2, 3), ("b", 0.9, 1, 2, 3)), LABELS
    )
    assert "not used: 'prob_Atelectasis', 'p_value_of': of no finding of FINDINGS" in found.notes


def test_columns_that_were_exchanged_are_told_and_right_ones_are_not(read):
    # Twelve patients with each: a column of its own finding parts all pairs, of the other's it knows nothing.
    films = [(f"f{n}", f"p{n}", n % 2, n // 2 % 2) for n in range(24)]
    rows = [(*film, 0.2 + 0.6 * film[2] + n / 1000, 0.2 + 0.6 * film[3] + n / 1000) for n, film in enumerate(films)]
    head = "image,patient_id,Edema_true,Effusion_true"
    told = [read(csv(f"{head},{columns}", *rows)).notes for columns in ("p_Edema,p_Effusion", "p_Effusion,p_Edema")]
    assert not any("exchanged" in note for note in told[0])
    note = next(note for note in told[1] if "are columns exchanged?" in note)
    assert "labels of Edema by 'p_Effusion' (AUROC 1.000; by 'p_Edema' 0." in note
    few = read(csv(f"{head},p_Effusion,p_Edema", *rows[:18])).notes  # nine patients with each
    assert not any("exchanged" in note for note in few)
