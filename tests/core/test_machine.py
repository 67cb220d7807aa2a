import errno
import multiprocessing
import os
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from cxr.core import command_line, machine
from cxr.core.errors import FilmError, InputError
from cxr.imaging.decoding import read_film, write_image
from tests.conftest import PROJECT


def raised(name: str, text: str) -> Exception:
    """An error of a class of that name: those of TensorFlow, JAX and Dask are known by their names alone."""
    return type(name, (RuntimeError,), {})(text)


MEMORY, ROOM, AWAY = "Lower BATCH_SIZE, SCORE_BATCH_SIZE", "Free some room", "is away: see that it is there again"
GPU, SHARED, WORKERS = r'pip install -e "\.\[gpu\]"', "docker run --shm-size=1g", "Give workers more"
# As people met them; the threads stand in cxr.core.machine.
MESSAGES = [
    ("XlaRuntimeError", "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 6291456 bytes.\nBuffer …", MEMORY),
    ("JaxRuntimeError", "RESOURCE_EXHAUSTED: Failed to allocate request for 176.00MiB on device ordinal 0", MEMORY),
    ("RuntimeError", "Resource exhausted: Failed to allocate request for 32.00MiB on device ordinal 0", MEMORY),
    ("ResourceExhaustedError", "Graph execution error:\n\nOOM when allocating tensor with shape[16,64]", MEMORY),
    ("InternalError", "2 root error(s) found.\n  (0) Internal: Dst tensor is not initialized.", MEMORY),
    ("InternalError", "failed to allocate 3.81G (4087755776 bytes): CUDA_ERROR_OUT_OF_MEMORY", MEMORY),
    ("InternalError", "Could not create cublas handle: CUBLAS_STATUS_ALLOC_FAILED", MEMORY),
    ("error", "OpenCV(5.0.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 6291456 bytes", MEMORY),
    ("XlaRuntimeError", "RESOURCE_EXHAUSTED: CUDA out of memory", MEMORY),
    ("InternalError", "INTERNAL: Failed to allocate 1073741824 bytes for new constant", MEMORY),
    ("InternalError", "cudaSetDevice() on GPU:0 failed. Status: out of memory", MEMORY),
    ("InternalError", "Blas GEMM launch failed : a.shape=(32, 1664)", MEMORY),
    ("ResourceExhaustedError", "/x/model.keras; No space left on device", "Free some room"),
    ("ResourceExhaustedError", "/x/model.keras; Disk quota exceeded", "Free some room"),
    ("ResourceExhaustedError", "/x/model.keras; Too many open files", "ulimit -n"),
    ("FailedPreconditionError", "/x/log.csv; Stale file handle", "is away"),
    ("XlaRuntimeError", "UNAVAILABLE: failed to connect to all addresses", "is away"),
    ("ImportError", "numpy.core.multiarray failed to import", "do not fit together"),
    ("RuntimeError", "module compiled against ABI version 0x1000009 but this one is 0x2000000", "do not fit"),
    ("TypeError", "Descriptors cannot be created directly.\nIf this call came from …", "do not fit together"),
    ("ModuleNotFoundError", "No module named '_lzma'", "do not fit together"),
    ("ParserError", "Error tokenizing data. C error: out of memory", MEMORY),
    ("_ArrayMemoryError", "Unable to allocate 7.28 TiB for an array with shape (1000000, 1000000)", MEMORY),
    ("InternalError", "libdevice not found at ./libdevice.10.bc [Op:__some_op]", GPU),
    ("UnimplementedError", "Graph execution error:\nDNN library is not found.", GPU),
    ("XlaRuntimeError", "FAILED_PRECONDITION: DNN library initialization failed. Look at the errors above", GPU),
    ("UnknownError", "Failed to get convolution algorithm: CUDNN_STATUS_NOT_INITIALIZED", GPU),
    ("CUDADriverError", "CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the provided PTX was compiled with an …", GPU),
    ("XlaRuntimeError", "INTERNAL: ptxas exited with non-zero error code 65280", GPU),
    ("RuntimeError", "Unable to initialize backend 'cuda': no supported devices found", GPU),
    ("InternalError", "CUDA_ERROR_ECC_UNCORRECTABLE: uncorrectable ECC error encountered", "restart the machine"),
    ("InternalError", "Error while creating shared memory segment /dev/shm/nccl-KWfVyt (size 5967872)", SHARED),
    ("RuntimeError", "NCCL Error 2: unhandled system error", SHARED),
    ("BrokenProcessPool", "A process in the process pool was terminated abruptly", "Lower WORKERS"),
    ("KilledWorker", "Attempted to run task 'x' on 4 different workers, but all those workers died", WORKERS),
    ("CommClosedError", "in <TCP (closed) Client->Scheduler>: Stream is closed", WORKERS),
    ("RuntimeError", "can't start new thread", "ulimit -u"),
]  # fmt: skip
LOCKED = "Unable to synchronously open file (unable to lock file, errno = 11, error message = 'Resource …')"
SYSTEM = [
    (OSError(errno.ENOMEM, "Cannot allocate memory"), MEMORY),
    (MemoryError(), f"^not enough memory. {MEMORY}"),
    (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "ulimit -u"),
    (OSError(errno.EMFILE, "Too many open files", "a.png"), "^a.png: Too many open files.*ulimit -n"),
    (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp', '/var/tmp']"), "export TMPDIR="),
    (OSError(LOCKED), "HDF5_USE_FILE_LOCKING=FALSE"),
    (OSError(errno.ENOLCK, "No locks available"), "HDF5_USE_FILE_LOCKING=FALSE"),
    (OSError("Can't write data (file write failed: errno = 28, error message = 'No space …')"), ROOM),
    (OSError(errno.EDQUOT, "Disk quota exceeded", "a.keras"), rf"^a.keras: Disk quota exceeded\. {ROOM}"),
    (OSError("262144 requested and 6016 written"), ROOM),
    (OSError(errno.ESTALE, "Stale file handle", "/nfs/a.csv"), rf"^/nfs/a.csv: Stale file handle\. .*{AWAY}"),
    (OSError(errno.ENOTCONN, "Transport endpoint is not connected", "/mnt/a"), AWAY),
    (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), AWAY),
    (TimeoutError(), AWAY),
    (OSError(errno.EIO, "Input/output error", "a.npy"), "^a.npy: Input/output error. The disk or its connection"),
    (OSError(errno.ENODEV, "No such device"), "take a local disk"),
    (OSError(errno.ENAMETOOLONG, "File name too long", "x"), "takes no names that long"),
    (OSError(errno.ENOSPC, "No space left on device", "/dev/shm/psm_1"), "docker run --shm-size"),
    (OSError(errno.EKEYEXPIRED, "Key has expired", "/mnt/x"), "kinit"),
    (OSError(errno.EUCLEAN, "Structure needs cleaning", "/mnt/x"), "fails; check it"),
    (TimeoutError(), "TimeoutError. A disk of the network"),
    (
        ImportError("libGL.so.1: cannot open shared object file: No such file"),
        "libraries are missing or do not fit together",
    ),
]
ERRORS = [*((raised(name, text), expected) for name, text, expected in MESSAGES), *SYSTEM]


