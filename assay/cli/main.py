"""The command line. Each command imports what it needs, so that help comes at once."""

from __future__ import annotations

import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.alerts import app as alerts
from assay.cli.backfill import app as backfill
from assay.cli.call import ask, show, show_json, tell_where
from assay.cli.contracts import app as contracts
from assay.cli.corpus import app as corpus
from assay.cli.cost import cost
from assay.cli.diff import diff
from assay.cli.documents import app as documents
from assay.cli.encrypt import app as encrypt
from assay.cli.erasure import forget, retain
from assay.cli.features import app as features
from assay.cli.keys import app as keys
from assay.cli.label import app as label
from assay.cli.lake import app as lake
from assay.cli.land import app as land
from assay.cli.once import take_each_option_once
from assay.cli.online import StoreUrl
from assay.cli.online import app as online
from assay.cli.project import deps, docs, doctor, init, upgrade
from assay.cli.published import app as published
from assay.cli.query import app as query
from assay.cli.roles import app as roles
from assay.cli.runs import app as runs
from assay.cli.schema import app as schema
from assay.cli.search import app as search
from assay.cli.source import app as source
from assay.cli.stream import app as stream
from assay.cli.training import app as training_set
from assay.cli.view import app as view
from assay.console.messages import CommandLine, faults_as_messages
from assay.core.disk import keep_new_files_private


class LogFormat(StrEnum):
    """The format in which a build reports: text for people, or JSON."""

    text = "text"
    json = "json"


app = CommandLine(
    help="Assay: a feature platform for machine learning, as a dbt project.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.add_typer(alerts, name="alerts")
app.add_typer(backfill, name="backfill")
app.add_typer(contracts, name="contracts")
app.add_typer(corpus, name="corpus")
app.add_typer(documents, name="documents")
app.add_typer(encrypt, name="encrypt")
app.add_typer(features, name="features")
app.add_typer(online, name="online")
app.add_typer(keys, name="keys")
app.add_typer(label, name="label")
app.add_typer(lake, name="lake")
app.add_typer(land, name="land")
app.add_typer(published, name="published")
app.add_typer(roles, name="roles")
app.add_typer(query, name="query")
app.add_typer(runs, name="runs")
app.add_typer(schema, name="schema")
app.add_typer(search, name="search")
app.add_typer(source, name="source")
app.add_typer(stream, name="stream")
app.add_typer(training_set, name="training-set")
app.add_typer(view, name="view")
for command in (cost, init, deps, diff, docs, doctor, forget, retain, upgrade):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(", ".join(f"{name} {version(name)}" for name in ("assay", "dbt-core", "dbt-duckdb", "duckdb")))
        raise typer.Exit


@app.callback()
def begin(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Tell the versions, and exit."
        ),
    ] = False,
) -> None:
    """Set what holds for every command."""
    keep_new_files_private()


@app.command()
def demo(
    customers: Annotated[int, typer.Option(help="Customers who have signed up by the end.")] = 2000,
    days: Annotated[int, typer.Option(help="Days the data covers.")] = 365,
    events: Annotated[int, typer.Option(help="Web events, before any are repeated.")] = 100_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 42,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day.")] = datetime(2025, 1, 1),
    drift: Annotated[
        bool, typer.Option(help="Whether some columns change in the course of time, to be found.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(help="A new or empty folder.", show_default="the landing folder")
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="Send to this broker of Kafka what comes as a stream, as time passes."
        ),
    ] = None,
    speed: Annotated[
        float, typer.Option(help="Of a stream: seconds of the demo in a second; 0 sends all at once.")
    ] = 1.0,
) -> None:
    """Make up a retailer's data, flaws included, and land it."""
    ask(
        lambda project: project.land_demo(
            out,
            customers=customers,
            days=days,
            events=events,
            seed=seed,
            start=start.date(),
            drift=drift,
            stream=stream,
            speed=speed,
        )
    )


