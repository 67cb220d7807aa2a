import shutil

import numpy as np
import pytest

from cxr.anatomy.heart import clean_heart
from cxr.anatomy.lungs import clean_mask
from cxr.core import machine
from cxr.core.configuration import params_from
from cxr.core.parameters import MAP_METHODS
from cxr.evaluation.randomisation import randomisation
from cxr.networks import backend, classifiers, inference, recomputation, u_net
from cxr.networks.backend import keras
from cxr.networks.inference import outlined_films, predictor, score, scorer

SIZE = 32


def params_of(**keys):
    small = {"DENSENET_INPUT_SIZE": SIZE, "UNET_INPUT_SIZE": SIZE, "UNET_FILTERS": 4, "WEIGHTS": "none"}
    return params_from(small | {"SCORE_BATCH_SIZE": 4} | keys, "-")


def pack_of(count: int = 10) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE)).astype(np.uint8)


def tiny(seed: int = 1):
    keras.utils.set_random_seed(seed)
    return classifiers.build_classifier("tiny", params_of())


def direct(model, films) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(films[..., None].astype("float32"), training=False))


def scored(model, pack, rows, params):
    """Probabilities and Grad-CAM maps."""
    probabilities, maps = score(scorer(model, params), pack, rows, params)
    return probabilities, maps["gradcam"]


class BrightIsLung:
    """Stands in for a U-Net: a pixel is lung as surely as it is bright; remembers the batches it was given."""

    input_shape, compiled = (None, SIZE, SIZE, 1), True

    def __init__(self):
        self.shapes, self.last = [], None

    def predict_on_batch(self, films):
        self.shapes.append(films.shape)
        self.last = films
        return films.astype(np.float32) / 255


def lung_film(shift: int = 0) -> np.ndarray:
    film = np.zeros((SIZE, SIZE), np.uint8)
    film[8:24, 4 + shift : 12 + shift] = film[8:24, 18 + shift : 26 + shift] = 255
    return film


# Lung masks


def test_lung_masks_come_in_the_order_of_the_films_and_none_is_lost():
    films = [lung_film(shift) for shift in (0, 1, 2, 3, 4, 5)]
    found = list(outlined_films(BrightIsLung(), iter(films), params_of()))
    assert len(found) == 6
    for each, film in zip(found, films, strict=True):
        expected, expected_quality = clean_mask(film / 255, 0.5)
        np.testing.assert_array_equal(each.lungs, expected)
        assert each.quality == expected_quality
        assert each.quality.accepted


class WithHeart(BrightIsLung):
    """The same, and a heart where a film is gray; there lung is no less likely."""

    def predict_on_batch(self, films):
        lung = super().predict_on_batch(films)
        return np.concatenate([lung, (lung > 0.6) & (lung < 0.8)], axis=-1)


def test_lungs_that_are_grown_over_the_heart_are_doubtful_and_accepted():
    film = lung_film()
    film[12:22, 12:18] = 180
    (found,) = outlined_films(WithHeart(), [film], params_of())
    assert found.heart.any()
    assert found.quality.accepted
    assert found.quality.doubt == "0% of the heart's upper half lies between the lungs, expected 80% or more"


def test_every_batch_of_lung_films_has_the_same_shape_and_the_last_is_padded_with_black():
    unet = BrightIsLung()
    found = list(outlined_films(unet, (lung_film() for _ in range(6)), params_of()))
    assert len(found) == 6
    assert unet.shapes == [(4, SIZE, SIZE, 1)] * 2
    assert unet.last[:2].any()
    assert not unet.last[2:].any()


def test_lung_films_are_taken_a_batch_at_a_time():
    taken = []

    def stream():
        for number in range(10):
            taken.append(number)
            yield lung_film()

    masks = outlined_films(BrightIsLung(), stream(), params_of())
    assert taken == []
    next(masks)
    assert len(taken) == 4
    for _ in range(3):
        next(masks)
    assert len(taken) == 4
    next(masks)
    assert len(taken) == 8


