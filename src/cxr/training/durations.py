"""How long training and evaluation will take, before anything is begun: work counted from the networks over a rate.

The rates, of computing and of compiling, are measured on this machine in two seconds. The rest is arithmetic, so an
estimate: what else the machine does, films that memory does not hold, and batches of another size may make it half or
twice as long.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from cxr.core.members import FAMILIES
from cxr.core.parameters import NAMED_WEIGHTS, Params
from cxr.networks import backend, classifiers, u_net, workload
from cxr.networks.workload import TRAINING
from cxr.training import drawn_weights
from cxr.training.loop import stages_of

# How many times longer a multiplication takes in a network than in the plain convolutions that are timed, by the
# beginning of its name. Measured in training, by turns, on two CPU cores (docs/data.md): the U-Net at 256 px, others
# at 192, EfficientNet as B0. Tiny is taken as EfficientNet, and a GPU as a CPU: neither was measured.
OTHERS_SLOWER = 2.0  # not measured
SLOWER = {"unet": 1.3, "densenet": 1.2, "inception": 1.2, "xception": 1.7, "efficientnet": 3.7, "tiny": 3.7}
BLANKINGS = 30  # passes a film whose maps are put to the test: three orders of ten shares (maps.faithfulness)
INNER_MAP = 0.7  # passes a finding of HiResCAM: .4 to 1.0, measured with three networks (benchmarks/README.md)
# Of compiling, on a CPU without XLA (docs/data.md): a layer of a network against one of those that are timed; a
# forward pass, and a step in which the last layer alone learns, against a step in which all do.
COMPILED_SLOWER = 1.4
FORWARD = 0.1
LAST_ALONE = 0.3
FROM_DRAWN = " on drawn films"


class Network(NamedTuple):
    """flops: work of a forward pass of one film, in FLOP of plain convolutions. layers: how many are compiled."""

    flops: float
    layers: int


class Work(NamedTuple):
    """passes: films that go forward. compiled: training steps; a forward pass counts `FORWARD`."""

    passes: float
    compiled: float


def network(name: str, model) -> Network:
    """What a network costs, by its name and layers."""
    slower = next((times for start, times in SLOWER.items() if name.startswith(start)), OTHERS_SLOWER)
    return Network(workload.forward_flops(model) * slower, len(model.layers))


def networks_of(params: Params) -> dict[str, Network]:
    """The members of both families and ``unet``: each is built, with first weights only where a file of them is named.

    Raises
    ------
    InputError
        Such a file cannot be read, or does not fit: better told now than when films are prepared.
    """
    found = {"unet": network("unet", u_net.build_unet(params))}
    plain = classifiers.with_weights(params, "none")
    for member in dict.fromkeys(member for family in FAMILIES for member in params.members(family)):
        named = params.first_weights(member) not in NAMED_WEIGHTS
        found[member] = network(member, classifiers.build_classifier(member, params if named else plain))
        backend.keras.backend.clear_session()
    return found


def learning(params: Params, train: int, val: int) -> Work:
    """Training of one member to the last of its EPOCHS.

    A film counts `TRAINING` times an epoch, once more with RECOMPUTE, and once while FREEZE lets only the last layer
    learn.
    """
    passes, compiled, epochs = 0, FORWARD, params.training.epochs
    for begin, end, own in stages_of(params, epochs):
        frozen = own.training.freeze != "none"
        passes += (end - begin) * train * (1 if frozen else TRAINING + params.training.recompute)
        compiled += LAST_ALONE if frozen else 1
    return Work(passes + epochs * val, compiled)


def work_of(params: Params, films: Mapping[str, int]) -> dict[str, dict[str, Work]]:
    """What there is to compute, by script and by the network or what it does; nothing where there are no films.

    Where nothing can be trained, no script after prepare_data.sh can begin.

    Parameters
    ----------
    params : Params
    films : mapping
        How many there are: ``train``, ``val``, ``test``; ``masked``, for which lung masks are to be made;
        ``lung_train``, ``lung_val``, on which the U-Net is to be trained, of all its epochs.
    """
    unet = TRAINING * films["lung_train"] + films["lung_val"]
    masks = {"training the U-Net": Work(unet, 1 + FORWARD), "lung masks": Work(films["masked"], FORWARD)}
    found = {"prepare_data.sh": {what: work for what, work in masks.items() if work.passes}}
    scored = films["val"] + films["test"] * (2 if params.evaluation.blank_corners else 1)
    scored *= 2 if params.evaluation.test_time_augmentation else 1
    if params.evaluation.map_method == "hirescam":
        scored += INNER_MAP * len(params.findings) * (films["val"] + films["test"])
    scored += BLANKINGS * min(params.evaluation.faithfulness_films, films["test"])
    for family in FAMILIES if films["train"] and films["val"] else ():
        name, members = family.capitalize(), params.members(family)
        learned = {member: learning(params.for_member(member), films["train"], films["val"]) for member in members}
        own = drawn_weights.own_params(params)
        drawn = [member for member in members if params.first_weights(member) == "drawn"]
        learned |= {f"{member}{FROM_DRAWN}": learning(own, own.models.drawn_films, 0) for member in drawn}
        found[f"train_{name}.sh"] = learned
        found[f"evaluate_ and visualization_{name}.sh"] = dict.fromkeys(members, Work(scored, FORWARD))
    return found


def estimate(params: Params, films: Mapping[str, int]) -> tuple[str, dict[str, dict[str, float]]]:
    """What is computed with and how fast, in words, and seconds by script and by what it computes; see `work_of`."""
    if params.training.precision == "auto":
        params = params.with_precision(backend.best_precision())
    device = backend.start(params)
    rate, compiling, networks = workload.measured_rate(params), workload.measured_compiling(params), networks_of(params)

    def seconds(what: str, work: Work) -> float:
        used = networks.get(what.removesuffix(FROM_DRAWN), networks["unet"])
        return work.passes * used.flops / rate + work.compiled * used.layers * COMPILED_SLOWER * compiling

    found = {
        script: {what: seconds(what, work) for what, work in parts.items()}
        for script, parts in work_of(params, films).items()
    }
    return f"{device}, {rate / 1e9:,.0f} GFLOP a second, {1000 * compiling:,.0f} ms a layer to compile", found


def together(seconds: Mapping[str, Mapping[str, float]]) -> float:
    """Seconds of all scripts."""
    return math.fsum(value for parts in seconds.values() for value in parts.values())
