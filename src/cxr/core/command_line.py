"""The arguments that every script takes, and how it ends: an exit status and one line for whatever goes wrong."""

import argparse
import math
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import pandas as pd

from cxr.core import locks, machine, process_group
from cxr.core.configuration import load_params, load_settings
from cxr.core.errors import Ended, InputError, MachineError, hint, one_line, printable
from cxr.core.parameters import Params
from cxr.core.settings import CHEST_FILMS, Settings, expanded

PROJECT = Path(__file__).resolve().parents[3]
OWN = ".local.json"  # how files end that are one user's own: no run is then of a changed checkout, no pull conflicts
TOLD = "CXR_TOLD"  # the variable by which the steps of a shell script know that the first has told what is of all
# The JSON files as messages name them, and the arguments that named them; see `load`.
_in_use = {"SETTINGS": "SETTINGS.json", "PARAMS": "PARAMS.json", "arguments": ""}
STEPS = re.compile(r"\bsh (?:prepare_data|train_\w+|evaluate_\w+|visualization_\w+)\.sh(?! --)")


def path(text: str) -> Path:
    """The ``type`` of an argument that is a path: what is there has any name, else as `settings.expanded` takes it.

    No shell replaces the ``~`` of ``--out=~/films``.
    """
    return Path(text if os.path.lexists(text) else expanded(text, "the command line"))


def count(text: str) -> int:
    """A number of films, for ``type=`` of an argument."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, 0 or more; found {text}")
    return int(text)


def hours(text: str) -> float:
    """A time to train, for ``type=`` of an argument."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1e6:  # what a clock takes
        raise argparse.ArgumentTypeError(f"expected a number of hours above 0, such as 11.5; found {text}")
    return value


