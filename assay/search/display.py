"""Print what a search found, and how well it finds."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from assay.console.tables import line, table_titled, without_controls
from assay.core.words import counted
from assay.search.evaluate import Evaluation
from assay.search.results import Answer, Result

_INDENT = 4


def print_answer(answer: Answer, console: Console) -> None:
    """Print results, the best first, with the words in them that were searched for.

    On a terminal those are bold, elsewhere between asterisks.
    """
    for rank, each in enumerate(answer.results, start=1):
        above = " ".join(" > ".join(filter(None, (each.title, each.heading_path))).split())
        place = ", ".join(filter(None, (f"chunk {each.chunk_number} of {each.document_id}", each.source)))
        line(console, f"{rank:>2}. {above or each.document_id}")
        line(console, f"{' ' * _INDENT}{place}; {_score(each)}")
        console.print(_snippet(each, is_bold=console.is_terminal), soft_wrap=True)
    if not answer.results:
        what = "nothing is found"
        line(
            console, f"{what.capitalize()}." if answer.terms or answer.vector_way else _only_stop_words(what)
        )


def print_evaluation(found: Evaluation, console: Console) -> None:
    """Print a row for each mode, and what the figures rest on."""
    table = table_titled(f"How well each mode finds, over {counted(found.queries, 'query', 'queries')}")
    table.add_column("mode")
    for name in ("nDCG@10", f"recall@{found.k}", f"MRR@{found.k}"):
        table.add_column(name, justify="right")
    for each in found.modes:
        table.add_row(each.mode, f"{each.ndcg:.3f}", f"{each.recall:.3f}", f"{each.mrr:.3f}")
    console.print(table)
    if found.unjudged:
        line(console, f"Not asked, as no document is judged relevant to them: {found.unjudged:,}.")
    if found.missing:
        documents = counted(found.missing, "relevant document is", "relevant documents are")
        line(console, f"{documents} not in the index, and cannot be found.")


def _score(result: Result) -> str:
    parts = [f"score {result.score:.4g}"]
    if result.text_rank is not None:
        parts.append(f"words: rank {result.text_rank} ({result.text_score:.2f})")
    if result.vector_rank is not None:
        parts.append(f"vector: rank {result.vector_rank} ({result.vector_score:.2f})")
    return ", ".join(parts)


def _snippet(result: Result, *, is_bold: bool) -> Text:
    shown, at = Text(" " * _INDENT), 0
    for begin, end in result.marks:
        word = result.snippet[begin:end]
        shown.append(_in_one_line(result.snippet[at:begin]))
        shown.append(word if is_bold else f"*{word}*", style="bold")
        at = end
    return shown.append(_in_one_line(result.snippet[at:]))


def _in_one_line(text: str) -> str:
    return without_controls(text.replace("\r", " ").replace("\n", " "))


def _only_stop_words(what: str) -> str:
    return f"The query has only words that all texts have, so {what}: --mode vector looks for meaning."