def test_a_film_without_lungs_is_not_accepted():
    (found,) = outlined_films(BrightIsLung(), [np.zeros((SIZE, SIZE), np.uint8)], params_of())
    assert not found.lungs.any()
    assert not found.quality.accepted


def test_no_films_give_no_masks():
    assert list(outlined_films(BrightIsLung(), [], params_of())) == []


def test_lung_threshold_is_obeyed():
    dim = (lung_film() * 0.6).astype(np.uint8)
    areas = [
        next(outlined_films(BrightIsLung(), [dim], params_of(LUNG_THRESHOLD=threshold))).quality.area_fraction
        for threshold in (0.5, 0.7)
    ]
    assert areas == [pytest.approx(0.25, abs=0.01), 0.0]  # the clean-up takes the corners of the squares


def test_a_real_unets_masks_are_those_of_its_probabilities():
    keras.utils.set_random_seed(1)
    unet, pack = u_net.build_unet(params_of()), pack_of(5)
    expected = [clean_mask(probability, 0.5)[0] for probability in direct(unet, pack)[..., 0]]
    found = list(outlined_films(unet, iter(pack), params_of()))
    assert np.mean(np.stack([each.lungs for each in found]) == np.stack(expected)) > 0.999
    hearts = [clean_heart(probability, 0.5) for probability in direct(unet, pack)[..., 1]]
    assert np.mean(np.stack([each.heart for each in found]) == np.stack(hearts)) > 0.999


def test_a_unet_of_an_earlier_version_outlines_lungs_alone_and_measures_nothing():
    (found,) = outlined_films(BrightIsLung(), [lung_film()], params_of())
    assert found.quality.accepted
    assert found.heart is None
    assert all(np.isnan(value) for value in vars(found.widths).values())


def test_a_heart_is_measured_where_the_lungs_are_accepted():
    """Lungs from column 4 to 28 of 32, and a heart of 10 columns: 10 / 24."""

    class BrightIsHeart(BrightIsLung):
        def predict_on_batch(self, films):
            lungs = super().predict_on_batch(films) > 0.9
            return np.concatenate([lungs, (films > 100) & ~lungs], axis=-1).astype(np.float32)

    film = np.zeros((SIZE, SIZE), np.uint8)
    film[6:26, 4:13] = film[6:26, 18:28] = 255
    film[16:28, 13:18] = film[23:26, 11:21] = 150
    (found,) = outlined_films(BrightIsHeart(), [film], params_of())
    assert found.quality.accepted
    assert found.widths.cardiothoracic_ratio == pytest.approx(10 / 24, abs=0.04)
    assert found.record["heart_right"] - found.record["heart_left"] == pytest.approx(10 / SIZE, abs=0.04)
    assert {"area_fraction", "accepted", "cardiothoracic_ratio"} < found.record.keys()
    film[:, 16:] = 0  # one lung only
    assert np.isnan(next(outlined_films(BrightIsHeart(), [film], params_of())).widths.cardiothoracic_ratio)


# Scoring


def test_scores_are_the_models_predictions_of_the_rows_asked_for_in_their_order():
    model, pack = tiny(), pack_of()
    everything = direct(model, pack)
    assert np.ptp(everything, axis=0).max() > 1e-3  # films can be told apart
    for rows in (np.arange(10), np.array([7, 0, 3]), np.array([9, 9, 1, 2, 5])):
        probabilities, maps = scored(model, pack, rows, params_of())
        np.testing.assert_allclose(probabilities, everything[rows], atol=1e-6)
        assert probabilities.dtype == np.float32
        assert (maps.shape, maps.dtype) == ((len(rows), 6, 8, 8), np.float16)