def parser(description: str) -> argparse.ArgumentParser:
    """The arguments that every script takes, ready for more; what is wrong with them is an InputError."""
    arguments = argparse.ArgumentParser(
        os.environ.get("CXR_COMMAND"),  # of the shell script that calls this one
        allow_abbrev=False,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def refuse(message: str) -> None:
        said, _, words = message.partition(": ")
        if said == "unrecognized arguments":
            word = words.split()[0].split("=")[0]
            flags = re.findall(r"--[\w-]+", arguments.format_usage())
            raise InputError(f"{word}: no such argument.{hint(word, flags)} All are shown by --help.")
        if said == "the following arguments are required":
            raise InputError(f"{words}: missing. What is expected is shown by --help.")
        raise InputError(f"{message.removeprefix('argument ')}. What is expected is shown by --help.")

    arguments.error = refuse
    for name, what in (("SETTINGS", "where raw data and results are"), ("PARAMS", "how results are made")):
        help_of_it = f"{what}; without it {name}.local.json of the project where there is one, else {name}.json"
        arguments.add_argument(f"--{name.lower()}", type=path, default=_usual(name), help=help_of_it)
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


def _usual(name: str) -> Path:
    """The project's own file, NAME.local.json, which git ignores; NAME.json, an example in git, where there is none."""
    own = PROJECT / f"{name}{OWN}"
    return own if os.path.lexists(own) else PROJECT / f"{name}.json"


def load(arguments: argparse.Namespace) -> tuple[Settings, Params]:
    """Both JSON files of parsed arguments, checked; says which are the project's own.

    From here on the list CHEST_FILMS is in use, or none.
    """
    files = {"SETTINGS": arguments.settings, "PARAMS": arguments.params}
    _in_use.update({name: file.name if file.parent == PROJECT else str(file) for name, file in files.items()})
    named = [f" --{name.lower()} {shlex.quote(str(file))}" for name, file in files.items() if file != _usual(name)]
    _in_use["arguments"] = "".join(named)
    own = [file.name for file in files.values() if file.name.endswith(OWN)]
    if own and not os.environ.get(TOLD):
        os.environ[TOLD] = "yes"
        example = "the example" if len(own) == 1 else "the examples"
        print(f"with {' and '.join(own)}, in place of {example} in git", file=sys.stderr)
    settings, params = load_settings(arguments.settings), load_params(arguments.params)
    os.environ[CHEST_FILMS] = "" if settings.chest_films == Path() else str(settings.chest_films.absolute())
    return settings, params


def with_files_in_use(message: str) -> str:
    """A message that says SETTINGS.json or PARAMS.json, with the files that are read in their place.

    What it advises to run gets the arguments that named them. Whoever raises an error need not know them. A path such
    as bundle/PARAMS.json stays as it is, and a command beside which --settings is spoken of.
    """
    if "--settings" not in message:
        message = STEPS.sub(lambda found: found[0] + _in_use["arguments"], message)
    return re.sub(r"(?<![\w./-])(SETTINGS|PARAMS)\.json\b(?!\.\w)", lambda found: _in_use[found[1]], message)


class Plain:
    """A standard stream as it is, but that nothing printed can colour or rewrite a terminal, whatever a name holds.

    kept: the control codes that are meant, of our own lines and bars.
    """

    def __init__(self, stream: TextIO, kept: str):
        self._stream, self._kept = stream, kept
        self.unread = False  # nobody reads it any more: `| head` has seen enough

    def write(self, text: str) -> int:
        return self._while_read(self._stream.write, printable(text, self._kept))

    def flush(self) -> None:
        self._while_read(self._stream.flush)

    def _while_read(self, action: Callable, *given: str) -> Any:
        try:
            return action(*given)
        except BrokenPipeError:  # noted here, for what it becomes on its way through Keras and pools has any name
            self.unread = True
            raise

    def end_unread(self) -> None:
        """Let what is still to be flushed go nowhere, where nobody reads it."""
        if self.unread:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def run(main) -> None:
    """Call a script's main; whatever goes wrong becomes one line that says what to do, and an exit status.

    Main may return one itself (3: whole, but some files could not be used). 2: wrong input. 4: another run is at work
    there. 5: the machine (disk, permission, memory). 6: training ended early, as it was asked to. 130: Ctrl-C. 141:
    nobody reads the output any more. 1: a bug. With --debug the traceback comes first.
    """
    # Text is Python's own, whatever is installed: PyArrow's, where pandas finds it, has other regular expressions, and
    # holds no name that is no UTF-8.
    pd.set_option("mode.string_storage", "python")
    sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no UTF-8, and a terminal may have less
    sys.stdout, sys.stderr = streams = Plain(sys.stdout, "\n\t"), Plain(sys.stderr, "\n\t\r")
    try:
        status = _status(main)
    except Exception:
        if not any(stream.unread for stream in streams):
            raise
        status = 141
        for stream in streams:
            stream.end_unread()
        process_group.end(status)
    if status:
        sys.exit(status)


def _status(main: Callable[[], int | None]) -> int | str | None:
    """The exit status of a script's main, once what went wrong is said; what nobody reads is raised on."""
    try:
        if wrong := machine.complaint():
            raise InputError(wrong)
        try:
            status = main()
        except SystemExit as end:  # --help
            status = end.code
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        if sys.stdout.unread or sys.stderr.unread:
            raise
        if bars := sys.modules.get("cxr.core.progress"):  # else none was drawn; importing it would delay each start
            bars.end_bars()
        if "--debug" in sys.argv[1:]:
            traceback.print_exc()
        message, status = explained(error)
        who = f" in {process_group.name()}" if process_group.name() else ""
        word = "ended" if isinstance(error, Ended) else "error"
        print(f"{word}{who}: {one_line(with_files_in_use(message))}", file=sys.stderr, flush=True)
        process_group.end(status)
    return status


def explained(error: BaseException) -> tuple[str, int]:
    """What to tell the user of an error, and the exit status."""
    if isinstance(error, Ended):
        return str(error), error.exit_status
    if isinstance(error, InputError):
        behind = error.__context__  # a file is not to blame for a disk that is away
        wrong_file = error.exit_status == InputError.exit_status and behind and not isinstance(behind, InputError)
        if wrong_file and machine.is_to_blame(behind):
            return f"{machine.told(behind)} It came up as: {error}", MachineError.exit_status
        return str(error), error.exit_status
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        what = "a name that is no UTF-8; rename it (such as convmv -f cp949 -t utf8 -r --notest FOLDER for Korean)"
        return f"{error.object}: {what}", InputError.exit_status
    if isinstance(error, NotADirectoryError):
        wrong = "a file is where a folder on the way to it must be. Move it away"
        return f"{error.filename}: {wrong}.", InputError.exit_status
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt):  # imports wrap it
        return "interrupted. The same command goes on where it stopped.", 130
    told = machine.told(error)
    if told:
        return told, MachineError.exit_status
    last = traceback.extract_tb(error.__traceback__)[-1:]
    position = "".join(f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in last)
    kind = type(error).__name__
    return f"{kind}: {error}{position}. This is a bug: please report it with what --debug shows.", 1
