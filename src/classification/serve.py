"""Serve a bundle over HTTP: a film's bytes in, its row of predictions.csv out, by the functions of predict.sh.

Reads   BUNDLE: a folder that export.sh wrote
Writes  nothing that stays: a film lies in the folder for temporary files while it is predicted

POST /predictions.csv or /predictions.json with the film as the body; GET /health, GET /openapi.json. One process, one
film at a time. There is no login and no encryption: it listens on this machine only, unless --host names another
address. Needs the package extra "serve".
"""

import contextlib
import functools
import socket
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])  # this project's cxr, whatever is installed

from cxr.core import command_line
from cxr.core.errors import InputError
from cxr.delivery import serving
from cxr.evaluation.source_fits import POOLED
from cxr.new_films import bundle_check, bundles, predicting

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("", "0.0.0.0", "::", "[::]")  # no client calls it by these, and other names are refused


def main(argv=None):
    limits = serving.Limits()
    parser = command_line.parser(__doc__)
    parser.add_argument("bundle", type=command_line.path, metavar="BUNDLE", help="a folder that export.sh wrote")
    parser.add_argument("--host", default=LOOPBACK[0], help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=command_line.count, default=8000, help="0: any that is free (default: 8000)")
    parser.add_argument("--hospital", default=POOLED, help="whose thresholds and calibration, such as nih")
    for name, what in (
        ("megabytes", "of a film's file at most"),
        ("waiting", "films that may wait while one is predicted"),
        ("per-minute", "films that an address may send a minute"),
    ):
        usual = getattr(limits, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=command_line.count, default=usual, help=f"{what} (default: {usual})")
    arguments = parser.parse_args(argv)
    if serving.why_not():
        raise InputError(f"serve.sh: {serving.why_not()}")
    if arguments.host in EVERYWHERE:
        raise InputError(f"--host {arguments.host}: expected the name or address that clients call this machine by.")
    bundle = bundles.open_bundle(arguments.bundle)
    predicting.check_hospital(bundle, arguments.hospital)
    listener = listening(arguments.host, arguments.port)
    limits = serving.Limits(arguments.megabytes, arguments.waiting, arguments.per_minute)
    # Keras and uvicorn are imported only now: --help and wrong input answer at once.
    import uvicorn

    from cxr.networks import backend

    print(f"{bundle.name}; {backend.start(bundle.params)}")
    network = serving.keeper(bundle)
    print(bundle_check.check(bundle, arguments.bundle, network), flush=True)
    predict = functools.partial(serving.predicted_csv, bundle, arguments.hospital, network)
    served = serving.app(bundle, predict, arguments.hospital, limits, arguments.host)
    if arguments.host not in LOOPBACK:
        print(f"warning: whoever reaches {arguments.host} can use it: there is no login and no encryption")
    host, port = listener.getsockname()[:2]
    print(f"http://{f'[{host}]' if ':' in host else host}:{port} is ready; Ctrl-C ends it", flush=True)
    print(*bundles.told_of_drawn(bundle), "Research use only. Not a medical device.", sep="\n", flush=True)
    config = uvicorn.Config(
        served, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=30,
        limit_concurrency=serving.MOST_CONNECTIONS,
    )  # fmt: skip
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn has finished what was inside, and hands it on
        uvicorn.Server(config).run(sockets=[listener])


def listening(host, port):
    """A socket that listens there."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=512
        )
    except (OSError, OverflowError) as error:
        raise InputError(f"--host {host} --port {port}: cannot listen there: {error}. Give another --port.") from None


if __name__ == "__main__":
    command_line.run(main)
