import hashlib
import re

import pandas as pd
import pytest

from cxr.core.configuration import load_params
from cxr.core.errors import InputError
from cxr.tables.pseudonyms import fingerprint, read_key, replace_ids
from cxr.tables.sources.catalogue import id_prefix, label_source_of

KEY, OTHER = b"0123456789abcdef", b"0123456789abcdeg"
FILMS = pd.DataFrame(
    {
        "image_id": [
            "nih/00000001_000",
            "chexpert/train/patient00001/study1/view1_frontal",
            "montgomery/MCUCXR_0001_0",
        ],
        "patient_id": ["nih-1", "chexpert-1", "montgomery-0001"],
        "path": ["a.png", "b.jpg", "c.png"],
    }
)


def test_without_a_key_ids_stay_as_the_release_has_them():
    assert read_key("") is None
    pd.testing.assert_frame_equal(replace_ids(FILMS, None), FILMS)


def test_ids_become_keyed_hashes_that_keep_the_release_and_the_patient_together():
    found = replace_ids(pd.concat([FILMS, FILMS.assign(image_id="nih/x")]), KEY, id_prefix())
    assert found["image_id"].str.fullmatch(r"(nih|chexpert/train|montgomery)/[0-9a-f]{16}").all()
    assert found["patient_id"].str.fullmatch(r"(nih|chexpert|montgomery)-[0-9a-f]{16}").all()
    assert found["patient_id"].tolist()[:3] == found["patient_id"].tolist()[3:]
    assert label_source_of(found["image_id"]).tolist()[:2] == ["nih", "chexpert-train"]
    assert found["path"].tolist() == ["a.png", "b.jpg", "c.png"] * 2


def test_the_hash_is_blake2b_under_the_digest_of_the_key_and_another_key_gives_another():
    secret = hashlib.blake2b(KEY).digest()
    expected = hashlib.blake2b(b"nih-1", digest_size=8, key=secret).hexdigest()
    assert replace_ids(FILMS, KEY)["patient_id"][0] == f"nih-{expected}"
    for column in ("image_id", "patient_id"):
        assert not set(replace_ids(FILMS, KEY)[column]) & set(replace_ids(FILMS, OTHER)[column])
    assert fingerprint(None) == ""
    assert len({fingerprint(KEY), fingerprint(OTHER), ""}) == 3
    assert KEY.hex() not in fingerprint(KEY)


def test_a_key_file_is_relative_to_params_json_and_must_hold_a_secret(tmp_path):
    (tmp_path / "PARAMS.json").write_text('{"HASH_IDS": "ids.key"}')
    path = load_params(tmp_path / "PARAMS.json").tables.hash_ids
    assert path == str(tmp_path / "ids.key")
    with pytest.raises(
        InputError, match=rf"HASH_IDS: {re.escape(path)}: cannot be read: .* Make a key with: python -c"
    ):
        read_key(path)
    (tmp_path / "ids.key").write_bytes(b"secret\n")
    with pytest.raises(InputError, match=r"ids.key: a key of 6 bytes is no secret. Make one with: python -c"):
        read_key(path)
    (tmp_path / "ids.key").write_bytes(KEY + b"\n")
    assert read_key(path) == KEY
