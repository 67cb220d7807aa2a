#!/bin/sh
# Goes in:  anybody's predictions: CSV files with a film's name and a probability per finding (--help says all).
# Comes out: metrics.json, curves and report.html in the folder of --out (scores).
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
"$python" "$here/src/classification/eval/score_predictions.py" "$@"
