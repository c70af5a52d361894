"""A source of dlt, as small as can be: days on which shops are closed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import dlt


@dlt.resource(primary_key="day", write_disposition="merge")
def holidays(
    day: dlt.sources.incremental[str] = dlt.sources.incremental("day", initial_value="2025-01-01"),  # noqa: B008
) -> Iterator[dict[str, Any]]:
    """Yield the days from the one on which the last run ended."""
    for month, number, name in ((1, 1, "New Year"), (5, 1, "Labour Day"), (12, 25, "Christmas Day")):
        for year in (2025, 2026):
            yield {"day": date(year, month, number).isoformat(), "name": name, "is_closed": True}
