"""Steps 4 and 5 of prepare_data.sh against what OpenCV alone takes for the same files in the same processes.

Draws films (gray PNG), or takes those of a folder, and measures in one run, by turns, the median of several rounds:

* step 5, `cxr.preparation.packing.pack_shard`: without masks, for one size and for two, and with loose masks; the other
  side only decodes and resizes (cv2.imread, cv2.resize INTER_AREA);
* step 4, `cxr.preparation.masking.mask_shard`: reading alone, the U-Net (random weights) alone, cleaning alone, all
  together;
* what it costs that steps 4 and 5 both decode a film;
* the memory of step 5 for n and for ten times n films.

    python benchmarks/packing.py [--films 240] [--side 1024] [--size 512] [--folder films] [--processes 0]
"""

import argparse
import functools
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from cxr.anatomy import lungs
from cxr.core import configuration, executors
from cxr.core.artifacts import digest
from cxr.imaging.listing import list_films
from cxr.preparation import masking, packing, packs, reading

TIMES_MORE = 10  # films, for memory
PACKED = 256  # pixels, for memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=240)
    parser.add_argument("--side", type=int, default=1024, help="pixels of the drawn films")
    parser.add_argument("--size", type=int, default=512, help="pixels of the packed films")
    parser.add_argument("--folder", type=Path, help="films to take instead")
    parser.add_argument("--processes", type=int, default=0, help="0 = one per core")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--unet-size", type=int, default=256)
    parser.add_argument("--unet-filters", type=int, default=16)
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    processes = executors.process_count(arguments.processes)
    if arguments.memory:
        print(*measure_memory(list_films(arguments.folder).films, arguments.memory, processes, arguments.work))
        return
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        films = arguments.folder or draw(work / "films", arguments.films, arguments.side, processes)
        paths = list_films(films).films[: arguments.films]
        megabytes = sum(path.stat().st_size for path in paths) / 1e6
        print(f"{len(paths)} films, {megabytes / len(paths):.2f} MB each; {processes} processes\n")
        packing = time_packing(paths, arguments.size, processes, arguments.rounds, work)
        together, decode = time_masking(paths, processes, arguments, work)
        both = together + packing
        print(f"\nthe second decode: {decode / both:.0%} of steps 4 and 5 (loose masks, this U-Net)\n")
        few, many = (in_a_process(films, count, processes, work) for count in (len(paths), TIMES_MORE * len(paths)))
        print(f"memory of step 5, MB, main process and its largest worker:\n  {len(paths):>7} films: {few}")
        print(f"  {TIMES_MORE * len(paths):>7} films: {many}")


def draw_film(job: tuple[Path, int, int]) -> None:
    """A smooth film with a little grain, which makes a PNG about as large as NIH's."""
    path, side, seed = job
    random = np.random.default_rng(seed)
    smooth = cv2.resize(random.integers(20, 235, (40, 40)).astype(np.float32), (side, side))
    cv2.imwrite(str(path), np.clip(smooth + random.normal(0, 1, (side, side)), 0, 255).astype(np.uint8))


def draw(folder: Path, films: int, side: int, processes: int) -> Path:
    folder.mkdir()
    jobs = [(folder / f"{number:05d}.png", side, number) for number in range(films)]
    list(executors.by_processes(draw_film, jobs, processes))
    return folder


def plain(shard, sizes: tuple[int, ...]) -> int:
    """What OpenCV alone takes: decode as gray, resize."""
    for _, path, _ in shard:
        film = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        for size in sizes:
            cv2.resize(film, (size, size), interpolation=cv2.INTER_AREA)
    return len(shard)


