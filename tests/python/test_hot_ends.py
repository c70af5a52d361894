"""When entities leave the store whose rows have ended."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace

import duckdb
from guides import PROJECT

from assay.core.moment import END_OF_TIME, END_OF_TIME_SQL
from assay.online.definition import OnlineColumn
from assay.stream.hot.ends import Ends, read_ends

NOW = datetime(2026, 5, 1)
SECOND = timedelta(seconds=1)


def test_what_has_ended_leaves_once_the_clock_has_come_there() -> None:
    ends = Ends({"of the build": NOW})
    ends.note([("deleted", NOW + SECOND), ("here", END_OF_TIME)])
    assert ends.take_passed(None) == []
    assert ends.take_passed(NOW - SECOND) == []
    assert ends.take_passed(NOW) == ["of the build"]
    assert ends.take_passed(NOW) == []
    assert ends.take_passed(NOW + SECOND) == ["deleted"]


def test_what_comes_back_stays() -> None:
    ends = Ends({"back": NOW})
    ends.note([("back", END_OF_TIME)])
    assert ends.take_passed(NOW + SECOND) == []


def test_what_is_brought_again_begins_at_the_build() -> None:
    ends = Ends({"of the build": NOW})
    ends.note([("deleted", NOW)])
    ends.take_passed(NOW)
    ends.forget()
    assert ends.take_passed(NOW) == ["of the build"]


def test_of_a_build_those_end_whose_last_row_does() -> None:
    view = SimpleNamespace(keys=[OnlineColumn("thing", "INTEGER")])
    with duckdb.connect() as connection:
        connection.execute(
            "create table online as from (values (1, timestamp '2026-05-01'), (2, timestamp '2026-04-01'), "
            f"(2, {END_OF_TIME_SQL}), (3, timestamp 'infinity')) as rows (thing, valid_to)"
        )
        assert read_ends(connection, "online", view) == {"1": NOW}  # type: ignore[arg-type]


def test_time_ends_for_histories_and_for_their_readers_at_once() -> None:
    assert END_OF_TIME_SQL in (PROJECT / "macros" / "history" / "end_of_time.sql").read_text()
