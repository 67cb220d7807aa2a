#!/bin/sh
# Goes in:  the downloaded films and tables as SETTINGS.json says. They are only read.
# Comes out: what is missing, unreadable or not as published; problems.csv, flags.csv and sheets of films to look at in DATA_DIR/check/
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
"$python" "$here/src/checks/check_data.py" "$@"
