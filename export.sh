#!/bin/sh
# Goes in:  the models and thresholds of evaluate_*.sh.
# Comes out: a folder a family in MODELS_DIR/bundles (or --out) that stands alone, for predict.sh --bundle anywhere.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
"$python" "$here/src/classification/export.py" "$@"
