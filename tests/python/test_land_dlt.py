"""`assay land dlt`: what sources of dlt yield lands once, whatever goes wrong."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

import pytest
from dlt_contract import write_dlt_contract
from postgres_server import PASSWORD, USER, PostgresServer, postgres_server
from shop_api import MODULE, ShopApi, shop_api
from small_project import PROJECT, SmallProject

pytest.importorskip("dlt", reason="dlt is not installed: pip install -e '.[dlt]'")

from assay.core.fault import Fault
from assay.core.lock import hold
from assay.dlt.faults import faults_of_dlt
from assay.landing.discover import discover

_NUMBERS = count()


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    """A project without models: landing reads none."""
    root = tmp_path / "project"
    root.mkdir()
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(PROJECT / name, root / name)
    # To wait longer after each try is dlt's, and takes a test its time.
    return SmallProject(root, {"RUNTIME__REQUEST_BACKOFF_FACTOR": "0", "RUNTIME__REQUEST_MAX_ATTEMPTS": "3"})


@pytest.fixture
def api(project: SmallProject) -> Iterator[ShopApi]:
    with shop_api() as api:
        project.settings["SHOP_API"] = api.address
        yield api


def write_module(project: SmallProject, code: str) -> str:
    """Write a module of a name that this process has not imported yet."""
    name = f"sources_{next(_NUMBERS)}"
    (project.root / f"{name}.py").write_text(code)
    return name


def land(project: SmallProject, *arguments: str, code: int = 0) -> str:
    result = project.assay("land", "dlt", *arguments)
    assert result.exit_code == code, result.output
    return result.output


def landed(project: SmallProject, source: str, table: str) -> list[dict[str, Any]]:
    """Return the rows of a landing table, in the order of its files."""
    files = [each for each in discover(project.landing) if (each.source, each.table) == (source, table)]
    assert [each.fault for each in files] == [None] * len(files)
    return [row for each in files for row in rows_of(each.path)]


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]


def ids(project: SmallProject, source: str, table: str) -> list[int]:
    return sorted(row["id"] for row in landed(project, source, table))


def test_pages_of_an_api_land_once_though_it_fails_and_limits_its_rate(
    project: SmallProject, api: ShopApi
) -> None:
    place = f"{write_module(project, MODULE)}:shop"
    api.add(*range(1, 11))
    api.trouble = [(200, {}), (500, {}), (429, {"Retry-After": "0"}), (200, {}), (503, {})]
    told = land(project, place)
    assert ids(project, "shop", "orders") == [*range(1, 11)]
    assert len(landed(project, "shop", "orders__lines")) == 10
    assert "Landed 20 rows" in told
    assert "shop.orders__lines" in told
    assert f"{place}: orders.updated_at has come to 2025-01-10T12:00:00Z" in told
    assert api.trouble == []


def test_the_next_run_lands_what_is_new_and_a_new_field_with_it(project: SmallProject, api: ShopApi) -> None:
    place = f"{write_module(project, MODULE)}:shop"
    api.add(1, 2, 3)
    land(project, place)
    assert "nothing new" in land(project, place)
    api.add(4, 5, coupon="SPRING")
    # An order that has changed lands again, beside what it was.
    api.orders[1] |= {"updated_at": "2025-01-20T12:00:00Z"}
    land(project, place)
    rows = landed(project, "shop", "orders")
    assert sorted(row["id"] for row in rows) == [1, 2, 2, 3, 4, 5]
    assert [row["coupon"] for row in rows if "coupon" in row] == ["SPRING", "SPRING"]
    assert api.asked[-1]["since"] == "2025-01-03T12:00:00Z"


def test_an_api_that_stays_broken_lands_nothing_and_the_next_run_lands_all(
    project: SmallProject, api: ShopApi
) -> None:
    place = f"{write_module(project, MODULE)}:shop"
    api.add(*range(1, 11))
    api.trouble = [(200, {}), *[(500, {})] * 3]
    told = land(project, place, code=1)
    assert f"Error: {place}: {api.address}/orders?... answered 500 Internal Server Error." in told
    assert "s3cret" not in told
    assert list(discover(project.landing)) == []
    land(project, place)
    assert ids(project, "shop", "orders") == [*range(1, 11)]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    pytest.importorskip("psycopg", reason="the driver for Postgres is not installed")
    with postgres_server() as server:
        yield server


def test_a_table_of_postgres_lands_by_its_cursor_which_goes_with_the_landing_zone(
    project: SmallProject, postgres: PostgresServer, tmp_path: Path
) -> None:
    postgres.run(
        "create table orders (id integer primary key, total numeric(10, 2), changed_at timestamptz)",
        "insert into orders select n, n * 1.10, timestamptz '2026-01-01' + n * interval '1 day' "
        "from generate_series(1, 5) as numbers (n)",
    )
    module = write_module(
        project,
        "import dlt\nfrom dlt.sources.sql_database import sql_table\n"
        "orders = lambda: sql_table(table='orders', incremental=dlt.sources.incremental('changed_at'))\n",
    )
    project.settings["SOURCES__SQL_DATABASE__CREDENTIALS"] = (
        f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{postgres.port}/postgres"
    )
    land(project, f"{module}:orders", "--into", "shop.purchases")
    assert ids(project, "shop", "purchases") == [1, 2, 3, 4, 5]
    # A decimal is text, so that it stays exact.
    assert landed(project, "shop", "purchases")[2]["total"] == "3.30"
    elsewhere = tmp_path / "elsewhere"
    shutil.move(project.landing, elsewhere)
    project.settings["ASSAY_LANDING"] = str(elsewhere)
    postgres.run("update orders set total = 9, changed_at = timestamptz '2026-02-01' where id = 2")
    told = land(project, f"{module}:orders", "--into", "shop.purchases")
    assert "Landed 1 row" in told
    assert [row["id"] for each in discover(elsewhere) for row in rows_of(each.path)] == [1, 2, 3, 4, 5, 2]
    texts = [path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()]
    assert not any(quote(PASSWORD, safe="").encode() in text or PASSWORD.encode() in text for text in texts)


TWO_TABLES = """
import os

