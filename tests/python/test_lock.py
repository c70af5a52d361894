"""One build of a warehouse at a time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest
from dbt.cli.main import dbtRunnerResult
from small_project import SmallProject

from assay.core.fault import LOCKED, Fault
from assay.core.lock import Holder, current_holder, lock_file, locked
from assay.leakage.erased import Silent
from assay.project import dbt_run

HOLD = """
import sys, time
from pathlib import Path
from assay.core.lock import locked
with locked(Path(sys.argv[1]), command="assay build --full-refresh", wait=0, on_wait=print):
    print("held", flush=True)
    time.sleep(60)
"""
KEEP_OPEN = """
import sys, time, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
time.sleep(60)
"""


def start(code: str, file: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.readline()
    return process


def lock(warehouse: Path, wait: float, told: list[Holder | None]) -> None:
    with locked(warehouse, command="assay build", wait=wait, on_wait=told.append):
        pass


def test_a_second_build_names_the_holder_and_gives_up(tmp_path: Path) -> None:
    warehouse = tmp_path / "new" / "assay.duckdb"
    holder = start(HOLD, warehouse)
    with pytest.raises(Fault, match=rf"PID {holder.pid} on .* \(assay build --full-refresh\)") as refused:
        lock(warehouse, 0, [])
    assert refused.value.exit_code == LOCKED
    found = current_holder(warehouse)
    assert found is not None
    assert found.pid == holder.pid
    holder.kill()
    holder.wait()
    assert current_holder(warehouse) is None


def test_a_build_waits_for_a_process_that_only_copies(tmp_path: Path) -> None:
    warehouse = tmp_path / "assay.duckdb"
    copies = HOLD.replace("on_wait=print", "on_wait=print, copies=True").replace("sleep(60)", "sleep(1.5)")
    holder = start(copies, warehouse)
    told: list[Holder | None] = []
    lock(warehouse, 0, told)
    assert holder.wait() == 0
    assert [each and each.copies for each in told] == [True]


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    warehouse = tmp_path / "assay.duckdb"
    holder = start(HOLD, warehouse)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    lock(warehouse, 0, [])


def test_a_waiting_build_is_told_once_and_goes_on_when_it_can(tmp_path: Path) -> None:
    warehouse = tmp_path / "assay.duckdb"
    holder = start(HOLD, warehouse)
    # It gets the lock when the holder is gone, which is after the wait has been announced.
    told: list[Holder | None] = []

    def announced(by: Holder | None) -> None:
        told.append(by)
        holder.kill()

    with locked(warehouse, command="assay build", wait=60, on_wait=announced):
        held = json.loads(lock_file(warehouse).read_text())
    assert held["command"] == "assay build"
    assert [by and by.pid for by in told] == [holder.pid]
    holder.wait()


@pytest.mark.usefixtures("builds")
def test_looking_does_not_turn_a_build_away(tmp_path: Path) -> None:
    warehouse = tmp_path / "assay.duckdb"
    lock(warehouse, 0, [])
    look = "import sys\nfrom pathlib import Path\nfrom assay.core.lock import current_holder\n"
    look += "print()\nwhile True: current_holder(Path(sys.argv[1]))"
    onlookers = [start(look.replace("print()", "print(flush=True)"), warehouse) for _ in range(2)]
    ends_at = time.monotonic() + 2
    while time.monotonic() < ends_at:
        lock(warehouse, 0, [])
    for onlooker in onlookers:
        onlooker.kill()
        onlooker.wait()


def test_a_second_build_of_a_project_exits_with_3(project: SmallProject) -> None:
    holder = start(HOLD, project.warehouse)
    build = project.assay("build", "--wait", "0")
    holder.kill()
    holder.wait()
    assert build.exit_code == 3
    assert f"Another build has this warehouse: PID {holder.pid}" in build.stderr


def test_a_warehouse_open_elsewhere_is_told_with_the_process(project: SmallProject) -> None:
    holder = start(KEEP_OPEN, project.warehouse)
    build = project.assay("build")
    holder.kill()
    holder.wait()
    assert build.exit_code == 3
    assert f"PID {holder.pid}" in build.stderr
    assert "is open in another program" in build.stderr


def test_status_is_told_while_the_warehouse_is_locked(project: SmallProject) -> None:
    holders = [start(KEEP_OPEN, project.warehouse), start(HOLD, project.warehouse)]
    status = project.assay("status")
    for holder in holders:
        holder.kill()
        holder.wait()
    assert status.exit_code == 0
    assert f"A build of data/assay.duckdb is under way: PID {holders[1].pid}" in status.stdout
    assert "erp/order_lines" in status.stdout


def test_a_build_leaves_no_lock_behind(project: SmallProject) -> None:
    assert project.assay("build").exit_code == 0
    assert current_holder(project.warehouse) is None
    opened = start(KEEP_OPEN.replace("time.sleep(60)", ""), project.warehouse)
    assert opened.wait() == 0


def test_a_killed_build_is_shown_as_killed_and_the_next_one_works(project: SmallProject) -> None:
    project.land(4, 7)
    build = project.start("build")
    wait_until_running(project)
    assert "running" in project.assay("status").stdout
    build.kill()
    build.wait()
    assert project.runs()[-1] == ("running", None)
    status = project.assay("status")
    assert "killed" in status.stdout
    assert "running" not in status.stdout
    assert project.assay("build").exit_code == 0
    assert project.query("select sum(quantity)::int from gold.fct_lines", file=project.published) == [(17,)]


def test_an_interrupted_build_says_so_and_publishes_nothing(project: SmallProject) -> None:
    before = project.published.read_bytes()
    build = project.start("build")
    wait_until_running(project)
    build.send_signal(signal.SIGINT)
    _, errors = build.communicate()
    assert build.returncode == 130
    assert errors.strip() == "Error: Interrupted: nothing is published. Build again to go on."
    assert project.runs()[-1][0] == "failed"
    assert project.published.read_bytes() == before


def test_an_interrupt_that_gets_lost_on_the_way_still_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Swallows:
        def __init__(self, **_: object) -> None: ...

        def invoke(self, arguments: list[str]) -> dbtRunnerResult:
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            return dbtRunnerResult(success=True)

    monkeypatch.setattr("dbt.cli.main.dbtRunner", Swallows)
    before = signal.getsignal(signal.SIGINT)
    outcome = dbt_run.run_dbt([], warehouse=tmp_path / "x", on_start=lambda _: None, watcher=Silent())
    assert isinstance(outcome.exception, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        dbt_run.ask_dbt(["parse"], tmp_path / "x")
    assert signal.getsignal(signal.SIGINT) is before


def wait_until_running(project: SmallProject) -> None:
    """Wait until the ledger has a run that has not ended."""
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        try:
            if project.runs()[-1][0] == "running":
                return
        except duckdb.IOException:
            pass  # It is being written.
        time.sleep(0.02)
    raise AssertionError("the build never began")
