"""`make stream`: a broker, the demo that speaks to it, the stream, builds and the server, until Ctrl-C.

All of it lies in data/stream, beside the warehouse of `make build`. A broker that
ASSAY_KAFKA_BOOTSTRAP_SERVERS names is used instead.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from example.broker import start_broker
from example.stream import make_topics

_FOLDER = Path("data/stream")
_DAYS_BEFORE, _EVENTS_BEFORE, _EVENTS_TODAY = 30, 20_000, 300_000
_SECONDS_BETWEEN_LOOKS = 0.5
_PORT = 8566
_ASSAY = (sys.executable, "-c", "from assay.cli import app; app()")


def main() -> int:
    """Run it; returns the exit code of what ended first."""
    os.environ |= {
        "ASSAY_LANDING": str(_FOLDER / "landing"),
        "ASSAY_WAREHOUSE": str(_FOLDER / "assay.duckdb"),
        "DBT_TARGET_PATH": str(_FOLDER / "target"),
    }
    # What is started here ends with this process, however it is told to end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as running:
            return _run_all(running)
    except subprocess.CalledProcessError as failed:
        return failed.returncode
    except KeyboardInterrupt:
        return 0


def _run_all(running: ExitStack) -> int:
    today = datetime.now(UTC).date()
    broker = os.environ.get("ASSAY_KAFKA_BOOTSTRAP_SERVERS")
    if not broker:
        print("Starting a broker ...", flush=True)
        local = start_broker(_FOLDER / "broker")
        running.callback(local.stop)
        broker = os.environ["ASSAY_KAFKA_BOOTSTRAP_SERVERS"] = local.address
    if not (_FOLDER / "landing").exists():
        start = today - timedelta(days=_DAYS_BEFORE)
        _run("demo", "--start", f"{start}", "--days", f"{_DAYS_BEFORE}", "--events", f"{_EVENTS_BEFORE}")
    _run("build")
    # They are landed from before the demo has anything to tell.
    make_topics(broker)
    spoken = ("--start", f"{today}", "--days", "1", "--events", f"{_EVENTS_TODAY}")
    started = [
        running.enter_context(_started(*command))
        for command in (
            ("demo", "--stream", broker, "--speed", "1", *spoken),
            ("stream", "run", "--segment-seconds", "10"),
            ("build", "--watch", "--every", "20s"),
            # Browsers refuse the port that is the default.
            ("serve", "--port", str(_PORT)),
        )
    ]
    print(f"Messages go to {broker}. Features are at http://127.0.0.1:{_PORT}; stop with Ctrl-C.", flush=True)
    while True:
        for each in started:
            # The demo ends when all that it tells is sent.
            if each.poll() is not None and (each.returncode or each is not started[0]):
                return each.returncode
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _run(*arguments: str) -> None:
    subprocess.run([*_ASSAY, *arguments], check=True)


@contextmanager
def _started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command of Assay, and end it with the block."""
    process = subprocess.Popen([*_ASSAY, *arguments])
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