import dlt


@dlt.resource(primary_key="id", write_disposition="merge")
def orders(n=dlt.sources.incremental("n", initial_value=-1)):
    for number in range(int(os.environ["UP_TO"])):
        yield {"id": number, "n": number, "lines": [{"sku": "a"}, {"sku": "b"}]}


@dlt.resource(write_disposition="replace")
def rates():
    yield [{"id": 1, "rate": 1.1}, {"id": 2, "rate": 0.9}]


@dlt.source
def shop():
    return orders, rates
"""


def test_a_source_that_is_fetched_whole_lands_whole_each_time(project: SmallProject) -> None:
    place = f"{write_module(project, TWO_TABLES)}:shop"
    project.settings["UP_TO"] = "2"
    land(project, place)
    land(project, place)
    rows = landed(project, "shop", "rates")
    assert [row["id"] for row in rows] == [1, 2, 1, 2]
    assert len({row["_dlt_load_id"] for row in rows}) == 2


# The process ends without a chance to tidy up when it is about to do the nth thing of this kind.
_KILLED = """
import os, re, sys

event, pattern, place = sys.argv[1:]


def watch(seen, arguments):
    told = " ".join(str(each) for each in arguments[:2])
    flags = arguments[2] if seen == "open" else os.O_WRONLY
    writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
    if seen == event and writes and re.search(pattern, told):
        os._exit(137)


sys.addaudithook(watch)
sys.argv = ["assay", "land", "dlt", place, "--into", "shop"]
from assay.cli import app

