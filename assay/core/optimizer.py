"""What DuckDB's optimizer must not do, so that answers are right."""

from __future__ import annotations

from typing import Any

# DuckDB 1.5.5 mixes up columns where `row_number() = 1` is asked of rows that a column was filtered by which
# is not shown, as silver's views are: it answers wrongly, or fails. DuckDB 1.5.6 does not.
_WRONG_RULE = "top_n_window_elimination"


def leave_out_wrong_rules(connection: Any) -> None:
    """Turn off the rule that makes wrong answers, for all sessions of a DuckDB.

    Args:
        connection: of DuckDB, with or without a lock on its configuration.
    """
    [(set_,)] = connection.execute("select current_setting('disabled_optimizers')").fetchall()
    if _WRONG_RULE not in set_:
        others = f"{set_}," if set_ else ""
        connection.execute(f"set disabled_optimizers = '{others}{_WRONG_RULE}'")
