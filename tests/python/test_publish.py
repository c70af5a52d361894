"""Gold is replaced as a whole: readers see the old file or the new one, and never an error."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from assay.build.publish import Provenance, Publication
from assay.build.publish import publish as publish_only
from assay.core.fault import Fault
from assay.project.products import Products

READ = """
import sys, duckdb
from pathlib import Path
seen, stop = set(), Path(sys.argv[2])
print(flush=True)
while not stop.exists():
    with duckdb.connect(sys.argv[1], read_only=True) as connection:
        one = connection.sql("select min(version), max(version), count(*) from gold.gold.one").fetchall()
        other = connection.sql("select min(version), max(version), count(*) from gold.gold.other").fetchall()
    assert one == other and one[0][0] == one[0][1] and one[0][2] == 20000, (one, other)
    seen.add(one[0][0])
print(len(seen))
"""


def publish(warehouse: Path, target: Path) -> Publication | None:
    """Publish all that gold holds."""
    with duckdb.connect(warehouse, read_only=True) as connection:
        names = connection.sql(
            "select table_name from information_schema.tables where table_schema = 'gold'"
        ).fetchall()
    return publish_only(warehouse, target, Products({name: name for (name,) in names}))


def make_warehouse(path: Path, version: int) -> Path:
    path.unlink(missing_ok=True)
    with duckdb.connect(path) as connection:
        connection.execute("create schema gold")
        connection.execute("create schema silver")
        connection.execute(
            f"create table silver.rows as select {version} as version, range as n from range(20000)"
        )
        connection.execute("create table gold.one as from silver.rows")
        connection.execute("create view gold.other as select version, n from silver.rows")
    return path


@pytest.mark.usefixtures("builds")
def test_readers_see_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    target, stop = tmp_path / "published" / "gold.duckdb", tmp_path / "stop"
    warehouse = make_warehouse(tmp_path / "assay.duckdb", 0)
    publish(warehouse, target)
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", READ, str(target), str(stop)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for reader in readers:
        assert reader.stdout
        reader.stdout.readline()
    for version in range(1, 20):
        publish(make_warehouse(warehouse, version), target)
    stop.touch()
    for reader in readers:
        output, errors = reader.communicate()
        assert reader.returncode == 0, errors
        assert int(output) > 3


def test_who_has_the_old_file_open_keeps_it(tmp_path: Path) -> None:
    target = tmp_path / "gold.duckdb"
    publish(make_warehouse(tmp_path / "assay.duckdb", 1), target)
    code = (
        "import sys, duckdb\n"
        "connection = duckdb.connect(sys.argv[1], read_only=True)\n"
        "print('open', flush=True)\n"
        "sys.stdin.readline()\n"
        "print(connection.sql('select max(version) from gold.gold.one').fetchall())\n"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", code, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout
    reader.stdout.readline()
    publish(make_warehouse(tmp_path / "assay.duckdb", 2), target)
    output, _ = reader.communicate("\n")
    assert output.strip() == "[(1,)]"
    with duckdb.connect(target, read_only=True) as connection:
        assert connection.sql("select max(version) from gold.gold.one").fetchall() == [(2,)]


def test_the_tables_lie_in_schema_gold(tmp_path: Path) -> None:
    warehouse, target = make_warehouse(tmp_path / "assay.duckdb", 1), tmp_path / "gold.duckdb"
    published = publish(warehouse, target)
    assert published is not None
    assert (published.tables, published.rows) == (2, 40_000)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{target}' as reader (read_only)")
        assert connection.sql("select count(*) from reader.gold.other").fetchall() == [(20_000,)]
        assert connection.sql("select distinct schema_name from duckdb_tables()").fetchall() == [("gold",)]


def test_the_published_file_needs_nothing_else(tmp_path: Path) -> None:
    warehouse, target = make_warehouse(tmp_path / "assay.duckdb", 1), tmp_path / "gold.duckdb"
    publish(warehouse, target)
    warehouse.unlink()
    moved = target.rename(tmp_path / "elsewhere.duckdb")
    with duckdb.connect(moved, read_only=True) as connection:
        assert connection.sql("select table_type from information_schema.tables").fetchall() == [
            ("BASE TABLE",),
            ("BASE TABLE",),
        ]
        assert connection.sql("select count(*) from gold.other").fetchall() == [(20_000,)]


def test_names_and_comments_with_quotes_are_published(tmp_path: Path) -> None:
    warehouse, target = make_warehouse(tmp_path / "it's.duckdb", 1), tmp_path / "gold's.duckdb"
    with duckdb.connect(warehouse) as connection:
        connection.execute('create table gold."the ""best""" as select 1 as "a ""b"""')
        connection.execute('comment on table gold."the ""best""" is \'it\'\'s\'')
        connection.execute('comment on column gold."the ""best"""."a ""b""" is \'so \'\'so\'\'\'')
    publish(warehouse, target)
    with duckdb.connect(target, read_only=True) as connection:
        assert connection.sql('select "a ""b""" from gold."the ""best"""').fetchall() == [(1,)]
        tables = connection.sql("select comment from duckdb_tables() where comment is not null").fetchall()
        columns = connection.sql("select comment from duckdb_columns() where comment is not null").fetchall()
    assert (tables, columns) == ([("it's",)], [("so 'so'",)])