app()
"""


@pytest.mark.parametrize("note", ["_dlt_pipeline_state", "_dlt_version", "_dlt_loads"])
def test_a_note_of_dlt_that_was_being_written_is_no_obstacle(project: SmallProject, note: str) -> None:
    place = f"{write_module(project, TWO_TABLES)}:shop"
    project.settings["UP_TO"] = "3"
    land(project, place)
    notes = project.landing / "_dlt" / "shop" / "landed" / note
    named = max(notes.iterdir()).name
    (notes / re.sub(r"__[0-9]+", "__9999999999", named, count=1)).write_text('{"vers')
    project.settings["UP_TO"] = "5"
    land(project, place)
    assert ids(project, "shop", "orders") == [*range(5)]


FIRST_RUN = "the first run is about to mark the dataset"
MOMENTS = {
    FIRST_RUN: ("open", r"landed/init"),
    "what is fetched is about to be a package": (
        "os.rename",
        r"normalize/\w{16}/\S+ \S+normalize/extracted/",
    ),
    "a package is fetched and its cursor is not kept": ("os.rmdir", r"normalize/\w{16}"),
    "a package is about to be normalized": ("os.rename", r"load/new/\S+ \S+load/normalized/"),
    "it is normalized and its first form is still there": ("shutil.rmtree", r"normalize/extracted/\d"),
    "a file is copied": ("open", r"landed/orders/"),
    "its cursor is about to be written": ("open", r"landed/_dlt_pipeline_state/"),
    "it is about to be complete": ("open", r"landed/_dlt_loads/"),
    "it is complete and dlt does not know yet": ("os.rename", r"load/normalized/\S+ \S+load/loaded/"),
    "the first file is about to land": ("os.rename", r"landed/orders/"),
    "a part of its files has landed": ("os.rename", r"landed/rates/"),
}


@pytest.mark.usefixtures("builds")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_process_that_is_killed_loses_no_row_and_lands_none_twice(
    project: SmallProject, moment: str
) -> None:
    place = f"{write_module(project, TWO_TABLES)}:shop"
    if moment != FIRST_RUN:
        project.settings["UP_TO"] = "3"
        land(project, place)
    command = [sys.executable, "-c", _KILLED, *MOMENTS[moment], place]
    environment = project.environment | {"UP_TO": "6"}
    killed = subprocess.run(
        command, cwd=project.root, env=environment, capture_output=True, text=True, check=False
    )
    assert killed.returncode == 137, killed.stderr
    project.settings["UP_TO"] = "8"
    land(project, place)
    land(project, place)
    rows = landed(project, "shop", "orders")
    assert sorted(row["id"] for row in rows) == [*range(8)]
    lines = Counter(row["_dlt_parent_id"] for row in landed(project, "shop", "orders__lines"))
    assert lines == {row["_dlt_id"]: 2 for row in rows}
    loads = Counter(row["_dlt_load_id"] for row in landed(project, "shop", "rates"))
    assert set(loads.values()) == {2}


def test_into_names_a_table_where_the_source_has_one_resource(project: SmallProject) -> None:
    module = write_module(project, TWO_TABLES)
    project.settings["UP_TO"] = "1"
    land(project, f"{module}:rates", "--into", "bank.quotes")
    assert ids(project, "bank", "quotes") == [1, 2]
    told = land(project, f"{module}:shop", "--into", "bank.quotes", code=2)
    assert f"{module}:shop has 2 resources (orders and rates), and --into bank.quotes names one table" in told
    assert "--into bank," in told


def test_names_of_a_database_land_though_none_of_pythons(project: SmallProject) -> None:
    module = write_module(
        project,
        """
import dlt


def table(*names):
    rows = [{"id": 1}]
    made = [dlt.resource(rows, name=name) for name in names]
    return made[0] if len(made) == 1 else dlt.source(lambda: made, name="shop")()


def capitals():
    return table("Order Lines")


def digit():
    return table("2024 orders")


def mixed():
    return table("Kundün", "kundön")