@pytest.mark.parametrize(("error", "expected"), ERRORS, ids=[type(error).__name__ for error, _ in ERRORS])
def test_errors_of_machines_are_told_with_a_remedy_and_have_status_5(error, expected):
    said, status = command_line.explained(error)
    assert status == 5
    assert re.search(expected, said)
    assert "bug" not in said


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(errno.ENOENT, "No such file or directory", "/dev/shm/x/out of memory.png"),
     ZeroDivisionError("by 0"), KeyError("memory"), FileNotFoundError(errno.ENOENT, "No such file or directory", "a"),
     ValueError("shapes (3,) and (4,)"), RuntimeError("[Errno 2] No such file or directory")],
)  # fmt: skip
def test_other_errors_are_not_the_machines(error):
    assert machine.told(error) is None
    assert command_line.explained(error)[1] == 1


def test_a_folder_that_cannot_be_written_may_be_the_one_of_out():
    for number in (errno.EACCES, errno.EROFS, errno.ENOSPC):
        said = machine.told(OSError(number, os.strerror(number), "results/.cxr-lock"))
        assert "change --out, or DATA_DIR or MODELS_DIR in SETTINGS.json" in said


def test_only_the_line_that_says_it_is_shown_of_a_long_message():
    pages = "Graph execution error:\n\nDetected at node x\nOOM when allocating tensor with shape[1]\n" + "more\n" * 999
    said = machine.told(raised("ResourceExhaustedError", pages))
    assert said.startswith("not enough memory on the device (")
    assert len(said) < 400


def test_semaphores_without_shared_memory_are_told_as_such(monkeypatch):
    class Semaphore:
        def __init__(self, *arguments):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("multiprocessing.synchronize._multiprocessing.SemLock", Semaphore)
    monkeypatch.setattr("multiprocessing.synchronize.sem_unlink", lambda name: None)
    with pytest.raises(OSError, match="No space left") as caught:
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    assert machine.told(caught.value).startswith("no shared memory ([Errno 28] No space left on device). /dev/shm is")


def test_a_file_is_not_to_blame_for_a_disk_that_is_away():
    def explained(cause):
        try:
            try:
                raise cause
            except OSError:
                raise InputError("a.csv: cannot be read. Make it again.") from None
        except InputError as error:
            return command_line.explained(error)

    said, status = explained(OSError(errno.ESTALE, "Stale file handle", "a.csv"))
    assert status == 5
    assert said.startswith("a.csv: Stale file handle. A disk of the network")
    assert explained(PermissionError(errno.EACCES, "Permission denied", "a.csv")) == (
        "a.csv: cannot be read. Make it again.", 2,
    )  # fmt: skip


