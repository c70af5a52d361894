"""`assay land compact` merges landed files, and a warehouse that is built from these has the same rows."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contract_text import contract
from landing_zone import Zone

from assay.build.encryption import find_states, rotate
from assay.build.encryption_display import print_states
from assay.console.progress import Lines
from assay.console.tables import PlainConsole
from assay.core.encryption import find_encryption_key
from assay.core.fault import Fault
from assay.core.lock import locked
from assay.core.places import Places
from assay.core.sealed_content import find_content_key, open_content
from assay.cost.gather import Declared, find_costs
from assay.erasure import compact
from assay.erasure.compact import CompactedLanding, Sizes, compact_landing, plan_compaction
from assay.erasure.journal import journal_file
from assay.erasure.lines import empty_members
from assay.erasure.retain import find_old, retain
from assay.landing.declared import declared_tables
from assay.landing.discover import LandingFolderMissing, discover
from assay.landing.merged import DamagedFile, MergedWriter, read_merged
from assay.ledger.merges import MERGED_FILES
from assay.lineage.landed_copies import find_copies

pytestmark = pytest.mark.usefixtures("builds")

DECLARED = """
sources:
  - name: shop
    tables:
      - name: sales
        config: {meta: {landing: {format: csv}}}
        columns: [{name: id}, {name: name}]
      - name: visits
        config: {meta: {landing: {format: jsonl}}}
      - name: wide
        config: {meta: {landing: {format: csv, dialect: {encoding: utf-16}}}}
        columns: [{name: id}, {name: name}]
      - name: clicks
        config: {meta: {landing: {format: jsonl, streamed: true}}}
"""
DAY = "landed_at=2025-03-0{}T04-05-06"
HEADER = "id,name\n"
CONTRACT = contract(
    "shop",
    """schema:
  - name: sales
    physicalName: landing.shop__sales
    properties: [{name: id, logicalType: string}, {name: name, logicalType: string}]
slaProperties:
  - {property: retention, value: 30, unit: d, element: sales}
""",
)
SIZES = Sizes()


def packed_parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2], "name": ["a", None]}), sink)
    return gzip.compress(sink.getvalue())


LANDED = {
    f"shop/sales/{DAY.format(1)}/plain.csv": f'{HEADER}1,a\n\n2,b,too many\n3,"two\nlines"\n'.encode(),
    f"shop/sales/{DAY.format(1)}/packed.csv.gz": gzip.compress(f"{HEADER}4,d\r\n5,é".encode()),
    f"shop/sales/{DAY.format(2)}/columns.parquet.gz": packed_parquet(),
    "shop/sales/by time.csv": f"{HEADER}6,f\n".encode(),
    f"shop/visits/{DAY.format(1)}/lines.jsonl": b'{"id": 1}\nnot json\n\n{"id": 2}\n',
    f"shop/wide/{DAY.format(1)}/wide.csv": f"{HEADER}1,\u010aa\n2,b\n".encode("utf-16"),
}


@pytest.fixture
def zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    """A project with files of all formats, loaded."""
    monkeypatch.chdir(tmp_path)
    for name in ("ASSAY_LANDING", "ASSAY_COLD", "ASSAY_TARGET", "ASSAY_LANDING_LINKS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    zone = Zone(tmp_path, DECLARED)
    for name, content in LANDED.items():
        zone.drop(name, content)
    os.utime(zone.landing / "shop/sales/by time.csv", (1_700_000_000.25, 1_700_000_000.25))
    zone.load()
    zone.connection.close()
    yield zone
    zone.connection.close()


def places_of(zone: Zone) -> Places:
    return Places(zone.landing, zone.warehouse)


def run(zone: Zone, sizes: Sizes = SIZES) -> CompactedLanding:
    return compact_landing(places_of(zone), sizes, wait=0, display=Lines(PlainConsole(quiet=True)))


def files_in(zone: Zone) -> list[str]:
    return sorted(
        path.relative_to(zone.landing).as_posix() for path in zone.landing.rglob("*") if path.is_file()
    )


def contents(zone: Zone) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that a warehouse has of landed files, but when and by which run it was loaded."""
    with duckdb.connect(zone.warehouse, read_only=True) as connection:
        tables = [
            name
            for (name,) in connection.execute(
                "select table_name from duckdb_tables() where schema_name = 'landing' "
                "and (table_name like 'shop%' or table_name = 'files') order by all"
            ).fetchall()
        ]
        return {
            name: connection.execute(
                f"select columns(c -> c not in ('loaded_at', 'run_id')) from landing.{name} order by all"
            ).fetchall()
            for name in tables
        }


