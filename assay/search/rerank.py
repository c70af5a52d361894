"""Score results anew by a function of the project's own, such as a cross-encoder."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace

from assay.core.fault import MISUSED, Fault
from assay.search.results import Rerank, Result


def read_reranker(named: str) -> Rerank:
    """Return the function that `MODULE:FUNCTION` names.

    It takes the query and the results, and returns a score for each; the highest is the best.

    Raises:
        Fault: there is no such function.
    """
    module, _, function = named.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    # The module is the project's own code, and may do anything.
    except Exception as error:
        raise Fault(
            f"The reranker {named!r} cannot be had ({error}): name it as MODULE:FUNCTION.", MISUSED
        ) from error
    if not callable(found):
        raise Fault(f"The reranker {named!r} is no function.", MISUSED)
    reranker: Rerank = found
    return reranker


def reranked(rerank: Rerank, query: str, results: list[Result]) -> list[Result]:
    """Return results in the order of a reranker's scores; equal ones stay in theirs.

    Raises:
        Fault: the reranker fails, or does not return a number for each result.
    """
    try:
        scores = [float(score) for score in rerank(query, results)]
    # It is the project's own code, and may do anything.
    except Exception as error:
        raise Fault(f"The reranker fails: {type(error).__name__}: {error}") from error
    if len(scores) != len(results):
        raise Fault(f"The reranker returned {len(scores)} scores for {len(results)} results.")
    if not all(map(math.isfinite, scores)):
        raise Fault("The reranker returned a score that is not finite.")
    best = sorted(zip(scores, results, strict=True), key=lambda each: -each[0])
    return [replace(result, score=score) for score, result in best]
