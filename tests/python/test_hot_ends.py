"""When entities leave the store whose rows have ended."""

from __future__ import annotations

from datetime import datetime, timedelta

from assay.stream.hot.ends import Ends

NOW = datetime(2026, 5, 1)
SECOND = timedelta(seconds=1)
FOREVER = datetime(9999, 12, 31)


def test_what_has_ended_leaves_once_the_clock_has_come_there() -> None:
    ends = Ends({"of the build": NOW})
    ends.note([("deleted", NOW + SECOND), ("here", FOREVER)])
    assert ends.take_passed(None) == []
    assert ends.take_passed(NOW - SECOND) == []
    assert ends.take_passed(NOW) == ["of the build"]
    assert ends.take_passed(NOW) == []
    assert ends.take_passed(NOW + SECOND) == ["deleted"]


def test_what_comes_back_stays() -> None:
    ends = Ends({"back": NOW})
    ends.note([("back", FOREVER)])
    assert ends.take_passed(NOW + SECOND) == []


def test_what_is_brought_again_begins_at_the_build() -> None:
    ends = Ends({"of the build": NOW})
    ends.note([("deleted", NOW)])
    ends.take_passed(NOW)
    ends.forget()
    assert ends.take_passed(NOW) == ["of the build"]
