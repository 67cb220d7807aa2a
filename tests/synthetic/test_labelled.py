"""Drawn films with labels: what they say of what is drawn, of what cannot be drawn, and of words for one thing."""

import numpy as np
import pytest

from cxr.core.findings import FINDINGS
from cxr.synthetic import labelled, randomised
from cxr.synthetic.labelled import drawn_severities, labelled_film, labels_of

NAN = np.nan


@pytest.mark.parametrize(
    ("drawn", "labels"),
    [
        ({}, [0, 0, 0, NAN]),
        ({"Edema": 0.5}, [0, 0, 1, NAN]),
        ({"Pneumonia": 0.5}, [NAN, 1, 0, NAN]),  # a report may call it a consolidation
        ({"Infiltration": 0.5, "Edema": 0.5}, [NAN, NAN, 1, NAN]),
        ({"Consolidation": 0.5, "Pneumonia": 0.5}, [1, 1, 0, NAN]),
    ],
)
def test_labels_say_what_is_drawn_and_nothing_where_a_report_could_say_either(drawn, labels):
    np.testing.assert_array_equal(labels_of(drawn, ["Consolidation", "Pneumonia", "Edema", "Hernia"]), labels)


def test_findings_that_are_looked_for_are_frequent_and_others_rare_but_there():
    rng = np.random.default_rng(1)
    films = [drawn_severities(rng, ["Edema", "Effusion"]) for _ in range(2000)]
    shares = {name: np.mean([name in film for film in films]) for name in labelled.DRAWABLE}
    assert [shares["Edema"], shares["Effusion"]] == pytest.approx([labelled.ASKED] * 2, abs=0.03)
    assert [shares["Pneumonia"], shares["Nodule"]] == pytest.approx([labelled.BESIDE] * 2, abs=0.02)


def test_another_list_of_findings_leaves_how_severe_they_are():
    few, all_six = (drawn_severities(np.random.default_rng(5), names) for names in (["Edema"], FINDINGS))
    assert few.items() <= all_six.items() | {(name, few[name]) for name in few if name not in FINDINGS}


def test_a_number_and_a_seed_give_the_same_film_and_labels_and_others_give_others():
    (film, labels), (again, labels_again), (other, _) = (labelled_film(n, 1, 128, FINDINGS) for n in (3, 3, 4))
    np.testing.assert_array_equal(film.pixels, again.pixels)
    np.testing.assert_array_equal(labels, labels_again)
    assert (film.pixels != other.pixels).any()
    assert film.pixels.shape == (128, 128)
    assert labels.shape == (6,)


def test_who_leaves_out_what_is_white_outlines_less_lung_of_the_same_film():
    severities = {"Pneumonia": 1.0}
    whole, less = (
        randomised.draw_randomised_film(np.random.default_rng(4), 128, severities, opaque=share) for share in (1.0, 0.5)
    )
    np.testing.assert_array_equal(whole.pixels, less.pixels)
    gone = (whole.lungs > 0) & (less.lungs == 0)
    assert gone.sum() > 0.02 * (whole.lungs > 0).sum()
    assert not ((whole.lungs == 0) & (less.lungs > 0)).any()
    healthy = randomised.draw_randomised_film(np.random.default_rng(4), 128, {})
    changed = np.abs(whole.pixels.astype(int) - healthy.pixels)
    assert changed[gone].mean() > 3 * changed[less.lungs > 0].mean()


def test_an_effusion_may_fill_half_a_chest_and_other_findings_are_as_severe_as_elsewhere():
    films = [drawn_severities(np.random.default_rng(seed), FINDINGS) for seed in range(300)]
    most = {name: max(film.get(name, 0) for film in films) for name in FINDINGS}
    assert most.pop("Effusion") > 1.3
    assert max(most.values()) <= 1
