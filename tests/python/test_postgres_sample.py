"""Tables of Postgres as samples of `assay source add`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from postgres_server import PASSWORD, USER, PostgresServer, postgres_server

from assay.core.fault import Fault
from assay.generate.postgres import read_postgres
from assay.generate.profile import profile
from assay.generate.propose import Answers, Choice, propose
from assay.generate.sample import read_sample

# In this order, Postgres gives most types another text than other programs do.
ORDERS = """
create schema shop;
create table shop.orders (
    id uuid, placed_at timestamptz, total numeric(10, 2), is_paid boolean, "Gift note" text, tags text[],
    raw bytea
);
insert into shop.orders
select
    md5(n::text)::uuid, timestamptz '2026-01-01 00:00+01' + n * interval '1 hour', n * 1.5, n % 2 = 0,
    case when n % 2 = 0 then 'with; a " comma, ' || n end, array['a', 'b'], '\\x00ff'
from generate_series(1, 60) as numbers (n);
create view shop.paid as select * from shop.orders where is_paid;
create table "Odd/Näme" (id integer);
insert into "Odd/Näme" values (7);
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    pytest.importorskip("adbc_driver_postgresql", reason="the extra postgres is not installed")
    with postgres_server() as server:
        server.run(ORDERS)
        yield server


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)


@pytest.mark.usefixtures("known")
def test_a_table_of_postgres_is_a_sample(server: PostgresServer) -> None:
    with read_sample([f"{server.address}:shop.orders"], "shop.orders") as (sample, connection):
        proposal = propose(profile(connection, sample), "shop", "orders", Answers(), Choice("me", "test"))
        first = connection.execute("from landed where row_number = 2").fetchone()
    assert [(each.label, each.type.sql) for each in proposal.fields] == [
        ("id", "varchar"),
        ("placed_at", "timestamp"),
        ("total", "decimal(18, 2)"),
        ("is_paid", "boolean"),
        ("Gift note", "varchar"),
        ("tags", "varchar"),
        ("raw", "varchar"),
    ]
    assert (proposal.key, proposal.event_at, proposal.rows) == ([("id",)], ("placed_at",), 60)
    assert first is not None
    assert first[2:] == ("2026-01-01 01:00:00+00", "3.00", "true", 'with; a " comma, 2', "{a,b}", "\\x00ff")


@pytest.mark.usefixtures("known")
def test_a_view_and_a_table_of_any_name_are_read_up_to_a_number_of_rows(
    server: PostgresServer, tmp_path: Path
) -> None:
    file = read_postgres(f"{server.address}:shop.paid", tmp_path, 10)
    assert (file.name, pq.read_table(file).num_rows) == ("paid.parquet", 10)
    file = read_postgres(f"{server.address}?sslmode=prefer:Odd/Näme", tmp_path, 10)
    assert (file.name, pq.read_table(file).to_pylist()) == ("Odd_Näme.parquet", [{"id": "7"}])


REFUSED = {
    "no such table": (
        ":shop.order",
        "has no table shop.order: there are public.Odd/Näme, shop.orders",
    ),
    "another schema": (":orders", "has no table public.orders"),
    "no table": ("", "is named as postgresql://user@host:5432/database:schema.table"),
    "no such database": ("s:shop.orders", 'database "postgress" does not exist'),
}


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_postgres_does_not_have_is_told(server: PostgresServer, tmp_path: Path, kind: str) -> None:
    end, message = REFUSED[kind]
    with pytest.raises(Fault) as refused:
        read_postgres(server.address + end, tmp_path, 10)
    assert message in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_a_password_that_is_wrong_is_told_and_not_shown(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", os.devnull)
    with pytest.raises(
        Fault, match=r"no password supplied. Correct the address; a password comes from PGPASSWORD"
    ):
        read_postgres(f"{server.address}:shop.orders", tmp_path, 10)
    for password in ("hunter2", "hunter2%zz", "[hunter2"):
        address = server.address.replace(USER, f"{USER}:{password}")
        with pytest.raises(Fault) as refused:
            read_postgres(f"{address}:shop.orders", tmp_path, 10)
        assert "hunter2" not in str(refused.value)


def test_a_server_that_is_away_is_told(tmp_path: Path) -> None:
    pytest.importorskip("adbc_driver_postgresql", reason="the extra postgres is not installed")
    with pytest.raises(Fault, match=r"from Postgres at 127.0.0.1:1/shop: connection to server .* refused"):
        read_postgres("postgresql://me@127.0.0.1:1/shop:public.orders", tmp_path, 10)


def test_without_the_extra_it_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    with pytest.raises(Fault, match=r"which is not installed: pip install 'assay\[postgres\]'"):
        read_postgres("postgresql://me@127.0.0.1:1/shop:public.orders", tmp_path, 10)
