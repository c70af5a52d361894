"""Tables of Assay's own get the columns that they lack, and an older version touches nothing newer."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from assay.core.fault import Fault
from assay.core.places import Places
from assay.core.structure import bring_up_to_date
from assay.doctor.upgrade import upgrade
from assay.landing.load import SCHEMA
from assay.ledger import versions
from assay.ledger.runs import read_runs
from assay.ledger.versions import (
    find_installed_version,
    find_newest_version,
    note_version,
    refuse_older_version,
)

_NEW = """
create schema if not exists kept;
create table if not exists kept.things (
    name varchar primary key, pieces bigint not null, note varchar, tags varchar[] not null
);
create or replace view kept.notes as select name, note, tags from kept.things;
"""


def test_columns_that_lack_are_added_and_rows_stay() -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema kept; create table kept.things (name varchar primary key)")
        connection.execute("insert into kept.things values ('a')")
        added = bring_up_to_date(connection, _NEW)
        assert added == ["kept.things.pieces", "kept.things.note", "kept.things.tags"]
        assert connection.sql("from kept.things").fetchall() == [("a", 0, None, [])]
        assert connection.sql("from kept.notes").fetchall() == [("a", None, [])]
        assert bring_up_to_date(connection, _NEW) == []


def test_what_is_new_is_made_as_declared() -> None:
    with duckdb.connect() as connection:
        assert bring_up_to_date(connection, _NEW) == []
        with pytest.raises(duckdb.ConstraintException):
            connection.execute("insert into kept.things values ('a', null, null, [])")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Of a project that an older version has built in: its ledger and landing tables lack columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASSAY_ONLINE_STORE", raising=False)
    with duckdb.connect("warehouse.duckdb") as connection:
        connection.execute(SCHEMA)
        connection.execute("alter table landing.files drop column malformed_row_count")
    return Places(Path("landing"), Path("warehouse.duckdb"))


def test_an_upgrade_says_what_it_changes_and_a_second_one_changes_nothing(places: Places) -> None:
    note_version(places.ledger)
    with duckdb.connect(str(places.ledger)) as connection:
        connection.execute("delete from versions; insert into versions values ('0.0.1', now())")
        connection.execute("create table runs (run_id varchar primary key, warehouse varchar)")
    assert list(upgrade(places))[-2:] == [
        "warehouse.duckdb: added the column landing.files.malformed_row_count",
        f"ops.duckdb: from now on, Assay {find_installed_version()} builds here",
    ]
    assert read_runs(places.ledger) == []
    assert list(upgrade(places)) == []


def test_an_older_version_builds_nothing_and_upgrades_nothing(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "find_installed_version", lambda: "0.10.0")
    note_version(places.ledger)
    monkeypatch.setattr(versions, "find_installed_version", lambda: "0.9.0")
    assert find_newest_version(places.ledger) == "0.10.0"
    with pytest.raises(Fault, match=r"Assay 0\.10\.0 has built here, and 0\.9\.0 is installed"):
        refuse_older_version(places.ledger)
    with pytest.raises(Fault, match=r"Install assay==0\.10\.0 or a newer one"):
        list(upgrade(places))
    with duckdb.connect(str(places.main_warehouse)) as connection:
        columns = connection.sql("select column_name from duckdb_columns()").fetchall()
    assert ("malformed_row_count",) not in columns
