"""`assay search`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from assay.cli.call import show

_SEARCH = "for"


class Mode(StrEnum):
    """What results are ranked by."""

    hybrid = "hybrid"
    vector = "vector"
    text = "text"


class _SearchByDefault(TyperGroup):
    """Commands, of which the one that searches needs no name."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Put the command's name before a query."""
        if args and args[0] not in (*self.commands, *self.get_help_option_names(ctx)):
            args = [_SEARCH, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_SearchByDefault,
    help="Search documents: assay search 'how long does a refund take'.",
    no_args_is_help=True,
)

Rerank = Annotated[
    str | None,
    typer.Option(metavar="MODULE:FUNCTION", help="A function that scores the best results anew."),
]


@app.command(_SEARCH)
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="Words, or a question.")],
    filter: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Such as: tags contains 'x' and source = 'y'.")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="How many chunks at most.")] = 10,
    mode: Annotated[
        Mode, typer.Option(help="Rank by words (text), by meaning (vector), or by both.")
    ] = Mode.hybrid,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Answer as of then (ISO 8601, UTC): nothing later is seen."),
    ] = None,
    rerank: Rerank = None,
) -> None:
    """Search chunks of documents; `for` may be left out: assay search 'how long does a refund take'."""
    show(
        lambda project: project.search(query, k=k, mode=mode.value, filter=filter, as_of=as_of, rerank=rerank)
    )


@app.command()
def evaluate(
    queries: Annotated[
        Path, typer.Option(metavar="FILE", help="JSON lines with _id, text and, if known, asked_at.")
    ],
    judgements: Annotated[
        Path, typer.Option(metavar="FILE", help="Tabs or JSON lines: query-id, corpus-id, score.")
    ],
    k: Annotated[int, typer.Option("--k", "-k", help="Up to which rank documents count.")] = 100,
    rerank: Rerank = None,
) -> None:
    """Measure how well each mode finds what is known to answer queries: nDCG@10, recall, MRR."""
    show(lambda project: project.evaluate_search(queries, judgements, k=k, rerank=rerank))
