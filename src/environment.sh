# Sourced by every shell script at the top level, with $here set: finds Python and our packages, or says what to do.
. "$here/src/choose_python.sh"
# What --help calls a script: by the name that was typed, where that takes the same words.
case ${0##*/} in
    prepare_* | train_* | evaluate_* | visualization_*) unset CXR_COMMAND ;;
    *) export CXR_COMMAND="sh ${0##*/}" ;;
esac
# find_spec, not import: importing TensorFlow would take seconds. The version first: an older Python knows no safe path.
if ! wrong=$("$python" -c "import sys; assert sys.version_info >= (3, 11)
from importlib.util import find_spec as f; assert f('keras') and f('pydantic') and f('cv2')
from cxr.core.machine import complaint; print(complaint() or '')" 2> /dev/null)
then
    if [ "$python" = "$here/.venv/bin/python" ] && ! "$python" -c "import pip" 2>/dev/null; then
        echo "error: $here/.venv is half made: it has no Python that runs, or no pip. Remove it and make it again." >&2
        echo "       On Debian and Ubuntu first: sudo apt install python3-venv" >&2
    else
        echo "error: '$python' is missing or lacks our packages. Install them into .venv, which the scripts use unless" >&2
        echo "       PYTHON is set or another environment is active:" >&2
    fi
    echo "       cd '$here' && python3 -m venv .venv && .venv/bin/python -m pip install -r requirements.txt" >&2
    exit 2
fi
if [ -n "$wrong" ]; then
    echo "error: $wrong" >&2
    exit 2
fi
