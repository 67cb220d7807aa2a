#!/bin/sh
# Goes in:  a bundle with the films of a new hospital, or predictions of them, and their labels (--help says all).
# Comes out: report.html with its tables in the folder of --out (external); of a bundle, one refitted beside it.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
"$python" "$here/src/classification/eval/external.py" "$@"