def test_leftovers_of_killed_runs_are_removed_and_others_are_not(tmp_path: Path) -> None:
    others = [tmp_path / ".gold@2025-01-01T00-00-00.duckdb.17", tmp_path / "gold@2025-01-01T00-00-00.duckdb"]
    for path in [tmp_path / ".gold.duckdb.4711", tmp_path / ".gold.duckdb.4711.wal", *others]:
        path.write_text("half")
    publish(make_warehouse(tmp_path / "assay.duckdb", 1), tmp_path / "gold.duckdb")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"assay.duckdb", "gold.duckdb", *(path.name for path in others)}


def test_a_view_that_fails_leaves_the_published_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "published" / "gold.duckdb"
    publish(make_warehouse(tmp_path / "assay.duckdb", 1), target)
    before = target.read_bytes()
    with duckdb.connect(make_warehouse(tmp_path / "assay.duckdb", 2)) as connection:
        connection.execute("create view gold.wrong as select 'a'::int as n")
    with pytest.raises(Fault, match=r'"gold"\."wrong" cannot be published: Conversion Error'):
        publish(tmp_path / "assay.duckdb", target)
    assert target.read_bytes() == before
    assert list(target.parent.iterdir()) == [target]


def test_an_empty_gold_publishes_nothing(tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "assay.duckdb") as connection:
        connection.execute("create schema silver")
    assert publish(tmp_path / "assay.duckdb", tmp_path / "published" / "gold.duckdb") is None
    assert list((tmp_path / "published").iterdir()) == []


@pytest.mark.parametrize(
    "damage", [lambda whole: b"", lambda whole: b"no database" * 999, lambda whole: whole[:-9999]]
)
def test_a_damaged_published_file_is_replaced_unless_tables_would_be_lost(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    warehouse, target = make_warehouse(tmp_path / "assay.duckdb", 1), tmp_path / "gold.duckdb"
    provenance = Provenance("run", datetime(2026, 1, 1))
    products = Products({"one": "one", "other": "other"})
    publish_only(warehouse, target, products, provenance)
    whole = target.read_bytes()
    target.write_bytes(damage(whole))
    stopped = replace(products, stopped={"other": "gold.other failed"})
    with pytest.raises(Fault, match=r"gold\.duckdb"):
        publish_only(warehouse, target, stopped, provenance)
    publish_only(warehouse, target, products, provenance)
    with duckdb.connect(str(target), read_only=True) as connection:
        assert connection.execute("select count(*) from published.tables").fetchall() == [(2,)]
