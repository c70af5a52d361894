"""`assay corpus`: the command imports what it needs, so that help comes at once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.call import show

app = typer.Typer(help="Corpora: texts for training language models.", no_args_is_help=True)


class Shape(StrEnum):
    """The shapes of rows; named here too, since what makes them takes a while to load."""

    instruct = "instruct"
    chat = "chat"
    pretrain = "pretrain"


class Compression(StrEnum):
    """The compressions of JSON lines."""

    gz = "gz"
    zst = "zst"


@app.callback()
def corpora() -> None:
    """Corpora: versions like those of training sets, which `assay training-set` lists and verifies."""


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model whose YAML has config.meta.corpus.")],
    out: Annotated[Path, typer.Option(help="A new or empty folder for the files.")],
    shape: Annotated[
        Shape,
        typer.Option("--format", help="Rows of instruction and response, of messages, or of text."),
    ],
    split: Annotated[
        bool, typer.Option("--split", help="Divide documents into splits, as the model declares.")
    ] = False,
    shards: Annotated[int, typer.Option(min=1, max=99_999, help="How many files each split gets.")] = 1,
    compress: Annotated[
        Compression | None, typer.Option(help="Compress the files.", show_default="plain")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="TIME|SNAPSHOT",
            help="Of what was known then (ISO 8601, UTC): the corpus is rebuilt for it; or as a lake was in "
            "a snapshot, by number or name.",
        ),
    ] = None,
) -> None:
    """Make a version of a corpus, without copies, noise and personal data, and write it as JSON lines."""
    show(
        lambda project: project.create_corpus(
            name,
            out,
            format=shape.value,
            split=split,
            shards=shards,
            compression=compress.value if compress else None,
            as_of=as_of,
        )
    )
