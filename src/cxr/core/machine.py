"""What the machine lacks: packages of the versions that are needed; and what its errors mean, with their remedies.

Messages of errors are real ones; where somebody asked what to do, the thread stands beside. environment.sh asks
`complaint` before anything else is imported, so this is quick and needs the standard library alone.
"""

import errno
import os
import re
import sys
import traceback
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[3] / "requirements.txt"
OPENCV = "opencv-python-headless"
# Those whose main versions differ in what we call; a main version is the first number.
PACKAGES = ("keras", "numpy", "pandas", "pydantic", "pydicom", OPENCV)
BACKENDS = {"tensorflow": "-r requirements.txt", "jax": '-e ".[jax]"'}


def backend() -> str:
    """What Keras computes with, as KERAS_BACKEND says: TensorFlow where it is not set, whatever keras.json says."""
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def complaint() -> str | None:
    """The first thing that is wrong with what is installed, and its remedy; None where all is well."""
    if backend() not in BACKENDS:
        return f"KERAS_BACKEND is {backend()}; expected tensorflow or jax. Run: unset KERAS_BACKEND"
    if find_spec(backend()) is None:
        return f"KERAS_BACKEND is {backend()}, which is not installed. Run: pip install {BACKENDS[backend()]}"
    pinned = dict(
        re.findall(r"^([\w-]+)(?:\[.*?\])?==([\d.]+)", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)
    )
    for name in filter(pinned.__contains__, PACKAGES):
        version, folder = _opencv() if name == OPENCV else _found(name)
        if version.split(".")[0] != pinned[name].split(".")[0]:
            shown = "OpenCV" if name == OPENCV else name
            remedy = "In the environment of the scripts: pip install -r requirements.txt"
            if name == OPENCV:  # several packages write into its folder; pip sees only that ours is installed
                others = f"opencv-python opencv-contrib-python {OPENCV}"
                remedy = f"Run: pip uninstall -y {others}; pip install -r requirements.txt"
            if folder and not folder.is_relative_to(sys.prefix):
                remedy = f"It is not that of {sys.prefix}: unset PYTHONPATH; export PYTHONNOUSERSITE=1. {remedy}"
            there = f"{version} is imported, from {folder}" if folder else "is not installed"
            return f"{shown} {there}; {pinned[name]} is needed. {remedy}"
    return None


def told_of_import(error: ImportError) -> str | None:
    """What to say of a package that a script cannot import; None where that is not known."""
    if not isinstance(error, ModuleNotFoundError):
        return complaint() or told(error)
    project, run = REQUIREMENTS.parent, "pip install -r requirements.txt"
    if Path(sys.prefix).resolve() != (project / ".venv").resolve():
        activate = project / ".venv/bin/activate"
        run = f". '{activate}'" if activate.exists() else f"python3 -m venv .venv && . .venv/bin/activate && {run}"
    return f"{sys.executable} lacks our packages ({error}). Run, in {project}: {run}"


def _found(name: str) -> tuple[str, Path | None]:
    """The version of a package that Python would import, and the folder it is in; "" and None where there is none."""
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return "", None
    # Not package.version, which parses a whole e-mail for it.
    version = re.search(r"^Version: (\S+)", package.read_text("METADATA") or "", re.MULTILINE)
    return (version[1] if version else package.version), Path(str(package.locate_file("")))


def versions() -> dict[str, str]:
    """Versions of what computes the numbers, for records: of Python, and of the packages that are installed."""
    names = ("keras", "tensorflow", "jax", "numpy", OPENCV, "pandas", "scikit-learn")
    found = {name: _found(name)[0] for name in names}
    return {"python": sys.version.split()[0]} | {name: version for name, version in found.items() if version}


def _opencv() -> tuple[str, Path | None]:
    """The same of cv2: several packages own its folder, and the last one is in it (opencv/opencv-python issue 467)."""
    spec = find_spec("cv2")
    if spec is None or spec.origin is None:
        return "", None
    written = Path(spec.origin).with_name("version.py")
    version = re.search(r'opencv_version = "([\d.]+)"', written.read_text()) if written.is_file() else None
    if version is None:  # built from source, or a distribution's
        import cv2

        return cv2.__version__, Path(spec.origin).parent
    return version[1], Path(spec.origin).parent


AGAIN = "what is finished stays whole, the same command goes on."
_ROOM = f"Free some room, or change --out, or DATA_DIR or MODELS_DIR in SETTINGS.json; {AGAIN}"
_ALLOW = "Make it writable, or change --out, or DATA_DIR or MODELS_DIR in SETTINGS.json; what is finished stays whole."
_GONE = f"A disk of the network or a connection is away: see that it is there again (ls, mount); {AGAIN}"
_FEWER = "Lower BATCH_SIZE, SCORE_BATCH_SIZE, WORKERS or an input size in PARAMS.json."
_LIMIT = "Raise the limit (ulimit -u, docker run --pids-limit), or lower WORKERS in PARAMS.json."
_FILES = "Raise the limit of open files: ulimit -n 4096"
_LOCKS = "This file system has no locks: export HDF5_USE_FILE_LOCKING=FALSE, or take a local disk for MODELS_DIR."
_LOCAL = "This file system cannot do it: take a local disk for DATA_DIR and MODELS_DIR in SETTINGS.json."
_SHARED = "/dev/shm is full or missing. In a container: docker run --shm-size=1g (or --ipc=host)."

