"""A project, as programs and notebooks use it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.api.backfill import Backfills
from assay.api.contracts import Contracts
from assay.api.diff import Changes
from assay.api.documents import Documents
from assay.api.encryption import Encryption
from assay.api.engine import Engine
from assay.api.erasure import Erasure
from assay.api.folder import working_in
from assay.api.frame import Frame
from assay.api.generators import Generators
from assay.api.keys import Keys
from assay.api.lake import Lake
from assay.api.landing import Landing
from assay.api.monitoring import Monitoring
from assay.api.online import Online
from assay.api.pages import Pages
from assay.api.printed import Found, PrintedList
from assay.api.published import Published, find_published
from assay.api.query_server import QueryServing
from assay.api.roles import Roles
from assay.api.search import Searching
from assay.api.stream import Streams
from assay.core.fault import MISUSED, Fault, extra_needed, unknown

if TYPE_CHECKING:
    from rich.console import Console

    from assay.api.build_result import BuildResult
    from assay.api.history import History
    from assay.api.table import PublishedTable
    from assay.api.training_set import CreatedCorpus, CreatedTrainingSet, TrainingSet
    from assay.build.build import Report
    from assay.console.progress import Display
    from assay.contracts.accept import Accepted
    from assay.core.places import Places
    from assay.project.project import Project as DbtProject
    from assay.project.views import FeatureView


def open_project(path: str | Path = ".", *, console: Console | None = None) -> Project:
    """Open a project. Nothing is read of it until it is asked something.

    Calls change the current folder of the process to the project's while they run. Calls of several threads
    wait for each other; a thread that uses relative paths meanwhile must not rely on the current folder.

    Args:
        path: the folder of its `dbt_project.yml`.
        console: where progress is shown; standard error without it, and the cell's output in a notebook.

    Raises:
        Fault: there is no dbt project in the folder.
    """
    from assay.core.places import require_project

    root = Path(path).expanduser().absolute()
    if not root.is_dir():
        raise Fault(f"{root} is no folder: name the one that holds dbt_project.yml.", MISUSED)
    with working_in(root):
        require_project()
    return Project(root, console=console)


class Project(
    Changes, Documents, Engine, Erasure, Generators, Landing, Monitoring, Pages, QueryServing, Searching
):
    """A project: what it has published, its training sets, its online store, and how to build it.

    Open one with `assay.open()`.

    Args:
        root: its folder, absolute.
        console: where progress is shown.
    """

    def __init__(self, root: Path, *, console: Console | None = None) -> None:
        super().__init__(root, console=console)
        self._parsed: tuple[object, DbtProject, dict[str, str]] | None = None

    @property
    def backfills(self) -> Backfills:
        """History that lands late."""
        return Backfills(self)

    @property
    def contracts(self) -> Contracts:
        """The contracts of sources and products."""
        return Contracts(self)

    @property
    def encryption(self) -> Encryption:
        """The encryption of files at rest."""
        return Encryption(self)

    @property
    def keys(self) -> Keys:
        """The API keys of the feature server."""
        return Keys(self)

    @property
    def lake(self) -> Lake:
        """Published tables in open formats."""
        return Lake(self)

    @property
    def online(self) -> Online:
        """What is online."""
        return Online(self)

    @property
    def published(self) -> Published:
        """What gold was published as until now."""
        return Published(self)

    @property
    def roles(self) -> Roles:
        """Who may read what of gold."""
        return Roles(self)

    @property
    def streams(self) -> Streams:
        """What comes as a stream."""
        return Streams(self)

    def training_sets(self) -> PrintedList[TrainingSet]:
        """Return all versions of training sets, the oldest first.

        Raises:
            Fault: nothing is published.
        """
        from assay.api.training_set import TrainingSet
        from assay.training.display import print_list
        from assay.training.source import read_published_sets
        from assay.training.store import VersionStore

        with self.places() as places:
            versions, known = VersionStore(places).versions(), read_published_sets(places)
        return PrintedList(
            [TrainingSet(version, self) for version in versions],
            lambda _, console: print_list(versions, known, console),
            self.root,
        )

    def training_set(self, name: str, version: str | None = None) -> TrainingSet:
        """Return a version of a training set.

        Args:
            name: of the training set; or a version's whole name, or its beginning, with `@`.
            version: the version's name, or as much of it as no other has, with or without `name@`;
                the newest without it.

        Raises:
            Fault: there is no such training set or version, or it has no version yet.
        """
        from assay.api.training_set import TrainingSet
        from assay.training.store import VersionStore

        if version is not None:
            name = version if version.startswith(f"{name}@") else f"{name}@{version}"
        with self.places() as places:
            return TrainingSet(VersionStore(places).find(name), self)

    def create_training_set(
        self, name: str, *, as_of: datetime | str | int | None = None
    ) -> CreatedTrainingSet:
        """Make a version of a training set, which may rebuild it; the same content is the same version.

        Args:
            name: of the training set.
            as_of: the moment of which it is to know, UTC where it has no offset; or the number or a name of
                the snapshot of a lake whose rows it is to have. All that is known without it.

        Raises:
            Fault: there is no such training set or snapshot, the snapshot is expired, or the set cannot be
                built.
        """
        from assay.api.training_set import CreatedTrainingSet
        from assay.lake.as_of import find_as_of
        from assay.training.create import create

        with self.places() as places, self.display() as display:
            moment, snapshot = (None, None) if as_of is None else find_as_of(places, as_of)
            version, is_new = create(name, moment, display, snapshot=snapshot)
            return CreatedTrainingSet(version, self, is_new=is_new)

    def create_corpus(
        self,
        name: str,
        out: str | Path,
        *,
        format: str,
        split: bool = False,
        shards: int = 1,
        compression: str | None = None,
        as_of: datetime | str | int | None = None,
    ) -> CreatedCorpus:
        """Make a version of a corpus for training a language model, and write it as JSON lines.

        Args:
            name: of the model whose YAML has `config.meta.corpus`.
            out: a new or empty folder.
            format: the shape of the rows: `instruct`, `chat` or `pretrain`.
            split: whether documents are divided into the splits that the model declares.
            shards: how many files each split gets.
            compression: `gz` or `zst`; none without it.
            as_of: as of `create_training_set`.

        Raises:
            Fault: there is no such corpus, format, compression or snapshot, it keeps no row, or the folder
                holds something.
        """
        from assay.api.training_set import CreatedCorpus
        from assay.corpus.create import create_corpus, write_corpus
        from assay.corpus.shapes import FORMATS
        from assay.corpus.take import Made
        from assay.lake.as_of import find_as_of
        from assay.training.export import refuse_filled
        from assay.training.formats import COMPRESSIONS

        if format not in FORMATS:
            raise Fault(unknown(f"There is no format {format}", format, FORMATS), MISUSED)
        if compression is not None and compression not in COMPRESSIONS:
            raise Fault(unknown(f"There is no compression {compression}", compression, COMPRESSIONS), MISUSED)
        folder, made = Path(self.as_given(out)), Made(format, split)
        with self.places() as places, self.display() as display:
            moment, snapshot = (None, None) if as_of is None else find_as_of(places, as_of)
            # A corpus may take long, and is made for its files.
            refuse_filled(folder)
            version, is_new = create_corpus(name, made, moment, display, snapshot=snapshot)
            files = write_corpus(version, shards, folder, compression, display)
            return CreatedCorpus(version, self, is_new=is_new, files=files, out=folder)

    def features(self, entities: Any, features: Sequence[str], *, at: str) -> Frame:
        """Join features to rows as of an instant of each: what was known then, and nothing later.

        It is the join that training sets make, of what was published last. The rows come back in their order,
        with the features behind their own columns; as `view__feature` where two views share a feature's name.
        Keys that gold has hashed may be given plain, where ASSAY_PII_KEY is set as in the build.

        Args:
            entities: a data frame of pandas or Polars, an Arrow table, a relation of DuckDB, a list of dicts,
                or a dict of lists, with a column for each key of the views and each request input needed.
            features: each `view:feature`, derived features too, or a view's name for all of its features.
            at: the column with the instants: times (UTC where they have no zone), days, or texts in ISO 8601.

        Raises:
            Fault: a view, feature or column is unknown, a column is of another type, a row has no instant, or
                a view is not published.

        Example:
            `project.features(frame, ["ftr_<entity>__<topic>:<feature>"], at="asked_at").to_pandas()`
        """
        from assay.api.join import find_asked_features, join_rows, make_requests_key, write_join_sql

        with self.places() as places:
            project, known = self._parse(places)
            asked = find_asked_features(project, features)
            key = make_requests_key(asked)
            if key not in known:
                known[key] = write_join_sql(project, asked)
            rows = join_rows(
                entities,
                asked,
                at,
                sql=known[key],
                published=places.published,
                database=project.warehouse.stem,
            )
        return Frame(lambda: rows)

    def feature_views(self) -> PrintedList[FeatureView]:
        """Return the feature views, by name: what each declares, and its columns.

        Raises:
            Fault: dbt cannot parse the project.
        """
        from assay.features.display import print_views
        from assay.project.views import feature_views

        with self.places() as places:
            project, _ = self._parse(places)
        return PrintedList(
            feature_views(project),
            lambda found, console: print_views(found, project.warehouse, console),
            self.root,
        )

    def feature_view(self, name: str) -> Found[FeatureView]:
        """Return a feature view: columns, derived features, and who uses it; shown with its newest row.

        Raises:
            Fault: there is no such view, or dbt cannot parse the project.
        """
        from assay.features.display import print_view
        from assay.project.views import feature_views, view_named

        with self.places() as places:
            project, _ = self._parse(places)
        return Found(
            view_named(name, feature_views(project)),
            lambda view, console: print_view(view, project.warehouse, console),
            self.root,
        )

    def history(self, view: str, key: Any) -> History:
        """Return what was known of one entity over time, from published gold; `.plot()` draws it.

        Args:
            view: the feature view.
            key: the entity's key; of a view with several a dict by name, or their values in the view's order.

        Raises:
            Fault: there is no such view, the key is incomplete, or the view is not published.
        """
        from assay.api.history import read_history
        from assay.project.views import feature_views, view_named

        with self.places() as places:
            project, _ = self._parse(places)
            return read_history(view_named(view, feature_views(project)), key, places.published)

    def sql(self, query: str, parameters: Sequence[Any] | dict[str, Any] | None = None) -> Frame:
        """Run a query on what was published last, in DuckDB; gold's tables are `gold.<table>`.

        Args:
            query: one SQL statement that reads.
            parameters: for `?` or `$name` in it.

        Raises:
            Fault: nothing is published, or the query is wrong.
        """
        from assay.api.query import run_query

        with self.places() as places:
            rows = run_query(places.published, query, parameters)
        return Frame(lambda: rows)

    def table(
        self, name: str, columns: Sequence[str] | None = None, *, run: str | None = None
    ) -> PublishedTable:
        """Open a published table, for Arrow, Polars, NumPy and others; it stays what it is during builds.

        Args:
            name: of the table.
            columns: which of its columns, in this order; all without them.
            run: whose publication, or the beginning of its id; what readers have now without it.

        Raises:
            Fault: nothing is published, there is no such table or column, or no such publication is kept.

        Example:
            `project.table("<table>").to_polars(lazy=True).filter(...).collect()`
        """
        from assay.api.table import PublishedTable

        with self.places() as places:
            return PublishedTable(find_published(places, run), name, columns)

    def build(
        self,
        *,
        full_refresh: bool = False,
        everything: bool = False,
        select: str | None = None,
        as_of: datetime | str | None = None,
        strict: bool = False,
        wait: float = 600.0,
        display: Display | None = None,
    ) -> BuildResult:
        """Load new files, build and test what has changed, and publish the products of gold that pass.

        Args:
            full_refresh: whether silver and gold are rebuilt from bronze.
            everything: whether all models are built and tested, also those for which nothing has changed.
            select: a part to build, in dbt's selection syntax; it is not published.
            as_of: build the warehouse as it was known then (UTC without an offset), in a file of its own.
            strict: whether nothing is published while a landed file is not loaded.
            wait: how long to wait for another build to end, in seconds.
            display: told what goes on, in place of the console.

        Returns:
            What the build did. `failed` tells whether a model or test failed; look at it.

        Raises:
            Fault: the build could not be done.
        """
        from assay.api.build_result import BuildResult
        from assay.build.build import Options
        from assay.erasure.resume import build_without_forgotten

        options = Options(full_refresh, everything, select, _moment(as_of), strict, wait)
        with self.places(), display or self.display() as told:
            return BuildResult(build_without_forgotten(options, told), self.root)

    def watch(
        self,
        every: str = "30s",
        *,
        strict: bool = False,
        wait: float = 600.0,
        display: Display | None = None,
        tell: Callable[[BuildResult], None] | None = None,
    ) -> None:
        """Build what has changed, again and again, until somebody interrupts.

        The process stays warm: what it has imported and parsed serves the next build.

        Args:
            every: the time from the beginning of one build to that of the next, such as `30s`.
            strict: whether nothing is published while a landed file is not loaded.
            wait: how long to wait for another build to end, in seconds.
            display: told what goes on, in place of the console.
            tell: called with the result of each build that had something to do, in place of printing it.

        Raises:
            Fault: `every` is no length of time, or somebody interrupted.
        """
        from assay.api.build_result import BuildResult
        from assay.build.build import Options
        from assay.build.watch import watch
        from assay.core.moment import length_of
        from assay.erasure.resume import build_without_forgotten

        try:
            length = length_of(every)
        except (KeyError, ValueError, OverflowError) as error:
            raise Fault(f"--every {every} is no length of time: write 30s, 5m or 1h.", MISUSED) from error

        def show(report: Report) -> None:
            result = BuildResult(report, self.root)
            if tell:
                tell(result)
            else:
                result.print(self.console)

        with self.places():
            watch(
                *(Options(strict=strict, wait=wait), length, lambda: display or self.display(), show),
                build=build_without_forgotten,
            )

    def serve(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 6566,
        workers: int = 1,
        store: str | None = None,
        with_keys: bool = False,
        requests_per_second: float = 100.0,
        megabytes_per_hour: float = 64.0,
        grpc_port: int | None = None,
    ) -> None:
        """Serve what is online over HTTP, until the process is told to stop.

        Args:
            host: the address to listen at; at any but this machine's own, API keys are asked for.
            port: TCP port; 0 for any that is free.
            workers: how many processes answer.
            store: the URL of another store.
            with_keys: whether API keys are asked for at this machine's address too.
            requests_per_second: how many a worker takes of one API key.
            megabytes_per_hour: of predictions, how many a worker keeps of one API key.
            grpc_port: TCP port for calls of gRPC, which are served too if it is given.

        Raises:
            Fault: the address cannot be listened at, keys are needed and there are none, what is online is
                hashed with another key than ASSAY_PII_KEY, or extra `serve` or `grpc` is not
                installed.
        """
        with extra_needed("serve", by="Serving"):
            from assay.server.serve import serve

        with self.places() as places:
            serve(
                places,
                host=host,
                port=port,
                workers=workers,
                store=store,
                with_keys=with_keys,
                requests_per_second=requests_per_second,
                megabytes_per_hour=megabytes_per_hour,
                grpc_port=grpc_port,
                display=self.display(),
            )

    def install_packages(self) -> None:
        """Make dbt's packages ready: link the installed Assay, and fetch dbt-expectations."""
        from assay.project.packages import make_packages_ready

        with self.places():
            make_packages_ready()

    def upgrade(self) -> PrintedList[str]:
        """Bring ledger, landing tables and packages to the structure of the installed version.

        Returns:
            Each change in words; none where all is of the installed version.

        Raises:
            Fault: a newer Assay has built here, or another program keeps a file open.
        """
        from assay.doctor.display import print_upgrade
        from assay.doctor.upgrade import upgrade

        with self.places() as places:
            return PrintedList(list(upgrade(places)), print_upgrade, self.root)

    def land_demo(
        self,
        out: str | Path | None = None,
        *,
        customers: int = 2000,
        days: int = 365,
        events: int = 100_000,
        seed: int = 42,
        start: date = date(2025, 1, 1),
        drift: bool = True,
        stream: str | None = None,
        speed: float = 1.0,
    ) -> None:
        """Make up a retailer's data, flaws included, and land it, or send it to a broker as time passes.

        Args:
            out: a new or empty folder; the landing zone without it.
            customers: who have signed up by the end.
            days: that the data covers.
            events: of the web, before any are repeated.
            seed: the same gives the same bytes.
            start: the first day.
            drift: whether some columns change in the course of time, to be found.
            stream: HOST:PORT of a broker of Kafka, to which goes what contracts say comes as a stream.
            speed: how many seconds of the demo pass in a second; 0 sends all at once.

        Raises:
            Fault: the project has no example, the folder holds something, or a number makes no sense.
        """
        from assay.project.paths import put_project_on_path

        with self.places() as places:
            put_project_on_path()
            try:
                from example.command import land_demo
                from example.stream import stream_demo
            except ModuleNotFoundError as error:
                raise Fault(
                    "This project has no example: `assay init DIR --example retail` writes one that has.",
                    MISUSED,
                ) from error
            folder = places.landing if out is None else Path(self.as_given(out))
            parameters: dict[str, Any] = {
                "customers": customers,
                "days": days,
                "events": events,
                "seed": seed,
                "start": start,
                "drift": drift,
            }
            if stream is None:
                land_demo(folder, self.console, **parameters)
            else:
                stream_demo(folder, stream, speed, self.console, **parameters)

    def accept_schema_changes(self, table: str, column: str | None = None) -> Found[Accepted]:
        """Accept what is open of a landing table, by declaring it; the next build goes on with that.

        Args:
            table: `source.table`.
            column: the only column whose changes to accept, also those that are over.

        Returns:
            What was accepted; `found.refused` says why other changes could not be.

        Raises:
            Fault: there is no such table, or it has no change that can be accepted.
        """
        from assay.contracts.accept import accept
        from assay.contracts.schema_display import print_accepted

        with self.places() as places:
            return Found(accept(places, table, column), print_accepted, self.root)

    def _parse(self, places: Places) -> tuple[DbtProject, dict[str, str]]:
        """Return the project as dbt parses it, and SQL of joins; parse again once a file has changed."""
        from assay.project.paths import all_model_paths
        from assay.project.project import Project as DbtProject

        files = [each for folder in all_model_paths() for each in folder.rglob("*") if each.is_file()]
        state = {each: each.stat().st_mtime_ns for each in [*files, places.published] if each.exists()}
        if self._parsed is None or self._parsed[0] != state:
            self._parsed = (state, DbtProject(), {})
        return self._parsed[1:]

    def __repr__(self) -> str:
        return f"assay.open({str(self.root)!r})"


def _moment(when: datetime | str | None) -> datetime | None:
    """Read a moment of the past, UTC.

    Raises:
        Fault: it is no time, or one to come.
    """
    from assay.core.moment import read_moment

    return None if when is None else read_moment(when)
