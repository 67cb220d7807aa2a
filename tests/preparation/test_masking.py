import time

import numpy as np
import pytest

from cxr.anatomy.heart import Widths
from cxr.anatomy.lungs import clean_mask
from cxr.core import executors
from cxr.core.artifacts import digest
from cxr.core.executors import each_film, forget, shards
from cxr.imaging.decoding import write_image
from cxr.networks import inference, saved_models, u_net
from cxr.networks.backend import keras
from cxr.preparation.masking import Masking, mask_shard
from cxr.preparation.packs import open_pack, written_pack
from cxr.preparation.reading import try_square
from tests.conftest import tiny_params

FILMS, SIZE = 21, 32


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Smooth films, one of them broken, and a U-Net of random weights with a threshold that half of its pixels pass."""
    folder, random = tmp_path_factory.mktemp("masking"), np.random.default_rng(0)
    paths = [folder / f"{n:02d}.png" for n in range(FILMS)]
    for path in paths:
        write_image(np.kron(random.integers(0, 256, (8, 8)).astype(np.uint8), np.ones((8, 8), np.uint8)), path)
    paths[5].write_text("<html>404</html>")
    keras.utils.set_random_seed(1)
    unet = u_net.build_unet(tiny_params())
    unet.save(folder / "model.keras")
    squares = np.stack([try_square(path, SIZE, "pad")[0] for path in paths])
    probabilities = np.asarray(unet.predict_on_batch(squares[..., None]))[..., 0]
    threshold = float(np.clip(np.median(probabilities), 0.05, 0.95))
    return folder, paths, tiny_params(LUNG_THRESHOLD=threshold), probabilities


def masks_of(given, name, size, threads=1):
    """Masks and records of all films, cut into shards of this size, by so many threads."""
    folder, paths, params, _ = given
    with written_pack(folder / f"{name}.npy", FILMS, SIZE) as temporary:
        unet = folder / "model.keras"
        masking = Masking(str(unet), digest(unet), str(temporary), params)
        jobs, work = shards(list(enumerate(paths)), size), lambda shard: mask_shard(shard, masking)
        records = list(each_film(work, jobs, None, executors.threads(threads)))
    return np.array(open_pack(folder / f"{name}.npy", "-")), records


def test_masks_are_the_cleaned_probabilities_and_a_broken_film_has_an_empty_one(given):
    masks, records = masks_of(given, "a", 4)
    for row in (0, 7, 20):
        expected, quality = clean_mask(given[3][row], given[2].pack.lung_threshold)
        assert np.mean(masks[row] == expected) > 0.99
        expected_keys = {"area_fraction", "components", "accepted", "reason", "doubt", "problem"}
        assert records[row].keys() == expected_keys | vars(Widths()).keys()
        assert records[row]["area_fraction"] == pytest.approx(quality.area_fraction, abs=0.01)
    assert [record["problem"] != "" for record in records] == [row == 5 for row in range(FILMS)]
    assert "05.png: is a web page" in records[5]["problem"]
    assert len({mask.tobytes() for mask in masks}) > 10  # films can be told apart


def test_masks_are_the_same_however_films_are_cut_into_shards_and_by_however_many_threads(given):
    masks, records = masks_of(given, "one", FILMS)
    for size, threads in ((4, 3), (8, 2)):
        again, others = masks_of(given, f"by {size}", size, threads)
        np.testing.assert_array_equal(again, masks)
        assert others == records
    # Not whole batches: only noise of the last digit, which the threshold hardly ever shows.
    again, _ = masks_of(given, "odd", 3)
    assert np.mean(again == masks) > 0.999


def test_they_are_those_of_the_stream_that_new_films_go_through(given):
    _, paths, params, _ = given
    unet = saved_models.load_model(given[0] / "model.keras", SIZE, "-")
    squares = (try_square(p, SIZE, "pad")[0] for p in paths)
    streamed = [found.lungs for found in inference.outlined_films(unet, squares, params)]
    np.testing.assert_array_equal(masks_of(given, "shards", 4)[0], np.stack(streamed))


def test_only_one_thread_at_a_time_has_the_network(given, monkeypatch):
    busy, most = [], []

    class Counting:
        input_shape, compiled = (None, SIZE, SIZE, 1), True

        def predict_on_batch(self, films):
            busy.append(1)
            time.sleep(0.01)
            most.append(len(busy))
            busy.pop()
            return films.astype(np.float32) / 255

    monkeypatch.setattr("cxr.preparation.masking.network", lambda masking: (Counting(), ""))
    masks_of(given, "counted", 4, threads=4)
    assert most == [1] * 6


def test_another_unet_under_the_same_name_is_loaded_anew(given):
    folder, _, params, _ = given
    before, _ = masks_of(given, "before", 8)
    saved = (folder / "model.keras").read_bytes()
    try:
        keras.utils.set_random_seed(2)
        u_net.build_unet(params).save(folder / "model.keras")
        after, _ = masks_of(given, "after", 8)
    finally:
        (folder / "model.keras").write_bytes(saved)
        forget("unet")
    assert (before != after).any()
