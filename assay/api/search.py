"""The part of a project that searches its documents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from assay.api.folder import ProjectFolder
from assay.api.printed import Found, PrintedList
from assay.search.results import Result

if TYPE_CHECKING:
    from rich.console import Console

    from assay.search.evaluate import Evaluation
    from assay.search.query import Index
    from assay.search.results import Answer, Rerank


class SearchResults(PrintedList[Result]):
    """Chunks of documents, the best first.

    Args:
        answer: of the search; `answer.terms` has what was searched for.
        folder: the project's.
    """

    def __init__(self, answer: Answer, folder: Path) -> None:
        from assay.search.display import print_answer

        super().__init__(answer.results, lambda _, console: print_answer(answer, console), folder)
        self.answer = answer


class Searching(ProjectFolder):
    """Searches the documents that are published."""

    def __init__(self, root: Path, *, console: Console | None = None) -> None:
        super().__init__(root, console=console)
        self._index: tuple[Path, Index] | None = None

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        mode: str = "hybrid",
        filter: str | None = None,
        as_of: datetime | str | None = None,
        rerank: Rerank | str | None = None,
    ) -> SearchResults:
        """Search the chunks of documents, the best first.

        Args:
            query: words, or a question.
            k: how many chunks at most.
            mode: `text` ranks by words (BM25), `vector` by meaning, `hybrid` by both.
            filter: which chunks, such as `tags contains 'x' and source = 'y'`.
            as_of: answer as of this moment, UTC where it has no offset: of what came later nothing is seen.
            rerank: a function that scores results anew, or its name as `MODULE:FUNCTION`.

        Raises:
            Fault: there is no index, the query, the filter or the moment cannot be read, or the index has
                vectors of another model than the one that is configured.

        Example:
            `project.search("how long does a refund take", filter="source = 'help'").to_frame().to_pandas()`
        """
        from assay.core.moment import read_moment
        from assay.search.tombstones import Tombstones

        moment = None if as_of is None else read_moment(as_of)
        index = self._open_index()
        with self.places() as places:
            answer = index.search(
                query,
                k=k,
                mode=mode,
                filter=filter,
                as_of=moment,
                hidden=Tombstones(places.deleted_documents).find(),
                rerank=_reranker(rerank),
            )
        return SearchResults(answer, self.root)

    def evaluate_search(
        self,
        queries: str | Path,
        judgements: str | Path,
        *,
        k: int = 100,
        modes: Sequence[str] | None = None,
        rerank: Rerank | str | None = None,
    ) -> Found[Evaluation]:
        """Measure how well each mode finds the documents that are known to answer queries.

        Args:
            queries: a file of JSON lines with `_id`, `text` and, if known, `asked_at`, as of when the
                query is answered.
            judgements: a file with tabs or JSON lines: `query-id`, `corpus-id` (the document) and `score`.
            k: up to which rank documents count for recall and MRR.
            modes: which to compare; all without it.
            rerank: a function that scores results anew, or its name as `MODULE:FUNCTION`.

        Raises:
            Fault: a file cannot be read, no query has a relevant document, or there is no index.
        """
        from assay.search.display import print_evaluation
        from assay.search.evaluate import evaluate
        from assay.search.judgements import read_judgements, read_queries
        from assay.search.results import MODES

        asked, judged = (Path(self.as_given(each)) for each in (queries, judgements))
        index = self._open_index()
        with self.places():
            found = evaluate(
                index,
                read_queries(asked),
                read_judgements(judged),
                k=k,
                modes=MODES if modes is None else modes,
                rerank=_reranker(rerank),
            )
        return Found(found, print_evaluation, self.root)

    def _open_index(self) -> Index:
        """Return the index of what is published; it is opened once, and follows builds."""
        from assay.search.query import open_index

        with self.places() as places:
            file = places.search.absolute()
            if self._index is None or self._index[0] != file:
                self._index = (file, open_index(file))
            return self._index[1]


def _reranker(named: Rerank | str | None) -> Rerank | None:
    """Return a reranker; one that is named may be of a module that lies in the project's folder."""
    from assay.project.paths import put_project_on_path
    from assay.search.rerank import read_reranker

    if not isinstance(named, str):
        return named
    put_project_on_path()
    return read_reranker(named)
