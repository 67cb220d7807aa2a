"""New films: checked, masked and packed by the functions that training used, scored, and put into one table."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core import executors
from cxr.core.errors import InputError, hint
from cxr.evaluation import predictions, thresholds
from cxr.evaluation.calibration import calibrated
from cxr.evaluation.source_fits import POOLED
from cxr.imaging import film_checks
from cxr.imaging.film_checks import FLAGS, OF_MASK, OF_ONE_FILM
from cxr.imaging.geometry import AFFINE
from cxr.maps.family_maps import Scored
from cxr.new_films.bundles import Bundle
from cxr.new_films.film_files import shown_name
from cxr.new_hospital import flip_risk
from cxr.preparation import packing, packs, reading

MADE_BY = "sh predict.sh"
FEW = 12
UNET = "unet"  # its name among networks


@dataclass(frozen=True)
class Predicted:
    """Everything that is known of new films; row i of each part is film i.

    films: filename (as given), path, width, height, affine, the columns of `FLAGS` (1, 0, or empty where it
    does not apply), distance, file_notes, notes (the flags' reasons, then those), row (of the packs). scored:
    probabilities, decisions and maps. calibrated: (N, F).
    members: (M, N, F). flip_risk: (N, F), NaN where no_flip_risk says why. masks: packed lung masks or None. pack: the
    largest packed films. problems: filename, problem.
    """

    bundle: Bundle
    hospital: str
    films: pd.DataFrame
    scored: Scored
    calibrated: np.ndarray
    members: np.ndarray
    flip_risk: np.ndarray
    no_flip_risk: str
    masks: np.ndarray | None
    pack: np.ndarray
    problems: pd.DataFrame


def check_hospital(bundle: Bundle, hospital: str) -> None:
    """Raise an InputError where thresholds have nothing of this hospital."""
    known = sorted({name for fitted in bundle.thresholds["findings"].values() for name in fitted})
    if hospital not in known:
        expected = f"expected one of {', '.join(known)}, which val had films of"
        raise InputError(f"--hospital {hospital}: {expected}.{hint(hospital, known)}")


def opened(bundle: Bundle, name: str) -> Any:
    """What runs a network of a bundle, by its name: `UNET`, or a member with its maps (`inference.scorer`).

    Raises
    ------
    InputError
        It is no such network, or its maps have other places than those of reference.json.
    """
    from cxr.networks import inference, saved_models

    params = bundle.params
    if name == UNET:
        return saved_models.load_model(bundle.unet, params.unet.unet_input_size, bundle.made_by)
    network = saved_models.load_model(bundle.models[name], params.input_size(name), bundle.made_by)
    method = params.evaluation.map_method
    scorer = inference.scorer(network, params, (method,))
    grid, of_means = scorer.places[method].grid, np.shape(bundle.reference["mean_maps"][name][POOLED])[1:]
    if of_means != (grid, grid):
        raise InputError(
            f"{bundle.name}: reference.json: mean_maps.{name} have {of_means} places, the network's maps "
            f"{(grid, grid)}. Make it again with: {bundle.made_by}"
        )
    return scorer


def predict(
    bundle: Bundle, paths: Sequence[Path], hospital: str, work: Path, progress: Callable[[Iterable, str], Iterable],
    network: Callable[[str], Any] | None = None, with_maps: bool = True,
) -> Predicted:  # fmt: skip
    """Score new films.

    Parameters
    ----------
    bundle : Bundle
    paths : sequence of Path
    hospital : str
        Whose thresholds and calibration count: one that val had films of, or "pooled".
    work : Path
        An empty folder for packs; needed for as long as the result is.
    progress : callable
        Called with an iterable over the films and what is done, gives the iterable back (tqdm's way).
    network : callable, optional
        What `opened` gives of each name, from somebody who keeps it; else each is read, used and let go.
    with_maps : bool
        Without them nothing can be drawn, and a film takes less time.
    """
    network = network or functools.partial(opened, bundle)
    films, masks = prepare(bundle, paths, work, progress, network)
    broken = films["problem"] != ""
    problems = films.loc[broken, ["filename", "problem"]].reset_index(drop=True)
    films = films[~broken].reset_index(drop=True)
    pack = packs.open_pack(work / f"{bundle.size}.npy", MADE_BY)
    films = films.assign(**_flags(bundle, films, pack))
    members, maps = _score(bundle, films["row"].to_numpy(), work, network, with_maps)
    weights = predictions.member_weights(bundle.thresholds, list(bundle.models))
    table = _table(films, hospital, members, bundle.params.findings, weights)
    risk, no_risk = flip_risk.of_new_films(
        members, bundle.reference.get("flips"), list(bundle.models), bundle.params.findings, hospital
    )
    return Predicted(
        bundle=bundle, hospital=hospital, films=films, scored=_scored(bundle, films, table, maps, masks),
        calibrated=calibrated(table, bundle.thresholds["calibration"]), members=members,
        flip_risk=risk, no_flip_risk=no_risk, masks=masks, pack=pack, problems=problems,
    )  # fmt: skip


def prepare(
    bundle: Bundle, paths: Sequence[Path], work: Path, progress, network
) -> tuple[pd.DataFrame, np.ndarray | None]:
    """Read, check, mask and pack new films, by steps 4 and 5 of prepare_data.sh: row i of the packs is film i.

    Returns
    -------
    films : DataFrame
        ``path``, ``filename``, ``row``, ``problem`` ("" or why it cannot be predicted), what `_mask` and `_pack` say.
    masks : packed lung masks, or None
        The packed films lie in ``work``, as ``<size>.npy``.
    """
    films = pd.DataFrame({"path": list(paths), "row": range(len(paths))})
    films["filename"] = [shown_name(path) for path in paths]
    masks, checks = _mask(bundle, paths, work, progress, network)
    films = films.join(checks)
    films = films.join(_pack(bundle, films, work, progress))
    films["problem"] = films["problem"].where(films["problem"] != "", films["pack_problem"].astype(object).fillna(""))
    problems = zip(films["problem"], films["path"], strict=True)
    films["problem"] = [problem.removeprefix(f"{path}: ") for problem, path in problems]
    return films, masks


def _each(bundle: Bundle, work: Callable, jobs: Iterable, films: int) -> Iterable:
    """Results of ``work(job)`` in order: from several processes, but for a few films, which are read sooner than those
    start."""
    if films <= FEW:
        return map(work, jobs)
    return executors.by_processes(work, jobs, executors.process_count(bundle.params.general.workers))


def _mask(bundle: Bundle, paths, work: Path, progress, network) -> tuple[np.ndarray | None, pd.DataFrame]:
    """Step 4 of prepare_data.sh: packed lung masks (None without), and problem, checks, accepted, `OF_MASK`."""
    params, unet = bundle.params, None
    if bundle.unet:
        from cxr.networks import inference

        unet = network(UNET)
    size = params.unet.unet_input_size
    read = functools.partial(reading.try_new_film, size=size, fit=params.pack.fit)
    results = _each(bundle, read, paths, len(paths))
    checks: list[dict[str, Any]] = []

    def squares():
        for square, check, problem in progress(results, "lung masks" if unet else "reading"):
            checks.append({"problem": problem, **(vars(check) if check else {})})
            yield square

    if unet is None:
        for _ in squares():
            pass
        return None, pd.DataFrame(checks)
    qualities = []
    with packs.written_pack(work / "masks.npy", len(paths), size) as temporary:
        for row, found in enumerate(inference.outlined_films(unet, squares(), params)):
            packs.write_rows(temporary, row, found.lungs[None])
            quality = found.quality
            doubt = quality.doubt if quality.accepted else ""  # else it was not used
            said = {"accepted": quality.accepted, "mask_rejected": quality.reason, "doubtful_mask": doubt}
            qualities.append({**said, **vars(found.widths)})
    return packs.open_pack(work / "masks.npy", MADE_BY), pd.DataFrame(checks).join(pd.DataFrame(qualities))


def _pack(bundle: Bundle, films: pd.DataFrame, work: Path, progress) -> pd.DataFrame:
    """Step 5 of prepare_data.sh: packs of all sizes in ``work``; by film width, height, affine, pack_problem."""
    params, sizes = bundle.params, sorted({bundle.params.input_size(member) for member in bundle.models})
    good = films[films["problem"] == ""]
    accepted = good["accepted"] if "accepted" in good else pd.Series(False, index=good.index)
    with contextlib.ExitStack() as stack:
        written = tuple(
            (size, str(stack.enter_context(packs.written_pack(work / f"{size}.npy", len(films), size))))
            for size in sizes
        )
        what = packing.Packing(
            written, str(work / "masks.npy"), "", params.pack.fit, params.pack.lung_masking, params.pack.lung_margin
        )
        jobs = list(zip(good["row"].tolist(), good["path"], accepted.tolist(), strict=True))
        pack = functools.partial(packing.pack_shard, packing=what)
        shards = _each(bundle, pack, executors.shards(jobs, 1), len(jobs))
        results = [record for shard in progress(shards, "packing") for record in shard]
    affine = {f"{name}_{bundle.size}": name for name in AFFINE}
    table = pd.DataFrame(results, index=good.index).rename(columns={**affine, "problem": "pack_problem"})
    return table.reindex(columns=["width", "height", *AFFINE, "pack_problem"])


def _flags(bundle: Bundle, films: pd.DataFrame, pack: np.ndarray) -> dict[str, Any]:
    """The columns of `FLAGS` as 1, 0 or not applicable, with distance, file_notes and notes."""
    distance = np.zeros(0)
    if len(films):
        small = film_checks.thumbnails(pack[row] for row in films["row"])
        distance = film_checks.distances(small, bundle.reference["distance"])
    cut = bundle.reference["distance"]["cut"]
    columns = [*OF_MASK, *OF_ONE_FILM, "file_notes"]
    of_film = films.reindex(columns=columns).astype(object).fillna("").astype(str)
    reasons = {name: of_film[name] for name in (*OF_MASK, *OF_ONE_FILM)}
    reasons["far_from_training"] = pd.Series(
        [f"distance {value:.2f} from the training films, expected {cut:.2f} or less" if value > cut else ""
         for value in distance], films.index, dtype="str",
    )  # fmt: skip
    flags = {name: (reasons[name] != "").astype("Int8") for name in FLAGS}
    if bundle.unet is None:
        flags |= dict.fromkeys(OF_MASK, pd.Series(pd.NA, films.index, dtype="Int8"))
    notes = []
    for i in films.index:
        flagged = [f"{name.replace('_', ' ')}: {reasons[name][i]}" for name in FLAGS if reasons[name][i]]
        notes.append("; ".join([*flagged, *([of_film["file_notes"][i]] if of_film["file_notes"][i] else [])]))
    return {**flags, "distance": distance.round(3), "file_notes": of_film["file_notes"], "notes": notes}


def _score(
    bundle: Bundle, rows: np.ndarray, work: Path, network, with_maps: bool
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Probabilities (M, N, F) and, where they are asked for, maps of every member."""
    probabilities, maps, findings = [], [], bundle.params.findings
    for member in bundle.models:
        if not len(rows):
            probabilities.append(np.zeros((0, len(findings)), np.float32))
            maps.append(np.zeros((0, len(findings), 1, 1), np.float16))
            continue
        from cxr.networks import inference

        scorer = network(member)
        pack = packs.open_pack(work / f"{bundle.params.input_size(member)}.npy", MADE_BY)
        scores, by_method = inference.score(scorer, pack, rows, bundle.params, with_maps)
        probabilities.append(scores)
        maps += [by_method[bundle.params.evaluation.map_method]] if with_maps else []
    return np.stack(probabilities), maps


def _table(
    films: pd.DataFrame, hospital: str, members: np.ndarray, findings: Sequence[str], weights: dict[str, np.ndarray]
) -> pd.DataFrame:
    """A predictions table whose image_ids say the hospital; what the members say together, as in evaluation."""
    names = [f"{row:06d}" for row in films["row"]]
    ids = names if hospital == POOLED else [f"{hospital}/{name}" for name in names]
    truth = np.full(members.shape[1:], np.nan)
    probabilities = predictions.combined(members.astype(float), findings, weights)
    return predictions.build(ids, ids, ["test"] * len(ids), truth, probabilities, findings)


def _scored(
    bundle: Bundle, films: pd.DataFrame, table: pd.DataFrame, maps: list[np.ndarray], masks: np.ndarray | None
) -> Scored:
    boxes = pd.DataFrame(columns=["image_id", "finding", "x", "y", "width", "height"])
    reference, fitted = bundle.reference, bundle.thresholds
    means = [
        {name: np.array(mean, np.float32) for name, mean in reference["mean_maps"][member].items()}
        for member in bundle.models
    ]
    return Scored(
        params=bundle.params, table=table, thresholds=fitted, decisions=thresholds.decide(table, fitted), cams=maps,
        means=means, scale=reference["scale"], outlines=reference["outlines"],
        films=films.assign(image_id=table["image_id"]), boxes=boxes, size=bundle.size,
        weights=predictions.member_weights(fitted, list(bundle.models)),
        masks=lambda row: masks[films["row"].iloc[row]] if masks is not None and films["accepted"].iloc[row] else None,
    )  # fmt: skip
