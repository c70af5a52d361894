"""Look for features that predict the outcome alone: such a feature may be the outcome in disguise."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

import duckdb

from assay.core.sql import quoted, text
from assay.leakage.declared import SPLIT, WEIGHT, TrainingSet
from assay.leakage.findings import Check
from assay.leakage.tables import columns_of, one_row
from assay.project.conventions import LABEL_COLUMNS

# The minimum number of rows with each outcome: a few rows can be separated by chance.
_ENOUGH = 20
# The share of pairs of rows with different outcomes that a suspicious feature ranks correctly.
_TELLING = 0.999
# The probability that a feature at the reported lower bound looks this good on so few rows.
_CHANCE = 0.01
# Categories are examined if they have this many rows on average.
_ROWS_A_CATEGORY = 10
# The number of first elements of a list that are examined.
_ELEMENTS = 4
_Rank = Callable[[duckdb.DuckDBPyConnection, str, str], float]


def check_outcome(
    training_set: TrainingSet, connection: duckdb.DuckDBPyConnection, suspected: Collection[str]
) -> Check:
    """Try each feature alone as a prediction of the outcome: numbers and times by rank, text by category.

    A feature may be that good for a good reason, or by chance if there are few rows. So it is a leak if
    another check suspects it too, and otherwise a warning, which says what this number of rows can prove.

    Args:
        training_set: the declared training set.
        connection: the warehouse.
        suspected: columns that the other checks have not cleared.
    """
    check = Check("outcome")
    columns = columns_of(connection, training_set.relation)
    if columns["outcome"] != "BOOLEAN":
        check.unchecked.append(f"the outcome is {columns['outcome']}, not BOOLEAN")
        return check
    labelled = f"{training_set.relation} where outcome is not null"
    counts = one_row(
        connection,
        f"select count(*) filter (outcome) as yes, count(*) filter (not outcome) as no from {labelled}",
    )
    check.rows = counts["yes"] + counts["no"]
    if min(counts.values()) < _ENOUGH:
        few = f"fewer than {_ENOUGH} rows of one outcome: {counts['yes']} true, {counts['no']} false"
        check.unchecked.append(few)
        return check
    entity_keys = {key for features in training_set.features for key in features.view.entity_keys}
    apart = {*training_set.keys, *entity_keys, *LABEL_COLUMNS, SPLIT, WEIGHT}
    relation = connection.sql(f"from {training_set.relation}")
    for column, type_ in zip(relation.columns, relation.types, strict=True):
        if column in apart:
            continue
        telling = max(
            rank(connection, value, labelled)
            for part, rank in _parts(quoted(column), type_)
            for value, rank in ((part, rank), (f"({part}) is null", _rank))
        )
        if telling >= _TELLING:
            example = one_row(
                connection,
                f'select {quoted(*training_set.keys)}, "{column}" as _value from {labelled} and outcome '
                f"order by {quoted(*training_set.keys)} limit 1",
            )
            value = example.pop("_value")
            rarer = min(counts["yes"], counts["no"])
            at_least = telling * _CHANCE ** (1 / rarer)
            is_warning = column not in suspected
            check.found(
                column,
                check.rows,
                example,
                f"{value}; it tells {telling:.2%} of outcomes apart, of {rarer} rows of the rarer outcome, "
                f"which proves no more than {at_least:.1%}",
                "a feature known before the outcome",
                "The other checks found nothing in it: see whether it may be that good."
                if is_warning
                else "Take out what is made of the outcome.",
                is_warning=is_warning,
            )
    return check


def _parts(value: str, type_: Any) -> Iterator[tuple[str, _Rank]]:
    """Yield the parts of a value by its DuckDB type (fields, first elements), each with its ranking."""
    if type_.id == "struct":
        for name, child in type_.children:
            yield from _parts(f"struct_extract({value}, {text(name)})", child)
    elif type_.id in ("list", "array"):
        yield f"len({value}::{type_.children[0][1]}[])", _rank
        for position in range(1, _ELEMENTS + 1):
            yield from _parts(f"({value})[{position}]", type_.children[0][1])
    elif type_.id == "map":
        yield f"cardinality({value})", _rank
    else:
        yield value, _rank_of_category if type_.id == "varchar" else _rank


def _rank(connection: duckdb.DuckDBPyConnection, value: str, labelled: str) -> float:
    """Return the area under the ROC curve (Mann and Whitney's U over the pairs), of either direction."""
    area = one_row(
        connection,
        f"""
        with valued as (
            select outcome, {value} as value from {labelled}
        ),
        ranked as (
            select outcome, rank() over by_value + (count(*) over (partition by value) - 1) / 2 as place
            from valued
            window by_value as (order by value nulls first)
        )
        select
            (sum(place) filter (outcome) - count(*) filter (outcome) * (count(*) filter (outcome) + 1) / 2)
            / (count(*) filter (outcome) * count(*) filter (not outcome)) as area
        from ranked
        """,
    )["area"]
    return float(max(area, 1 - area))


def _rank_of_category(connection: duckdb.DuckDBPyConnection, value: str, labelled: str) -> float:
    """Return the area for categories, ranked by their share of true outcomes; 0 if categories are small."""
    size = one_row(
        connection, f"select count(*) / count(distinct coalesce({value}, '')) as size from {labelled}"
    )
    if size["size"] < _ROWS_A_CATEGORY:
        return 0.0
    return _rank(connection, f"avg(outcome::int) over (partition by {value})", labelled)
