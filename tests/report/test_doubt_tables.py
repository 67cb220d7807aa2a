from cxr.report import doubt_tables


def block(**changes):
    bands = [{"from": 0.0, "films": 30, "flips": 0.5}, {"from": 0.25, "films": None, "flips": None}]
    edema = {
        "flips": 0.1, "not_unanimous": 0.15, "coefficient_of_variation": 0.5, "log_ratio": 1.2, "auroc": [0.8, 0.9],
        "expected": {"1": 0.11, "10": 0.03}, "needed": 4, "bands": bands, **changes,
    }  # fmt: skip
    return {"trainings": 3, "films": 40, "findings": {"Edema": edema}, "all": edema}


def test_a_finding_has_its_flips_and_the_members_it_takes_and_the_mean_stands_below():
    spread, bands = doubt_tables.flip_tables(block())
    assert spread.caption == "3 trainings on the same 40 films: do they say the same?"
    cells = [[cell.text for cell in row] for row in spread.rows]
    assert cells[0] == ["Edema", "0.100", "0.150", "0.500", "1.200", "0.800", "0.900", "0.110", "0.030", "4"]
    assert cells[1] == ["Mean", "0.100", "0.150", "0.500", "1.200", "", "", "", "", ""]
    assert {len(row) for row in cells} == {len(spread.heads)}
    assert spread.foot == 1
    assert bands.heads == ["Finding", "0 to 0.25", "0.25 and more"]
    assert [(cell.text, cell.below) for cell in bands.rows[0]] == [("Edema", ""), ("0.500", "30 films"), ("n/a", "")]


def test_what_is_not_reached_or_not_defined_is_said():
    spread, _ = doubt_tables.flip_tables(block(needed=None, auroc=None))
    assert [cell.text for cell in spread.rows[0]][-1] == "more than 200"
    assert [cell.text for cell in spread.rows[0]][5:7] == ["n/a", "n/a"]


def test_of_one_training_there_is_no_table():
    assert doubt_tables.flip_tables({"reason": "one member only"}) == doubt_tables.flip_tables(None) == []


def heart(**changes):
    """heart_size of shortcuts.json."""
    change = {"first": 0.8, "second": 0.7, "difference": 0.1, "interval": [0.02, 0.18], "no_interval": None}
    every = {
        "films": 90, "patients": 60, "positives": 20, "too_few": False, "auroc": change, "spearman": 0.55,
        "ratio": {"auroc": 0.7, "interval": [0.61, 0.79], "no_interval": None},
        "median_with": 0.55, "median_without": 0.45,
    }  # fmt: skip
    few = "3 positive patients"
    bedside = every | {
        "films": 12, "positives": 3, "too_few": True, "auroc": change | {"interval": None, "no_interval": few},
        "ratio": {"auroc": 0.6, "interval": None, "no_interval": few},
    }  # fmt: skip
    odd = {"image_id": "nih/7", "label": 0, "ratio": 0.61, "probability": 0.0312, "ratio_rank": 0.95,
           "probability_rank": 0.1, "doubt": "of two lungs one is small"}  # fmt: skip
    without = {"lung mask not accepted": 8, "no heart found": 2}
    groups = {"all films": every, "AP": bedside}
    own = {"finding": "Cardiomegaly", "films": 100, "without_ratio": without, "groups": groups, "disagreement": odd}
    return own | changes


def test_heart_size_alone_stands_beside_the_model_and_says_what_it_is_not():
    shown = doubt_tables.heart_table(heart())
    cells = [[cell.text for cell in row] for row in shown.rows]
    assert cells[0] == ["All films", "90", "20", "0.700", "0.800", "+0.100", "0.550", "0.450", "0.550"]
    assert cells[1][:4] == ["AP", "12", "3", "0.600"]
    assert [cell.below for cell in shown.rows[0][3:6]] == ["0.610–0.790", "", "+0.020\u00a0to +0.180"]
    assert {len(row) for row in cells} == {len(shown.heads)}
    assert shown.notes == [
        "AP: too few: fewer than 10 patients with, or without, the finding.",
        "AP: ratio alone, difference without an interval: 3 positive patients.",
        "Without a ratio: 10 of 100 films (8 lung mask not accepted, 2 no heart found).",
        "Ratio and model differ most on nih/7, labelled 0: ratio 0.61 (95 % of the films are not above it), "
        "probability 0.031 (10 %). Its lung mask: of two lungs one is small.",
        doubt_tables.NO_MEASUREMENT,
    ]
    assert "on AP films, and of patients who lie, the heart is drawn too large" in doubt_tables.NO_MEASUREMENT


def test_the_terminal_has_the_same_in_a_few_lines():
    figures, without, differ = doubt_tables.heart_lines(heart())
    assert figures == (
        "Cardiomegaly by the cardiothoracic ratio alone, AUROC on 90 films: 0.700 (0.610–0.790), AP 0.600; the model: "
        "0.800, AP 0.800 (too few patients: AP)"
    )
    assert [without.strip(), differ.strip()] == doubt_tables.heart_table(heart()).notes[2:4]


def test_where_no_figure_is_defined_the_table_says_why():
    silent = {"first": None, "second": None, "difference": None, "interval": None, "no_interval": None}
    healthy = heart()["groups"]["all films"] | {
        "auroc": silent, "ratio": {"auroc": None, "interval": None, "no_interval": "0 positive patients"},
        "median_with": None, "spearman": None, "too_few": True,
    }  # fmt: skip
    shown = doubt_tables.heart_table(heart(groups={"PA": healthy}, without_ratio={}, disagreement=None))
    assert [cell.text for cell in shown.rows[0]][3:] == ["n/a", "n/a", "n/a", "n/a", "0.450", "n/a"]
    assert shown.notes[1:] == [
        "PA: ratio alone, difference n/a: not both classes among these films.",
        "PA: rank correlation n/a: all ratios, or all probabilities, are the same.",
        doubt_tables.NO_MEASUREMENT,
    ]


def test_without_a_ratio_nothing_is_shown():
    assert doubt_tables.heart_table(None) is None
    assert doubt_tables.heart_lines(None) == []
