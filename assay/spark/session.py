"""Start Spark as `ASSAY_ENGINE` says, and tell its errors as faults."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from assay.core.fault import MISUSED, Fault, extra_needed, known_fault

#: The environment variable that says which engine computes; `spark`, or `spark:` and a master.
ENGINE = "ASSAY_ENGINE"
# Four attempts: without the number, Spark on this machine tries no task twice.
_HERE = "local[*,4]"
# No row goes through Java: to compile what it runs a second time, better, takes longer than it saves.
_JAVA_OPTIONS, _COMPILE_ONCE = "JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1"
_MASTER = re.compile(r"yarn|local(\[[^\]]+\])?|local-cluster\[[^\]]+\]|(spark|k8s|sc)://.+")
_MISSING = re.compile(r"No module named '(\w+)'")
_OTHER_PYTHON = re.compile(r"Python in worker has different version: (\S+) than that in driver: (\S+),")
_NO_PYTHON = re.compile(r'Cannot run program "([^"]+)"')
_NO_ROOM = re.compile(r".*(?:No space left on device|File too large|Disk quota exceeded).*")


def find_master() -> str | None:
    """Return the master that the environment names; None where no engine is asked for.

    Raises:
        Fault: it names another engine, or what is no master of Spark.
    """
    asked = os.environ.get(ENGINE, "").strip()
    if not asked:
        return None
    engine, _, master = asked.partition(":")
    master = master or _HERE
    # Builds whose nodes are all small never start Spark, which would tell.
    if engine != "spark" or not _MASTER.fullmatch(master):
        raise Fault(
            f"{ENGINE} is {asked}: there is spark, or spark: and a master, such as spark:local[4,4] or "
            "spark:spark://host:7077. Without it, this machine computes.",
            MISUSED,
        )
    return master


def check_installed(master: str) -> None:
    """Check that what a session needs is installed.

    Args:
        master: of the cluster, as Spark calls it; `sc://` is a server of Spark Connect.

    Raises:
        Fault: Spark or Java is missing.
    """
    with extra_needed("spark", by=f"{ENGINE}=spark"):
        import pyspark
    if not _is_connect(master) and not _has_java():
        raise Fault(
            f"Spark {pyspark.__version__} needs Java 17 or later, and there is none: install it and set "
            f"JAVA_HOME, or compute on this machine, without {ENGINE}.",
            MISUSED,
        )


def has_started() -> bool:
    """Tell whether this process has a session of Spark already, such as that of a notebook."""
    from pyspark import SparkContext

    # The session of another thread counts, too.
    return SparkContext._active_spark_context is not None


def start(master: str) -> Any:
    """Start a session of Spark.

    Args:
        master: of the cluster, as Spark calls it; `sc://` is a server of Spark Connect.

    Raises:
        Fault: Spark or Java is missing, or the cluster cannot be reached.
    """
    check_installed(master)
    from pyspark import cloudpickle
    from pyspark.sql import SparkSession

    from assay.spark import tasks

    # The machines of a cluster have no Assay.
    cloudpickle.register_pickle_by_value(tasks)  # type: ignore[no-untyped-call]
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder: Any = SparkSession.builder
    with faults_of_spark(), _logged():
        if _is_connect(master):
            session = builder.remote(master).getOrCreate()
        else:
            session = _start_here(builder.master(master))
    return session


@contextmanager
def _logged() -> Iterator[None]:
    """Have Java write to a log beside dbt's, if it starts in the block: it would write over the progress."""
    from pyspark import java_gateway

    log = Path(os.environ.get("DBT_LOG_PATH") or "logs") / "spark.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as opened:
        popen = partial(subprocess.Popen, stdout=opened, stderr=opened)
        options = {_JAVA_OPTIONS: _COMPILE_ONCE} if _JAVA_OPTIONS not in os.environ else {}
        with mock.patch.object(java_gateway, "Popen", popen), mock.patch.dict(os.environ, options):
            yield


def _start_here(builder: Any) -> Any:
    session = (
        builder.appName("assay")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    # Settings of a session that somebody else in this process uses stay as they are.
    return session.newSession()


def _is_connect(master: str) -> bool:
    return master.startswith("sc://")


def has_context(spark: Any) -> bool:
    """Tell whether a session has a context of Spark, which Spark Connect has not."""
    return getattr(spark, "_sc", None) is not None


def parallelism(spark: Any) -> int:
    """Return how many tasks a cluster runs at once, as far as it says so."""
    if has_context(spark):
        return int(spark.sparkContext.defaultParallelism)
    return int(spark.conf.get("spark.sql.shuffle.partitions", "8"))


def cancel_jobs(spark: Any) -> None:
    """End all that a session is computing."""
    if hasattr(spark, "interruptAll"):
        spark.interruptAll()
    if has_context(spark):
        spark.sparkContext.cancelAllJobs()


@contextmanager
def faults_of_spark() -> Iterator[None]:
    """Turn errors of Spark into faults that say in a line what happened.

    Raises:
        Fault: the block raised such an error.
    """
    try:
        yield
    except (Fault, KeyboardInterrupt):
        raise
    except Exception as error:
        told = str(error)
        fault = Fault(f"Spark failed: {_cause(told)} (logs/spark.log has more)")
        raise _fault_of_machine(told) or known_fault(told) or fault from error


def _fault_of_machine(told: str) -> Fault | None:
    """Tell what is to be mended on a machine of the cluster; None if it is not known that something is."""
    if missing := _MISSING.search(told):
        return Fault(
            f"A machine of the cluster has no {missing[1]}: install duckdb, pandas and pyarrow in the "
            "Python of each, which PYSPARK_PYTHON names."
        )
    if other := _OTHER_PYTHON.search(told):
        return Fault(
            f"A machine of the cluster has Python {other[1]}, this one {other[2]}: Spark needs the same on "
            f"all. Install Python {other[2]} there, and have PYSPARK_PYTHON name it."
        )
    if python := _NO_PYTHON.search(told):
        return Fault(
            f"A machine of the cluster has no {python[1]}: have PYSPARK_PYTHON name a Python that each of "
            "them has, with duckdb, pandas and pyarrow."
        )
    if full := _NO_ROOM.search(told):
        return Fault(
            f"A machine of the cluster has no room left: {full[0].strip()}. Free some there, in the folder "
            "beside the warehouse and in Spark's own (spark.local.dir), and build again. Nothing is written."
        )
    return None


def _cause(told: str) -> str:
    """Return the line of an error of Spark that says most: the last cause that Java or Python names."""
    lines = [re.sub(r"^(: |Caused by: )", "", line.strip()) for line in told.splitlines() if line.strip()]
    causes = [line for line in lines if re.match(r"[\w.$]+(Error|Exception): ", line)]
    return (causes[-1:] or lines or ["it gave no reason"])[0]


def _has_java() -> bool:
    home = os.environ.get("JAVA_HOME")
    return Path(home, "bin", "java").is_file() if home else shutil.which("java") is not None
