"""Whatever way the warehouse came about, it holds the same rows."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import re
import shutil
import signal
import time
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from dbt_here import ONLY_WHEN_COMPILED
from warehouse import NO_UNIT_TESTS, WHAT_GROWS, Warehouse, files_by_landing

pytestmark = pytest.mark.minutes


@pytest.fixture(scope="module")
def full(built_demo: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """The demo, built from scratch in one run."""
    folder = Path(shutil.copytree(built_demo.folder, tmp_path_factory.mktemp("full") / "demo"))
    return Warehouse(folder, folder / "landing")


def test_building_again_changes_nothing(full: Warehouse) -> None:
    hashes, files = full.hashes(), full.query("from bronze.brz_files order by all")
    audit = full.query("select distinct loaded_at, run_id from silver.slv_web_events")
    for path in files_by_landing(full.landing):
        path.touch()
    full.build()
    assert full.hashes() == hashes
    assert full.query("from bronze.brz_files order by all") == files
    assert full.query("select distinct loaded_at, run_id from silver.slv_web_events") == audit
    assert hashes["silver.slv_web_events"][0] > 1000
    assert hashes["gold.fct_orders"][0] > 10


def test_the_moment_of_a_build_changes_no_parse(full: Warehouse, tmp_path: Path) -> None:
    """So what was parsed for one moment need not be parsed again for another."""
    variables = {"as_of": "2025-01-20 13:00:00", "held_splits": {"trn_fraud": [{"at": "", "split": ""}]}}
    assert tuple(variables) == ONLY_WHEN_COMPILED

    def parsed(name: str, *options: str, variables: dict[str, object] | None = None) -> dict[str, object]:
        at = Warehouse(tmp_path / name, full.landing)
        run = at.dbt(*options, "parse", variables=variables)
        assert run.returncode == 0, run.stdout
        text = (at.folder / "target" / "manifest.json").read_text()
        found: dict[str, object] = json.loads(re.sub(r'"created_at": [\d.]+', '"created_at": 0', text))
        del found["metadata"]
        return found

    assert parsed("then", "--no-partial-parse", variables=variables) == parsed("now")


def test_full_refresh_changes_nothing(full: Warehouse) -> None:
    hashes = full.hashes()
    full.build("--full-refresh")
    assert full.hashes() == hashes


def _deliver(paths: list[Path], source: Path, target: Path) -> None:
    for path in paths:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)


def test_ten_increments_equal_one_full_refresh(full: Warehouse, tmp_path: Path) -> None:
    grown = Warehouse(tmp_path / "grown", tmp_path / "landing").parsed_as(full)
    files = files_by_landing(full.landing)
    bounds = [len(files) * increment // 10 for increment in range(11)]
    for start, end in pairwise(bounds):
        _deliver(files[start:end], full.landing, grown.landing)
        grown.build(*(WHAT_GROWS if end < len(files) else ()))
    assert grown.hashes() == full.hashes()


def test_whatever_does_not_grow_is_made_anew_by_each_run(full: Warehouse) -> None:
    """So the runs before the last need not make it, for all to be as those runs leave it."""
    manifest = json.loads((full.folder / "target" / "manifest.json").read_text())
    nodes = [node for node in manifest["nodes"].values() if node["resource_type"] in ("model", "snapshot")]
    made_anew = ("table", "view", "replaced", "replaced_view")
    grow = {node["unique_id"] for node in nodes if node["config"]["materialized"] not in made_anew}
    kinds = {node["config"]["materialized"] for node in nodes if node["unique_id"] in grow}
    assert kinds == {"incremental", "checked", "history", "snapshot"}
    # Nor does a model that is made anew read what it was before.
    assert not [
        node["name"]
        for node in nodes
        if node["unique_id"] not in grow and "this" in re.findall(r"\w+", node["raw_code"])
    ]


def test_files_that_arrive_in_the_wrong_order_change_nothing(full: Warehouse, tmp_path: Path) -> None:
    shuffled = Warehouse(tmp_path / "shuffled", tmp_path / "landing").parsed_as(full)
    files = files_by_landing(full.landing)
    random.Random(7).shuffle(files)
    for third, selected in ((files[0::3], WHAT_GROWS), (files[1::3], WHAT_GROWS), (files[2::3], ())):
        _deliver(third, full.landing, shuffled.landing)
        shuffled.build(*selected)
    assert shuffled.hashes() == full.hashes()


def test_a_run_mends_what_kills_left(full: Warehouse, tmp_path: Path) -> None:
    killed = Warehouse(tmp_path / "killed", full.landing).parsed_as(full)
    chance = random.Random(11)
    kills = 0
    # To start takes seconds: start the clock when the first statement runs.
    for _ in range(6):
        process = killed.start_dbt("build", *NO_UNIT_TESTS)
        assert process.stdout is not None
        for line in process.stdout:
            if "START hook" in line:
                break
        time.sleep(chance.uniform(0, 6))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
    killed.build()
    assert kills >= 3
    assert killed.hashes() == full.hashes()


def test_as_of_equals_a_build_from_what_was_available(full: Warehouse, tmp_path: Path) -> None:
    moment = datetime(2025, 1, 20, 13, 0)
    as_of = Warehouse(tmp_path / "as_of", full.landing)
    as_of.build(variables={"as_of": moment.isoformat(sep=" ")})
    only = Warehouse(tmp_path / "only", tmp_path / "landing").parsed_as(as_of)
    for path in files_by_landing(full.landing):
        _copy_available(path, full.landing, only.landing, moment)
    # What tells its own time tells the moment in both.
    only.build(variables={"as_of": moment.isoformat(sep=" ")})
    hashes = as_of.hashes(without=("file_id",))
    assert hashes == only.hashes(without=("file_id",))
    before = full.hashes(without=("file_id",))
    assert 0 < hashes["silver.slv_web_events"][0] < before["silver.slv_web_events"][0]
    assert 0 < hashes["silver.slv_card_transactions"][0] < before["silver.slv_card_transactions"][0]


def test_a_warehouse_is_built_as_of_one_moment_only(full: Warehouse) -> None:
    run = full.dbt("build", variables={"as_of": "2025-01-10"})
    assert run.returncode != 0
    assert "This warehouse is built as of now, and cannot be built as of 2025-01-10" in run.stdout
    assert "ASSAY_WAREHOUSE" in run.stdout


def _copy_available(path: Path, source: Path, target: Path, moment: datetime) -> None:
    """Copy a file with blank lines in place of the rows that were not available at `moment`.

    Blank lines keep the numbers of those that stay.
    """
    place = path.relative_to(source)
    raw = path.read_bytes()
    try:
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    except EOFError:
        return
    landed_at = datetime.strptime(path.parent.name.removeprefix("landed_at="), "%Y-%m-%dT%H-%M-%S")
    header, *lines = text.split("\n")
    if place.parts[0] in ("erp", "catalog") and place.suffix != ".jsonl":
        kept = [header, *lines] if landed_at <= moment else [header]
    elif place.parts[0] == "payments":
        kept = [
            header,
            *(line if _card_available(line, header, landed_at) <= moment else "" for line in lines),
        ]
    else:
        kept = [line if _document_available(line, landed_at) <= moment else "" for line in (header, *lines)]
    copy = target / place
    copy.parent.mkdir(parents=True, exist_ok=True)
    content = "\n".join(kept).encode()
    copy.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def _card_available(line: str, header: str, landed_at: datetime) -> datetime:
    fields = next(csv.reader(io.StringIO(line)), [])
    names = header.split(",")
    if len(fields) != len(names):
        return landed_at
    written_at = datetime.fromisoformat(fields[names.index("trans_date_trans_time")])
    return min(written_at + timedelta(seconds=2), landed_at)


def _document_available(line: str, landed_at: datetime) -> datetime:
    try:
        document = json.loads(line)
    except ValueError:
        return landed_at
    if not isinstance(document, dict):
        return landed_at
    if received_at := document.get("receivedAt") or document.get("received_at"):
        return datetime.fromisoformat(received_at.removesuffix("Z"))
    milliseconds = document.get("ts_ms")
    return datetime(1970, 1, 1) + timedelta(milliseconds=milliseconds) if milliseconds else landed_at
