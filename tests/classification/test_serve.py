"""serve.py says at once what is wrong, before a network is read."""

import re
import socket

import pytest

from cxr.core.errors import InputError
from cxr.delivery import serving
from tests.conftest import load_script


def serve(*given):
    return load_script("src/classification/serve.py").main([str(one) for one in given])


def test_without_its_packages_it_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=re.escape('fastapi, uvicorn not installed. Run: pip install -e ".[serve]"')):
        serve(tmp_path)


def test_what_is_no_bundle_is_refused(tmp_path):
    if why_not := serving.why_not():
        pytest.skip(why_not)
    with pytest.raises(InputError, match="no bundle"):
        serve(tmp_path)


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"--host 127\.0\.0\.1 --port {port}: cannot listen there: .*in use"):
            load_script("src/classification/serve.py").listening("127.0.0.1", port)


def test_a_port_that_cannot_be_is_named():
    with pytest.raises(InputError, match="--port 70000: cannot listen there"):
        load_script("src/classification/serve.py").listening("127.0.0.1", 70000)
