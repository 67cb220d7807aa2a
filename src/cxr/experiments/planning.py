"""What is compared with what: an experiment's variants, and its runs, each with JSON files and folders of its own.

A run is one training of one member and its evaluation, by the very scripts that a researcher calls. What is prepared
and equal between runs (tables, masks, packs) is linked, never made twice; the U-Net is one for all.
"""

import argparse
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.core import command_line, configuration
from cxr.core.artifacts import as_json, read_record, write_json
from cxr.core.errors import InputError
from cxr.core.members import BACKBONES
from cxr.core.parameters import Params, as_now
from cxr.core.settings import Settings
from cxr.tables.merging import merge
from cxr.tables.sources.catalogue import SOURCES, has_policy, in_use, plan_test
from cxr.tables.sources.source import Source
from cxr.tables.splitting import hold_out

NAMES = ("protocols", "hospitals", "masking", "labels")
BASE = "base"  # folder of the runs that change nothing: several experiments share them
FAMILY = "ensemble"  # of one member: every backbone of the ensemble can be compared
TRAINS = """sh experiment.sh TRAINS: every variant with every seed, one after the other, each from its beginning.
With three seeds: protocols 6 trainings (2 variants), labels 9 (3), masking 12 (4), hospitals 3 and 3 more for each
source of films, those of one source with twice the epochs. Each takes films x epochs / rate: two cores train
DenseNet169 at 96 px on 44 films a second (more: docs/scaling.md); after the first run it is told how long the rest will
take. Films are masked and packed again where a variant needs it. What is finished stays: stop and go on at any time."""


