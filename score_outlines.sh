#!/bin/sh
# Goes in:  radiologists' outlines (CheXlocalize), and outlines to score or an evaluated family (--help says all).
# Comes out: outline_scores.csv in the folder of --out (outline_scores); of a family its outlines and points, too.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
"$python" "$here/src/classification/eval/score_outlines.py" "$@"
