"""The server: limits hold while a film is read, one film is predicted at a time, and nothing stays on disk."""

import asyncio
import json
import tempfile
import threading
from types import SimpleNamespace

import pytest

from cxr.core.errors import FilmError
from cxr.delivery import serving
from cxr.new_films.bundle_texts import NOT_A_DEVICE

pytest.importorskip("fastapi", reason=serving.why_not())
pytest.importorskip("httpx2", reason='httpx2 not installed. Run: pip install -e ".[tests]"')
import httpx2
from starlette.testclient import TestClient

BUNDLE = SimpleNamespace(
    model="cxr_ensemble",
    version="1.2.0",
    digest="ab" * 16,
    params=SimpleNamespace(findings=["Hernia"]),
    reference={},
)
HERE = "http://127.0.0.1:8000"
BROKEN = "not readable as an image (empty, truncated or another format)"


def predict(path) -> bytes:
    """A film's length as its probability; one that begins with ``bad`` is broken."""
    content = path.read_bytes()
    if content.startswith(b"bad"):
        raise FilmError(BROKEN)
    return f'filename,Hernia_prob,Hernia_called,overlay\nfilm,{len(content) / 1000:g},1,""\n'.encode()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files, which must be empty again at the end."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert not list(tmp_path.iterdir())


def application(predict=predict, host="127.0.0.1", **limits):
    return serving.app(BUNDLE, predict, "pooled", serving.Limits(**limits), host)


def client(**limits) -> TestClient:
    return TestClient(application(**limits), HERE)


def test_a_film_s_row_comes_as_csv_and_as_json_with_the_same_figures(temporary):
    with client() as server:
        table = server.post("/predictions.csv", content=b"x" * 250)
        assert (table.status_code, table.headers["content-type"]) == (200, "text/csv; charset=utf-8")
        assert table.content == b'filename,Hernia_prob,Hernia_called,overlay\nfilm,0.25,1,""\n'
        row = server.post("/predictions.json", content=b"x" * 250)
    assert row.content == b'{"filename": "film", "Hernia_prob": 0.25, "Hernia_called": 1, "overlay": ""}'


def test_an_empty_number_is_null_and_a_text_that_looks_like_a_number_stays_one():
    row = serving.as_json('filename,a,notes\nfilm,,"1\n, 흉부"\n'.encode())
    assert json.loads(row) == {"filename": "film", "a": None, "notes": "1\n, 흉부"}


def test_a_broken_file_is_answered_with_the_message_of_predict(temporary):
    with client() as server:
        for kind in ("csv", "json"):
            refused = server.post(f"/predictions.{kind}", content=b"bad")
            assert (refused.status_code, refused.json()) == (422, {"detail": BROKEN})


def test_a_file_that_is_too_large_is_refused_by_what_it_says_and_by_what_comes(temporary):
    with client(megabytes=1) as server:
        assert server.post("/predictions.csv", content=b"x" * 1_000_000).status_code == 200
        stated = server.post("/predictions.csv", content=b"x" * 1_000_001)
        sent = server.post("/predictions.csv", content=iter([b"x" * 600_000] * 2))
    for refused in (stated, sent):
        assert (refused.status_code, refused.json()["detail"]) == (413, "the file is larger than 1 MB")


def test_an_endless_body_is_not_read_to_its_end(tmp_path):
    chunks = 0

    async def stream():
        nonlocal chunks
        while True:
            chunks += 1
            yield b"x" * 100_000

    request = SimpleNamespace(headers={}, stream=stream)
    with pytest.raises(Exception, match="larger than 1 MB"):
        asyncio.run(serving.receive(request, tmp_path / "film", serving.Limits(megabytes=1)))
    assert chunks == 11
    assert (tmp_path / "film").stat().st_size == 1_000_000


def test_a_body_that_does_not_come_is_given_up(tmp_path):
    async def stream():
        yield b"x"
        await asyncio.sleep(60)

    request = SimpleNamespace(headers={}, stream=stream)
    with pytest.raises(Exception, match=r"did not arrive within 0\.05 s") as raised:
        asyncio.run(serving.receive(request, tmp_path / "film", serving.Limits(seconds=0.05)))
    assert raised.value.status_code == 408


