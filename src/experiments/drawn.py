"""What drawn films are worth: networks that learned from them first, on real films, against those that did not.

Reads   the tables, split.csv and packed films of prepare_data.sh
Writes  MODELS_DIR/experiments/drawn_<member>/: predictions of every run and their records; drawn_<member>.md, .json and
        .png beside it, or the files of --out; MODELS_DIR/classification/drawn/<member>/, as "WEIGHTS": "drawn"
"""

import functools
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 2)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line, configuration, locks
from cxr.core.artifacts import write_json, write_text
from cxr.core.errors import counted
from cxr.core.own_files import OwnFiles
from cxr.core.progress import duration
from cxr.experiments import drawn_results, drawn_runs, planning


def main(argv=None):
    arguments = drawn_runs.parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    member = configuration.chosen_members(params, "ensemble", arguments.member)[0]
    params = params.for_member(member)
    folder, stem = planning.folder_of(settings), f"drawn_{member}"
    if arguments.out:
        folder, stem = arguments.out.parent, arguments.out.name.removesuffix(".md").removesuffix(".json")
        OwnFiles(folder, [f"{stem}.md", f"{stem}.json", f"{stem}.png"])
    # Keras is imported only now: --help and wrong input answer at once.
    from cxr.training import drawn_weights, repeated

    network = repeated.Repeated(member, params)
    first_of, left_out = network.available(arguments.first or drawn_runs.FIRST, asked=arguments.first is not None)
    plain, params = params, network.params  # in its precision
    planned = drawn_runs.plan(arguments, settings, params, member, first_of)
    locks.hold(planned.folder)
    waiting = [run for run in planned.runs if not drawn_runs.step_of(run, planned, params).is_current()]
    print(f"{network.device}; {counted(len(planned.films), 'film')}", *left_out, sep="\n")
    print(f"drawn: {len(planned.runs) - len(waiting)} of {len(planned.runs)} runs are finished", flush=True)
    is_drawn = any(run.first == "drawn" for run in waiting)
    drawn = drawn_weights.network(settings, plain, member, print) if is_drawn else None
    first = functools.cache(lambda name, seed: network.first_weights(name, seed, drawn))
    left = sum(planned.steps(run, params) for run in waiting)
    for number, run in enumerate(waiting, 1):
        started = time.perf_counter()
        drawn_runs.finish(run, planned, params, network, first(run.first, run.seed))
        took, done = time.perf_counter() - started, planned.steps(run, params)
        left -= done
        rest = f"; the others take about {duration(left * took / done)}" if left and done else ""
        print(f"{number} of {len(waiting)}: {run.told}, {duration(took)}{rest}", flush=True)
        if number == len(waiting) or (waiting[number].seed, waiting[number].fold) != (run.seed, run.fold):
            write(member, planned, params, left_out, folder, stem)
    print(f"{write(member, planned, params, left_out, folder, stem)}\n-> {folder / stem}.md, {stem}.json, {stem}.png")


def write(member, planned, params, left_out, folder, stem):
    shares = drawn_results.collect(planned, params)
    text = drawn_results.as_markdown(member, planned, shares, left_out)
    write_text(text, folder / f"{stem}.md")
    write_json({"experiment": "drawn", "member": member, "shares": shares}, folder / f"{stem}.json")
    if shares:
        drawn_results.save_curve(shares, planned.firsts, f"First weights of {member}", folder / f"{stem}.png")
    return text


if __name__ == "__main__":
    command_line.run(main)
