#!/usr/bin/env bash
# Goes in:  nothing.
# Comes out: lint, format check and the test suite; ends with pytest's closing line.
set -euo pipefail
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/install.sh"
cd "$here"
# The report is tested in a browser where there is one; its client drives it and downloads none of its own.
if command -v chromium > /dev/null && ! python -c "import playwright" 2> /dev/null; then
    python -m pip install --quiet --disable-pip-version-check -e ".[browser]"
fi
ruff check .
ruff format --check .
python -m pytest "$@"
