"""Feeding: training steps on packed films with the default augmentations against steps on one constant batch.

Three sides take turns in one run, with the same compiled network: a constant batch; packed films with the default
augmentations; the same with every augmented film elastically deformed too. All go through `fit`, with as many loader
threads as training uses. The optimizer is SGD, which compiles fastest; it is the same on every side.

Then the loader alone, without a network, on one thread and on two; and random access to a pack of which memory may hold
but a part. The limit is simulated: whenever as much as it allows was read, the pack's pages are dropped from the map
and from the page cache (madvise, posix_fadvise), which the system may do or not: bytes read from disk tell. Under a
real limit, where systemd runs: systemd-run --user --scope -p MemoryMax=1G python benchmarks/feeding.py --only memory

    python benchmarks/feeding.py                                   # four networks at 96 pixels
    python benchmarks/feeding.py --size 512 --pack data/classification/images_512.npy     # on a GPU
"""

import argparse
import mmap
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

MEMBERS = ("densenet169", "inceptionv3", "xception", "efficientnetb0")
SIDES = ("constant", "packed", "elastic")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--member", action="append", help=f"networks; default {', '.join(MEMBERS)}")
    parser.add_argument("--size", type=int, default=96, help="side of the films, pixels")
    parser.add_argument("--batch", type=int, default=16, help="films a step")
    parser.add_argument("--steps", type=int, default=5, help="timed steps of a side in each round")
    parser.add_argument("--rounds", type=int, default=3, help="how often the sides take turns")
    parser.add_argument("--pack", type=Path, help="packed films of --size pixels; default: drawn ones")
    parser.add_argument("--films", type=int, default=1500, help="films of 512 pixels for loader and memory")
    parser.add_argument("--memory", type=int, default=100, help="megabytes of them that memory may hold")
    parser.add_argument("--only", choices=("steps", "loader", "memory"), help="only this part")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.only in (None, "steps"):
            for member in arguments.member or MEMBERS:
                compare_steps(member, arguments, Path(folder))
        if arguments.only in (None, "loader", "memory"):
            large = random_pack(Path(folder) / "large.npy", arguments.films, 512)
            if arguments.only != "memory":
                loader_alone(large[: 16 * arguments.batch])
            if arguments.only != "loader":
                more_than_memory(Path(folder) / "large.npy", arguments.memory)


def compare_steps(member, arguments, folder):
    """Median and mean seconds of a step on each side, in turns."""
    import timing

    from cxr.networks import backend, classifiers, recomputation
    from cxr.preparation import packs
    from cxr.training import loop, losses

    params = timing.params_at(arguments.size, OPTIMIZER="sgd", SCHEDULE="constant", BATCH_SIZE=arguments.batch)
    device, size = backend.start(params), params.input_size(member)
    films = (arguments.steps + 1) * arguments.batch
    pack = packs.open_pack(arguments.pack, "") if arguments.pack else timing.drawn_pack(folder, films, size)
    truth = timing.labels(films)
    network = recomputation.logits_of(classifiers.build_classifier(member, params))
    optimizer = loop.make_optimizer(params, films)
    loss = losses.masked_cross_entropy(np.ones(6, np.float32))
    network.compile(optimizer=optimizer, loss=loss, jit_compile=backend.jit_compile(params))
    optimizer.build(network.trainable_variables)
    sides = dict(zip(SIDES, sides_of(pack, truth, params), strict=True))
    for batches in sides.values():  # compiles, and touches every page
        timing.step_seconds(network, batches)
    seconds = {side: [] for side in SIDES}
    for _ in range(arguments.rounds):
        for side, batches in sides.items():
            seconds[side].extend(timing.step_seconds(network, batches)[1])
    print(f"{member} at {size} px, batch {arguments.batch}, {len(seconds['packed'])} steps a side; {device}")
    for side, times in seconds.items():
        median, mean = (100 * (f(times) / f(seconds["constant"]) - 1) for f in (np.median, np.mean))
        print(f"  {side:9} {1000 * np.median(times):8.1f} ms a step; more than constant: {median:+.1f} % "
              f"(mean {mean:+.1f} %)", flush=True)  # fmt: skip