""",
    )
    told = land(project, f"{module}:capitals", code=2)
    assert f"{module}:capitals is called 'Order_Lines', as no folder of the landing zone may be" in told
    land(project, f"{module}:capitals", "--into", "shop")
    assert ids(project, "shop", "order_lines") == [1]
    told = land(project, f"{module}:digit", "--into", "shop", code=2)
    assert "dlt calls the table of '2024 orders' _2024_orders, and nothing lands in a folder" in told
    land(project, f"{module}:digit", "--into", "shop.orders")
    assert ids(project, "shop", "orders") == [1]
    told = land(project, f"{module}:mixed", code=2)
    assert "both kund_n, so their rows would be mixed" in told


FAULTS = {
    "nothing_here:shop": "There is no module nothing_here: write nothing_here.py in",
    "MODULE:orers": "MODULE:orers is not there: there are orders, rates, shop, locked.",
    "MODULE:number": "MODULE:number is no source of dlt, but int",
    "MODULE": "'MODULE' names no source: write MODULE:SOURCE",
    "MODULE:locked": "MODULE:locked lacks configuration: token. Set the environment variable",
    "BROKEN:shop": "The module BROKEN needs no_such_package, which is not installed.",
    "WRONG:shop": "The module WRONG cannot be imported: SyntaxError",
}


@pytest.mark.parametrize("place", FAULTS)
def test_what_cannot_be_landed_is_told_with_what_to_do(project: SmallProject, place: str) -> None:
    more = "\nnumber = 7\n\n@dlt.source\ndef locked(token: str = dlt.secrets.value):\n    return orders\n"
    names = {
        "MODULE": write_module(project, TWO_TABLES + more),
        "BROKEN": write_module(project, "import no_such_package\n"),
        "WRONG": write_module(project, "def (\n"),
    }

    def named(text: str) -> str:
        for word, name in names.items():
            text = text.replace(word, name) if word in place else text
        return text

    told = land(project, named(place).replace(f"{names['MODULE']}:SOURCE", "MODULE:SOURCE"), code=2)
    wanted = named(FAULTS[place]).replace(f"{names['MODULE']}:SOURCE", "MODULE:SOURCE")
    assert wanted in told


def test_no_part_of_a_password_is_told() -> None:
    with pytest.raises(Fault) as told, faults_of_dlt("sources:shop"):
        raise ValueError("postgresql://ann:pa@ss@db.example:5432/shop?sslkey=secret does not answer")
    assert "postgresql://db.example:5432/shop?... does not answer" in str(told.value)


def test_without_dlt_the_command_says_how_to_install_it(project: SmallProject) -> None:
    with mock.patch.dict(sys.modules, {"dlt": None, "dlt.extract": None}):
        told = land(project, "any:thing", code=2)
    assert "Landing from a source of dlt needs dlt" in told
    assert "pip install 'assay[dlt]'" in told


def test_a_source_is_landed_by_one_process_at_a_time(project: SmallProject) -> None:
    place = f"{write_module(project, TWO_TABLES)}:rates"
    lock = project.landing / "_dlt" / "shop.lock"
    with hold(lock, command="another", refuse=lambda holder: AssertionError(holder)):
        told = land(project, place, "--into", "shop", code=3)
    assert f"Another process lands shop: PID {os.getpid()}" in told


def test_what_contracts_name_lands_and_a_source_that_fails_stops_no_other(project: SmallProject) -> None:
    module = write_module(project, TWO_TABLES + "\ndef broken():\n    raise ValueError('no room')\n")
    project.settings["UP_TO"] = "2"
    for source, table, server, name in (
        ("attic", "orders", "dlt", "broken"),
        ("bank", "quotes", "quotes", "rates"),
        ("shop", "orders", "dlt", "shop"),
    ):
        write_dlt_contract(project.root, source, table, server=server, place=f"{module}:{name}")
    told = land(project, code=1)
    assert f"Error: {module}:broken failed: ValueError: no room" in told
    assert ids(project, "bank", "quotes") == [1, 2]
    assert ids(project, "shop", "orders") == [0, 1]
    assert "nothing new" not in land(project, "--into", "bank.quotes")
    assert ids(project, "bank", "quotes") == [1, 1, 2, 2]
    assert ids(project, "shop", "orders") == [0, 1]
    told = land(project, "--into", "attic.boxes", code=2)
    assert "No source of dlt fills attic.boxes: there are attic, bank.quotes, shop." in told


def test_what_dlt_itself_wrote_is_read_when_its_load_is_complete(tmp_path: Path) -> None:
    import dlt

    settings = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
    with mock.patch.dict(os.environ, settings):
        pipeline = dlt.pipeline(
            "plain",
            pipelines_dir=str(tmp_path / "pipelines"),
            destination=dlt.destinations.filesystem(bucket_url=str(tmp_path / "landing")),
            dataset_name="shop",
        )
        pipeline.run([{"id": 1, "lines": [{"sku": "a"}]}], table_name="orders")
    landing = tmp_path / "landing"
    # All that dlt notes of its own is no data: no table, and no file that cannot be read.
    found = list(discover(landing))
    assert [(each.source, each.table, each.fault) for each in found] == [
        ("shop", "orders", None),
        ("shop", "orders__lines", None),
    ]
    (load,) = (landing / "shop" / "_dlt_loads").iterdir()
    load.rename(tmp_path / "load")
    assert {each.fault for each in discover(landing)} != {None}
    assert all("of a load that dlt has not completed" in str(each.fault) for each in discover(landing))
    # Files that others land beside dlt's are none of its loads.
    others = landing / "shop" / "orders" / "landed_at=2025-01-01T00-00-00" / found[0].path.name
    others.parent.mkdir()
    shutil.copy(found[0].path, others)
    assert [each.name for each in discover(landing) if each.fault is None] == [
        others.relative_to(landing).as_posix()
    ]
    (tmp_path / "load").rename(load)
    assert {each.fault for each in discover(landing)} == {None}
