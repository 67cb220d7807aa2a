#!/bin/sh
# Goes in:  predictions and maps of evaluate_Efficientnet.sh, the films.
# Comes out: heatmap overlays, an overview a finding, detections.csv and report.html in MODELS_DIR/classification/efficientnet/
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
"$python" "$here/src/classification/eval/visualize.py" efficientnet "$@"
export CXR_TOLD=yes # what is of all steps is told by the first
"$python" "$here/src/classification/eval/score_maps.py" efficientnet "$@"
"$python" "$here/src/classification/eval/report.py" efficientnet "$@"
