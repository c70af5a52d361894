"""How much each customer is drawn to each product, by item-based collaborative filtering.

Two products are alike where the same customers show interest in them (cosine), and a customer is drawn to
what is like the things they showed interest in. The method is that of Sarwar, Karypis, Konstan and Riedl,
"Item-based collaborative filtering recommendation algorithms" (WWW 2001); for interest that is shown, not
stated, scores are sums over the customer's own products, as in Deshpande and Karypis, "Item-based top-N
recommendation algorithms" (TOIS 2004).

Results are equal to the bit, whatever the order of the rows, the number of threads and the machine: strengths
are whole numbers and similarities multiples of 2**-24, so every sum is exact, and what remains are single
roundings. Factorising the matrix instead would rest on BLAS, whose sums depend on all three.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

try:
    import numpy as np
    from numpy.typing import NDArray
    from scipy import sparse
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"Affinities are computed with numpy and scipy, and {missing.name} is not installed: "
        "run `pip install scipy`, which brings both."
    ) from missing

SIGNS = pa.schema(
    [
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("product_id", pa.string(), nullable=False),
        pa.field("strength", pa.int32(), nullable=False),
        pa.field("available_at", pa.timestamp("us"), nullable=False),
    ]
)
SCORES = pa.schema(
    [
        pa.field("cut_off_at", pa.timestamp("us")),
        pa.field("customer_id", pa.string()),
        pa.field("product_id", pa.string()),
        pa.field("affinity_score", pa.float64()),
        pa.field("affinity_rank", pa.int32()),
    ]
)

_SIMILARITY_UNIT = 2.0**-24
_SCORE_DECIMALS = 6
_ROWS_AT_A_TIME = 512

# Rows, columns and values of the entries of a sparse matrix, ordered by row.
_Entries = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
_Sparse = Any


def monthly_cut_offs(first: datetime | None, last: datetime | None) -> list[datetime]:
    """Return the first instants of all months after `first` and up to `last`, in order.

    Args:
        first: when the first event became available (UTC, without zone); None where there is none.
        last: when the last one did.
    """
    if first is None or last is None:
        return []
    months = range(first.year * 12 + first.month, last.year * 12 + last.month)
    return [datetime(month // 12, month % 12 + 1, 1) for month in months]


def affinity_scores(
    signs: pa.Table, cut_offs: Sequence[datetime], *, neighbours: int, products: int
) -> pa.Table:
    """Fit again at each cut-off, from what was available then, and return each customer's best products.

    The score of a product is the mean of its similarities to all products the customer showed interest in,
    weighted by the strength of that interest; similarities beyond its nearest neighbours count as 0. So it
    lies between 0 and 1. A product is like itself: those already bought stay in, and usually lead. Products
    that score 0 are left out.

    Args:
        signs: signs of interest with the columns of `SIGNS`, in any order. Of several by one customer in one
            product the strongest known counts. Strengths are 1 or more, and small: those of a customer add up
            to less than 2**29.
        cut_offs: when to fit (UTC, without zone).
        neighbours: how many neighbours a product has, itself among them.
        products: how many products a customer gets at most.

    Returns:
        The columns of `SCORES`, a row for each cut-off, customer and product. Ranks run from 1, without gaps,
        by score; of equal scores the lower product_id comes first.

    Raises:
        ValueError: a column has another type, or holds NULL; or a strength is less than 1.
        KeyError: a column is missing.
    """
    signs = signs.select(SIGNS.names).cast(SIGNS)
    customer_ids, customer = _numbered(signs["customer_id"])
    product_ids, product = _numbered(signs["product_id"])
    strength = signs["strength"].to_numpy()
    available_at = signs["available_at"].to_numpy()
    if (strength < 1).any():
        raise ValueError("Signs of interest need a strength of 1 or more.")
    # Whatever is left out by a cut-off, the strongest sign of each pair is the last.
    order = np.lexsort((strength, product, customer))
    batches = []
    for cut_off in cut_offs:
        known = order[available_at[order] <= np.datetime64(cut_off)]
        interest = _strongest(
            customer[known], product[known], strength[known], (len(customer_ids), len(product_ids))
        )
        rows, columns, scores = _scores(interest, _similarities(interest, neighbours), products)
        ranks = np.arange(len(rows)) - np.searchsorted(rows, rows) + 1
        batches.append(
            pa.record_batch(
                [
                    pa.array(np.full(len(rows), np.datetime64(cut_off, "us"))),
                    customer_ids.take(pa.array(rows)),
                    product_ids.take(pa.array(columns)),
                    pa.array(scores),
                    pa.array(ranks, pa.int32()),
                ],
                schema=SCORES,
            )
        )
    return pa.Table.from_batches(batches, SCORES)


def _numbered(ids: pa.ChunkedArray) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return the distinct ids in order, and the position of each id among them."""
    distinct = pc.unique(ids)
    distinct = distinct.take(pc.sort_indices(distinct))
    return distinct, pc.index_in(ids, value_set=distinct).to_numpy().astype(np.int64)


