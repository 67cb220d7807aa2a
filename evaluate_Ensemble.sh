#!/bin/sh
# Goes in:  the models of train_Ensemble.sh, the packed films of val and test.
# Comes out: predictions.csv, metrics.json, result table, curves, report.html in MODELS_DIR/classification/ensemble/
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
"$python" "$here/src/classification/eval/evaluate.py" ensemble "$@"
export CXR_TOLD=yes # what is of all steps is told by the first
"$python" "$here/src/classification/eval/report.py" ensemble "$@"