def test_an_address_may_send_so_many_films_a_minute(temporary, monkeypatch):
    monkeypatch.setattr(serving.time, "monotonic", lambda: 615.0)
    with client(per_minute=2) as server:
        assert [server.post("/predictions.csv", content=b"x").status_code for _ in range(3)] == [200, 200, 429]
        assert server.post("/predictions.csv", content=b"x").headers["retry-after"] == "46"
        monkeypatch.setattr(serving.time, "monotonic", lambda: 661.0)
        assert server.post("/predictions.csv", content=b"x").status_code == 200


def test_a_name_that_the_server_was_not_started_for_is_refused():
    served = application(host="10.0.0.7")
    statuses = [TestClient(served, f"http://{host}").get("/health").status_code for host in ("10.0.0.7", "evil.org")]
    assert statuses == [200, 400]


def test_health_and_the_description_say_what_is_served(temporary):
    with client(waiting=4) as server:
        health = server.get("/health").json()
        described = server.get("/openapi.json").json()
        assert server.get("/docs").status_code == 404  # it would load scripts from elsewhere
    assert (health["status"], health["version"], health["findings"]) == ("ready", "1.2.0", ["Hernia"])
    assert (health["films_inside"], health["films_at_most"]) == (0, 5)
    assert health["notice"] == described["info"]["description"] == NOT_A_DEVICE
    for path in ("/predictions.csv", "/predictions.json"):
        post = described["paths"][path]["post"]
        assert list(post["requestBody"]["content"]) == ["application/octet-stream"]
        assert {"413", "422", "429", "503"} <= set(post["responses"])
        assert "parameters" not in post


def test_networks_that_learned_from_drawn_films_are_served_with_a_warning(temporary, monkeypatch):
    monkeypatch.setattr(BUNDLE, "reference", {"drawn": True})
    with client() as server:
        assert server.get("/health").json()["notice"].startswith("SYNTHETIC FILMS: these networks learned from films")
        assert "SYNTHETIC FILMS" in server.get("/openapi.json").json()["info"]["description"]


def test_200_films_at_once_are_answered_one_at_a_time_or_told_to_come_again(temporary):
    inside, most, waiting = 0, 0, 49
    lock, go_on = threading.Lock(), threading.Event()

    def slow(path):
        nonlocal inside, most
        with lock:
            inside, most = inside + 1, max(most, inside + 1)
        go_on.wait(10)  # until every request has come
        try:
            return predict(path)
        finally:
            with lock:
                inside -= 1

    async def all_at_once():
        served = application(slow, waiting=waiting)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(served), base_url=HERE) as server:

            async def post(number):
                answer = await server.post(
                    "/predictions.csv", content=(b"bad" if number % 4 == 0 else b"good") * number
                )
                if answer.status_code == 503:
                    go_on.set()  # the last place is taken
                return number, answer

            return await asyncio.gather(*map(post, range(1, 201)))

    answers = asyncio.run(all_at_once())
    counts = {status: [n for n, answer in answers if answer.status_code == status] for status in (200, 422, 503)}
    assert [len(numbers) for numbers in counts.values()] == [38, 12, 150]  # the 50 that came first: 12 of them broken
    assert most == 1
    for number, answer in answers:
        if answer.status_code == 200:
            assert f"film,{4 * number / 1000:g},1" in answer.text
        elif answer.status_code == 422:
            assert number % 4 == 0
            assert answer.json()["detail"] == BROKEN
        else:
            assert (answer.json()["detail"], answer.headers["retry-after"]) == ("49 films are waiting already", "5")


def test_a_bug_is_no_answer_of_its_own_words_and_leaves_its_place(temporary):
    def bug(path):
        raise RuntimeError(f"secret {path}")

    server = TestClient(application(bug, waiting=0), HERE, raise_server_exceptions=False)
    for _ in range(2):
        answer = server.post("/predictions.csv", content=b"x")
        assert (answer.status_code, answer.text) == (500, "Internal Server Error")
