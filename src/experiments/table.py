"""The tables of an experiment: every variant side by side, mean and each seed; of the runs that are finished.

Reads   MODELS_DIR/experiments/<member>/<variant>/seed_<n>/: metrics, predictions, splits
Writes  MODELS_DIR/experiments/<name>_<member>.md and .json, or the two files of --out
"""

from cxr.core import command_line
from cxr.core.artifacts import write_json, write_text
from cxr.experiments import planning, results


def main(argv=None):
    arguments = planning.parser(__doc__).parse_args(argv)
    settings, params = command_line.load(arguments)
    name, member = arguments.name, arguments.member
    runs = planning.plan(name, settings, params, member, arguments.seeds)
    finished = results.collect(runs, member)
    out = (arguments.out or planning.folder_of(settings) / f"{name}_{member}").with_suffix("")
    text = results.as_markdown(name, member, runs, finished)
    write_text(text, out.with_suffix(".md"))
    write_json({"experiment": name, "member": member, "runs": finished}, out.with_suffix(".json"))
    print(f"{text}\n-> {out.with_suffix('.md')}, {out.with_suffix('.json').name}")


if __name__ == "__main__":
    command_line.run(main)
