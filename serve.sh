#!/bin/sh
# Goes in:  a bundle of export.sh; then films, one a request, by HTTP.
# Comes out: their rows of predictions.csv as answers, on this machine only unless --host says more; nothing on disk.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/environment.sh"
exec "$python" "$here/src/classification/serve.py" "$@"
