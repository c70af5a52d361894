"""A standalone cluster of Spark on this machine: a master and two workers, each of one core."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_NO_ASSAY = 'raise ImportError("the machines of a cluster have no Assay")\n'


@contextmanager
def started_cluster(folder: Path) -> Iterator[str]:
    """Start a cluster whose machines have no Assay, and yield the URL of its master."""
    (folder / "assay").mkdir(parents=True)
    (folder / "assay" / "__init__.py").write_text(_NO_ASSAY)
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"spark://127.0.0.1:{port}"
    started = [_start(folder, "master.Master", "--port", str(port))]
    try:
        started += [
            _start(folder, "worker.Worker", "-c", "1", "-m", "1g", "-d", str(folder), url) for _ in range(2)
        ]
        yield url
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _start(folder: Path, of: str, *arguments: str) -> subprocess.Popen[bytes]:
    import pyspark

    home = Path(pyspark.__file__).parent
    with (folder / f"{of}.log").open("ab") as log:
        return subprocess.Popen(
            [
                *(str(home / "bin" / "spark-class"), f"org.apache.spark.deploy.{of}"),
                *("--host", "127.0.0.1", "--webui-port", "0", *arguments),
            ],
            env={
                **os.environ,
                "SPARK_HOME": str(home),
                "SPARK_DAEMON_MEMORY": "128m",
                "SPARK_LOCAL_IP": "127.0.0.1",
                "PYTHONPATH": str(folder),
            },
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
