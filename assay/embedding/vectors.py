"""What all makers' vectors are: of one dimension, finite, and of length 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from assay.core.fault import Fault
from assay.core.words import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Vectors: TypeAlias = "NDArray[np.float32]"


class TextFault(Fault):
    """Some of the texts cannot be embedded; the maker itself works, and others can be."""


def unit_vectors(found: Any, *, count: int, dimension: int, maker: str) -> Vectors:
    """Return vectors as float32 of length 1.

    Args:
        found: what a maker made, as lists or an array.
        count: of how many texts.
        dimension: how many numbers each vector is to have.
        maker: who made them, as the subject of a message.

    Raises:
        Fault: they are not as many as the texts, or of another dimension.
        TextFault: one is not finite, or zero.
    """
    import numpy as np

    if len(found) != count:
        raise Fault(f"{maker} returned {counted(len(found), 'vector')} for {counted(count, 'text')}.")
    if not count:
        return np.empty((0, dimension), np.float32)
    wrong = {len(vector) for vector in found} - {dimension}
    if wrong:
        raise Fault(
            f"{maker} returned a vector of {min(wrong):,} numbers where its vectors have {dimension:,}. "
            "Is it another model than before? Give each model a name of its own in ASSAY_EMBEDDING."
        )
    try:
        vectors = np.asarray(found, dtype=np.float64)
        if vectors.ndim != 2:
            raise ValueError("vectors of vectors")
    except (TypeError, ValueError, OverflowError) as error:
        raise Fault(f"{maker} returned a vector that holds something else than numbers.") from error
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unfit = np.flatnonzero(~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0))
    if len(unfit):
        kind = "zero" if lengths[unfit[0], 0] == 0 else "not finite (NaN or infinite)"
        raise TextFault(f"{maker} returned a vector that is {kind}.")
    units: Vectors = (vectors / lengths).astype(np.float32)
    return units
