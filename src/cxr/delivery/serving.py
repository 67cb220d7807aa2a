"""A bundle behind HTTP: one film in, its row of predictions.csv out, one film at a time, and nothing of it kept.

What a client sends is a film's bytes and nothing else: no name, no path, no parameter.
"""

import asyncio
import csv
import functools
import importlib.util
import io
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.core.artifacts import write_csv
from cxr.core.errors import FilmError, one_line
from cxr.new_films import predicting, prediction_table
from cxr.new_films.bundle_texts import notice
from cxr.new_films.bundles import Bundle

NAME = "film"  # of every film
TEXTS = ("filename", "notes", "overlay", "thresholds_of")  # columns of predictions.csv that are no numbers
PACKAGES = ("fastapi", "uvicorn")
MOST_CONNECTIONS = 512  # beyond which uvicorn itself answers 503
REFUSALS = {
    400: "The film did not arrive whole, or the request names a host that the server was not started for",
    408: "The film took too long to arrive",
    413: "The film's file is too large",
    422: "No readable chest film: the message is that of problems.csv",
    429: "Too many films from this address within a minute",
    503: "As many films wait as may: come again",
}

DESCRIBED = {  # what OpenAPI says of a film's request and its refusals
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
    "responses": {status: {"description": meaning} for status, meaning in REFUSALS.items()},
}


@dataclass(frozen=True)
class Limits:
    """megabytes: of a film's file. waiting: films that may wait while one is predicted. per_minute: films that an
    address may send. seconds: that a film may take to arrive."""

    megabytes: int = 100
    waiting: int = 32
    per_minute: int = 600
    seconds: float = 60


def why_not() -> str:
    """Why nothing can be served here, and what to do; "" where it can."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    return f'{", ".join(missing)} not installed. Run: pip install -e ".[serve]"' if missing else ""


def keeper(bundle: Bundle) -> Callable[[str], Any]:
    """`predicting.opened`, each network of the bundle read once and kept."""
    return functools.cache(functools.partial(predicting.opened, bundle))


def predicted_csv(bundle: Bundle, hospital: str, network: Callable[[str], Any], film: Path) -> bytes:
    """predictions.csv of one film, as `predict.sh` writes it but for the overlay, which is not drawn.

    Raises
    ------
    FilmError
        The problem that `predict.sh` lists.
    """
    predicted = predicting.predict(bundle, [film], hospital, film.parent, lambda films, doing: films, network)
    for problem in predicted.problems["problem"]:
        raise FilmError(one_line(problem.replace(str(film), NAME)))
    table = prediction_table.of(predicted, [""]).assign(filename=NAME)
    write_csv(table, film.parent / "predictions.csv")
    return (film.parent / "predictions.csv").read_bytes()


def as_json(table: bytes) -> bytes:
    """The one row of predictions.csv as a JSON object: numbers as they are written there, null for empty cells."""
    (row,) = csv.DictReader(io.StringIO(table.decode(), newline=""))
    cells = {name: cell if name in TEXTS else json.loads(cell) if cell else None for name, cell in row.items()}
    return json.dumps(cells, ensure_ascii=False).encode()


class Gate:
    """Who may come in: so many at once, and so many a minute from one address."""

    def __init__(self, limits: Limits):
        self.limits, self.inside = limits, 0
        self._minute, self._seen = 0, Counter()

    @asynccontextmanager
    async def entered(self, address: str):
        """Hold a place for as long as the block lasts; an HTTPException where there is none."""
        from fastapi import HTTPException

        now = time.monotonic()
        if now // 60 != self._minute:
            self._minute, self._seen = now // 60, Counter()
        if self._seen[address] >= self.limits.per_minute:
            rest = {"Retry-After": str(int(61 - now % 60))}
            raise HTTPException(429, f"more than {self.limits.per_minute} films within a minute", rest)
        if self.inside > self.limits.waiting:
            raise HTTPException(503, f"{self.limits.waiting} films are waiting already", {"Retry-After": "5"})
        self._seen[address] += 1
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


async def receive(request: Any, path: Path, limits: Limits) -> None:
    """Write a request's body to a file, never more of it than is allowed; an HTTPException where that is not enough."""
    from fastapi import HTTPException
    from starlette.requests import ClientDisconnect

    most = limits.megabytes * 1_000_000
    too_large = HTTPException(413, f"the file is larger than {limits.megabytes} MB")
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > most:
        raise too_large
    received = 0
    try:
        with open(path, "wb") as file:
            async with asyncio.timeout(limits.seconds):
                async for chunk in request.stream():
                    received += len(chunk)
                    if received > most:
                        raise too_large
                    file.write(chunk)
    except TimeoutError:
        raise HTTPException(408, f"the film did not arrive within {limits.seconds:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the film did not arrive whole") from None


def app(bundle: Bundle, predict: Callable[[Path], bytes], hospital: str, limits: Limits, host: str) -> Any:
    """The application, for an ASGI server of one process.

    Parameters
    ----------
    bundle : Bundle
    predict : callable
        A film's file -> its predictions.csv, or a FilmError: `predicted_csv`. Runs in a thread, never twice at once.
    hospital : str
        Whose thresholds and calibration it takes.
    limits : Limits
    host : str
        The name or address that clients call it by, beside localhost: others are refused, so that no page of the web
        can reach it by a name of its own (DNS rebinding).
    """
    from fastapi import FastAPI, HTTPException, Request, Response
    from starlette.concurrency import run_in_threadpool
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    gate, one_at_a_time = Gate(limits), asyncio.Lock()
    # No page of documentation: FastAPI's loads its scripts from elsewhere. /openapi.json says all.
    served = FastAPI(
        title=bundle.model, version=bundle.version, description=notice(bundle), docs_url=None, redoc_url=None
    )
    served.add_middleware(TrustedHostMiddleware, allowed_hosts=[host, f"[{host}]", "127.0.0.1", "localhost"])

    async def table(request: Request) -> bytes:
        async with gate.entered(request.client.host):
            with tempfile.TemporaryDirectory(prefix="cxr-serve-") as temporary:
                path = Path(temporary, "received", NAME)  # the folder's name is looked at for a view: not a random one
                path.parent.mkdir()
                await receive(request, path, limits)
                async with one_at_a_time:
                    try:
                        return await run_in_threadpool(predict, path)
                    except FilmError as error:
                        raise HTTPException(422, str(error)) from None

    @served.post("/predictions.csv", response_class=Response, **DESCRIBED)
    async def predictions_csv(request: Request) -> Response:
        """A film's bytes -> its row of predictions.csv."""
        return Response(await table(request), media_type="text/csv")

    @served.post("/predictions.json", response_class=Response, **DESCRIBED)
    async def predictions_json(request: Request) -> Response:
        """A film's bytes -> the same row as a JSON object."""
        return Response(as_json(await table(request)), media_type="application/json")

    @served.get("/health")
    async def health() -> dict[str, Any]:
        """What is served, and how many films are inside."""
        return {
            "status": "ready", "model": bundle.model, "version": bundle.version, "digest": bundle.digest,
            "findings": bundle.params.findings, "thresholds_of": hospital, "films_inside": gate.inside,
            "films_at_most": limits.waiting + 1, "notice": notice(bundle),
        }  # fmt: skip

    return served
