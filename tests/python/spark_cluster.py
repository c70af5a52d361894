"""Spark on this machine: a standalone cluster of a master and two workers, and a server of Spark Connect."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_DEPLOY = "org.apache.spark.deploy"
_SECONDS_TO_START = 300
_NO_ASSAY = 'raise ImportError("the machines of a cluster have no Assay")\n'


@contextmanager
def started_cluster(folder: Path) -> Iterator[str]:
    """Start a cluster whose machines have no Assay, and yield the URL of its master."""
    _leave_out_assay(folder)
    port = _free_port()
    url = f"spark://127.0.0.1:{port}"
    at = ("--host", "127.0.0.1", "--webui-port", "0")
    started = [_start(folder, "spark-class", f"{_DEPLOY}.master.Master", *at, "--port", str(port))]
    try:
        worker = (f"{_DEPLOY}.worker.Worker", *at, "-c", "1", "-m", "1g", "-d", str(folder), url)
        started += [_start(folder, "spark-class", *worker) for _ in range(2)]
        yield url
    finally:
        for process in started:
            _end(process)


@contextmanager
def started_connect_server(folder: Path) -> Iterator[str]:
    """Start a server of Spark Connect whose tasks have no Assay, and yield its URL."""
    _leave_out_assay(folder)
    port = _free_port()
    settings = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.ui.enabled": "false",
    }
    options = [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
    server = "org.apache.spark.sql.connect.service.SparkConnectServer"
    process = _start(
        folder, "spark-submit", "--class", server, "--master", "local[2,4]", *options, "spark-internal"
    )
    try:
        deadline = time.monotonic() + _SECONDS_TO_START
        while not _answers(port):
            assert process.poll() is None, (folder / "spark-submit.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield f"sc://127.0.0.1:{port}"
    finally:
        _end(process)


def _leave_out_assay(folder: Path) -> None:
    (folder / "assay").mkdir(parents=True)
    (folder / "assay" / "__init__.py").write_text(_NO_ASSAY)


def _free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _start(folder: Path, command: str, *arguments: str) -> subprocess.Popen[bytes]:
    import pyspark

    home = Path(pyspark.__file__).parent
    with (folder / f"{command}.log").open("ab") as log:
        return subprocess.Popen(
            [str(home / "bin" / command), *arguments],
            env={
                **os.environ,
                "SPARK_HOME": str(home),
                "SPARK_DAEMON_MEMORY": "512m",
                "SPARK_LOCAL_IP": "127.0.0.1",
                "PYSPARK_PYTHON": sys.executable,
                "PYTHONPATH": str(folder),
            },
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
