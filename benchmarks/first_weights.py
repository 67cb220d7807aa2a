"""First weights from PyTorch: our DenseNet against torchvision's and torchxrayvision's own on the same films.

Weights come from a formula, so that a test without PyTorch holds what is printed here. Each network is saved in every
way that is read (zip, the form before 1.6 with the names of then, safetensors), built from each as a member, and must
give the same features, the output of torch.relu(network.features(films)), as the network itself; at an output stride of
16 at every second place. --films takes films of your own (an .npy of uint8, N x H x W) in place of the drawn ones.

    pip install torch torchvision torchxrayvision safetensors
    python benchmarks/first_weights.py
"""

import argparse
import importlib
import tempfile
from pathlib import Path

import numpy as np

from cxr.core.configuration import params_from
from cxr.networks.backend import keras
from cxr.networks.classifiers import IMAGENET_MEAN, IMAGENET_STD, build_classifier

BLOCKS = {"densenet121": (6, 12, 24, 16), "densenet169": (6, 12, 32, 32)}
GROWTH, LIMIT = 32, 1e-5


def formula_state(blocks: tuple[int, ...], channels: int = 3) -> dict[str, np.ndarray]:
    """The features' tensors of a DenseNet by torchvision's names, its numbers from sines."""
    state: dict[str, np.ndarray] = {}

    def convolution(name: str, out: int, into: int, side: int) -> None:
        state[f"{name}.weight"] = (wave((out, into, side, side)) / np.sqrt(into * side**2)).astype(np.float32)

    def wave(shape: tuple[int, ...]) -> np.ndarray:
        return np.sin(np.arange(np.prod(shape)) * 12.9898 + len(state)).reshape(shape)

    def norm(name: str, count: int) -> None:
        for which, middle, swing in (("weight", 1, 0.1), ("bias", 0, 0.1), ("running_mean", 0, 0.1)):
            state[f"{name}.{which}"] = (middle + swing * wave((count,))).astype(np.float32)
        variance = 1 + 0.5 * wave((count,))
        variance[0] = 1e-4  # so small that what is added to it, 1e-5 or 1.001e-5, would be noticed
        state[f"{name}.running_var"] = variance.astype(np.float32)

    convolution("features.conv0", 64, channels, 7)
    norm("features.norm0", 64)
    width = 64
    for block, layers in enumerate(blocks, 1):
        for layer in range(1, layers + 1):
            name = f"features.denseblock{block}.denselayer{layer}"
            norm(f"{name}.norm1", width)
            convolution(f"{name}.conv1", 4 * GROWTH, width, 1)
            norm(f"{name}.norm2", 4 * GROWTH)
            convolution(f"{name}.conv2", GROWTH, 4 * GROWTH, 3)
            width += GROWTH
        if block < len(blocks):
            norm(f"features.transition{block}.norm", width)
            convolution(f"features.transition{block}.conv", width // 2, width, 1)
            width //= 2
    norm("features.norm5", width)
    return state


def drawn_films(count: int = 2, size: int = 64) -> np.ndarray:
    """(count, size, size) uint8."""
    film, y, x = np.indices((count, size, size))
    return ((7 * film + 3 * y + 5 * x + x * y // 9) % 256).astype(np.uint8)


def features_of(member: str, path: Path, films: np.ndarray, stride: int = 32) -> np.ndarray:
    """Our features (N, h, w, channels) of films (N, size, size) with first weights from a file."""
    keys = {"WEIGHTS": str(path), "DENSENET_INPUT_SIZE": films.shape[1], "OUTPUT_STRIDE": stride}
    model = build_classifier(member, params_from(keys, "-"))
    features = keras.Model(model.inputs, model.get_layer("features").output)
    return keras.ops.convert_to_numpy(features([films[..., None].astype(np.float32)], training=False))


def reference(torch, network, films: np.ndarray, channels: int) -> np.ndarray:
    """The network's own features (N, h, w, channels), its films prepared as its makers do."""
    x = torch.from_numpy(films.astype(np.float32))[:, None] / 255
    if channels == 1:
        x = (2 * x - 1) * 1024
    else:
        mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
        x = (x.repeat(1, 3, 1, 1) - mean) / std
    with torch.no_grad():
        return torch.relu(network.features(x)).permute(0, 2, 3, 1).numpy()


def files_of(torch, state: dict, folder: Path):
    """The same state in every form that is read."""
    torch.save(state, folder / "new.pt")
    yield folder / "new.pt"
    spelt = {
        "module.densenet121." + key.replace("norm1.", "norm.1.").replace("norm2.", "norm.2.")
        .replace("conv1.", "conv.1.").replace("conv2.", "conv.2."): values for key, values in state.items()
    }  # fmt: skip
    old = {"epoch": 3, "state_dict": spelt}
    torch.save(old, folder / "old.pth.tar", _use_new_zipfile_serialization=False)
    yield folder / "old.pth.tar"
    if importlib.util.find_spec("safetensors"):
        from safetensors.torch import save_file

        save_file(state, folder / "new.safetensors")
        yield folder / "new.safetensors"


def networks():
    """(name, member, channels, the network) of what is installed."""
    import torchvision

    for member in BLOCKS:
        yield f"torchvision {torchvision.__version__} {member}", member, 3, getattr(torchvision.models, member)()
    if importlib.util.find_spec("torchxrayvision"):
        import torchxrayvision

        network = torchxrayvision.models.DenseNet(num_classes=18, in_channels=1)
        yield f"torchxrayvision {torchxrayvision.__version__} DenseNet", "densenet121", 1, network


def main(argv=None) -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--films", type=Path, help="an .npy of square uint8 films")
    chosen = arguments.parse_args(argv)
    try:
        import torch
        import torchvision  # noqa: F401
    except ImportError as error:
        print(f"not run: {error}")
        return
    films = np.load(chosen.films) if chosen.films else drawn_films()
    print(
        f"PyTorch {torch.__version__}; {len(films)} films of {films.shape[1]} px; differences, of the largest feature"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, member, channels, network in networks():
            state = formula_state(BLOCKS[member], channels)
            told = network.load_state_dict(
                {key: torch.from_numpy(values) for key, values in state.items()}, strict=False
            )
            missing = [key for key in told.missing_keys if "num_batches" not in key and "classifier" not in key]
            if missing or told.unexpected_keys:
                raise SystemExit(f"{name}: other tensors: {missing[:3]} {told.unexpected_keys[:3]}")
            expected = reference(torch, network.eval(), films, channels)
            largest = np.abs(expected).max()
            print(f"{name}: film 1, mean of channels 0, 100 … 900: {expected[0].mean((0, 1))[:1000:100].tolist()}")
            for path in files_of(torch, network.state_dict(), Path(folder)):
                for stride in (32, 16):
                    ours = features_of(member, path, films, stride)[:, :: 32 // stride, :: 32 // stride]
                    difference = np.abs(ours - expected).max() / largest
                    print(f"  {path.name:16} output stride {stride}: {difference:.1e}")
                    if not difference <= LIMIT:
                        raise SystemExit(f"{name}: more than {LIMIT}")


if __name__ == "__main__":
    main()
