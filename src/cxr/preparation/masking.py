"""Lung masks of a shard of films: decode, U-Net, clean up, write. Several threads share one network, in turns."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxr.core.executors import cached
from cxr.core.parameters import Params
from cxr.preparation.packs import write_rows
from cxr.preparation.reading import try_square

MADE_BY = "src/segmentation/train.py"
SHARD = 32  # films that a thread or a worker masks at a time


@dataclass(frozen=True)
class Masking:
    """What all films of one masking run share: the U-Net, the masks to write to (n, u, u), and the parameters."""

    unet: str
    unet_digest: str
    masks: str
    params: Params


def network(masking: Masking) -> tuple[Any, str]:
    """The U-Net, loaded once a process, and a line on what it runs on."""

    def load():
        from cxr.networks import backend, saved_models

        device = backend.start(masking.params)
        return saved_models.load_model(Path(masking.unet), masking.params.unet.unet_input_size, MADE_BY), device

    return cached("unet", (masking.unet_digest, masking.params.training.precision), load)


def mask_shard(shard: Sequence[tuple[int, Path]], masking: Masking) -> list[dict[str, Any]]:
    """Find the lungs of films and write their masks at their rows. Twice does no harm.

    Parameters
    ----------
    shard : sequence of (row, path)
        Rows follow one another. Whole batches give the same masks however films are cut into shards.
    masking : Masking

    Returns
    -------
    list of dict
        For each film `inference.Outlined.record`, and ``problem``: "" or why its mask is empty.
    """
    unet, params = network(masking)[0], masking.params
    from cxr.networks import inference

    films, problems = zip(
        *(try_square(path, params.unet.unet_input_size, params.pack.fit) for _, path in shard), strict=True
    )
    outlined = list(inference.outlined_films(unet, films, params))
    write_rows(Path(masking.masks), shard[0][0], np.stack([film.lungs for film in outlined]))
    return [{**film.record, "problem": problem} for film, problem in zip(outlined, problems, strict=True)]
