"""Colours: distinct for up to thirty findings, the same for the same list."""

import numpy as np

from cxr.core.findings import COLOURS, FINDINGS, colours


def test_thirty_findings_have_thirty_colours_that_differ():
    for names in ([f"Finding {n}" for n in range(30)], [*FINDINGS, *(f"Finding {n}" for n in range(24))]):
        found = colours(names)
        assert list(found) == names
        seen = np.array([list(bytes.fromhex(colour[1:])) for colour in found.values()], float)
        distance = np.abs(seen[:, None] - seen[None]).sum(axis=2) + 999 * np.eye(30)
        assert distance.min() > 40
        assert (seen.max(axis=1) > 60).all()  # not black
        assert (seen.min(axis=1) < 200).all()  # not white


def test_the_defaults_keep_their_colours_wherever_they_stand_and_others_hang_on_the_list_alone():
    assert colours(FINDINGS) == COLOURS
    mixed = colours(["Hernia", *reversed(FINDINGS), "Mass"])
    assert {finding: mixed[finding] for finding in FINDINGS} == COLOURS
    assert mixed == colours(["Hernia", *reversed(FINDINGS), "Mass"])
    assert mixed["Hernia"] == colours(["Hernia"])["Hernia"]
