#!/bin/sh
# Goes in:  predictions.csv of networks that were not trained on these films (members, seeds, folds, anybody's), with labels.
# Comes out: suspicious.csv, the labels that disagree most, and a sheet of films a finding, in the folder of --out (suspicious).
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
"$python" "$here/src/classification/eval/suspicious.py" "$@"
