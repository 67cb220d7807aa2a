"""serve.sh under 200 requests at once, broken files among them: statuses, seconds, and what differs from predict.sh.

BUNDLE is one of export.sh; two of its examples are the films, every third request is the first 2,000 bytes of one. The
server is started on this machine, on a free port, and ended. Exit status 1: an answer is wrong, or a file is left.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

PROJECT = Path(__file__).resolve().parents[1]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--waiting", type=int, default=32)
    arguments = parser.parse_args(argv)
    first, second = (path.read_bytes() for path in sorted((arguments.bundle / "examples").glob("*.png"))[:2])
    bodies = [(first[:2000], first, second)[number % 3] for number in range(arguments.requests)]
    with tempfile.TemporaryDirectory() as folder:
        expected = {body: predicted(arguments.bundle, body, Path(folder)) for body in set(bodies)}
        temporary = Path(folder, "temporary")
        temporary.mkdir()
        command = ["sh", PROJECT / "serve.sh", arguments.bundle, "--port=0", f"--waiting={arguments.waiting}"]
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(temporary)}
        )
        try:
            url = next(line.split()[0] for line in server.stdout if line.startswith("http://"))
            post(url, first)  # the first one compiles
            start = time.perf_counter()
            with ThreadPoolExecutor(arguments.requests) as threads:
                answers = list(threads.map(lambda body: post(url, body), bodies))
            seconds = time.perf_counter() - start
            peak = Path(f"/proc/{server.pid}/status").read_text().split("VmHWM:")[1].split()[0]
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)
        left = [path.name for path in temporary.iterdir()]
    counts = Counter(status for status, _ in answers)
    wrong = [
        (status, text[:200])
        for body, (status, text) in zip(bodies, answers, strict=True)
        if status != 503 and (status, text) != expected[body]
    ]
    answered = counts[200] + counts[422]
    print(f"{arguments.requests} requests at once in {seconds:.1f} s: {dict(sorted(counts.items()))}")
    print(f"{answered / seconds:.2f} answers/s; {len(wrong)} differ from predict.sh; peak {int(peak) / 1e6:.2f} GB")
    print(f"left in the folder for temporary files: {left or 'nothing'}")
    print(*wrong[:3], sep="\n")
    return int(bool(wrong or left or set(counts) - {200, 422, 503}))


def predicted(bundle, body, folder):
    """Status and text that the server must answer for a film, from what predict.sh writes."""
    (folder / "film").write_bytes(body)
    command = ["sh", PROJECT / "predict.sh", "film", "--bundle", bundle.absolute(), "--out", "out"]
    subprocess.run(command, cwd=folder, check=False, stdout=subprocess.DEVNULL)
    problems = pd.read_csv(folder / "out/problems.csv")["problem"]
    if len(problems):
        return 422, problems[0]
    table = pd.read_csv(folder / "out/predictions.csv", dtype=str, keep_default_na=False).assign(overlay="")
    return 200, table.to_csv(index=False, lineterminator="\n")


def post(url, body):
    request = urllib.request.Request(f"{url}/predictions.csv", data=body, method="POST")
    request.add_header("Content-Type", "application/octet-stream")
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        return error.code, text if error.code != 422 else json.loads(text)["detail"]


if __name__ == "__main__":
    sys.exit(main())
