# Sourced by every shell script at the top level, with $here set: finds Python and our packages, or says what to do.
python="${PYTHON:-python}"
export PYTHONPATH="$here/src${PYTHONPATH:+:$PYTHONPATH}"
# find_spec, not import: importing TensorFlow would take seconds.
if ! "$python" -c "from importlib.util import find_spec as f; assert f('keras') and f('pydantic') and f('cv2')" 2>/dev/null
then
    echo "error: '$python' is missing or lacks our packages. Activate the environment:  . .venv/bin/activate" >&2
    echo "       No .venv yet? See Install in README.md." >&2
    exit 2
fi
