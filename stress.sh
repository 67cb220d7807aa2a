#!/bin/sh
# Goes in:  a bundle of export.sh, films or folders of films, --labels CSV; --by COLUMN of that CSV, as often as you like.
# Comes out: stress.csv and stress.png (AUROC, flips by kind and strength), slices.csv in the folder of --out (stress).
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
"$python" "$here/src/classification/stress.py" "$@"
