#!/bin/sh
# Goes in:  the models of train_Ensemble.sh, the packed films of val and test.
# Comes out: predictions.csv, thresholds.json, metrics.json, the result table and curves in MODELS_DIR/classification/ensemble/
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
"$python" "$here/src/classification/eval/evaluate.py" ensemble "$@"