def variants(name: str, params: Params, sources: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The variants of an experiment: what each is called, and the keys of PARAMS.json that it changes.

    ``sources`` are those in use. All others are compared with the first. A variant trained on one hospital gets twice
    the epochs: with half of the films that is about as many steps.
    """
    twice = {"EPOCHS": 2 * params.training.epochs}
    every = {
        "protocols": {"by patient": {"SPLIT": "patient"}, "by image": {"SPLIT": "image"}},
        "hospitals": {"on both" if len(sources) == 2 else "on all": {"TRAIN_SOURCES": []}}
        | {f"on {source}": {"TRAIN_SOURCES": [source], **twice} for source in sources},
        "masking": {masking: {"LUNG_MASKING": masking} for masking in ("none", "crop", "loose", "hard")},
        "labels": {
            label: {"UNCERTAIN_LABELS": dict.fromkeys(params.findings, policy)}
            for label, policy in (("ignore", "ignore"), ("zeros", "negative"), ("ones", "positive"))
        },
    }
    return every[name]


@dataclass(frozen=True)
class Run:
    """One variant with one seed: its folder, and what its SETTINGS.json and PARAMS.json hold."""

    variant: str
    seed: int
    folder: Path
    settings: dict[str, Any]
    params: dict[str, Any]

    def loaded(self) -> tuple[Settings, Params]:
        """Both files as every script reads them."""
        settings = configuration.load_settings(self.folder / "SETTINGS.json")
        return settings, configuration.load_params(self.folder / "PARAMS.json")

    def results(self) -> Path:
        """Folder of the run's predictions and metrics."""
        return self.folder / "models" / "classification" / FAMILY

    def is_finished(self) -> bool:
        """Whether metrics are there, of these settings and parameters: `begin` removes those of others."""
        return self.is_laid_out() and (self.results() / "metrics.json").exists()

    def is_laid_out(self) -> bool:
        """Whether its JSON files are there and mean the same; a key that an older version lacked is its default."""
        params = read_record(self.folder / "PARAMS.json")
        if read_record(self.folder / "SETTINGS.json") != self.settings or not params:
            return False
        same_tracking = {"TRACKING": self.params["TRACKING"]}  # which is no part of what a run is
        return as_json(configuration.params_from({}, "-").flat()) | as_now(params) | same_tracking == self.params


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments of an experiment; SETTINGS.json and PARAMS.json say what is common to all of its runs."""
    arguments = command_line.parser(description)
    arguments.epilog = TRAINS
    arguments.add_argument("name", choices=NAMES, help="the experiment (sh experiment.sh drawn --help: another)")
    arguments.add_argument("--member", default="densenet169", choices=BACKBONES, help="the network (densenet169)")
    arguments.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="one training each (1 2 3)")
    arguments.add_argument(
        "--out", type=command_line.path, help="file of the tables, .md and .json (MODELS_DIR/experiments/…)"
    )
    return arguments


def folder_of(settings: Settings) -> Path:
    """Where the runs and result tables of all experiments lie."""
    return settings.models_dir / "experiments"


def plan(name: str, settings: Settings, params: Params, member: str, seeds: list[int]) -> list[Run]:
    """All runs of an experiment in their order: every variant with the first seed, then with the next.

    Raises
    ------
    InputError
        A parameter of a variant is refused.
    """
    own = params.for_member(member).flat() | {
        "ENSEMBLE_MEMBERS": [member],
        "EFFICIENTNET_INPUT_SIZE": params.input_size(member),  # else films are packed for it too
        "MEMBER_OVERRIDES": {},
    }
    base = as_json(own)
    runs, sources = [], [source.name for source in in_use(settings)]
    for seed in seeds:
        for variant, changes in variants(name, params.for_member(member), sources).items():
            subfolder = BASE if changes.items() <= base.items() else f"{name}_{variant.replace(' ', '_')}"
            folder = folder_of(settings) / member / subfolder / f"seed_{seed}"
            content = base | changes | {"SEED": seed}
            configuration.params_from(content, f"{name}, {variant}")
            runs.append(Run(variant, seed, folder, _settings_of(settings, folder), content))
    return runs


def planned(arguments: argparse.Namespace, settings: Settings, params: Params) -> list[Run]:
    """`plan` of what was asked for; nothing is begun that cannot be compared (`check_possible`)."""
    runs = plan(arguments.name, settings, params, arguments.member, arguments.seeds)
    if not any(run.is_finished() for run in runs):
        check_possible(
            arguments.name,
            settings,
            [configuration.params_from(run.params, "-") for run in runs if run.seed == runs[0].seed],
        )
    return runs


def time_left(runs: Sequence[Run], member: str) -> str:
    """How long the training of the others will take, if it takes as long as that of the finished; "" before one is."""
    records = [run.folder / "models" / "classification" / FAMILY / member / "run.json" for run in runs]
    finished = [read_record(path).get("seconds") for path, run in zip(records, runs, strict=True) if run.is_finished()]
    seconds = [each for each in finished if each]
    left = len(runs) - len(finished)
    if not seconds or not left:
        return ""
    return f"; training the other {left} takes about {left * sum(seconds) / len(seconds) / 60:.0f} min on this machine"


def check_possible(name: str, settings: Settings, variants: Sequence[Params]) -> None:
    """Raise an InputError where a variant of an experiment could not be trained, or all would be the same.

    Parameters
    ----------
    name : str
    settings : Settings
        Its raw tables are read, and its films looked for: seconds, before hours.
    variants : sequence of Params
        Of the runs, the first variant first.
    """
    sources = in_use(settings)
    if name == "hospitals":
        if len(sources) < 2:
            others = "; ".join(
                f"{source.title}: {', '.join(source.keys)}" for source in SOURCES if source not in sources
            )
            raise InputError(
                "experiment hospitals: compares training on each of several hospitals, and SETTINGS.json names tables "
                f"of {sources[0].title} only. Name those of another ({others}), or choose another experiment."
            )
        _refuse_untrainable(settings, variants[0], sources)
    if name == "labels":
        doubting = [source for source in sources if has_policy(source.name)]
        if not any(_differ(source, settings, variants) for source in doubting):
            raise InputError(
                "experiment labels: compares what uncertain labels (-1) are taken for, and no film on disk of "
                f"{', '.join(source.title for source in sources)} has one of {', '.join(variants[0].findings)}: all "
                "variants would be the same. Name a table that has them."
            )


def _refuse_untrainable(settings: Settings, params: Params, sources: Sequence[Source]) -> None:
    """Raise an InputError where all films of a source are missing, or held out for the test."""
    for source in sources:
        on_disk = source.on_disk(settings)
        table = source.read(settings, params, on_disk).table
        images = merge({source.name: table}, {source.name: on_disk}, params.tables).images
        rule = plan_test(images, {source.name: table}, settings, params)
        held_out = hold_out(images, rule.listed, rule.hashed, params.tables)
        if images[held_out.columns[0]].isin(held_out.iloc[:, 0]).all():
            raise InputError(
                f"experiment hospitals: all {len(images):,} films of {source.title} on disk are held out for the test, "
                f"none is left to train on. Add films of it for training ({', '.join(source.keys)})."
            )


def _differ(source: Source, settings: Settings, variants: Sequence[Params]) -> bool:
    """Whether labels of a source's films on disk depend on the variant."""
    on_disk = source.on_disk(settings)
    tables = (source.read(settings, params, on_disk).table for params in variants)
    labels = [table[table["path"].isin(on_disk)][list(variants[0].findings)] for table in tables]
    return any(not other.equals(labels[0]) for other in labels[1:])


def _settings_of(settings: Settings, folder: Path) -> dict[str, Any]:
    """SETTINGS.json of a run: the same raw data, produced things below its folder; "" stays "" (no such release)."""
    raw = {
        key: value if not isinstance(value, Path) else str(value) if value.is_absolute() else ""
        for key, value in settings.model_dump(by_alias=True).items()
    }
    return raw | {"DATA_DIR": str(folder / "data"), "MODELS_DIR": str(folder / "models")}


def begin(run: Run, settings: Settings, params: Params, others: list[Run]) -> None:
    """Lay out a run's folder: its JSON files, the common U-Net, and links to what is prepared already.

    Parameters
    ----------
    run : Run
    settings, params : of the whole experiment
        Its DATA_DIR is linked from too, where prepare_data.sh was run for it; its U-Net is used, or trained there.
    others : list of Run
        Runs to link from where they are finished. The most similar one is taken; every step then checks for itself
        whether what is linked is what it would make, and replaces it where it is not.
    """
    if not run.is_laid_out():
        (run.results() / "metrics.json").unlink(missing_ok=True)
        write_json(run.settings, run.folder / "SETTINGS.json")
        write_json(run.params, run.folder / "PARAMS.json")
    unet, link = settings.models_dir / "segmentation", run.folder / "models" / "segmentation"
    unet.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(link):  # a folder where results were copied
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(unet.resolve(), target_is_directory=True)
    prepared = [(other.folder / "data", other.params) for other in others if other.is_finished()]
    if settings.images_csv.exists():
        prepared.append((settings.data_dir, as_json(params.flat())))
    if prepared and not (run.folder / "data").exists():
        donor, _ = max(prepared, key=lambda pair: sum(pair[1][key] == value for key, value in run.params.items()))
        link_prepared(donor, run.folder / "data")


def link_prepared(donor: Path, data_dir: Path) -> None:
    """Link the tables, masks and packs of one DATA_DIR into another; copy them where the disk has no hard links.

    A step never writes into a file that is there: it writes beside it and renames, so the donor's stays as it is.
    """
    for path in sorted(donor.glob("*/*")):  # not deeper: raw films may lie in a folder below
        if path.is_file() and not path.name.startswith("."):
            target = data_dir / path.relative_to(donor)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target)
            except OSError:
                shutil.copy2(path, target)  # with its time, by which a step knows it
