from cxr.networks import backend, workload
from cxr.networks.backend import keras
from tests.conftest import tiny_params


def test_the_work_of_a_transposed_convolution_is_counted_by_its_input():
    film = keras.Input((4, 4, 3))
    model = keras.Model(film, keras.layers.Conv2DTranspose(5, 2, strides=2)(film))
    assert workload.forward_flops(model) == 2 * 16 * (2 * 2 * 3 * 5)


def test_a_rate_is_the_work_of_a_step_over_its_seconds(monkeypatch):
    clock = iter(range(1000))  # every look at it is a second later
    monkeypatch.setattr(workload.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(workload, "MEASURED_SECONDS", 3)
    params = tiny_params()
    backend.start(params)
    # Four convolutions of 64 x 64 channels on 64 x 64 places, and one output; two a weight and place; 8 films
    assert workload.measured_rate(params) == 3 * 8 * 2 * (4 * 64**2 * 9 * 64**2 + 64)
