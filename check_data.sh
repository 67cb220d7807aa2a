#!/bin/sh
# Goes in:  the downloaded films and tables as SETTINGS.json says. They are only read.
# Comes out: what is missing, unreadable or not as published; problems.csv and a sheet of 16 films of each set in DATA_DIR/check/
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
"$python" "$here/src/checks/check_data.py" "$@"