def test_scores_do_not_hang_on_the_batch_size():
    model, pack = tiny(), pack_of()
    one, other = (scored(model, pack, np.arange(10), params_of(SCORE_BATCH_SIZE=size)) for size in (3, 32))
    np.testing.assert_allclose(one[0], other[0], atol=1e-6)
    np.testing.assert_allclose(one[1], other[1], rtol=2e-3, atol=1e-4)


def test_maps_belong_to_their_films_and_add_up_to_the_logits():
    model, pack, rows = tiny(), pack_of(), np.array([4, 8, 1])
    _, maps = scored(model, pack, rows, params_of())
    logits = direct(recomputation.logits_of(model), pack[rows])
    bias = model.get_layer("logits").get_weights()[1]
    np.testing.assert_allclose(maps.astype("float32").sum(axis=(2, 3)) + bias, logits, atol=2e-2)
    wrong_film = np.abs(maps.astype("float32").sum(axis=(2, 3)) + bias - np.roll(logits, 1, axis=0))
    assert wrong_film.max() > 1e-3


def test_the_mean_with_the_mirrored_film_is_taken_where_asked_for(tmp_path):
    model, rows = tiny(), np.array([6, 2, 3])
    np.save(tmp_path / "pack.npy", pack_of())
    pack = np.load(tmp_path / "pack.npy", mmap_mode="r")
    plain, mirrored = direct(model, pack_of()[rows]), direct(model, pack_of()[rows][:, :, ::-1])
    probabilities, maps = scored(model, pack, rows, params_of(TEST_TIME_AUGMENTATION=True))
    assert np.abs(plain - mirrored).max() > 1e-4
    np.testing.assert_allclose(probabilities, (plain + mirrored) / 2, atol=1e-6)
    np.testing.assert_array_equal(maps, scored(model, pack, rows, params_of())[1])  # of the film as it is


def test_a_predictor_uses_the_weights_of_the_moment():
    model, pack, rows = tiny(), pack_of(), np.array([5, 1])
    predict = predictor(model, pack, rows, params_of())
    np.testing.assert_allclose(predict(), direct(model, pack[rows]), atol=1e-6)
    head = model.get_layer("logits")
    head.set_weights([0 * head.get_weights()[0], np.zeros(6)])
    np.testing.assert_array_equal(predict(), 0.5)


def test_a_predictor_leaves_the_model_in_training_as_it_was():
    model = tiny()
    model.compile(optimizer=keras.optimizers.SGD(0.125), loss="binary_crossentropy")
    predictor(model, pack_of(), np.arange(2), params_of())()
    assert float(model.optimizer.learning_rate) == 0.125


# Starting the backend


def test_a_driver_without_a_gpu_is_said_on_standard_error(monkeypatch, capsys):
    monkeypatch.setattr(backend, "gpus", list)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    line = backend.start(params_of())
    written = capsys.readouterr()
    assert "an NVIDIA driver is installed, but" in written.err
    assert "sees no GPU: this runs on the CPU" in written.err
    assert written.out == ""
    assert line.endswith("CPU")


@pytest.mark.parametrize(("driver", "found"), [(None, []), ("/usr/bin/nvidia-smi", ["GPU:0"])])
def test_nothing_is_said_where_there_is_no_driver_or_a_gpu_is_seen(monkeypatch, capsys, driver, found):
    monkeypatch.setattr(backend, "gpus", lambda: found)
    monkeypatch.setattr(shutil, "which", lambda name: driver)
    line = backend.start(params_of())
    assert capsys.readouterr().err == ""
    assert line.startswith(f"Keras {keras.__version__} on {keras.backend.backend()}, {', '.join(found) or 'CPU'}")


