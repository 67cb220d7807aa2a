#!/bin/sh
# Goes in:  nothing.
# Comes out: lint, format check, the test suite, then the tables with PyArrow and what computes with networks on JAX;
#            ends with pytest's closing line. With arguments for pytest (run_tests.sh tests/core) those tests only.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
case " $* " in
    *" -h "* | *" --help "*)
        echo "usage: bash run_tests.sh [what pytest takes, such as tests/core -k name]"
        exit 0
        ;;
esac
. "$here/src/install.sh"
cd "$here"
# The report is tested in a browser where there is one; its client drives it and downloads none of its own.
if command -v chromium > /dev/null && ! python -c "import playwright" 2> /dev/null; then
    python -m pip install --quiet --disable-pip-version-check -e ".[browser]"
fi
if ! python -c "import jax, distributed, pycocotools, highdicom, fastapi, uvicorn, httpx2, xdist, nbclient, ipykernel, jupytext" 2> /dev/null; then
    python -m pip install --quiet --disable-pip-version-check -e ".[jax,dask,outlines,dicom,serve,tests]"
fi
ruff check .
ruff format --check .
if [ $# -gt 0 ]; then
    python -m pytest "$@"
    exit
fi
# A file's tests stay together, for they share what is dear to make, and long files come first (tests/conftest.py); two
# processes, for each starts frameworks.
two="-n 2 --dist loadfile --no-loadscope-reorder"
python -m pytest $two
echo "the tables with PyArrow, in which pandas keeps text wherever it is installed (Kaggle, Colab)"
arrow=$VIRTUAL_ENV/arrow # beside our packages (170 MB): most users have none
[ -d "$arrow/pyarrow" ] ||
    python -m pip install --quiet --disable-pip-version-check --no-deps --target "$arrow" pyarrow==26.0.1
with_arrow() { PYTHONPATH="$arrow${PYTHONPATH:+:$PYTHONPATH}" python "$@"; }
with_arrow -c "import pandas; assert pandas.Series(['a'], dtype=str).dtype.storage == 'pyarrow'"
with_arrow -m pytest $two tests/tables tests/external tests/evaluation/test_predictions.py tests/checks \
    tests/classification/test_etl_tables.py tests/test_bad_input.py
echo "the same on JAX"
KERAS_BACKEND=jax python -m pytest $two \
    tests/networks tests/training tests/evaluation/test_scoring.py tests/maps tests/classification/test_predict.py \
    tests/segmentation -k "not densenet169 and not inceptionv3 and not xception and not efficientnetb0"
