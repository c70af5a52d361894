"""A project, as programs and notebooks use it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.api.folder import beside_loop, working_in
from assay.api.frame import Frame
from assay.api.generators import Generators
from assay.api.online import Online
from assay.api.printed import Printed, PrintedList
from assay.core.fault import MISUSED, Fault, extra_needed

if TYPE_CHECKING:
    from rich.console import Console

    from assay.api.history import History
    from assay.api.results import BuildResult, Drift
    from assay.api.training_set import TrainingSet
    from assay.console.progress import Display
    from assay.core.places import Places
    from assay.parity.compare import FeatureParity
    from assay.project.project import Project as DbtProject
    from assay.retraining.due import Verdict


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


class Project(Generators):
    """A project: what it has published, its training sets, its online store, and how to build it.

    Open one with `assay.open()`.

    Args:
        root: its folder, absolute.
        console: where progress is shown.
    """

    def __init__(self, root: Path, *, console: Console | None = None) -> None:
        super().__init__(root)
        self._console = console
        self._parsed: tuple[object, DbtProject, dict[str, str]] | None = None

    @property
    def console(self) -> Console:
        """Where progress is shown."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False)
        return self._console

    @property
    def online(self) -> Online:
        """What is online."""
        return Online(self.places, lambda: self.console)

    def training_set(self, name: str, version: str | None = None) -> TrainingSet:
        """Return a version of a training set.

        Args:
            name: of the training set.
            version: the version's name, or as much of it as no other has, with or without `name@`;
                the newest without it.

        Raises:
            Fault: there is no such training set or version, or it has no version yet.
        """
        from assay.api.training_set import TrainingSet
        from assay.training.source import published_sets
        from assay.training.store import VersionStore

        with self.places() as places:
            store = VersionStore(places)
            if version is None:
                found = store.newest(name, published_sets(places))
            else:
                found = store.find(version if version.startswith(f"{name}@") else f"{name}@{version}")
            return TrainingSet(found)

    def create_training_set(self, name: str, *, as_of: datetime | str | None = None) -> TrainingSet:
        """Make a version of a training set, which may rebuild it; the same content is the same version.

        Args:
            name: of the training set.
            as_of: the moment of which it is to know, UTC where it has no offset; all that is known
                without it.

        Raises:
            Fault: there is no such training set, or it cannot be built.
        """
        from assay.api.training_set import TrainingSet
        from assay.console.progress import display_on
        from assay.training.create import create

        moment = _moment(as_of)
        with self.places(), display_on(self.console) as display:
            version, _ = create(name, moment, display)
            return TrainingSet(version)

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
        from assay.api.join import asked_features, join_sql, joined, requests_key

        with self.places() as places:
            project, known = self._parse(places)
            asked = asked_features(project, features)
            key = requests_key(asked)
            if key not in known:
                known[key] = join_sql(project, asked)
            rows = joined(
                entities,
                asked,
                at,
                sql=known[key],
                published=places.published,
                database=project.warehouse.stem,
            )
        return Frame(lambda: rows)

    def feature_views(self) -> PrintedList[Any]:
        """Return the feature views, by name: what each declares, and its columns.

        Raises:
            Fault: dbt cannot parse the project.
        """
        from assay.features.display import print_views
        from assay.project.views import feature_views

        with self.places() as places:
            project, _ = self._parse(places)
            warehouse = project.warehouse.absolute()
            return PrintedList(
                feature_views(project), lambda found, console: print_views(list(found), warehouse, console)
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

    def build(
        self,
        *,
        full_refresh: bool = False,
        select: str | None = None,
        as_of: datetime | str | None = None,
        strict: bool = False,
        wait: float = 600.0,
        display: Display | None = None,
    ) -> BuildResult:
        """Load new files, build and test the warehouse, and publish the products of gold that pass.

        Args:
            full_refresh: whether silver and gold are rebuilt from bronze.
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
        from assay.api.results import BuildResult
        from assay.build.build import Options, build
        from assay.console.progress import display_on

        options = Options(full_refresh, select, _moment(as_of), strict, wait)
        with working_in(self.root), display or display_on(self.console) as told:
            return BuildResult(build(options, told))

    def drift(
        self,
        views: Sequence[str] = (),
        *,
        tables: Sequence[str] = (),
        reference: str | None = None,
        current: str | None = None,
    ) -> Drift:
        """Compare what is now with what was, feature by feature; `.plot()` draws it.

        Args:
            views: feature views; without any view or table, all of them.
            tables: tables of gold, or CSV or Parquet files.
            reference: rows to compare with: `2025`, `2025-03`, `2025-03-01..2025-03-31`, a length of time
                such as `30d`, `split=train`, or a version of a training set; the 90 days before without it.
            current: rows in question, likewise; the last 30 days without it.

        Raises:
            Fault: nothing is published, something is unknown, or extra `drift` is not installed.
        """
        with extra_needed("drift", by="The comparison"):
            from assay.drift.named import compare_named
        from assay.api.results import Drift
        from assay.core.places import find_places
        from assay.project.project import Project as DbtProject

        tables = [self.as_given(each) if Path(each).is_file() else each for each in tables]
        with working_in(self.root):
            return Drift(compare_named(DbtProject(), find_places(), views, tables, reference, current))

    def parity(
        self,
        view: str | None = None,
        *,
        samples: int = 200,
        at: datetime | str | None = None,
        store: str | None = None,
        seed: int = 1,
        logged: bool = False,
    ) -> PrintedList[FeatureParity]:
        """Compare what is online with the offline point-in-time join, value for value.

        Args:
            view: the one view to look at; all without it.
            samples: how many questions each view is asked.
            at: the instant of all questions, UTC where it has no offset; many without it.
            store: the URL of another store.
            seed: the same seed asks the same questions.
            logged: whether features that were logged with predictions are compared instead.

        Returns:
            A finding for each feature; `differs` tells whether any answer does.

        Raises:
            Fault: the store holds another build or none, there is no such view, or nothing was logged.
        """
        from assay.console.progress import display_on
        from assay.online.request import instant_given
        from assay.online.stores.open import open_store, store_url
        from assay.parity.display import print_parity

        def ask() -> list[FeatureParity]:
            with self.places() as places:
                opened = open_store(store_url(store, places))
                moment = at if isinstance(at, datetime) or at is None else instant_given(at)
                from assay.parity.check import check_parity
                from assay.parity.logged import check_logged
                from assay.project.project import Project as DbtProject

                with display_on(self.console) as display:
                    if logged:
                        return check_logged(DbtProject(), places.published, view=view, samples=samples)
                    return check_parity(
                        opened,
                        DbtProject(),
                        places.published,
                        view=view,
                        samples=samples,
                        at=moment,
                        seed=seed,
                        tell=lambda name: display.say(f"Asking {name}"),
                    )

        return PrintedList(beside_loop(ask), print_parity)

    def retraining(self, *, create: bool = False) -> PrintedList[Verdict]:
        """Tell which training sets need retraining, and why.

        Args:
            create: whether a version of each that does is taken.

        Returns:
            A verdict for each training set; `is_due` tells whether it needs retraining.

        Raises:
            Fault: nothing is published, or a version cannot be taken.
        """
        from assay.console.progress import display_on
        from assay.retraining.display import print_verdicts
        from assay.retraining.due import verdicts
        from assay.retraining.record import all_retrainings
        from assay.retraining.take import take_versions
        from assay.training.store import VersionStore

        with self.places() as places:
            from assay.project.project import Project as DbtProject

            recorded = all_retrainings(places.ledger)
            found = verdicts(DbtProject(), places.published, VersionStore(places).versions(), recorded)
            if create:
                with display_on(self.console) as display:
                    found = take_versions(found, places.ledger, display)
        return PrintedList(found, print_verdicts)

    def report(self, out: str | Path | None = None, *, with_rows: bool = True) -> Path:
        """Write what ran, what broke and how the data is, as one HTML file; return its path.

        Args:
            out: the folder it goes to; `report` in the project without it.
            with_rows: whether rows that failed or were rejected are shown.

        Raises:
            Fault: no build is recorded, or extra `report` is not installed.
        """
        folder = Path("report") if out is None else Path(self.as_given(out))
        with self.places() as places:
            with extra_needed("report", by="The report"):
                from assay.report.write import write_report

            return self.root / write_report(places, folder, with_rows=with_rows)

    def catalog(self, out: str | Path | None = None, *, with_rows: bool = True) -> Path:
        """Write all features, who uses them and what they hold, as a static site; return its index.

        Args:
            out: the folder it goes to; `catalog` in the project without it.
            with_rows: whether the histories of single entities are shown.

        Raises:
            Fault: dbt cannot read the project, the folder holds something else, or extra `report` is not
                installed.
        """
        from assay.console.progress import display_on

        folder = Path("catalog") if out is None else Path(self.as_given(out))
        with self.places() as places:
            with extra_needed("report", by="The catalog"):
                from assay.catalog.write import write_catalog

            with display_on(self.console) as display:
                return self.root / write_catalog(places, folder, display, with_rows=with_rows)

    def status(self) -> Printed:
        """Tell what is loaded, tested and published, and whether a build is under way."""
        from assay.ledger.status import print_status

        with self.places() as places:
            found = places

        def write(console: Console) -> None:
            with working_in(self.root):
                print_status(found, console)

        return Printed(write)

    @contextmanager
    def places(self) -> Iterator[Places]:
        """Be in the project's folder while the block runs, and know where its files lie."""
        from assay.core.places import find_places

        with working_in(self.root):
            yield find_places()

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
    from assay.core.moment import parse_moment

    if when is None:
        return None
    return parse_moment(when.isoformat() if isinstance(when, datetime) else when)
