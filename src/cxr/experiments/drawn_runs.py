"""What drawn films are worth: which trainings are compared, on which films, and what of them is done already.

First weights from drawn films stand against random ones (and ImageNet's), trained further on few and on all of the real
training patients. Of few films every one is tested, cross-fitted by patient; of many those that split.csv holds out.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core import command_line
from cxr.core.artifacts import Step, digest, digest_of, origin, write_csv
from cxr.core.errors import InputError
from cxr.core.parameters import Params
from cxr.core.settings import Settings
from cxr.evaluation.predictions import prob_columns
from cxr.experiments.planning import folder_of
from cxr.preparation.films import load_films
from cxr.tables import schema
from cxr.tables.splitting import hash_fraction

FIRST = ("none", "drawn", "imagenet")
FOLDS = 5
MANY = 5000  # films from which on those of split.csv are a test wide enough
STEPS = 60  # of a training at least: few films are passed over more often
EPILOG = f"""sh experiment.sh drawn: one network learns from drawn films alone and is tested on real ones; then it and a
random one (and ImageNet's, where it can be had) learn from 1, 10 and 100 % of the real training patients, with every
seed. Below {MANY:,} films all are tested, in {FOLDS} folds of the patients: 90 trainings of EPOCHS epochs, {STEPS}
steps at least. What is finished stays: stop and go on at any time, or add seeds, folds and shares later."""


@dataclass(frozen=True)
class Run:
    """One training: its first weights, the share of training patients in percent (0: none at all), seed, and fold."""

    first: str
    percent: float
    seed: int
    fold: int

    @property
    def name(self) -> str:
        return f"{self.first}_{self.percent:g}_{self.seed}_{self.fold}"

    @property
    def told(self) -> str:
        if not self.percent:
            return "drawn films alone"
        return f"first weights {self.first}, {self.percent:g} % of the patients, seed {self.seed}, fold {self.fold}"


@dataclass(frozen=True)
class Plan:
    """What is compared.

    films : DataFrame of N rows, all that can be read, with ``row`` of the pack. pack : (rows, size, size), uint8.
    truth : (N, F). fold : (N,), the fold that tests a film, 1 and so on; 0 = it trains, -1 = neither. runs: in their
    order. folder : where predictions go. inputs : digests of the films, and a finer output stride. first_of : the first
    weights, and what they depend on.
    """

    films: pd.DataFrame
    pack: np.ndarray
    truth: np.ndarray
    fold: np.ndarray
    runs: tuple[Run, ...]
    folder: Path
    inputs: dict[str, Any]
    first_of: dict[str, Any]

    @property
    def firsts(self) -> list[str]:
        return list(self.first_of)

    def tested(self, run: Run) -> np.ndarray:
        """Which films (N,) a run is tested on: those of its fold; without training of all folds that are asked for."""
        if run.percent:
            return self.fold == run.fold
        return np.isin(self.fold, [other.fold for other in self.runs if other.percent])

    def trained(self, run: Run) -> np.ndarray:
        """Positions (n,) of the films that a run trains on: all of the first patients in an order that its seed says.

        So those of 1 % are among those of 10 %, and all first weights have the same.
        """
        patients = self.films["patient_id"].to_numpy()
        others = np.flatnonzero((self.fold != run.fold) & (self.fold >= 0))
        places = hash_fraction(f"drawn:{run.seed}", patients[others])
        ranks = np.unique(places)
        last = ranks[max(1, round(len(ranks) * run.percent / 100)) - 1]
        return others[places <= last]

    def passes(self, run: Run, params: Params) -> int:
        """How often an epoch passes over each of its films: of few more than once, for `STEPS` in all of EPOCHS."""
        training = params.training
        return math.ceil(STEPS * training.batch_size / (training.epochs * max(len(self.trained(run)), 1)))

    def steps(self, run: Run, params: Params) -> int:
        """Batches of a run: what it costs."""
        if not run.percent:
            return 0
        films = self.passes(run, params) * len(self.trained(run))
        return params.training.epochs * math.ceil(films / params.training.batch_size)


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments of the experiment; SETTINGS.json and PARAMS.json say the rest."""
    arguments = command_line.parser(description)
    arguments.epilog = EPILOG
    arguments.add_argument("name", choices=["drawn"], help="the experiment")
    arguments.add_argument("--member", help="the network, one of ENSEMBLE_MEMBERS (the first of them)")
    arguments.add_argument(
        "--first", nargs="+", choices=FIRST, help="first weights; others are compared with the first (all that are had)"
    )
    arguments.add_argument(
        "--percent", type=float, nargs="+", default=[1, 10, 100], help="of the training patients (1 10 100)"
    )
    arguments.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="trainings each (1 2 3)")
    arguments.add_argument(
        "--folds", type=int, nargs="+", choices=range(1, FOLDS + 1), default=list(range(1, FOLDS + 1)),
        help=f"which of {FOLDS} folds are tested (all)",
    )  # fmt: skip
    arguments.add_argument(
        "--test", choices=["folds", "split"], help=f"what is tested (folds below {MANY:,} films, else split.csv's test)"
    )
    arguments.add_argument(
        "--out", type=command_line.path, help="file of the tables, .md, .json and .png (MODELS_DIR/experiments/…)"
    )
    return arguments