def draw_masks(path: Path, films: int, size: int) -> None:
    """Two ellipses for lungs."""
    mask = np.zeros((size, size), np.uint8)
    for x in (0.3, 0.7):
        cv2.ellipse(mask, (round(x * size), size // 2), (size // 7, size // 3), 0, 0, 360, 255, -1)
    with packs.written_pack(path, films, size) as temporary:
        for row in range(films):
            packs.write_rows(temporary, row, mask[None])


def packing_of(work: Path, films: int, sizes, mode: str) -> packing.Packing:
    for size in sizes:
        with packs.written_pack(work / f"{size}.npy", films, size):
            pass
    written = tuple((size, str(work / f"{size}.npy")) for size in sizes)
    return packing.Packing(written, str(work / "masks.npy"), "", "pad", mode, 0.04)


def time_packing(paths, size: int, processes: int, rounds: int, work: Path) -> float:
    """Prints step 5's table; returns its seconds with loose masks."""
    draw_masks(work / "masks.npy", len(paths), 256)
    jobs = [(row, path, True) for row, path in enumerate(paths)]
    shards = list(executors.shards(jobs, packing.shard_size(len(jobs), processes)))
    one, two = (size,), (size, size + 16)
    sides = {"OpenCV alone, one size": functools.partial(plain, sizes=one)}
    sides["OpenCV alone, two sizes"] = functools.partial(plain, sizes=two)
    for name, sizes, mode in (("one size", one, "none"), ("two sizes", two, "none"), ("one size", one, "loose")):
        what = packing_of(work, len(paths), sizes, mode)
        sides[f"step 5, {mode}, {name}"] = functools.partial(packing.pack_shard, packing=what)
    seconds = {name: [] for name in sides}
    with executors.processes(processes) as pool:
        for around in range(rounds + 1):  # the first one starts the processes and reads the files into memory
            for name, side in sides.items():
                started = time.perf_counter()
                for _ in executors.in_order(side, shards, pool):
                    pass
                if around:
                    seconds[name].append(time.perf_counter() - started)
    middle = {name: median(times) for name, times in seconds.items()}
    print(f"{'':32}{'films/s':>9}{'of OpenCV':>11}")
    for name, taken in middle.items():
        alone = middle[f"OpenCV alone, {name.split(', ')[-1]}"]
        print(f"{name:32}{len(paths) / taken:9.0f}{alone / taken:11.0%}")
    return middle["step 5, loose, one size"]


def time_masking(paths, processes: int, arguments, work: Path) -> tuple[float, float]:
    """Prints step 4's table; returns its seconds, and those of reading alone."""
    keys = {"UNET_INPUT_SIZE": arguments.unet_size, "UNET_FILTERS": arguments.unet_filters, "WEIGHTS": "none"}
    params = configuration.params_from(keys, "benchmarks/packing.py")
    from cxr.networks import backend, inference, u_net

    device, size = backend.start(params), arguments.unet_size
    unet_path = work / "unet.keras"
    u_net.build_unet(params).save(unet_path)
    with packs.written_pack(work / "found.npy", len(paths), size):
        pass
    shared = masking.Masking(str(unet_path), digest(unet_path), str(work / "found.npy"), params)
    unet, step = masking.network(shared)[0], inference.MASK_BATCH
    unet.predict_on_batch(np.zeros((step, size, size, 1), np.uint8))  # compiled before the clock starts
    read = functools.partial(reading.try_square, size=size, fit="pad")
    shards = list(executors.shards(list(enumerate(paths)), masking.SHARD))
    squares: list[np.ndarray] = []
    probability = np.random.default_rng(0).random((size, size)).astype(np.float32)

    def reading_alone():
        with executors.threads(processes) as pool:
            squares[:] = [square for square, _ in executors.in_order(read, paths, pool)]

    def network():
        for shard in executors.shards(squares, step):
            batch = np.zeros((step, size, size, 1), np.uint8)
            batch[: len(shard), ..., 0] = shard
            np.asarray(unet.predict_on_batch(batch))

    def cleaning():
        with executors.threads(processes) as pool:
            for _ in executors.in_order(lambda _: lungs.clean_mask(probability), paths, pool):
                pass

    def together():
        work, here = functools.partial(masking.mask_shard, masking=shared), executors.threads(processes + 1)
        for _ in executors.each_film(work, shards, None, here):
            pass

    sides = {"reading alone": reading_alone, "U-Net alone": network, "cleaning alone": cleaning, "step 4": together}
    seconds = {name: [] for name in sides}
    for _ in range(max(1, arguments.rounds // 2)):
        for name, side in sides.items():
            started = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - started)
    taken = {name: median(times) for name, times in seconds.items()}
    parts = list(taken.values())[:3]
    # On a GPU the network has a device of its own; on the CPU all three share the cores.
    ideal = max(parts[1], parts[0] + parts[2]) if backend.gpus() else sum(parts)
    print(f"\nstep 4 with a U-Net of {arguments.unet_filters} filters at {size} px; {device}")
    for name, seconds in taken.items():
        share = f"{ideal / seconds:11.0%} of the ideal" if name == "step 4" else ""
        print(f"{name:32}{len(paths) / seconds:9.0f}{share}")
    return taken["step 4"], taken["reading alone"]


def peak_memory(_=None) -> int:
    """Megabytes that this process has used at most; getrusage would count what its parent had when it was started."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return round(int(line.split()[1]) / 1024)


def measure_memory(paths, films: int, processes: int, work: Path) -> tuple[int, int]:
    """`peak_memory` of this process and of its largest worker after films were packed."""
    jobs = [(row, paths[row % len(paths)], False) for row in range(films)]
    pack = functools.partial(packing.pack_shard, packing=packing_of(work, films, (PACKED,), "none"))
    with executors.processes(processes) as pool:
        shards = executors.in_order(pack, executors.shards(jobs, packing.SHARD), pool)
        packing.gathered(record for shard in shards for record in shard)
        workers = max(executors.in_order(peak_memory, range(8 * processes), pool))
    return peak_memory(), workers


def in_a_process(folder: Path, films: int, processes: int, work: Path) -> str:
    options = ["--folder", folder, "--memory", films, "--processes", processes, "--work", work]
    command = [sys.executable, __file__, *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
