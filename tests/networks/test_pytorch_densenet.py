"""First weights from a DenseNet with torchvision's names: the same features as the network's own, on the same films.

Expected features are of PyTorch 2.13, torchvision 0.28 and torchxrayvision 1.5.7, as benchmarks/first_weights.py prints
them: the first film's means of channels 0, 100 … 900.
"""

import json
import zipfile

import numpy as np
import pytest

from cxr.core.configuration import params_from
from cxr.core.errors import InputError
from cxr.networks import classifiers, pytorch_densenet
from cxr.networks.backend import keras
from tests.conftest import load_script

formula = load_script("benchmarks/first_weights.py")
TORCHVISION = [0, 0, 0, 6.2161355, 14.1779928, 3.9681809, 0.1639286, 0.3619020, 0.2923566, 0]
XRAYVISION = [0, 0, 0, 43382.488, 97570.914, 27103.967, 883.00665, 2552.5571, 1305.2631, 0]


@pytest.fixture(autouse=True)
def _forget():
    yield
    keras.backend.clear_session()


def write_safetensors(path, state: dict[str, np.ndarray]):
    begins = np.cumsum([0, *(values.nbytes for values in state.values())]).tolist()
    header = {
        key: {"dtype": "F32", "shape": values.shape, "data_offsets": begins[n : n + 2]}
        for n, (key, values) in enumerate(state.items())
    }
    header = json.dumps({"__metadata__": {"format": "pt"}} | header).encode()
    content = b"".join(values.tobytes() for values in state.values())
    path.write_bytes(len(header).to_bytes(8, "little") + header + content)
    return path


def spelt_as_in_2017(key: str) -> str:
    for name in ("norm1.", "norm2.", "conv1.", "conv2."):
        key = key.replace(name, f"{name[:-2]}.{name[-2:]}")
    return f"module.densenet121.{key}"


def test_torchvisions_features_are_ours(tmp_path):
    state = formula.formula_state(formula.BLOCKS["densenet121"])
    state["classifier.weight"] = np.zeros((14, 1024), np.float32)
    path = write_safetensors(tmp_path / "first.safetensors", state)
    found = formula.features_of("densenet121", path, formula.drawn_films())[0].mean((0, 1))[:1000:100]
    np.testing.assert_allclose(found, TORCHVISION, atol=1e-5 * max(TORCHVISION))


def test_torchxrayvisions_features_are_ours_at_half_its_output_stride_and_with_the_names_of_2017(tmp_path):
    state = formula.formula_state(formula.BLOCKS["densenet121"], channels=1)
    path = write_safetensors(tmp_path / "xrv.safetensors", {spelt_as_in_2017(key): state[key] for key in state})
    features = formula.features_of("densenet121", path, formula.drawn_films(), stride=16)
    assert features.shape[1:3] == (4, 4)
    found = features[0, ::2, ::2].mean((0, 1))[:1000:100]
    np.testing.assert_allclose(found, XRAYVISION, atol=1e-5 * max(XRAYVISION))


def layers_of(channels: int):
    return {"conv1_conv": {"weight": np.zeros((64, channels, 7, 7))}}


def test_black_and_white_become_what_the_channels_tell_or_what_is_given():
    def limits(found):
        scale, offset = found
        return [offset[0], offset[0] + 255 * scale[0]]

    assert limits(pytorch_densenet.scaling(layers_of(1), ())) == pytest.approx([-1024, 1024])
    assert pytorch_densenet.scaling(layers_of(3), ()) is None  # ImageNet's, as for Keras' own weights
    assert limits(pytorch_densenet.scaling(layers_of(3), (0.0, 1.0))) == pytest.approx([0, 1])


KERNEL = np.zeros((64, 3, 7, 7), np.float32)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"fc.weight": KERNEL}, r"one of them conv0\.weight; found 0 of that name, and fc\.weight"),
        ({"a.conv0.weight": KERNEL, "b.conv0.weight": KERNEL}, r"found 2 of that name"),
        ({"conv0.weight": KERNEL, "attention.weight": KERNEL}, r"attention\.weight is no tensor of torchvision's"),
        ({"conv0.weight": KERNEL + np.nan}, "conv0.weight holds numbers that are not finite"),
        ({"conv0.weight": KERNEL}, "has no layer bn, unlike densenet121"),
    ],
    ids=["another network", "two networks", "another variant", "not finite", "a part"],
)  # fmt: skip
def test_what_is_not_this_densenet_is_refused(tmp_path, state, said):
    path = write_safetensors(tmp_path / "first.safetensors", state)
    with pytest.raises(InputError, match=said):
        classifiers.build_classifier("densenet121", params_from({"WEIGHTS": str(path), "DENSENET_INPUT_SIZE": 32}, "-"))


@pytest.mark.parametrize(
    "pickled",
    [b"\x80\x02ccollections\nOrderedDict\n)R}X\6\0\0\0valuesctorch._utils\n_rebuild_parameter\nsb.",
     b"\x80\x02}X\x0c\0\0\0conv0.weight]q\0h\0as."],
    ids=["a method replaced", "a list that holds itself"],
)  # fmt: skip
def test_what_only_looks_like_a_state_is_refused(tmp_path, pickled):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/data.pkl", pickled)
    with pytest.raises(InputError, match="expected the state of one DenseNet"):
        pytorch_densenet.read_layers(tmp_path / "a.pt")


def test_other_members_do_not_read_them(tmp_path):
    path = write_safetensors(tmp_path / "first.safetensors", {"conv0.weight": KERNEL})
    with pytest.raises(InputError, match="which only DenseNets read, not tiny"):
        classifiers.build_classifier("tiny", params_from({"WEIGHTS": str(path)}, "-"))