def built_anew(zone: Zone, cold: Path | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """What a warehouse has that is built from the landing zone as it is now."""
    zone.warehouse.unlink()
    reload(zone, cold)
    return contents(zone)


def reload(zone: Zone, cold: Path | None = None) -> None:
    zone.connection = duckdb.connect(zone.warehouse)
    zone.load(cold)
    zone.connection.close()


def test_a_warehouse_built_from_merged_files_has_the_same_rows(zone: Zone) -> None:
    before = contents(zone)
    assert sum(map(len, before.values())) == 6 + 13
    dry = plan_compaction(places_of(zone), SIZES, datetime(2026, 1, 1))
    assert [(each.table, each.files, each.written) for each in dry.tables] == [
        ("shop/sales", 4, []),
        ("shop/visits", 1, []),
        ("shop/wide", 1, []),
    ]
    assert files_in(zone) == sorted(LANDED)
    done = run(zone)
    [sales] = done.tables[0].written
    assert sales.path.name.startswith("2023-11-14_2025-03-02-")
    assert len(files_in(zone)) == 3
    assert {file.name for file in discover(zone.landing)} == LANDED.keys()
    assert sum(file.stored_size for file in discover(zone.landing)) == sum(
        path.stat().st_size for path in zone.landing.rglob("*.parquet")
    )
    assert built_anew(zone) == before
    # The warehouse that knows them loads none again, and nothing is left to merge.
    reload(zone)
    assert contents(zone) == before
    was = files_in(zone)
    assert run(zone).tables == []
    assert files_in(zone) == was


def test_a_dry_run_and_costs_tell_what_merging_would_save(zone: Zone) -> None:
    line = b'{"id": 1, "name": "as in all other lines"}\n'
    zone.drop(f"shop/visits/{DAY.format(2)}/many.jsonl", line * 50_000)
    zone.drop(f"shop/visits/{DAY.format(3)}/many.jsonl.gz", gzip.compress(line * 50_000))
    reload(zone)
    [visits] = [
        each
        for each in plan_compaction(places_of(zone), SIZES, datetime(2026, 1, 1)).tables
        if each.table == "shop/visits"
    ]
    assert visits.size > 2_000_000
    assert visits.estimate is not None
    assert 0 < visits.estimate < 10_000
    report = find_costs(places_of(zone), Declared({}, {}, {}, []), keep="90d", tell=lambda message: None)
    assert report.merging
    assert visits in report.merging


def test_a_merged_file_tells_file_and_line(zone: Zone) -> None:
    run(zone)
    rows = duckdb.sql(
        f"select line, decode(content) from '{zone.landing}/shop/visits/_merged/*.parquet' "
        "where source_file like '%lines.jsonl' order by line"
    ).fetchall()
    assert rows == [(1, '{"id": 1}\n'), (2, "not json\n"), (3, "\n"), (4, '{"id": 2}\n')]
    [path] = (zone.landing / "shop/visits/_merged").iterdir()
    assert {column.compression for column in _columns(path)} == {"ZSTD"}


def test_the_ledger_has_what_is_merged_and_a_file_is_found_where_it_lies(
    zone: Zone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = places_of(zone)
    visits, sales = f"shop/visits/{DAY.format(1)}/lines.jsonl", "shop/sales/by time.csv"
    lies = find_copies(places, [visits, "shop/visits/none.jsonl"])
    assert lies == {visits: [zone.landing / visits], "shop/visits/none.jsonl": []}
    # A kill between the record and the file: the next merge records the same.
    with mock.patch.object(Path, "replace", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        run(zone)
    written = [table.written[0].path for table in run(zone).tables]
    recorded = MERGED_FILES.read(
        places.ledger, "select source_file, merged_file, content_sha256 from merged_files order by all"
    )
    assert [name for name, *_ in recorded] == sorted(LANDED)
    assert {merged for _, merged, _ in recorded} == {
        path.relative_to(zone.landing).as_posix() for path in written
    }
    assert {sha256 for *_, sha256 in recorded} == {
        hashlib.sha256(content).hexdigest() for content in LANDED.values()
    }
    [of_visits] = [path for path in written if "visits" in path.parts]
    assert find_copies(places, [visits]) == {visits: [of_visits]}
    # What retain moves is found in the cold folder.
    (tmp_path / "contracts").mkdir()
    (tmp_path / "contracts" / "shop.odcs.yaml").write_text(CONTRACT)
    monkeypatch.setenv("ASSAY_COLD", str(tmp_path / "cold"))
    (tmp_path / "cold").mkdir()
    retain(places, wait=0, display=Lines(PlainConsole(quiet=True)))
    [[cold]] = find_copies(places, [sales]).values()
    assert isinstance(cold, Path)
    assert cold.is_relative_to(tmp_path / "cold")
    assert cold.is_file()


def _columns(path: Path) -> list[Any]:
    group = pq.read_metadata(path).row_group(0)
    return [group.column(index) for index in range(group.num_columns)]


def test_small_merged_files_are_merged_again_and_large_ones_stay(zone: Zone) -> None:
    before = contents(zone)
    run(zone)
    zone.drop(f"shop/visits/{DAY.format(3)}/more.jsonl", b'{"id": 3}\n')
    reload(zone)
    with_more = contents(zone)
    assert before != with_more
    again = run(zone)
    assert [(each.table, each.files, each.again, len(each.written)) for each in again.tables] == [
        ("shop/visits", 1, 1, 1)
    ]
    assert len(files_in(zone)) == 3
    assert built_anew(zone) == with_more
    # Of a size that is reached at once, each file is one by itself, and stays.
    zone.drop(f"shop/visits/{DAY.format(4)}/most.jsonl", b'{"id": 4}\n')
    zone.drop(f"shop/visits/{DAY.format(5)}/most.jsonl", b'{"id": 5}\n')
    reload(zone)
    assert [len(each.written) for each in run(zone, Sizes(1)).tables] == [2]
    assert len(files_in(zone)) == 5


def test_what_is_not_loaded_or_young_or_a_segment_stays(zone: Zone) -> None:
    today = f"landed_at={datetime.now():%Y-%m-%d}T00-00-00"
    for name in (
        f"shop/visits/{today}/young.jsonl",
        f"shop/visits/{DAY.format(4)}/large.jsonl",
        "shop/clicks/topic=t/partition=0/0-0.jsonl.gz",
    ):
        zone.drop(
            name, gzip.compress(b'{"value": 1, "offset": 0}\n') if name.endswith("gz") else b'{"id": 7}\n' * 9
        )
    zone.drop(f"shop/sales/{DAY.format(4)}/failed.csv", "nonsense\n")
    reload(zone)
    zone.drop(f"shop/sales/{DAY.format(4)}/not loaded.csv", f"{HEADER}1,a\n")
    zone.drop(f"shop/visits/{DAY.format(1)}/lines.jsonl", b'{"id": "changed"}\n')
    done = run(zone, Sizes(0, 80))
    kept = {name: why for each in done.tables for name, why in each.kept}
    assert kept[f"shop/visits/{DAY.format(4)}/large.jsonl"] == "it is large by itself"
    assert {name for name in files_in(zone) if "_merged" not in name} >= {
        f"shop/visits/{today}/young.jsonl",
        f"shop/visits/{DAY.format(4)}/large.jsonl",
        "shop/clicks/topic=t/partition=0/0-0.jsonl.gz",
        f"shop/sales/{DAY.format(4)}/failed.csv",
        f"shop/sales/{DAY.format(4)}/not loaded.csv",
        f"shop/visits/{DAY.format(1)}/lines.jsonl",
    }


def test_a_name_that_comes_again_with_other_content_is_the_next_version(zone: Zone) -> None:
    name = f"shop/visits/{DAY.format(1)}/lines.jsonl"
    for number in range(2):
        run(zone)
        zone.drop(name, b'{"id": "again"}\n' * (number + 1))
        reload(zone)
    before = contents(zone)
    with duckdb.connect(zone.warehouse) as connection:
        versions = connection.execute(
            "select file_version, row_count from landing.files where source_file = $1 order by all", [name]
        ).fetchall()
    assert versions == [(1, 3), (2, 1), (3, 2)]
    assert built_anew(zone) == before
    run(zone)
    assert built_anew(zone) == before
    # The same file once more is no new version.
    zone.drop(name, b'{"id": "again"}\n')
    reload(zone)
    assert contents(zone) == before
    run(zone)
    assert not (zone.landing / name).exists()


@pytest.mark.parametrize("removed", [0, 1])
def test_a_merge_that_is_killed_is_ended_by_the_next(
    zone: Zone, monkeypatch: pytest.MonkeyPatch, removed: int
) -> None:
    run(zone)
    zone.drop(f"shop/visits/{DAY.format(3)}/more.jsonl", b'{"id": 3}\n')
    reload(zone)
    before = contents(zone)

    def remove_some_and_die(paths: list[Path], table: Path) -> None:
        for path in paths[:removed]:
            path.unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(compact, "_remove", remove_some_and_die)
        with pytest.raises(KeyboardInterrupt):
            run(zone)
    assert built_anew(zone) == before
    run(zone)
    assert len(files_in(zone)) == 3
    assert built_anew(zone) == before


def test_a_merge_that_is_killed_while_it_writes_changes_nothing(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(MergedWriter, "close", lambda self, name: (_ for _ in ()).throw(KeyboardInterrupt()))
        patched.setattr(MergedWriter, "give_up", lambda self: None)
        with pytest.raises(KeyboardInterrupt):
            run(zone)
    assert sorted(name for name in files_in(zone) if "_merged" not in name) == sorted(LANDED)
    assert {file.name for file in discover(zone.landing)} == LANDED.keys()
    run(zone)
    assert len(files_in(zone)) == 3


def test_a_file_that_changes_meanwhile_stays(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zone.landing / f"shop/visits/{DAY.format(1)}/lines.jsonl"
    add = MergedWriter.add

    def add_and_change(self: MergedWriter, *given: Any) -> None:
        add(self, *given)
        path.write_bytes(b"changed\n")

    monkeypatch.setattr(MergedWriter, "add", add_and_change)
    with pytest.raises(Fault, match=r"lines\.jsonl changed meanwhile, and stays as it is"):
        run(zone)
    assert path.read_bytes() == b"changed\n"
    assert not list(path.parents[1].glob("_merged/*"))


def test_a_damaged_merged_file_is_told_and_stops_no_other(zone: Zone) -> None:
    run(zone)
    [damaged] = (zone.landing / "shop/visits/_merged").iterdir()
    damaged.write_bytes(b"PAR1 of others")
    zone.warehouse.unlink()
    zone.connection = duckdb.connect(zone.warehouse)
    zone.load()
    found = {file["source_file"]: (file["status"], file["error"]) for file in zone.files()}
    zone.connection.close()
    status, error = found.pop(damaged.relative_to(zone.landing).as_posix())
    assert status == "failed"
    assert error == "Cannot be read (damaged): put it back from a backup."
    assert {status for status, _ in found.values()} == {"loaded"}
    assert len(found) == 5
    with pytest.raises(OSError, match="is no merged file that can be read"):
        read_merged(damaged)


def test_nobody_merges_while_a_build_or_an_erasure_works(zone: Zone) -> None:
    places = places_of(zone)
    with (
        locked(places.warehouse, command="assay build", wait=0, on_wait=lambda holder: None),
        pytest.raises(Fault, match="assay build"),
    ):
        run(zone)
    journal_file(places.warehouse).write_text("{}")
    with pytest.raises(Fault, match="An erasure was begun"):
        run(zone)
    assert files_in(zone) == sorted(LANDED)
    with pytest.raises(Fault, match="above the largest"):
        plan_compaction(places, Sizes(2, 1), datetime(2026, 1, 1))


def test_lines_of_a_merged_file_are_emptied_and_all_others_stay(zone: Zone) -> None:
    run(zone)
    before = contents(zone)
    table = declared_tables(zone.models)["shop", "sales"]
    of_sales = [file for file in discover(zone.landing) if file.table == "sales"]
    named = {file.name.rpartition("/")[2]: file for file in of_sales}
    merged = of_sales[0].merged
    assert merged
    announced: list[str] = []
    wanted = [
        (named["plain.csv"], table, [(5, 7)], announced.append),
        (named["packed.csv.gz"], table, [(2, 3)], announced.append),
        (named["columns.parquet.gz"], table, [(1, 2)], announced.append),
    ]
    found = empty_members(merged, wanted)
    assert announced == [each.sha256 for each in found]
    assert [each.tally.rows for each in found] == [2, 1, 1]
    assert [each.keeps_numbers for each in found] == [True, True, False]
    after = {file.name: file for file in discover(zone.landing) if file.table == "sales"}
    assert after.keys() == {file.name for file in of_sales}
    with after[named["plain.csv"].name].open() as stream:
        assert stream.read() == f"{HEADER}1,a\n\n2,b,too many\n\n\n".encode()
    assert [path.name for path in merged.parent.iterdir()] == [merged.name]
    new = built_anew(zone)["shop__sales"]
    assert len(new) == len(before["shop__sales"]) - 3
    # A file that could not be read then is left as it was.
    content = merged.read_bytes()
    plain = after[named["plain.csv"].name]
    with pytest.raises(Fault, match="cannot be rewritten without the person's lines"):
        empty_members(merged, [(plain, table, [(1, 2)], announced.append)])
    assert merged.read_bytes() == content


def test_a_lost_warehouse_is_built_from_landing_zone_and_cold_folder(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("contracts").mkdir()
    Path("contracts/shop.odcs.yaml").write_text(CONTRACT)
    cold = Path("cold")
    cold.mkdir()
    monkeypatch.setenv("ASSAY_COLD", "cold")
    name = f"shop/sales/{DAY.format(1)}/plain.csv"
    # Three versions: one that is merged, and two under the same name, moved one after the other.
    run(zone)
    for content in ("7,g", "8,h"):
        retain(places_of(zone), wait=0, display=Lines(PlainConsole(quiet=True)))
        zone.drop(name, f"{HEADER}{content}\n")
        reload(zone, cold)
    retain(places_of(zone), wait=0, display=Lines(PlainConsole(quiet=True)))
    assert not (zone.landing / name).exists()
    zone.drop(name, f"{HEADER}9,i\n")
    reload(zone, cold)
    before = contents(zone)
    with duckdb.connect(zone.warehouse) as connection:
        [(versions,)] = connection.execute(
            "select list(file_version order by file_version) from landing.files where source_file = $1",
            [name],
        ).fetchall()
    assert versions == [1, 2, 3, 4]
    # Where the warehouse has the rows, nothing is loaded, and the folder may be away.
    reload(zone, cold)
    assert contents(zone) == before
    reload(zone, Path("away"))
    assert contents(zone) == before
    assert built_anew(zone, cold) == before
    zone.warehouse.unlink()
    zone.connection = duckdb.connect(zone.warehouse)
    with pytest.raises(LandingFolderMissing, match="this new warehouse needs the files"):
        zone.load(Path("away"))


def test_a_merged_file_is_retained_whole_or_not_at_all(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("contracts").mkdir()
    Path("contracts/shop.odcs.yaml").write_text(CONTRACT)
    Path("cold").mkdir()
    monkeypatch.setenv("ASSAY_COLD", "cold")
    run(zone)
    [merged] = (zone.landing / "shop/sales/_merged").iterdir()
    places = places_of(zone)
    # Of its files, the last one landed on 2 March 2025.
    young = find_old(places, datetime(2025, 4, 1))
    assert young.files == []
    name = merged.relative_to(zone.landing).as_posix()
    assert young.kept == [(name, "3 of the 4 landed files in it are old enough: it goes when all are")]
    assert len(find_old(places, datetime(2025, 4, 2, 5)).files) == 4
    done = retain(places, wait=0, display=Lines(PlainConsole(quiet=True)))
    assert len(done.files) == 4
    assert not merged.exists()
    assert read_merged(Path("cold", *merged.parts[-4:])).keys() == {
        (each.file.name, each.content_sha256) for each in done.files
    }


KEY, OTHER = "it's an invented key of 32 letters", "another invented key of 32 letters"


def states(zone: Zone) -> dict[str, str | None]:
    found = find_states(places_of(zone)).files
    return {Path(each.path).name: each.key for each in found if "landing" in str(each.path)}


@pytest.fixture
def secret_zone(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> Zone:
    """A zone whose every file holds a word, loaded, and merged with a key."""
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY_BEFORE", raising=False)
    for day in (1, 2):
        zone.drop(f"shop/sales/{DAY.format(day)}/people.csv", f"{HEADER}{day},Adelheid\n".encode())
        zone.drop(f"shop/visits/{DAY.format(day)}/people.jsonl", b'{"name": "Adelheid"}\n')
    reload(zone)
    assert holding(zone, b"Adelheid")
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    run(zone)
    return zone


def holding(zone: Zone, word: bytes) -> list[str]:
    return [name for name in files_in(zone) if word in (zone.landing / name).read_bytes()]


def test_merged_files_are_encrypted_where_there_is_a_key(
    secret_zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(secret_zone)
    assert holding(secret_zone, b"Adelheid") == []
    assert len(files_in(secret_zone)) == 3
    assert set(states(secret_zone).values()) == {"now"}
    assert built_anew(secret_zone) == before
    # Names of landed files stand in the footer, which is encrypted too.
    assert holding(secret_zone, b"people.csv") == []
    reload(secret_zone)
    assert contents(secret_zone) == before
    # What lands later is plain until it is merged.
    secret_zone.drop(f"shop/sales/{DAY.format(3)}/more.csv", f"{HEADER}7,Adelheid\n")
    assert states(secret_zone)["landing"] is None
    console = PlainConsole(width=200, record=True, file=io.StringIO())
    print_states(find_states(places_of(secret_zone)), console)
    assert "plain: assay land compact" in console.export_text()
    reload(secret_zone)
    run(secret_zone)
    assert holding(secret_zone, b"Adelheid") == []
    assert "landing" not in states(secret_zone)


def test_files_beside_the_segments_of_a_stream_are_merged_and_encrypted(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = "shop/clicks/topic=t/partition=0/0-0.jsonl.gz"
    zone.drop(segment, gzip.compress(b'{"_offset":0,"_timestamp":1,"_landed_at":2,"value":{"id":1}}\n'))
    for day in (1, 2):
        zone.drop(f"shop/clicks/{DAY.format(day)}/history.jsonl", b'{"name": "Adelheid"}\n')
    reload(zone)
    before = contents(zone)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    run(zone)
    assert [name for name in files_in(zone) if name.startswith("shop/clicks") and "_merged" not in name] == [
        segment
    ]
    assert holding(zone, b"Adelheid") == []
    assert built_anew(zone) == before


@pytest.mark.parametrize("offset", [-1, -30, -150])
def test_an_encrypted_merged_file_that_is_damaged_is_told_from_one_of_another_key(
    secret_zone: Zone, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    [damaged] = (secret_zone.landing / "shop/visits/_merged").iterdir()
    content = bytearray(damaged.read_bytes())
    content[offset] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(DamagedFile):
        read_merged(damaged)
    found = {file.path.name: file.fault or "" for file in discover(secret_zone.landing)}
    assert "damaged" in found.pop(damaged.name)
    # It stops no other.
    assert found
    assert not any(found.values())
    assert set(states(secret_zone).values()) == {"now"}
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", OTHER)
    assert states(secret_zone)[damaged.name] == "another"
    if offset != -1:
        with pytest.raises(Fault, match="is encrypted with another key"):
            read_merged(damaged)


@pytest.mark.parametrize("given", [None, OTHER])
def test_merged_files_of_another_key_stop_the_build_and_are_named(
    secret_zone: Zone, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    before = contents(secret_zone)
    if given:
        monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", given)
    else:
        monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    said = "is encrypted with another key" if given else "is encrypted, and no key is set"
    assert set(states(secret_zone).values()) == {"another"}
    secret_zone.connection = duckdb.connect(secret_zone.warehouse)
    with pytest.raises(Fault, match=rf"_merged/.*\.parquet {said}"):
        secret_zone.load()
    secret_zone.connection.close()
    assert contents(secret_zone) == before
    with pytest.raises(Fault, match=said):
        run(secret_zone)
    with pytest.raises(Fault, match="No file is changed" if given else "No key is set"):
        rotate(places_of(secret_zone), wait=0, display=Lines(PlainConsole(quiet=True)))


def test_merged_files_are_taken_to_a_key_and_to_the_next_one(
    zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY_BEFORE", raising=False)
    display = Lines(PlainConsole(quiet=True))
    before = contents(zone)
    run(zone)
    assert set(states(zone).values()) == {None}
    for key, former in ((KEY, None), (OTHER, KEY)):
        monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", key)
        if former:
            monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_BEFORE", former)
            assert set(states(zone).values()) == {"before"}
        names = files_in(zone)
        # A kill before the first file is in place, and the rotation that goes on.
        with monkeypatch.context() as patched:
            patched.setattr("assay.landing.merged.put_in_place", mock.Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                rotate(places_of(zone), wait=0, display=display)
        done = rotate(places_of(zone), wait=0, display=display)
        assert len([path for path in done.written if "landing" in str(path)]) == 3
        assert files_in(zone) == names
        assert set(states(zone).values()) == {"now"}
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY_BEFORE")
    assert built_anew(zone) == before


def test_a_person_leaves_an_encrypted_merged_file_which_stays_encrypted(
    secret_zone: Zone, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside: list[str | None] = []

    def open_noted(path: Path) -> io.BufferedReader:
        beside.append(find_content_key(path))
        return open_content(path)

    # What is written beside it meanwhile, to be read from there.
    monkeypatch.setattr("assay.landing.merged.open_content", open_noted)
    visits = f"shop/visits/{DAY.format(1)}/people.jsonl"
    [file] = [each for each in discover(secret_zone.landing) if each.name == visits]
    assert file.merged
    table = declared_tables(secret_zone.models)["shop", "visits"]
    empty_members(file.merged, [(file, table, [(1, 2)], lambda sha256: None)])
    key = find_encryption_key()
    assert key
    assert beside == [key.fingerprint]
    assert set(states(secret_zone).values()) == {"now"}
    assert holding(secret_zone, b"Adelheid") == []
    assert [each.name for each in file.merged.parent.iterdir()] == [file.merged.name]
    [file] = [each for each in discover(secret_zone.landing) if each.name == visits]
    with file.open() as stream:
        assert stream.read().strip() == b""