def test_a_film_is_not_left_out_for_what_the_machine_lacks(tmp_path, monkeypatch):
    write_image(np.add.outer(np.arange(40), np.arange(48)).astype(np.uint8), tmp_path / "a.png")

    def read_with(error):
        def failing(*arguments, **options):
            raise error

        monkeypatch.setattr("builtins.open", failing)
        try:
            return read_film(tmp_path / "a.png")
        finally:
            monkeypatch.undo()

    for number in (errno.ESTALE, errno.ENOMEM, errno.EMFILE):
        with pytest.raises(OSError, match=os.strerror(number)):
            read_with(OSError(number, os.strerror(number)))
    for number in (errno.EIO, errno.EACCES):  # of this film alone
        with pytest.raises(FilmError, match=f"a.png: cannot be read: {os.strerror(number)}"):
            read_with(OSError(number, os.strerror(number)))


def test_an_import_that_ctrl_c_broke_is_no_bug():
    def explained():
        try:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt:
                raise ImportError("numpy failed to load")  # noqa: B904, as libraries do
        except ImportError as error:
            return command_line.explained(error)

    assert explained() == ("interrupted. The same command goes on where it stopped.", 130)


RUN = "from cxr.core import command_line; command_line.run(lambda: {})"


def test_nobody_left_to_read_the_output_is_no_error():
    code = RUN.format("print(*range(200_000), sep='\\n')")
    python = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert python.stdout.readline() == "0\n"
    python.stdout.close()
    assert (python.wait(), python.stderr.read()) == (141, "")


def test_a_terminal_of_another_alphabet_shows_escapes():
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    code = RUN.format(r"print('\uac00 …')")
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "\\uac00 \\u2026\n"), result.stderr


# --- what is installed ----------------------------------------------------------------------------------------------


def complaint(path="", **variables: str) -> str:
    """What environment.sh would be told with other packages in front of ours."""
    environment = os.environ | {"PYTHONPATH": f"{path}:{PROJECT / 'src'}"} | variables
    code = "from cxr.core.machine import complaint; print(complaint() or '', end='')"
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def installed(folder, name, version):
    """A package without content, as pip leaves it."""
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_what_requirements_txt_asks_for_is_right():
    assert complaint() == ""
    assert complaint(KERAS_BACKEND="") == ""


@pytest.mark.parametrize(
    ("name", "version", "needed"),
    [("keras", "2.15.0", "3"), ("numpy", "1.26.4", "2"), ("pandas", "2.2.3", "3"), ("pydicom", "2.4.4", "3"),
     ("pydantic", "1.10.19", "2")],
)  # fmt: skip
def test_another_main_version_is_named_with_its_place_and_what_is_needed(tmp_path, name, version, needed):
    installed(tmp_path, name, version)
    said = complaint(tmp_path)
    assert said.startswith(f"{name} {version} is imported, from {tmp_path}; {needed}.")
    assert "is needed. " in said
    assert "unset PYTHONPATH" in said
    assert said.endswith("pip install -r requirements.txt")


def test_a_newer_one_of_the_same_main_version_is_none_of_our_business(tmp_path):
    installed(tmp_path, "keras", "3.99.0")
    assert complaint(tmp_path) == ""


def test_opencv_is_known_by_what_is_in_its_folder(tmp_path):
    # Of the four packages that own it pip still lists ours, whose files another has written over.
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2/__init__.py").touch()
    (tmp_path / "cv2/version.py").write_text('opencv_version = "4.11.0.86"\n')
    said = complaint(tmp_path)
    assert said.startswith(f"OpenCV 4.11.0.86 is imported, from {tmp_path / 'cv2'}; 5.")
    assert "pip uninstall -y opencv-python opencv-contrib-python opencv-python-headless; pip install -r" in said


def test_backends_that_nothing_was_tried_on_are_refused_by_name():
    assert complaint(KERAS_BACKEND="torch").startswith("KERAS_BACKEND is torch; expected tensorflow or jax. Run: unset")
    assert complaint(KERAS_BACKEND="tensorfow").startswith("KERAS_BACKEND is tensorfow; expected")


def test_a_backend_that_is_not_installed_is_told_with_what_installs_it(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    find = machine.find_spec
    monkeypatch.setattr(machine, "find_spec", lambda name: None if name == "jax" else find(name))
    assert machine.complaint() == 'KERAS_BACKEND is jax, which is not installed. Run: pip install -e ".[jax]"'


def test_scripts_called_by_hand_are_told_too(tmp_path):
    installed(tmp_path, "pandas", "2.2.3")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{PROJECT / 'src'}"}
    command = [sys.executable, PROJECT / "src/checks/check_data.py"]
    result = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: pandas 2.2.3 is imported, from {tmp_path}; 3.")
    assert result.stderr.count("\n") == 1
