# Sourced with $here set: which Python the scripts call, as $python. In this order: PYTHON, where it is set; the
# environment that is active (conda's base counts for none); .venv beside the scripts; what the path has.
. "$here/src/python_path.sh"
python=${PYTHON:-}
if [ -z "$python" ]; then
    active=${VIRTUAL_ENV:-}
    if [ "${CONDA_DEFAULT_ENV:-base}" != base ]; then active=$active${CONDA_PREFIX:-}; fi
    python=python
    if [ -z "$active" ] && [ -d "$here/.venv" ]; then
        python=$here/.venv/bin/python
    elif ! command -v python > /dev/null; then
        python=python3
    fi
fi
