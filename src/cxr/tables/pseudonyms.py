"""Keyed hashes in place of the ids of patients and films: HASH_IDS of PARAMS.json."""

import hashlib
from pathlib import Path

import pandas as pd

from cxr.core.artifacts import read_ordinary
from cxr.core.errors import InputError

SHORTEST_KEY = 16  # bytes: with a shorter one all ids of a public release could be tried out
MAKE_KEY = 'python -c "import secrets; print(secrets.token_hex(32))" > ids.key'


def read_key(path: str) -> bytes | None:
    """The secret of a key file, without the line's end; None where HASH_IDS is "".

    Raises
    ------
    InputError
        The file is not there, or its key is too short to be a secret.
    """
    if not path:
        return None
    try:
        key = read_ordinary(Path(path)).strip()
    except (OSError, ValueError) as error:
        raise InputError(f"HASH_IDS: {path}: cannot be read: {error}. Make a key with: {MAKE_KEY}") from None
    if len(key) < SHORTEST_KEY:
        raise InputError(f"HASH_IDS: {path}: a key of {len(key)} bytes is no secret. Make one with: {MAKE_KEY}")
    return key


def fingerprint(key: bytes | None) -> str:
    """What tells two keys apart in the record of a step, and tells nothing else of them."""
    return "" if key is None else _hashed("", key)


def replace_ids(table: pd.DataFrame, key: bytes | None, readable: str = r"^([^/]+/)") -> pd.DataFrame:
    """The table with ``image_id`` and ``patient_id`` (those it has) as keyed hashes; as it is where there is no key.

    What a film is of stays readable: ``nih/00000001_000`` becomes ``nih/<16 hex digits>``, and ``nih-1`` ``nih-<…>``.
    ``readable`` is a regular expression of the part of an image_id that stays.
    """
    if key is None:
        return table
    of_release = {"image_id": readable, "patient_id": r"^([^-]+-)"}
    hashed = {}
    for column in table.columns.intersection(list(of_release)):
        prefix = table[column].str.extract(of_release[column])[0].fillna("")
        hashed[column] = prefix + table[column].map(lambda name: _hashed(name, key))
    return table.assign(**hashed)


def _hashed(name: str, key: bytes) -> str:
    secret = hashlib.blake2b(key).digest()  # a key of any length
    return hashlib.blake2b(name.encode(), digest_size=8, key=secret).hexdigest()
