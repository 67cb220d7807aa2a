from cxr.report import flip_tables


def block(**changes):
    bands = [{"from": 0.0, "films": 30, "flips": 0.5}, {"from": 0.25, "films": None, "flips": None}]
    edema = {
        "flips": 0.1, "not_unanimous": 0.15, "coefficient_of_variation": 0.5, "log_ratio": 1.2, "auroc": [0.8, 0.9],
        "expected": {"1": 0.11, "10": 0.03}, "needed": 4, "bands": bands, **changes,
    }  # fmt: skip
    return {"trainings": 3, "films": 40, "findings": {"Edema": edema}, "all": edema}


def test_a_finding_has_its_flips_and_the_members_it_takes_and_the_mean_stands_below():
    spread, bands = flip_tables.flip_tables(block())
    assert spread.caption == "3 trainings on the same 40 films: do they say the same?"
    cells = [[cell.text for cell in row] for row in spread.rows]
    assert cells[0] == ["Edema", "0.100", "0.150", "0.500", "1.200", "0.800", "0.900", "0.110", "0.030", "4"]
    assert cells[1] == ["Mean", "0.100", "0.150", "0.500", "1.200", "", "", "", "", ""]
    assert {len(row) for row in cells} == {len(spread.heads)}
    assert spread.foot == 1
    assert bands.heads == ["Finding", "0 to 0.25", "0.25 and more"]
    assert [(cell.text, cell.below) for cell in bands.rows[0]] == [("Edema", ""), ("0.500", "30 films"), ("n/a", "")]


def test_what_is_not_reached_or_not_defined_is_said():
    spread, _ = flip_tables.flip_tables(block(needed=None, auroc=None))
    assert [cell.text for cell in spread.rows[0]][-1] == "more than 200"
    assert [cell.text for cell in spread.rows[0]][5:7] == ["n/a", "n/a"]


def test_of_one_training_there_is_no_table():
    assert flip_tables.flip_tables({"reason": "one member only"}) == flip_tables.flip_tables(None) == []