_SEMAPHORES = "multiprocessing/synchronize.py"

ERRNO = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _ROOM),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), _ALLOW),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), _FILES),
    **dict.fromkeys((errno.ENOMEM,), _FEWER),
    **dict.fromkeys((errno.EAGAIN,), _LIMIT),
    **dict.fromkeys((errno.ENOLCK,), _LOCKS),
    **dict.fromkeys((errno.ENODEV, errno.EOPNOTSUPP, errno.ENOSYS), _LOCAL),
    **dict.fromkeys(
        (
            errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED,
            errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ESHUTDOWN,
        ),
        _GONE,
    ),
    **dict.fromkeys((errno.EKEYEXPIRED, errno.ENOKEY), f"The key to a disk of the network is out: kinit; {AGAIN}"),
    **dict.fromkeys(
        (errno.EIO, errno.EREMOTEIO, errno.EBADMSG, errno.EUCLEAN, errno.EBUSY),
        f"The disk or its connection fails; check it; {AGAIN}",
    ),
    errno.ENAMETOOLONG: "This disk takes no names that long: take another for DATA_DIR, MODELS_DIR or --out.",
}  # fmt: skip
# What one file may bring about alone, whatever the machine is like.
OF_A_FILE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENODEV}


@dataclass(frozen=True)
class Kind:
    """What went wrong, what to do, and the messages that mean it (regular expressions on ``TypeName: text``)."""

    said: str
    remedy: str
    messages: tuple[str, ...]


KINDS = (  # the first that fits: what a message says of a disk comes before what its class may mean
    Kind(
        "no room on the disk",
        _ROOM,
        # NumPy says so of a full disk, without an errno.
        (r"\d+ requested and \d+ written|No space left on device|Disk quota exceeded",),
    ),
    Kind("too many files are open", _FILES, (r"Too many open files",)),
    Kind(
        "a disk or a machine is away",
        _GONE,
        (
            r"Stale file handle|Transport endpoint is not connected",
            r"\b(?:UNAVAILABLE|DEADLINE_EXCEEDED): ",  # of several processes
        ),
    ),
    Kind(
        "not enough memory",
        _FEWER,
        (
            r"MemoryError|std::bad_alloc",
            r"\(-4:Insufficient memory\)|cv::OutOfMemoryError",  # github.com/opencv/opencv/issues/8349
            r"C error: out of memory",  # github.com/dask/dask/issues/6685
            r"Cannot allocate memory",
        ),
    ),
    Kind(
        "not enough memory on the device",  # a GPU, or the machine where there is none
        f"Lower BATCH_SIZE, SCORE_BATCH_SIZE or an input size in PARAMS.json, or end what else runs there; {AGAIN}",
        (
            r"RESOURCE_EXHAUSTED|[Rr]esource exhausted",  # github.com/jax-ml/jax/issues/13428
            r"ResourceExhaustedError|OOM when allocating",
            r"Dst tensor is not initialized",  # github.com/tensorflow/tensorflow/issues/7025
            r"OUT_OF_MEMORY|[Oo]ut of memory|[Ff]ailed to allocate",  # github.com/tensorflow/tensorflow/issues/12237
            r"CU\w+_STATUS_ALLOC_FAILED|Blas GEMM launch failed",
        ),
    ),
    Kind(
        "the libraries of the GPU do not fit together",
        'Install them anew: pip install -e ".[gpu]"; nvidia-smi must answer, with a driver that is new enough, and '
        "memory free. Or run on the CPU: CUDA_VISIBLE_DEVICES= JAX_PLATFORMS=cpu",
        (
            r"libdevice (?:not found|is required)|Can't find libdevice",  # github.com/jax-ml/jax/issues/6323
            r"DNN library (?:is not found|initialization failed)",  # …/leondgarse/Keras_insightface/issues/130
            r"CUDNN_STATUS_|cuDNN failed to initialize",  # github.com/tensorflow/tensorflow/issues/45028
            r"UNSUPPORTED_PTX_VERSION|unsupported toolchain",  # github.com/googlecolab/colabtools/issues/2452
            r"\bptxas\b",  # github.com/jax-ml/jax/issues/25344
            r"no kernel image is available|CUDA_ERROR_(?:INVALID_PTX|NO_BINARY_FOR_GPU|SYSTEM_DRIVER_MISMATCH)",
            r"driver version is insufficient|Unable to initialize backend",
        ),
    ),
    Kind(
        "a GPU or its driver failed",
        f"See nvidia-smi, and restart the machine if it does so again; {AGAIN}",
        (r"CUDA_ERROR_(?:ECC_UNCORRECTABLE|ILLEGAL_ADDRESS|LAUNCH_FAILED|UNKNOWN|DEVICE_UNAVAILABLE)",),
    ),
    Kind(
        "no shared memory",
        _SHARED,
        (
            r"/dev/shm/|shared memory segment|Bus error",  # github.com/NVIDIA/nccl/issues/342
            r"NCCL.*unhandled system error",  # github.com/NVIDIA/nccl/issues/473
            r"lacks a functioning sem_open",  # github.com/ish-app/ish/issues/522
        ),
    ),
    Kind(
        "a process that read films was ended, most often for want of memory",
        "Lower WORKERS in PARAMS.json, or give the container more /dev/shm.",
        (r"BrokenProcessPool|TerminatedWorkerError",),  # github.com/epam/ai-dial-rag/issues/11
    ),
    Kind(
        "a worker of the cluster was lost, most often for want of memory",
        f"Give workers more, or lower SCORE_BATCH_SIZE; {AGAIN}",
        (
            r"KilledWorker",  # github.com/dask/distributed/issues/2078
            r"CommClosedError",  # github.com/dask/distributed/issues/4884
        ),
    ),
    Kind(
        "no more threads or processes",
        _LIMIT,
        (r"can't start new thread|pthread_create failed",),  # github.com/chroma-core/chroma/issues/1682
    ),
    Kind(
        "no room for temporary files",
        "Make room in /tmp, or name another folder: export TMPDIR=…",
        (r"No usable temporary directory",),  # github.com/NVIDIA/pix2pixHD/issues/67
    ),
    Kind(
        "a file cannot be locked",
        _LOCKS,
        (r"unable to lock file|file locking disabled",),  # github.com/h5py/h5py/issues/1101
    ),
    Kind(
        "libraries are missing or do not fit together",
        "Install what is missing, or make .venv again: pip install -r requirements.txt",
        (
            r"numpy\.core\.multiarray failed to import|compiled against (?:ABI|API) version",
            r"Descriptors cannot be created directly|jaxlib version \S+ is",
            r"No module named '_(?:ctypes|lzma|bz2|ssl|sqlite3)'",
            r"numpy\.\w+ size changed",  # github.com/tensorflow/tensorflow/issues/98406
            r"ImportError: .*cannot open shared object file",  # github.com/opencv/opencv-python/issues/370
            r"ImportError: .*(?:GLIBC\w*_[\d.]+' not found|undefined symbol|static TLS block|failed to map segment)",
        ),
    ),
)


