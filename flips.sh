#!/bin/sh
# Goes in:  predictions of the same films by several trainings: members or seeds of ours, or anybody's CSV files.
# Comes out: flips.json (by finding, by distance to the threshold, members needed), films.csv in the folder of --out (flips).
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
"$python" "$here/src/classification/eval/flips.py" "$@"
