"""How long training and evaluation will take, before anything is begun: work counted from the networks over a rate.

The rate is measured on this machine in a second. The rest is arithmetic, so an estimate: what else the machine does,
films that memory does not hold, and batches of another size may make it half or twice as long.
"""

import math
from collections.abc import Mapping

from cxr.core.parameters import FAMILIES, Params
from cxr.networks import backend, classifiers, u_net, workload
from cxr.networks.workload import TRAINING

# How many times longer a multiplication takes in a network than in the plain convolutions that are timed, by the
# beginning of its name. Measured in training, by turns, on two CPU cores (docs/data.md): the U-Net at 256 px, others
# at 192, EfficientNet as B0. Tiny is taken as EfficientNet, and a GPU as a CPU: neither was measured.
SLOWER = {"unet": 1.3, "densenet": 1.2, "inception": 1.2, "xception": 1.7, "efficientnet": 3.7, "tiny": 3.7}
BLANKINGS = 30  # passes a film whose maps are put to the test: three orders of ten shares (maps.faithfulness)


def flops(name: str, model) -> float:
    """Work of a forward pass of one film, in FLOP of plain convolutions."""
    return workload.forward_flops(model) * next(times for start, times in SLOWER.items() if name.startswith(start))


def flops_of(params: Params) -> dict[str, float]:
    """Work of a forward pass of one film, by member of both families and ``unet``: each is built, without weights."""
    found = {"unet": flops("unet", u_net.build_unet(params))}
    plain = params.model_copy(update={"models": params.models.model_copy(update={"weights": "none"})})
    for member in dict.fromkeys(member for family in FAMILIES for member in params.members(family)):
        found[member] = flops(member, classifiers.build_classifier(member, plain))
        backend.keras.backend.clear_session()
    return found


def passes(params: Params, films: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """How many films go forward, by script and by what it computes; a film in training counts `TRAINING` times.

    Parameters
    ----------
    params : Params
    films : mapping
        How many there are: ``train``, ``val``, ``test``; ``masked``, for which lung masks are to be made;
        ``lung_train``, ``lung_val``, on which the U-Net is to be trained, of all its epochs.
    """
    found = {
        "prepare_data.sh": {
            "training the U-Net": TRAINING * films["lung_train"] + films["lung_val"],
            "lung masks": films["masked"],
        }
    }
    scored = films["val"] + films["test"] * (2 if params.evaluation.blank_corners else 1)
    scored *= 2 if params.evaluation.test_time_augmentation else 1
    scored += BLANKINGS * min(params.evaluation.faithfulness_films, films["test"])
    for family in FAMILIES:
        members = params.members(family)
        epochs = {member: params.for_member(member).training.epochs for member in members}
        each = TRAINING * films["train"] + films["val"]
        found[f"train_{family.capitalize()}.sh"] = {member: epochs[member] * each for member in members}
        found[f"evaluate_ and visualization_{family.capitalize()}.sh"] = dict.fromkeys(members, scored)
    return found


def estimate(params: Params, films: Mapping[str, int]) -> tuple[str, dict[str, dict[str, float]]]:
    """What is computed with and how fast, in words, and hours by script and by what it computes; see `passes`."""
    device = backend.start(params)
    rate, work = workload.measured_rate(params), flops_of(params)
    hours = {
        script: {what: count * work.get(what, work["unet"]) / rate / 3600 for what, count in parts.items() if count}
        for script, parts in passes(params, films).items()
    }
    return f"{device}, {rate / 1e9:,.0f} GFLOP a second", hours


def together(hours: Mapping[str, Mapping[str, float]]) -> float:
    """Hours of all scripts."""
    return math.fsum(value for parts in hours.values() for value in parts.values())