def _strongest(
    customer: NDArray[np.int64],
    product: NDArray[np.int64],
    strength: NDArray[np.int32],
    shape: tuple[int, int],
) -> _Sparse:
    """Make a matrix (customers x products) of the last sign of each pair; the signs are sorted by pair."""
    is_last = np.ones(len(customer), dtype=bool)
    is_last[:-1] = (customer[1:] != customer[:-1]) | (product[1:] != product[:-1])
    entries = (strength[is_last].astype(np.float64), (customer[is_last], product[is_last]))
    return sparse.csr_array(entries, shape=shape)


def _similarities(interest: _Sparse, neighbours: int) -> _Sparse:
    """Return the cosines of each product (row) and its nearest neighbours (products x products)."""
    by_product = interest.T.tocsr()
    squares = (by_product * by_product).sum(axis=1)

    def cosines(rows: NDArray[np.int64], columns: NDArray[np.int64], dots: NDArray[np.float64]) -> Any:
        return np.rint(dots / np.sqrt(squares[rows] * squares[columns]) / _SIMILARITY_UNIT) * _SIMILARITY_UNIT

    chunks = [
        _largest_of_each_row(rows, columns, cosines(rows, columns, dots), neighbours)
        for rows, columns, dots in _product(by_product, interest)
    ]
    rows, columns, values = _joined(chunks)
    return sparse.csr_array((values, (rows, columns)), shape=(by_product.shape[0],) * 2)


def _scores(interest: _Sparse, similarities: _Sparse, products: int) -> _Entries:
    """Return the best products (columns) of each customer (row), best first."""
    totals = interest.sum(axis=1)
    chunks = [
        _largest_of_each_row(rows, columns, np.round(sums / totals[rows], _SCORE_DECIMALS), products)
        for rows, columns, sums in _product(interest, similarities.T.tocsr())
    ]
    return _joined(chunks)


def _product(left: _Sparse, right: _Sparse) -> Iterator[_Entries]:
    """Yield the entries of a matrix product, some rows at a time: all of them might not fit into memory."""
    for start in range(0, left.shape[0], _ROWS_AT_A_TIME):
        chunk = left[start : start + _ROWS_AT_A_TIME] @ right
        rows = np.repeat(np.arange(chunk.shape[0]), np.diff(chunk.indptr))
        yield start + rows, chunk.indices.astype(np.int64), chunk.data


def _largest_of_each_row(
    rows: NDArray[np.int64], columns: NDArray[np.int64], values: NDArray[np.float64], count: int
) -> _Entries:
    """Keep up to `count` positive values of each row, largest first; of equal ones, those further left."""
    kept = []
    bounds = np.flatnonzero(np.diff(rows, prepend=-1, append=-1))
    for start, end in pairwise(bounds.tolist()):
        row = values[start:end]
        least = np.partition(row, -count)[-count] if count < len(row) else 0.0
        found = start + np.flatnonzero((row >= least) & (row > 0))
        kept.append(found[np.lexsort((columns[found], -values[found]))[:count]])
    at = np.concatenate(kept) if kept else np.empty(0, dtype=np.int64)
    return rows[at], columns[at], values[at]


def _joined(chunks: list[_Entries]) -> _Entries:
    empty: _Entries = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
    rows, columns, values = (np.concatenate(parts) for parts in zip(empty, *chunks, strict=True))
    return rows, columns, values
