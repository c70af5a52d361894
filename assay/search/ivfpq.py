"""An index of vectors in a tenth of their memory: lists of neighbours, with coarse vectors (IVF-PQ of faiss).

What is near by the coarse vectors is compared by the whole ones, which are read from the file.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import duckdb

from assay.core.fault import extra_needed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Numbers of a vector that are one byte of its coarse one.
_NUMBERS_A_BYTE = 4
# Each value of a byte is learnt from a vector at least.
_FEWEST = 256
_TRAINED_ON = 100_000
_BATCH = 50_000
_PART = 1 << 26
_SEED = 1


def can_make(dimension: int, count: int) -> bool:
    """Tell whether faiss is there, and takes so many vectors of so many numbers."""
    return find_spec("faiss") is not None and dimension % _NUMBERS_A_BYTE == 0 and count >= _FEWEST


def make_index(connection: duckdb.DuckDBPyConnection, dimension: int) -> None:
    """Write the index of `current_vectors` into a table `ivfpq`, and make vectors quick to fetch by their id.

    Raises:
        Fault: the extra `ivfpq` is not installed.
    """
    with extra_needed("ivfpq", "An index of so many vectors"):
        import faiss
    count = connection.execute("select count(*) from current_vectors").fetchall()[0][0]
    lists = max(1, min(int(4 * count**0.5), count // 40))
    index = faiss.IndexIVFPQ(faiss.IndexFlatL2(dimension), dimension, lists, dimension // _NUMBERS_A_BYTE, 8)
    index.cp.seed = index.pq.cp.seed = _SEED
    sample = connection.execute(
        f"select text_id, vector from current_vectors order by hash(text_id) limit {_TRAINED_ON}"
    ).to_arrow_table()
    index.train(_as_matrix(sample.column("vector").combine_chunks(), dimension))
    reader = connection.execute("from current_vectors order by text_id").to_arrow_reader(_BATCH)
    for batch in reader:
        index.add_with_ids(
            _as_matrix(batch.column("vector"), dimension), batch.column("text_id").to_numpy().astype("int64")
        )
    content = faiss.serialize_index(index).tobytes()
    connection.execute("create table ivfpq (part integer, content blob)")
    connection.executemany(
        "insert into ivfpq values (?, ?)",
        [(place // _PART, content[place : place + _PART]) for place in range(0, len(content), _PART)],
    )
    connection.execute("create unique index by_text on current_vectors (text_id)")


def read_index(connection: duckdb.DuckDBPyConnection) -> Any:
    """Return the index that the table `ivfpq` holds.

    Raises:
        Fault: the extra `ivfpq` is not installed.
    """
    with extra_needed("ivfpq", "This index"):
        import faiss
        import numpy as np
    parts = connection.execute("select content from ivfpq order by part").fetchall()
    return faiss.deserialize_index(np.frombuffer(b"".join(part for (part,) in parts), np.uint8))


def find_near(
    index: Any, vector: NDArray[np.float32], count: int, among: NDArray[np.int64] | None
) -> list[int]:
    """Return the texts that are nearest to a vector by the coarse ones.

    Args:
        index: as `read_index` returns it.
        vector: that of a query.
        count: how many.
        among: the texts to choose from, each once; all of the index without it.
    """
    faiss: Any = import_module("faiss")
    # A filter that keeps few of what a list holds is made up for by more lists.
    selector = None if among is None else faiss.IDSelectorBatch(among)
    share = 1.0 if among is None else min(1.0, len(among) / max(index.ntotal, 1))
    lists = min(index.nlist, max(16, int(index.nlist / 32 / max(share, 0.03))))
    parameters = faiss.SearchParametersIVF(sel=selector, nprobe=lists)
    _, found = index.search(vector[None], count, params=parameters)
    return [int(text) for text in found[0] if text >= 0]


def _as_matrix(column: Any, dimension: int) -> NDArray[np.float32]:
    found: NDArray[np.float32] = column.flatten().to_numpy().reshape(-1, dimension)
    return found
