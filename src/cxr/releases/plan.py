"""Who has which finding in the synthetic releases: patients, films, views and severities, before anything is drawn.

The numbers marked NIH were computed from Data_Entry_2017.csv of ChestX-ray14 (112,120 films of 30,805 patients), films
of a patient in the order of their follow-up number. Prevalences are raised: the real ones would leave a demo of two
thousand films with a dozen pneumonias.
"""

from dataclasses import dataclass, replace

import numpy as np

from cxr.core.findings import FINDINGS
from cxr.synthetic.phantoms import draw_severity

# NIH: share of patients with 1, 2, … films. The last number holds all with 8 or more (up to 184): cut there, since in a
# small release a few long series would decide how many positives a split gets.
FILMS_PER_PATIENT = (0.5682, 0.1335, 0.0682, 0.0432, 0.0304, 0.0255, 0.0197, 0.1113)

# NIH: share of films with a finding whose next film of the same patient has it too.
PERSISTENCE = {
    "Consolidation": 0.281, "Pneumothorax": 0.556, "Edema": 0.304, "Effusion": 0.487, "Pneumonia": 0.130,
    "Cardiomegaly": 0.305,
}  # fmt: skip

# NIH: share of the films with the row's finding that have the column's too, both in the order of FINDINGS.
TOGETHER = np.array(
    [
        [1.000, 0.048, 0.035, 0.276, 0.026, 0.036],
        [0.042, 1.000, 0.006, 0.188, 0.008, 0.009],
        [0.070, 0.014, 1.000, 0.257, 0.148, 0.055],
        [0.097, 0.075, 0.045, 1.000, 0.020, 0.080],
        [0.086, 0.029, 0.238, 0.188, 1.000, 0.029],
        [0.061, 0.018, 0.046, 0.383, 0.015, 1.000],
    ]
)
# Not as in NIH (0.086): a lobar pneumonia is an airspace opacity, and the phantoms' pneumonias are lobar.
PNEUMONIA_IS_CONSOLIDATION = 0.65
TOGETHER_MORE = 2.0  # heart failure (edema, effusion, large heart) on one film more often than NIH's reports say

# NIH: share of AP films among those with a finding, and among those with none of the six.
AP_SHARE = {
    "Consolidation": 0.674, "Pneumothorax": 0.357, "Edema": 0.880, "Effusion": 0.505, "Pneumonia": 0.560,
    "Cardiomegaly": 0.437,
}  # fmt: skip
AP_SHARE_NONE = 0.366

# NIH: labels outside the six among films with none of the six, and with some.
OTHER_LABELS = {
    "Infiltration": (0.151, 0.272),
    "Atelectasis": (0.076, 0.198),
    "Nodule": (0.054, 0.066),
    "Mass": (0.043, 0.083),
    "Pleural_Thickening": (0.024, 0.052),
    "Emphysema": (0.016, 0.045),
    "Fibrosis": (0.015, 0.014),
    "Hernia": (0.002, 0.002),
}


@dataclass(frozen=True)
class Mix:
    """What a hospital sees: share of sick films, weights of the leading finding, share of AP films added."""

    sick: float
    leading: tuple[float, ...]  # in the order of FINDINGS
    more_ap: float


# CheXpert's frontal films are 84 % AP (161,590 of 191,027), with more edema and effusion than NIH's.
MIXES = {
    "nih": Mix(0.47, (0.07, 0.28, 0.14, 0.07, 0.23, 0.24), 0.0),
    "chexpert": Mix(0.52, (0.06, 0.27, 0.16, 0.10, 0.22, 0.23), 0.45),
    "montgomery": Mix(0.25, (0.35, 0.05, 0.05, 0.25, 0.2, 0.1), -1.0),
    "shenzhen": Mix(0.30, (0.35, 0.05, 0.05, 0.25, 0.2, 0.1), -1.0),
}
HOSPITAL_NUMBERS = {"nih": 1, "chexpert": 2, "montgomery": 3, "shenzhen": 4}


@dataclass(frozen=True)
class PlannedFilm:
    """One film to draw; severities holds the six findings present, others the labels outside the six."""

    hospital: str
    patient: int  # from 1
    number: int  # of the film within the patient, from 0
    view: str
    severities: dict[str, float]
    others: dict[str, float]
    split: str = "train"  # "test": NIH's test list, CheXpert's valid.csv