def plan(
    arguments: argparse.Namespace, settings: Settings, params: Params, member: str, first_of: dict[str, Any]
) -> Plan:
    """All runs in their order: a seed after the other, in it fold by fold, in that what is compared side by side.

    ``first_of``: the first weights, and what they depend on.

    Raises
    ------
    InputError
        Films are not prepared; a share is no share; there is nothing to test or to train on.
    """
    size = params.input_size(member)
    films, pack = load_films(settings, params, size)
    films = films.assign(row=np.arange(len(films)))[films["split"] != "unreadable"].reset_index(drop=True)
    truth = schema.label_array(films, params.findings)
    percents = sorted(set(arguments.percent))
    if not all(0 < percent <= 100 for percent in percents):
        raise InputError(f"--percent: expected shares above 0, at most 100; found {percents}.")
    by_folds = (arguments.test or ("folds" if len(films) < MANY else "split")) == "folds"
    fold, folds = own_split(films), [1]
    if by_folds:
        fold, folds = folds_of(truth, films["patient_id"].to_numpy(), FOLDS, params.general.seed), arguments.folds
    if not {FOLDS if by_folds else 0, 1} <= set(fold.tolist()):
        raise InputError(
            f"{settings.split_csv}: expected films of train and of test. Name --test folds, or more films."
        )
    compared = [
        Run(first, percent, seed, number)
        for seed in dict.fromkeys(arguments.seeds)
        for number in sorted(set(folds))
        for percent in percents
        for first in first_of
    ]
    without = [Run("drawn", 0, params.general.seed, 0)] if "drawn" in first_of else []
    stride = params.output_stride(member)
    made_from = {
        "pack": origin(settings.pack(size).with_suffix(".json"), "sh prepare_data.sh"),
        "images": digest(settings.images_csv),
        "films": digest_of([films["image_id"].tolist(), fold.tolist()]),
        **({} if stride == 32 else {"output_stride": stride}),  # runs from before it was noted stay
    }
    folder = folder_of(settings) / f"drawn_{member}"
    return Plan(films, pack, truth, fold, (*without, *compared), folder, made_from, first_of)


def own_split(films: pd.DataFrame) -> np.ndarray:
    """`Plan.fold` by split.csv: films of test are the one fold, those of val are left out."""
    return films["split"].map({"test": 1, "train": 0}).fillna(-1).to_numpy(int)


def folds_of(truth: np.ndarray, patients: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold (N,), 1 to ``folds``, of each film: all of a patient in one, and positives spread evenly.

    Those with the rarest findings are dealt first, each to the fold that has least of what they bring; whose turn it is
    among equals is a matter of the seed.

    Parameters
    ----------
    truth : array of shape (N, F)
        1, 0 or NaN = not known.
    patients : array of shape (N,)
    folds, seed : int
    """
    names, owner = np.unique(patients, return_inverse=True)
    brought = np.zeros((len(names), truth.shape[1] + 1))
    np.add.at(brought, owner, np.column_stack([truth == 1, np.ones(len(truth))]))
    shares = brought / np.maximum(brought.sum(axis=0), 1)
    held, chosen = np.zeros((folds, shares.shape[1])), np.zeros(len(names), int)
    for patient in np.lexsort([hash_fraction(f"folds:{seed}", names), -shares.max(axis=1)]):
        chosen[patient] = np.lexsort([held[:, -1], held @ (shares[patient] > 0)])[0]
        held[chosen[patient]] += shares[patient]
    return chosen[owner] + 1


def step_of(run: Run, planned: Plan, params: Params) -> Step:
    """The record of a run."""
    path = planned.folder / f"{run.name}.csv"
    keys = {
        "run": vars(run),
        "first": planned.first_of[run.first],
        "films": digest_of(planned.films["image_id"][planned.tested(run)].tolist()),
    }
    if run.percent:
        used = ("batch_size", "gradient_accumulation", "optimizer", "learning_rate", "weight_decay", "class_weights")
        keys |= {
            "training": params.training.model_dump(include={*used, "class_weight_limit", "precision"}),
            "augmentation": params.augmentation.model_dump(),
            "models": [params.models.dropout, params.models.batch_norm_momentum],
            "epochs": [params.training.epochs, planned.passes(run, params)],
        }
    return Step(path.with_suffix(".json"), planned.inputs, keys, [path])


def finish(run: Run, planned: Plan, params: Params, network: Any, first: list[np.ndarray]) -> None:
    """Train a `training.repeated.Repeated` from first weights, and write what it says of the films of its fold."""
    step, films, tested = step_of(run, planned, params), planned.films, planned.tested(run)
    step.begin()
    weights = first
    if run.percent:
        chosen, passes = planned.trained(run), planned.passes(run, params)
        names = [f"{name}#{number}" for number in range(passes) for name in films["image_id"].to_numpy()[chosen]]
        chosen, weights = np.tile(chosen, passes), None
        network.train(first, planned.pack, films["row"].to_numpy()[chosen], names, planned.truth[chosen], run.seed)
    found = network.probabilities(planned.pack, films["row"].to_numpy()[tested], weights)
    table = pd.DataFrame(found, columns=prob_columns(params.findings))
    table.insert(0, "image_id", films["image_id"].to_numpy()[tested])
    write_csv(table, planned.folder / f"{run.name}.csv")
    step.finish()
