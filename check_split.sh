#!/bin/sh
# Goes in:  [TRAIN] TEST, lists of films (names in a text or CSV), or none for split.csv of prepare_data.sh; labels as SETTINGS.json says, or --labels FILE.
# Comes out: which public lists they are, patients in both, what the test set can show; passport.txt, power.csv in the folder of --out.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
"$python" "$here/src/checks/check_split.py" "$@"
