# Sourced by run_demo.sh and run_tests.sh, with $here set: makes .venv unless inside one, and installs requirements.txt.
if [ -z "${VIRTUAL_ENV:-}" ]; then
    if [ ! -x "$here/.venv/bin/python" ]; then
        echo "making $here/.venv"
        "${PYTHON:-python3}" -m venv "$here/.venv"
    fi
    . "$here/.venv/bin/activate"
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
