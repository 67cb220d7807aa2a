#!/usr/bin/env bash
# Goes in:  nothing.
# Comes out: lint, format check, the test suite, and once more on JAX what computes with networks; ends with pytest's
#            closing line. With arguments for pytest (run_tests.sh tests/cxr/test_labels.py) those tests only.
set -euo pipefail
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
. "$here/src/install.sh"
cd "$here"
# The report is tested in a browser where there is one; its client drives it and downloads none of its own.
if command -v chromium > /dev/null && ! python -c "import playwright" 2> /dev/null; then
    python -m pip install --quiet --disable-pip-version-check -e ".[browser]"
fi
if ! python -c "import jax, distributed" 2> /dev/null; then
    python -m pip install --quiet --disable-pip-version-check -e ".[jax,dask]"
fi
ruff check .
ruff format --check .
python -m pytest "$@"
[ $# -eq 0 ] || exit 0
echo "the same on JAX"
cxr=tests/cxr
KERAS_BACKEND=jax python -m pytest \
    $cxr/test_models.py $cxr/test_training.py $cxr/test_inference.py $cxr/test_datasets.py $cxr/test_gradcam.py \
    $cxr/test_scoring.py $cxr/test_maps.py $cxr/test_map_scores.py tests/classification/test_predict.py tests/segmentation \
    -k "not densenet169 and not inceptionv3 and not xception and not efficientnetb0"
