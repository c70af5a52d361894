"""`assay stream`: each command imports what it needs, so that help comes at once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.call import show
from assay.cli.online import StoreUrl
from assay.core.fault import MISUSED, Fault
from assay.core.moment import instant

app = typer.Typer(
    help="Streams: land what Kafka and databases' logs bring, exactly once.", no_args_is_help=True
)

Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="S.T",
        help="A landing table; once for each of several.",
        show_default="all streamed",
    ),
]


@app.command()
def run(
    source: Sources = None,
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="PLACE",
            help="Where to begin a partition of which nothing has landed: earliest, latest, an offset, "
            "or a time (ISO 8601, UTC).",
        ),
    ] = "earliest",
    partitions: Annotated[
        str | None,
        typer.Option(metavar="0-3", help="The partitions to land, such as 0-3 or 0,2.", show_default="all"),
    ] = None,
    until_drained: Annotated[
        bool, typer.Option("--until-drained", help="End when all that the brokers had has landed.")
    ] = False,
    segment_seconds: Annotated[float, typer.Option(help="Close a segment after so long.", min=0.1)] = 60.0,
    segment_mb: Annotated[int, typer.Option(help="Close a segment at this size.", min=1)] = 128,
    online: Annotated[
        bool, typer.Option(help="Bring the features that messages change online as they come.")
    ] = True,
    store: StoreUrl = None,
) -> None:
    """Land what comes, until Ctrl-C or the end of the process."""
    show(
        lambda project: project.streams.run(
            source or (),
            start=_start(start),
            partitions=_numbers(partitions),
            until_drained=until_drained,
            segment_seconds=segment_seconds,
            segment_mb=segment_mb,
            online=online,
            store=store,
        )
    )


def _start(text: str) -> int | datetime | str:
    if text in ("earliest", "latest"):
        return text
    if text.isdecimal():
        return int(text)
    moment = instant(text)
    if moment is None:
        raise Fault(
            f"--from {text} is no place in a topic: write earliest, latest, an offset such as 4200, "
            "or a time such as 2025-06-30T12:00:00.",
            MISUSED,
        )
    return moment


def _numbers(text: str | None) -> list[int] | None:
    """Read partitions such as `0-3`, `0,2` or `0-1,4`."""
    if text is None:
        return None
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise Fault(f"--partitions {text} names no partitions: write 0-3 or 0,2.", MISUSED)
        numbers.update(range(int(first), int(last or first) + 1))
    return sorted(numbers)


@app.command()
def replay(
    source: Annotated[str, typer.Option("--source", metavar="S.T", help="The landing table.")],
    into: Annotated[
        Path, typer.Option("--into", metavar="LANDING", help="The folder of another landing zone.")
    ],
) -> None:
    """Land a topic anew from its first offset, into another landing zone."""
    show(lambda project: project.streams.replay(source, into))


@app.command()
def compact(
    source: Sources = None,
    least_mb: Annotated[int, typer.Option(help="Merge groups of segments from this size on.", min=0)] = 128,
    most_mb: Annotated[int, typer.Option(help="The size of a merged segment at most.", min=1)] = 1024,
) -> None:
    """Merge the segments that the warehouse has loaded into large ones."""
    show(lambda project: project.streams.compact(source or (), least_mb=least_mb, most_mb=most_mb))


@app.command()
def status(source: Sources = None) -> None:
    """Tell how far each partition has come: at the broker, landed, loaded, and how complete."""
    show(lambda project: project.streams.status(source or ()))
