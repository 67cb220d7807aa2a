#!/bin/sh
# Goes in:  films or folders of films (PNG, JPEG, TIFF, DICOM …); the evaluated models, or --bundle DIR of export.sh; known labels: --labels FILE.
# Comes out: predictions.csv, overlays, report.html in the folder of --out (predicted). Status 3: some stand in problems.csv.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
"$python" "$here/src/classification/predict.py" "$@"
