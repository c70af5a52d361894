"""A query is closed under a key, or the part of it that breaks this is named."""

from __future__ import annotations

import duckdb
import pytest

from assay.spark.closure import NotClosed, check_closed

TABLES = {'"w"."gold"."t"': ["k", "v", "day", "Customer Id"], '"w"."gold"."u"': ["k", "w"]}
T, U = TABLES

CLOSED = [
    "select * from {t}",
    "select k, sum(v) from {t} group by k",
    "select v, K, count(*) from {t} group by all",
    "select k as other, max(v) from {t} group by 1",
    "select *, row_number() over (partition by k, v order by day) as n from {t}",
    "select *, lag(v) over w as before from {t} window w as (partition by k order by day) qualify before > 1",
    "select a.k, b.w from {t} as a left join {u} as b using (k)",
    "select a.*, b.w from {t} as a inner join {u} as b on b.k = a.k and a.v > b.w",
    "with x as (select k, v from {t}), y as (select k, max(v) as m from x group by k) "
    "select x.*, y.m from x asof left join y on x.k = y.k and x.v >= y.m",
    "select * from {t} semi join {u} using (k)",
    "select distinct k, v from {t}",
    "select k from {t} union all by name select w, k from {u}",
    "select k, unnest([v]) as v from {t}",
    "select k, v::json ->> '$..a', coalesce(v::json -> '$..b', 'none') from {t}",
    "select k, list_transform([v], lambda x: x + 1), {{'a': v}} as s from {t}",
    "select k, day::date as d, make_timestamp(epoch_us(day)) as e from {t}",
    "select k, case when v < 0 then error('no ' || k) else k end as e from {t} order by v",
]
BROKEN = {
    "select sum(v) from {t}": "SUM(v) counts in all rows",
    "select v, count(*) from {t} group by v": "GROUP BY v groups without the key",
    "select *, row_number() over (order by k) from {t}": "ROW_NUMBER() OVER (ORDER BY k) looks past the key",
    "select *, sum(v) over w from {t} window w as (partition by v)": "SUM(v) OVER w looks past the key",
    "select a.* from {t} as a inner join {u} as b on a.v = b.w": "does not join by the key",
    "select a.* from {t} as a inner join {u} as b on a.k = a.k": "does not join by the key",
    "select a.* from {t} as a inner join {u} as b on a.k = b.k or a.v = b.w": "does not join by the key",
    "select a.* from {t} as a, {u} as b where a.k = b.k": "does not join by the key",
    # Where nothing is found, the key of the right is NULL: those rows come from everywhere.
    "select b.k, count(*) from {t} as a left join {u} as b on a.k = b.k group by b.k": "GROUP BY b.k",
    "select k from {t} where v > (select avg(v) from {t})": "the subquery (SELECT AVG(v)",
    "select k from {t} where exists (from {u})": "the subquery EXISTS",
    "select * from {t} limit 3": "LIMIT 3 counts all rows",
    "select lower(k) as k, count(*) from {t} group by k": "GROUP BY k groups without the key",
    "select distinct v from {t}": "DISTINCT compares rows without the key",
    "select v from {t} union select w from {u}": "UNION compares rows without the key",
    "select v from {t} except all select w from {u}": "EXCEPT compares rows without the key",
    "select k, v from (select v as k, k as v from {t}) group by k": "GROUP BY k groups without the key",
    "select k, random() from {t}": "may differ each time",
    "select k, now() from {t}": "may differ each time",
    "select k, age(day) from {t}": "may differ each time",
    "select k, getvariable('x') from {t}": "may differ each time",
    "select k, fsum(v) from {t}": "counts in all rows",
    "select k, my_macro(v) from {t}": "MY_MACRO(v) is not known to look at one row alone",
    "select 1": "gives rows that no table has",
    "select * from range(3)": "is no table",
    "select * from {t} using sample 3": "SAMPLE",
    "with recursive x as (select k from {t} union all select k from x) select * from x": "WITH RECURSIVE",
    "select * from w.gold.other": "is no table that it refers to",
    "select k from": "its SQL cannot be read",
}


@pytest.mark.parametrize("sql", CLOSED)
def test_a_query_that_keeps_to_its_key_is_closed(sql: str) -> None:
    check_closed(sql.format(t=T, u=U), ["k"], TABLES)


@pytest.mark.parametrize(("sql", "told"), BROKEN.items())
def test_what_breaks_a_key_is_named(sql: str, told: str) -> None:
    with pytest.raises(NotClosed) as broken:
        check_closed(sql.format(t=T, u=U), ["k"], TABLES)
    assert told.casefold() in str(broken.value).casefold()


def test_all_columns_of_a_key_count() -> None:
    keys = ["k", "customer id"]
    check_closed(f'select k, "Customer Id", sum(v) from {T} group by all', keys, TABLES)
    with pytest.raises(NotClosed, match="groups without the key"):
        check_closed(f"select k, sum(v) from {T} group by all", keys, TABLES)
    with pytest.raises(NotClosed, match="u has no column customer id"):
        check_closed(f"select * from {U}", keys, TABLES)


@pytest.mark.parametrize("sql", CLOSED)
def test_parts_of_a_closed_query_are_the_whole(sql: str) -> None:
    # What is called closed is run: on all rows, and on those of each key by themselves.
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as w; create schema w.gold")
        connection.execute(
            f"create table {T} as select nullif(i % 7, 0)::varchar as k, i % 5 as v, "
            f"timestamp '2025-01-01' + to_hours(i) as day, "
            f"'c' || i % 3 as \"Customer Id\" from range(60) as r(i)"
        )
        connection.execute(
            f"create table {U} as select nullif(i % 9, 0)::varchar as k, i as w from range(20) as r(i)"
        )
        whole = connection.sql(sql.format(t=T, u=U)).fetchall()
        parts = []
        for part in range(3):
            of_part = f"(select * from {{}} where hash(k) % 3 = {part})"
            parts += connection.sql(sql.format(t=of_part.format(T), u=of_part.format(U))).fetchall()
    assert sorted(map(repr, parts)) == sorted(map(repr, whole))
    assert whole


def test_each_row_may_look_up_what_it_needs_in_a_table_that_is_whole() -> None:
    keyed, whole = {T: TABLES[T]}, {U: TABLES[U]}
    for join in (
        "left join {u} as b on a.v = b.w",
        "inner join {u} as b using (k)",
        "anti join {u} as b on a.v > b.w",
    ):
        check_closed(
            f"select a.*, count(*) over (partition by a.k) as n from {T} as a {join.format(u=U)}",
            ["k"],
            keyed,
            whole,
        )
    for sql, told in (
        (f"select * from {T} as a right join {U} as b using (k)", "does not join by the key"),
        (f"select * from {T} as a full join {U} as b on a.k = b.k", "does not join by the key"),
        (f"select * from {U} as b left join {T} as a using (k)", "AS b has no column k"),
        (f"select b.k, count(*) from {T} as a inner join {U} as b on a.v = b.w group by b.k", "GROUP BY b.k"),
    ):
        with pytest.raises(NotClosed, match=told):
            check_closed(sql, ["k"], keyed, whole)
