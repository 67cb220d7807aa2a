#!/bin/sh
# Goes in:  nothing; synthetic films with weaker findings than the demo's are drawn from a seed.
# Comes out: the tables of all experiments in experiments/models/experiments/; a second call goes on where it stopped.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
case " $* " in
    *" -h "* | *" --help "*)
        echo "usage: bash run_experiments.sh [--member MEMBER] [--seeds SEED …]      (hours; all that experiment.sh takes)"
        exit 0
        ;;
esac
. "$here/src/install.sh"
with_its_files() {
    "$@" --settings "$here/experiments/SETTINGS.json" --params "$here/experiments/PARAMS.json"
}

with_its_files python "$here/demo/draw_films.py"
for name in protocols hospitals masking labels; do
    with_its_files sh "$here/experiment.sh" "$name" "$@"
done
