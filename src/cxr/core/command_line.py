"""The arguments that every script takes, and how it ends: an exit status and one line for whatever goes wrong."""

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from cxr.core import locks, process_group
from cxr.core.configuration import load_params, load_settings
from cxr.core.errors import InputError, one_line, printable
from cxr.core.parameters import Params
from cxr.core.settings import Settings

# Figures are drawn into files. A notebook hands its own backend to what it starts, and where that is not installed
# Matplotlib cannot be imported (googlecolab/colabtools issue 5148).
os.environ["MPLBACKEND"] = "agg"
PROJECT = Path(__file__).resolve().parents[3]
_FREE_SOME = "Free some room, or change DATA_DIR or MODELS_DIR; what is finished stays whole, the same command goes on."
_ALLOW = "Make it writable, or change DATA_DIR or MODELS_DIR in SETTINGS.json; what is finished stays whole."
MACHINE = {
    errno.ENOSPC: _FREE_SOME,
    errno.EDQUOT: _FREE_SOME,
    errno.EFBIG: _FREE_SOME,
    errno.EROFS: _ALLOW,
    errno.EACCES: _ALLOW,
    errno.EPERM: _ALLOW,
    errno.EMFILE: "Raise the limit of open files: ulimit -n 4096",
    errno.EIO: "The disk or its connection fails; check it.",
}


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments that every script takes, ready for more."""
    arguments = argparse.ArgumentParser(
        allow_abbrev=False, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument(
        "--settings", type=Path, default=PROJECT / "SETTINGS.json", help="where raw data and results are"
    )
    arguments.add_argument("--params", type=Path, default=PROJECT / "PARAMS.json", help="how results are made")
    arguments.add_argument("--strict", action="store_true", help="stop at problems that are else listed and left out")
    arguments.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a Dask scheduler (tcp://…) whose workers prepare and score films, in the steps that can",
    )
    arguments.add_argument("--debug", action="store_true", help="show where in the code an error arose")
    return arguments


def unet_parser(description: str) -> argparse.ArgumentParser:
    """`parser` for the steps towards the U-Net, which prepare_data.sh calls only where there is none yet."""
    arguments = parser(description)
    arguments.add_argument("--if-missing", action="store_true", help="do nothing where a U-Net is there or not needed")
    return arguments


def opened(
    arguments: argparse.ArgumentParser, argv: Sequence[str] | None, folder: Callable[[Settings], Path]
) -> tuple[argparse.Namespace, Settings, Params]:
    """Parsed arguments and both JSON files, once this process is the only one that writes into ``folder(settings)``."""
    parsed = arguments.parse_args(argv)
    settings, params = load(parsed)
    locks.hold(folder(settings))
    return parsed, settings, params


def ignore_flags_of_visualize(arguments: argparse.ArgumentParser) -> None:
    """Take what visualization_*.sh hands to all of its scripts and visualize.py alone obeys; nothing else."""
    for flag in ("--film", "--finding", "--limit"):
        arguments.add_argument(
            flag, action="append", help="of visualize.py, which visualization_*.sh calls; ignored here"
        )


def load(arguments: argparse.Namespace) -> tuple[Settings, Params]:
    """Both JSON files of parsed arguments, checked."""
    return load_settings(arguments.settings), load_params(arguments.params)


class Plain:
    """A standard stream as it is, but that nothing printed can colour or rewrite a terminal, whatever a name holds.

    kept: the control codes that are meant, of our own lines and bars.
    """

    def __init__(self, stream: TextIO, kept: str):
        self._stream, self._kept = stream, kept

    def write(self, text: str) -> int:
        return self._stream.write(printable(text, self._kept))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def run(main) -> None:
    """Call a script's main; whatever goes wrong becomes one line that says what to do, and an exit status.

    Main may return one itself (3: whole, but some files could not be used). 2: wrong input. 4: another run is at work
    there. 5: the machine (disk, permission, memory). 130: Ctrl-C. 1: a bug.
    With --debug the traceback comes first.
    """
    sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no UTF-8, and a terminal may have less
    sys.stdout, sys.stderr = Plain(sys.stdout, "\n\t"), Plain(sys.stderr, "\n\t\r")
    try:
        status = main()
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in sys.argv[1:]:
            traceback.print_exc()
        message, status = explained(error)
        who = f" in {process_group.name()}" if process_group.name() else ""
        print(f"error{who}: {one_line(message)}", file=sys.stderr, flush=True)
        process_group.end(status)
    if status:
        sys.exit(status)


def explained(error: BaseException) -> tuple[str, int]:
    """What to tell the user of an error, and the exit status."""
    kind = type(error).__name__
    if isinstance(error, InputError):
        return str(error), error.exit_status
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        what = "a name that is no UTF-8; rename it (such as convmv -f cp949 -t utf8 -r --notest FOLDER for Korean)"
        return f"{error.object}: {what}", InputError.exit_status
    if isinstance(error, KeyboardInterrupt):
        return "interrupted. The same command goes on where it stopped.", 130
    if kind == "BrokenProcessPool":
        return "a process that read films was ended, most often for want of memory. Lower WORKERS in PARAMS.json.", 5
    if isinstance(error, MemoryError) or kind == "ResourceExhaustedError":  # TensorFlow's, of a GPU
        return "not enough memory. Lower BATCH_SIZE, SCORE_BATCH_SIZE or an input size in PARAMS.json.", 5
    if isinstance(error, OSError):
        # NumPy says "… requested and … written" of a full disk, without an errno.
        full = "requested and" in str(error) or "No space left" in str(error)
        for number, remedy in MACHINE.items():
            if error.errno == number or (full and number == errno.ENOSPC):
                where = f"{error.filename}: " if error.filename else ""
                return f"{where}{error.strerror or 'No space left on device'}. {remedy}", 5
    last = traceback.extract_tb(error.__traceback__)[-1:]
    position = "".join(f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in last)
    return f"{kind}: {error}{position}. This is a bug: please report it with what --debug shows.", 1