@app.command()
def build(
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Rebuild silver and gold from bronze; bronze stays.")
    ] = False,
    everything: Annotated[
        bool,
        typer.Option("--all", help="Build and test all models, also those for which nothing has changed."),
    ] = False,
    select: Annotated[
        str | None, typer.Option(help="Build a part only, in dbt's selection syntax; it is not published.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Build the warehouse as it was known then (ISO 8601, UTC), in a file of its own.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Publish nothing while any landed file is not loaded.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Build what has changed, again and again, until interrupted.")
    ] = False,
    every: Annotated[
        str, typer.Option(metavar="LENGTH", help="With --watch: the time between builds, such as 30s or 5m.")
    ] = "30s",
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for another build to end.")
    ] = 600,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            envvar="ASSAY_LOG_FORMAT", help="json: a JSON object a line on standard error, nothing else."
        ),
    ] = LogFormat.text,
) -> None:
    """Load new files, build and test what has changed, and publish the products of gold that pass."""
    log = None
    if log_format is LogFormat.json:
        from assay.api.json_log import JsonLog

        log = JsonLog(sys.stderr.buffer)
    with faults_as_messages(log.fault if log else None):
        from assay.api.project import open_project
        from assay.console.tables import console_for_people
        from assay.core.fault import MISUSED, Fault

        console = console_for_people()
        project = open_project(console=console)
        if watch:
            if full_refresh or everything or select or as_of:
                raise Fault(
                    "--watch builds what has changed, so it goes with --strict and --wait alone.", MISUSED
                )
            tell = (lambda result: log.report(result.report)) if log else None
            project.watch(every, strict=strict, wait=wait, display=log, tell=tell)
        result = project.build(
            full_refresh=full_refresh,
            everything=everything,
            select=select,
            as_of=as_of,
            strict=strict,
            wait=wait,
            display=log,
        )
        if log:
            log.report(result.report)
        else:
            result.print(console)
    if result.failed:
        raise typer.Exit(1)


@app.command()
def status() -> None:
    """Tell what is loaded, tested and published, and whether a build is under way."""
    show(lambda project: project.status())


@app.command()
def plan(
    select: Annotated[
        str | None, typer.Option(help="Tell of a part only, in dbt's selection syntax.")
    ] = None,
) -> None:
    """Tell where each node is computed with Spark: here, or by key; exit code 1 if a key is refused."""
    if any(node.is_refused for node in show(lambda project: project.plan(select))):
        raise typer.Exit(1)


@app.command()
def gaps(
    source: Annotated[
        str | None, typer.Option(metavar="SOURCE.TABLE", help="Look at this landing table, and no other.")
    ] = None,
    since: Annotated[str | None, typer.Option("--from", metavar="DAY", help="The first day (UTC).")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="DAY", help="The last day (UTC).")] = None,
) -> None:
    """Tell which intervals sources miss, and what rests on them; exit code 1 if there is one."""
    if show(lambda project: project.gaps(source, since=since, until=until)).found.found:
        raise typer.Exit(1)


@app.command()
def parity(
    view: Annotated[str | None, typer.Option(help="Look at this view, and no other.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="How many questions each view is asked.")] = 200,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="The instant of all questions (ISO 8601, UTC).", show_default="many"
        ),
    ] = None,
    store: StoreUrl = None,
    seed: Annotated[int, typer.Option(help="The same seed asks the same questions.")] = 1,
    logged: Annotated[
        bool, typer.Option("--logged", help="Compare features that were logged with predictions instead.")
    ] = False,
    stream: Annotated[
        bool,
        typer.Option(
            "--stream", help="Compare what streams brought online with the builds after them instead."
        ),
    ] = False,
) -> None:
    """Compare what is online with the offline point-in-time join, value for value."""
    if stream:
        if any(each.differing for each in show(lambda project: project.streams.parity())):
            raise typer.Exit(1)
        return
    found = show(
        lambda project: project.parity(view, samples=samples, at=at, store=store, seed=seed, logged=logged)
    )
    if any(each.differs for each in found):
        raise typer.Exit(1)


