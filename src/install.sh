# Sourced by run_demo.sh and run_tests.sh, with $here set: makes .venv unless inside one, and installs requirements.txt.
. "$here/src/python_path.sh"
cannot() {
    echo "error: $1" >&2
    exit 2
}
# With its own Python where that runs, so that what is installed there stays; else anew.
make_environment() {
    new='' maker=$here/.venv/bin/python
    if ! "$maker" -c "" 2> /dev/null; then
        maker=${PYTHON:-python3}
        [ ! -e "$here/.venv/bin" ] || new=--clear
    fi
    command -v "$maker" > /dev/null || cannot "no '$maker' here. Install Python 3.11 or newer, or name one: PYTHON=python3.12"
    "$maker" -c "import sys; sys.exit(sys.version_info < (3, 11))" ||
        cannot "'$maker' is $("$maker" -V), 3.11 or newer is needed. Name one: PYTHON=python3.12"
    package=$("$maker" -c "import sys; print('python%d.%d-venv' % sys.version_info[:2])")
    "$maker" -c "import ensurepip, venv" 2> /dev/null ||
        cannot "'$maker' cannot make .venv. On Debian and Ubuntu: sudo apt install $package. Then run this again."
    echo "making $here/.venv"
    "$maker" -m venv $new "$here/.venv"
}
if [ -z "${VIRTUAL_ENV:-}" ]; then
    # Debian without python3-venv leaves a .venv with a Python and no pip; one that was moved has no Python that runs.
    "$here/.venv/bin/python" -c "import pip" 2> /dev/null || make_environment
    VIRTUAL_ENV=$here/.venv
    PATH=$VIRTUAL_ENV/bin:$PATH
    export VIRTUAL_ENV PATH
fi
PYTHON=python
export PYTHON
# Installed once for each requirements.txt: a second call starts at once and needs no network.
mark="$VIRTUAL_ENV/.cxr-requirements"
if ! cmp -s "$here/requirements.txt" "$mark"; then
    echo "installing requirements.txt (about 2.7 GB, a few minutes)"
    (cd "$here" && python -m pip install --quiet --disable-pip-version-check -r requirements.txt)
    cp "$here/requirements.txt" "$mark"
fi
