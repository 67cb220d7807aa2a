"""What prepare_data.sh will do: films, disk and time, before anything is written (prepare_data.sh --dry-run).

Reads   the tables, the names of the films, and 16 of the films that SETTINGS.json names
Writes  nothing
"""

from cxr.core import command_line
from cxr.core.errors import MachineError
from cxr.tables import preparation_plan


def main(argv=None):
    parser = command_line.parser(__doc__)
    parser.add_argument("--dry-run", action="store_true", help="what this script does anyway")
    settings, params = command_line.load(parser.parse_args(argv))
    planned = preparation_plan.make(settings, params)
    print(*planned.lines, "nothing was written", sep="\n")
    if planned.bytes_needed > planned.bytes_free:
        raise MachineError(
            f"{settings.data_dir}: needs {planned.bytes_needed / 1e9:.1f} GB, {planned.bytes_free / 1e9:.1f} are free. "
            "Free some, change DATA_DIR, or choose smaller input sizes."
        )


if __name__ == "__main__":
    command_line.run(main)