def sides_of(pack, truth, params):
    """The batches of `SIDES`: as many steps each, from the same films."""
    import timing

    from cxr.networks import film_batches
    from cxr.training import loop

    rows = np.arange(len(truth)) % len(pack)
    batch = params.training.batch_size
    yield timing.ConstantBatch(np.asarray(pack[rows[:batch]])[..., None], truth[:batch], len(truth) // batch)
    for changed in ({}, {"elastic": 1.0}):
        batches = film_batches.FilmBatches(
            pack, rows, map(str, range(len(rows))), truth, batch, seed=1,
            augmentation=params.augmentation.model_copy(update=changed), workers=loop.loader_threads(params),
        )  # fmt: skip
        # As many as training keeps would be ready before the clock starts, whatever they cost.
        batches.max_queue_size = 1
        yield batches


def loader_alone(pack):
    """Films a second out of a pack in memory, batch by batch from threads, without a network."""
    from cxr.core import configuration
    from cxr.networks import film_batches

    default = configuration.params_from({}, "-").augmentation
    kinds = {"none": None, "default": default, "elastic": default.model_copy(update={"elastic": 1.0})}
    print(f"loader alone, films of {pack.shape[1]} px, films a second")
    for name, augmentation in kinds.items():
        ids = map(str, range(len(pack)))
        batches = film_batches.FilmBatches(pack, np.arange(len(pack)), ids, None, 16, seed=1, augmentation=augmentation)
        rates = []
        for threads in (1, 2):
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(batches.__getitem__, range(len(batches))))
                started = time.perf_counter()
                list(pool.map(batches.__getitem__, range(len(batches))))
            rates.append(f"{len(pack) / (time.perf_counter() - started):,.0f} on {threads}")
        print(f"  augmentation {name:8} {', '.join(rates)} threads", flush=True)


def more_than_memory(path, megabytes):
    """Films a second in random order: with the whole pack in the page cache, and with a part of it at most."""
    pack = np.load(path, mmap_mode="r")
    order = np.random.default_rng(2).permutation(len(pack))
    film = pack[0].nbytes
    print(f"random access, {len(pack)} films, {pack.nbytes / 1e6:.0f} MB, batches of 16")
    kinds = {"all in memory": (None, None)}
    kinds[f"{megabytes} MB in memory"] = megabytes * 1e6, mmap.MADV_NORMAL
    kinds[f"{megabytes} MB, told that access is random"] = megabytes * 1e6, mmap.MADV_RANDOM  # no reading ahead
    for name, (allowed, advice) in kinds.items():
        if advice is not None:
            pack._mmap.madvise(advice)
        drop(pack, path) if allowed else pack.sum()
        held, read, started = 0, disk_bytes(), time.perf_counter()
        for first in range(0, len(order), 16):
            held += pack[order[first : first + 16]].nbytes
            if allowed and held + 16 * film > allowed:
                drop(pack, path)
                held = 0
        seconds = time.perf_counter() - started
        from_disk = "not told by this system" if read is None else f"{(disk_bytes() - read) / 1e6:.0f} MB"
        print(f"  {name:38} {len(order) / seconds:8,.0f} films/s; read from disk: {from_disk}", flush=True)


def drop(pack, path):
    """Ask the system to forget the pack's pages: those mapped here, then those in its cache."""
    pack._mmap.madvise(mmap.MADV_DONTNEED)
    with open(path, "rb") as file:
        os.fsync(file.fileno())  # a page not yet on disk cannot be dropped
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def disk_bytes():
    """Bytes that the disk gave this process so far; None where the system does not count them."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return None
    return int(dict(line.split(": ") for line in lines)["read_bytes"])


def random_pack(path, films, size):
    """Films of random pixels: what is in them does not matter to loader and disk."""
    from cxr.preparation import packs

    random = np.random.default_rng(1)
    with packs.written_pack(path, films, size) as temporary:
        for first in range(0, films, 64):
            shape = (min(64, films - first), size, size)
            packs.write_rows(temporary, first, random.integers(0, 256, shape, np.uint8))
    return packs.open_pack(path, "")


if __name__ == "__main__":
    main()
