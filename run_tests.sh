#!/usr/bin/env bash
# Goes in:  nothing.
# Comes out: lint, format check and the test suite; ends with pytest's closing line.
set -euo pipefail
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/install.sh"
cd "$here"
ruff check .
ruff format --check .
python -m pytest "$@"
