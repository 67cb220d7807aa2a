#!/bin/sh
# Goes in:  packed films, tables and split of prepare_data.sh.
# Comes out: MODELS_DIR/classification/ensemble/<member>/model.keras, log.csv, curves.png, run.json; an interrupted run goes on, and one of --hours H.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
exec "$python" "$here/src/classification/train/train.py" ensemble "$@"