@app.command()
def drift(
    view: Annotated[
        list[str] | None, typer.Option(help="Look at this feature view; all of them without.")
    ] = None,
    table: Annotated[
        list[str] | None, typer.Option(help="Look at this table of gold, or a CSV or Parquet file.")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="Rows to compare with.", show_default="the 90 days before"),
    ] = None,
    current: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Rows in question.", show_default="the last 30 days")
    ] = None,
) -> None:
    """Compare what is now with what was; exit code 1 where a feature drifts.

    SPEC is 2025, 2025-03, 2025-03-01..2025-03-31, a length of time such as 30d, or split=train; of the
    reference also a version of a training set, for the rows that it trains on.
    """
    found = show(
        lambda project: project.drift(view or (), tables=table or (), reference=reference, current=current)
    )
    if found.drifting:
        raise typer.Exit(1)


@app.command()
def retraining(
    create: Annotated[
        bool, typer.Option("--create", help="Create a version of each training set that needs retraining.")
    ] = False,
) -> None:
    """Tell which training sets need retraining, and why; exit code 1 if one does."""
    if any(each.is_due for each in show(lambda project: project.retraining(create=create))):
        raise typer.Exit(1)


@app.command()
def explain(test: Annotated[str, typer.Argument(metavar="TEST", help="Name of the test.")]) -> None:
    """Explain a test: what it claims, what it found, where the rows came from, and what to do."""
    show(lambda project: project.explain(test))


@app.command()
def trace(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT", help="PREDICTION_ID, VERSION (such as trn_x@abc), FILE or TABLE.COLUMN."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Follow a prediction, version, landed file or column to its data, and on to what came of it."""
    if as_json:
        show_json(lambda project: project.trace(what).found)
    else:
        show(lambda project: project.trace(what))


@app.command()
def lineage(
    about: Annotated[
        str | None,
        typer.Argument(metavar="[TABLE[.COLUMN]]", help="What it opens on.", show_default="a feature view"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The HTML file.", show_default="target/assay_lineage.html")
    ] = None,
) -> None:
    """Write a page that shows, column by column, what is made of what; it needs no network."""
    show(lambda project: project.lineage(about, out=out))


@app.command()
def report(
    out: Annotated[Path, typer.Option(help="The folder it goes to.")] = Path("report"),
    without_rows: Annotated[
        bool, typer.Option("--without-rows", help="Leave out rows that failed or were rejected.")
    ] = False,
) -> None:
    """Write what ran, what broke and how the data is, as one HTML file."""
    tell_where(ask(lambda project: project.report(out, with_rows=not without_rows)))


@app.command()
def catalog(
    out: Annotated[Path, typer.Option(help="The folder it goes to.")] = Path("catalog"),
    without_rows: Annotated[
        bool, typer.Option("--without-rows", help="Leave out the histories of single entities.")
    ] = False,
) -> None:
    """Write all features, who uses them and what they hold, as a static site."""
    tell_where(ask(lambda project: project.catalog(out, with_rows=not without_rows)))


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(help="Address; at any but this machine's own, API keys are asked for.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port.")] = 6566,
    workers: Annotated[int, typer.Option(min=1, help="Processes that answer.")] = 1,
    store: StoreUrl = None,
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Ask for API keys at this machine's address too.")
    ] = False,
    requests_per_second: Annotated[
        float, typer.Option(min=0.01, help="How many a worker takes of one API key.")
    ] = 100.0,
    megabytes_per_hour: Annotated[
        float, typer.Option(min=0.01, help="Of predictions, how many a worker keeps of one API key.")
    ] = 64.0,
    grpc_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Serve gRPC as well, at this TCP port.", show_default=False),
    ] = None,
) -> None:
    """Serve what is online over HTTP."""
    ask(
        lambda project: project.serve(
            host=host,
            port=port,
            workers=workers,
            store=store,
            with_keys=with_keys,
            requests_per_second=requests_per_second,
            megabytes_per_hour=megabytes_per_hour,
            grpc_port=grpc_port,
        )
    )


take_each_option_once(app)
