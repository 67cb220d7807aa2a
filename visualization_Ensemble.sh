#!/bin/sh
# Goes in:  predictions and maps of evaluate_Ensemble.sh, the films.
# Comes out: heatmap overlays, an overview a finding, detections.csv and report.html in MODELS_DIR/classification/ensemble/
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
"$python" "$here/src/classification/eval/visualize.py" ensemble "$@"
export CXR_TOLD=yes # what is of all steps is told by the first
"$python" "$here/src/classification/eval/score_maps.py" ensemble "$@"
"$python" "$here/src/classification/eval/report.py" ensemble "$@"
