#!/usr/bin/env bash
# Goes in:  nothing; synthetic films with weaker findings than the demo's are drawn from a seed.
# Comes out: the tables of all experiments in experiments/models/experiments/; a second call goes on where it stopped.
set -euo pipefail
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/install.sh"
export PYTHONPATH="$here/src${PYTHONPATH:+:$PYTHONPATH}"
with=(--settings "$here/experiments/SETTINGS.json" --params "$here/experiments/PARAMS.json")

python "$here/demo/draw_films.py" "${with[@]}"
for name in protocols hospitals masking labels; do
    sh "$here/experiment.sh" "$name" "${with[@]}" "$@"
done
