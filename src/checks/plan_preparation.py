"""What prepare_data.sh will do, and how long the whole way takes; writes nothing (prepare_data.sh --dry-run).

Reads   the tables, the names of the films, and 16 of the films that SETTINGS.json names
Writes  nothing
"""

import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line
from cxr.core.errors import MachineError, counted
from cxr.core.progress import duration
from cxr.tables import preparation_plan
from cxr.tables.preparation_plan import listed


def main(argv=None):
    parser = command_line.parser(__doc__)
    parser.add_argument("--dry-run", action="store_true", help="what this script does anyway")
    settings, params = command_line.load(parser.parse_args(argv))
    planned = preparation_plan.make(settings, params)
    print(*planned.lines, sep="\n", flush=True)
    if planned.bytes_needed > planned.bytes_free:
        raise MachineError(
            f"{settings.data_dir}: needs {planned.bytes_needed / 1e9:.1f} GB, {planned.bytes_free / 1e9:.1f} are free. "
            "Free some, change DATA_DIR, or choose smaller input sizes."
        )
    # Keras is imported only now: what is above answers at once.
    from cxr.training import durations

    device, seconds = durations.estimate(params, planned.films)
    reading = {f"reading films on {counted(planned.processes, 'process')}": planned.reading_seconds}
    seconds["prepare_data.sh"] = reading | seconds["prepare_data.sh"]
    print(f"time, an estimate for all from the beginning ({device}, measured here); half or twice is possible:")
    for script, parts in seconds.items():
        print(f"  {script}: {'up to ' * script.startswith('train_')}{listed(parts, duration)}")
    print(f"  together: up to {duration(durations.together(seconds))}, compiling included; not intervals and pictures")
    print("nothing was written")


if __name__ == "__main__":
    command_line.run(main)
