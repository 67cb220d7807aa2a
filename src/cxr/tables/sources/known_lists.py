"""Public lists of films of a release, for training and test: they say which published figures are of the same films.

Packed in the folder ``lists``: films of each patient, and per list a bit a film in the order of their names. Films of a
patient mostly stand together, so what is stored is where a bit changes: first films of patients, then the others.
"""

import json
import lzma
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cxr.core.artifacts import digest_of
from cxr.core.errors import counted

FOLDER = Path(__file__).parent / "lists"


@dataclass(frozen=True)
class KnownList:
    """One public list.

    split: train, val or test of ``title``. source: where it is from. beside: rows of docs/known_values.md that are of
    this test list. films: their image_ids.
    """

    title: str
    split: str
    source: str
    beside: tuple[str, ...]
    films: frozenset[str]

    @property
    def digest(self) -> str:
        return digest_of_films(self.films)

    def __str__(self) -> str:
        return f"{self.title}, {self.split} ({counted(len(self.films), 'film')})"


def digest_of_films(image_ids: Collection[str]) -> str:
    """What a list is recognised by, whatever its order."""
    return digest_of(sorted(set(image_ids)))


def released(image_ids: Collection[str]) -> set[str]:
    """Those films that bear names of the release whose lists are known."""
    return {name for name in image_ids if name.startswith(_facts()["prefix"])}


@cache
def _facts() -> dict[str, Any]:
    return json.loads((FOLDER / "lists.json").read_text(encoding="utf-8"))


@cache
def known_lists() -> tuple[KnownList, ...]:
    """All lists that are shipped."""
    facts = _facts()
    counts = np.frombuffer(lzma.decompress((FOLDER / "films.xz").read_bytes()), dtype=np.uint8)
    names = [f"{facts['prefix']}{p + 1:08d}_{n:03d}" for p, films in enumerate(counts) for n in range(films)]
    lists = []
    for known in facts["splits"]:
        for split, parts in known["lists"].items():
            bits = np.zeros(len(names), dtype=bool)
            for part in parts["films_of"] if "films_of" in parts else parts["all_but"]:
                bits |= unpacked((FOLDER / f"{part}.xz").read_bytes(), counts)
            bits = bits if "films_of" in parts else ~bits
            films = frozenset(name for name, there in zip(names, bits, strict=True) if there)
            beside = tuple(known["beside"]) if split == "test" else ()
            lists.append(KnownList(known["title"], split, known["source"], beside, films))
    return tuple(lists)


def packed(bits: np.ndarray, counts: np.ndarray) -> bytes:
    """Bits of films (bool, in the order of their names), ``counts`` of each patient, as a file of ``lists``."""
    changes = np.diff(bits.astype(np.int8), prepend=0) != 0
    first = _first_films(counts)
    return lzma.compress(np.packbits(np.concatenate([changes[first], changes[~first]])).tobytes(), preset=9)


def unpacked(content: bytes, counts: np.ndarray) -> np.ndarray:
    """The bits that `packed` took."""
    first = _first_films(counts)
    stored = np.unpackbits(np.frombuffer(lzma.decompress(content), dtype=np.uint8))[: len(first)]
    changes = np.empty(len(first), dtype=int)
    changes[first], changes[~first] = stored[: len(counts)], stored[len(counts) :]
    return np.cumsum(changes) % 2 == 1


def _first_films(counts: np.ndarray) -> np.ndarray:
    first = np.zeros(int(counts.sum()), dtype=bool)
    first[np.cumsum(counts, dtype=int) - counts] = True
    return first
