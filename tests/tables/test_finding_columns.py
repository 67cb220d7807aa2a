"""A column's name says whether it is a finding's probability, its label, or what a model decided; or is told apart."""

import pytest

from cxr.core.findings import FINDINGS
from cxr.tables.finding_columns import merged_twice, read_name, unused_notes


@pytest.mark.parametrize(
    ("column", "finding", "kind"),
    [
        ("prob_Edema", "Edema", "probability"),
        ("Edema_prob", "Edema", "probability"),
        ("p_pneumonia", "Pneumonia", "probability"),
        ("EdemaProb", "Edema", "probability"),
        ("pred Pleural Effusion", "Effusion", "probability"),
        ("y_pred_Edema", "Edema", "probability"),
        ("Edema_prob_x", "Edema", "probability"),
        ("Pleural Effusion", "Effusion", "bare"),
        ("Pleural_Effusion", "Effusion", "bare"),
        ("CARDIOMEGALY", "Cardiomegaly", "bare"),
        ("Edema_y", "Edema", "bare"),
        ("y_true_Edema", "Edema", "truth"),
        ("y_Edema", "Edema", "truth"),
        ("Consolidation_label", "Consolidation", "truth"),
        ("Edema_pred_label", "Edema", "decision"),
        ("predicted_label_Edema", "Edema", "decision"),
        ("Edema_label_pred", "Edema", "decision"),
        ("EdemaPredLabel", "Edema", "decision"),
        ("Edema_binary", "Edema", "decision"),
        ("Edema_decision", "Edema", "decision"),
        ("Edema called", "Edema", "decision"),
        ("pred_class_Pleural_Effusion", "Effusion", "decision"),
        ("Edema_std", "Edema", "unclear"),
        ("Edema_logit", "Edema", "unclear"),
        ("Edema_1", "Edema", "unclear"),
        ("Pericardial Effusion", "Effusion", "unclear"),
        ("edemaprob", "Edema", "unclear"),
        ("Cardiomegally_prob", "Cardiomegaly", "unclear"),
    ],
)
def test_names_are_read_in_words(column, finding, kind):
    known = read_name(column, FINDINGS)
    assert (known.finding, known.kind) == (finding, kind)
    assert bool(known.why) == (kind in ("decision", "unclear"))  # what is left out has its reason


@pytest.mark.parametrize(
    "column", ["prob_Pleural_Thickening", "Patient ID", "Atelectasis_prob", "image", "", "_", "_x"]
)
def test_a_name_without_any_of_the_findings_is_none(column):
    assert read_name(column, FINDINGS) is None


def test_a_finding_may_be_called_like_a_kind_and_in_any_alphabet():
    assert read_name("Support Label", ["Support Label"]).kind == "bare"
    assert read_name("prob_Support_Label", ["Support Label"]).kind == "probability"
    assert read_name("부종_prob", ["부종"]).kind == "probability"


@pytest.mark.parametrize(
    "pair",
    [
        ("Edema_x", "Edema_y"), ("Edema_prob_x", "Edema_prob_y"), ("Edema", "Edema_right"), ("Edema", "Edema.1"),
        ("Edema.x", "Edema.y"), ("Edema_left", "Edema_right"),
    ],
)  # fmt: skip
def test_columns_that_differ_in_a_merges_suffix_only_are_found_in_either_order(pair):
    for one in (pair, pair[::-1]):
        assert tuple(n.column for n in merged_twice([read_name(column, FINDINGS) for column in one])) == one


def test_others_are_no_such_pair():
    names = ["Edema_x", "Effusion_y", "Edema_prob", "Edema_true", "Pneumonia"]
    assert merged_twice([read_name(column, FINDINGS) for column in names]) is None


def test_what_is_not_used_is_one_line_a_reason():
    notes = unused_notes({"a_std": "odd", "b_std": "odd", "c": "late"})
    assert notes == ["not used: 'a_std', 'b_std': odd", "not used: 'c': late"]