def test_start_seeds_everything_and_sets_the_precision(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    drawn = []
    for seed in (1, 1, 2):
        backend.start(params_of(SEED=seed))
        drawn.append((np.random.random(), float(keras.ops.convert_to_numpy(keras.random.uniform(())))))
    assert drawn[0] == drawn[1] != drawn[2]
    try:
        backend.start(params_of(PRECISION="mixed_bfloat16"))
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(("xla", "on_cpu"), [("auto", False), ("on", True), ("off", False)])
def test_xla_is_off_on_a_tensorflow_cpu_and_always_on_for_jax(monkeypatch, xla, on_cpu):
    monkeypatch.setattr(backend, "gpus", list)
    always = keras.backend.backend() == "jax"
    assert backend.jit_compile(params_of(XLA=xla)) is (always or on_cpu)
    monkeypatch.setattr(backend, "gpus", lambda: ["GPU:0"])
    assert backend.jit_compile(params_of(XLA=xla)) is (always or xla != "off")


def test_versions_name_what_computes_the_numbers():
    assert {"python", "keras", "numpy", "pandas"} <= set(machine.versions())


def test_of_a_single_film_nothing_is_left_that_others_have_not():
    model, pack = tiny(), pack_of()
    table = randomisation(scorer(model, params_of()), model, pack, np.arange(1), params_of(SCORE_BATCH_SIZE=1))
    assert table["correlation"].isna().all()


def test_what_every_map_has_at_a_place_makes_no_map_resemble_another(monkeypatch):
    """Maps of four films: a slope that all have, and a place of its own each, elsewhere once weights are shuffled."""
    learned = np.tile(8 * np.arange(16, dtype=np.float16).reshape(4, 4), (4, 1, 1, 1))
    shuffled = 2 * learned
    for film in range(4):
        learned[film, 0].flat[film] += 1
        shuffled[film, 0].flat[film + 8] += 1
    asked = iter([learned, learned, shuffled])
    monkeypatch.setattr(inference, "score", lambda *_: (None, {"gradcam": next(asked)}))
    monkeypatch.setattr("cxr.evaluation.randomisation.cascade", lambda *_: ["same", "all layers"])
    correlation = randomisation(None, None, None, np.arange(4), params_of()).set_index("shuffled")["correlation"]
    assert correlation["same"] == pytest.approx(1)
    # Ranks less their mean: 7.5 at a film's own place, -6.5 at the three others' (one tie), 1 at the other twelve.
    assert correlation["nothing, another film"] == pytest.approx((2 * 7.5 * -6.5 + 2 * 6.5**2 + 12) / 195)
    assert correlation["all layers"] == pytest.approx((2 * (7.5 - 3 * 6.5) + 8) / 195)


def test_a_step_with_backward_passes_takes_no_more_pixels_than_fit(monkeypatch):
    params, pack = params_of(SCORE_BATCH_SIZE=9), pack_of()
    network = scorer(tiny(), params)
    expected = score(network, pack, np.arange(9), params)
    monkeypatch.setattr(inference, "INNER_PIXELS", 2 * pack.shape[1] ** 2)
    seen = []
    whole = network.network.predict_on_batch
    monkeypatch.setattr(network.network, "predict_on_batch", lambda films: seen.append(len(films)) or whole(films))
    probabilities, maps = score(network, pack, np.arange(9), params)
    assert seen == [2] * 5
    np.testing.assert_allclose(probabilities, expected[0], atol=1e-6)
    np.testing.assert_allclose(maps["hirescam"], expected[1]["hirescam"], atol=1e-3)


def test_replaced_weights_make_other_maps_and_two_films_are_compared_too():
    model, pack = tiny(), pack_of()
    table = randomisation(scorer(model, params_of()), model, pack, np.arange(10), params_of())
    own = table[table["method"] == "gradcam"].set_index("shuffled")
    assert own.index[:2].tolist() == ["nothing, another film", "last layer"]
    assert own.index[-1] == "all layers"
    assert set(own["places"]) == {64}
    assert set(own["films"]) == {10}
    assert own["correlation"].between(-1, 1).all()
    assert abs(own.loc["all layers", "correlation"]) < 0.5
    assert set(table["method"]) == set(MAP_METHODS)