def plan_films(seed, hospital, films, severity_scale=1.0, first_patient=1, films_per_patient=FILMS_PER_PATIENT):
    """Plan a number of frontal films of one hospital.

    Parameters
    ----------
    seed : int. films : number of frontal films. severity_scale : factor on every severity.
    first_patient : number of the first patient. films_per_patient : share of patients with 1, 2, … films.

    Returns
    -------
    list of PlannedFilm, sorted by patient and number.
    """
    planned, patient = [], first_patient
    while len(planned) < films:
        rng = np.random.default_rng([seed, HOSPITAL_NUMBERS[hospital], patient, 0])
        count = 1 + rng.choice(len(films_per_patient), p=np.array(films_per_patient) / np.sum(films_per_patient))
        series = _plan_patient(rng, hospital, patient, int(count), severity_scale)
        planned.extend(series[: films - len(planned)])
        patient += 1
    return planned


def _plan_patient(rng, hospital, patient, count, severity_scale):
    mix, series, before, view = MIXES[hospital], [], None, None
    for number in range(count):
        fresh = _draw_set(rng, mix)
        severities = {}
        for finding in FINDINGS:
            prevalence = PREVALENCE[hospital][finding]
            # Copying the last state this often gives the measured persistence and leaves the prevalence as it is.
            copies = (PERSISTENCE[finding] - prevalence) / (1 - prevalence)
            copied = rng.random() < copies and before is not None
            severity, unchanged = draw_severity(rng, severity_scale), rng.random() < 0.7
            if finding in (before if copied else fresh):
                stays = copied and unchanged
                severities[finding] = before[finding] if stays else severity
        view = _draw_view(rng, mix, severities, view)
        others = {
            label: draw_severity(rng)
            for label, shares in OTHER_LABELS.items()
            if rng.random() < shares[1 if severities else 0]
        }
        series.append(PlannedFilm(hospital, patient, number, view, severities, others))
        before = severities
    return series


def _draw_set(rng, mix):
    """Findings of one film on their own: a leading one, then those that come with it."""
    sick, lead = rng.random() < mix.sick, rng.choice(len(FINDINGS), p=np.array(mix.leading) / np.sum(mix.leading))
    chances = rng.random(len(FINDINGS))
    return {
        finding
        for finding, chance, share in zip(FINDINGS, chances, _with(lead), strict=True)
        if sick and chance < share
    }


def _with(lead):
    """Chance of every finding (6,) beside a leading one, 1 for itself."""
    share = np.minimum(TOGETHER[lead] * TOGETHER_MORE, 0.5)
    share[lead] = 1
    if FINDINGS[lead] == "Pneumonia":
        share[FINDINGS.index("Consolidation")] = PNEUMONIA_IS_CONSOLIDATION
    return share


def _prevalence(mix):
    leading = np.array(mix.leading) / np.sum(mix.leading)
    share = mix.sick * leading @ np.stack([_with(lead) for lead in range(len(FINDINGS))])
    return dict(zip(FINDINGS, share.tolist(), strict=True))


PREVALENCE = {hospital: _prevalence(mix) for hospital, mix in MIXES.items()}


def _draw_view(rng, mix, severities, before):
    share = max([AP_SHARE[finding] for finding in severities], default=AP_SHARE_NONE)
    share = np.clip(share + mix.more_ap * (1 - share if mix.more_ap > 0 else 1), 0, 1)
    chance, copied = rng.random(), rng.random() < 0.4
    if before and copied:
        return before
    return "AP" if chance < share else "PA"


def plan_nih(seed, films, severity_scale=1.0, test_fraction=0.27):
    """NIH-like films; a share of the patients is on the official test list."""
    planned = plan_films(seed, "nih", films, severity_scale)
    patients = sorted({film.patient for film in planned})
    order = np.random.default_rng([seed, HOSPITAL_NUMBERS["nih"]]).permutation(patients)
    test = set(order[: round(test_fraction * len(patients))].tolist())
    return [replace(film, split="test" if film.patient in test else "train") for film in planned]


def plan_chexpert(seed, films, severity_scale=1.0, valid_fraction=0.18, lateral_share=0.15):
    """CheXpert-like films: train patients, then valid patients with one frontal film each, and lateral films beside."""
    valid = round(valid_fraction * films)
    planned = plan_films(seed, "chexpert", films - valid, severity_scale)
    # CheXpert's own valid patients begin at 64541.
    single = plan_films(seed, "chexpert", valid, severity_scale, first_patient=64541, films_per_patient=(1,))
    planned += [replace(film, split="test") for film in single]
    rng = np.random.default_rng([seed, HOSPITAL_NUMBERS["chexpert"]])
    laterals = [replace(film, view="LATERAL") for film in planned if rng.random() < lateral_share]
    return sorted(planned + laterals, key=lambda film: (film.patient, film.number, film.view == "LATERAL"))


def plan_lungs(seed, films, severity_scale=1.0):
    """Montgomery-like and Shenzhen-like films, 2 : 3, one a patient."""
    montgomery = round(0.41 * films)
    parts = (("montgomery", montgomery), ("shenzhen", films - montgomery))
    return [film for name, count in parts for film in plan_films(seed, name, count, severity_scale, 1, (1,))]