def told(error: BaseException) -> str | None:
    """What to say of an error that is the machine's, in one line with its remedy; None of any other error."""
    file, number = getattr(error, "filename", None), _number(error)
    where = f"{file}: " if file else ""
    text = f"{type(error).__name__}: {error.strerror if file else error}"  # a name of a file means nothing
    if number == errno.ENOSPC and str(file).startswith("/dev/shm/"):
        return f"{where}{error.strerror}. {_SHARED}"
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, OSError) and any(frame.filename.endswith(_SEMAPHORES) for frame in frames):
        # Python says only "No space left on device": github.com/python/cpython/issues/93253
        return f"no shared memory ({error}). {_SHARED}"
    for kind in KINDS:
        found = next(filter(None, (re.search(message, text) for message in kind.messages)), None)
        # A full disk is told by its number, which knows the file.
        if found and not (number in ERRNO and (where or ERRNO.get(getattr(error, "errno", None)) == _ROOM)):
            came = text[text.rfind("\n", 0, found.start()) + 1 :].split("\n")[0].strip()
            shown = f" ({came[:200]})" if str(error) else ""
            return f"{where}{kind.said}{shown}. {kind.remedy}"
    if number in ERRNO and (isinstance(error, OSError) or number not in OF_A_FILE):
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"{where}{said}. {ERRNO[number]}"
    return None


def is_to_blame(error: BaseException) -> bool:
    """Whether an error is certainly the machine's: what was being read or computed is not to blame."""
    return told(error) is not None and _number(error) not in OF_A_FILE


def pass_on(error: BaseException) -> None:
    """Raise what is certainly the machine's, where any other error would be told as the fault of one film."""
    if is_to_blame(error) and _number(error) != errno.EIO:  # a bad spot on the disk
        raise error


def _number(error: BaseException) -> int | None:
    """The errno of an error, or the one that its text holds: HDF5 and TensorFlow wrap those of the system."""
    if getattr(error, "errno", None) is not None:
        return error.errno
    if isinstance(error, TimeoutError):
        return errno.ETIMEDOUT
    found = re.search(r"\berrno ?= ?(\d+)|\[Errno (\d+)\]", str(error))
    return int(found[1] or found[2]) if found else None
