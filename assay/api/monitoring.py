"""The part of a project that tells how builds went and how the data is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from assay.api.folder import ProjectFolder, run_beside_loop
from assay.api.printed import Found, PrintedList
from assay.core.fault import extra_needed

if TYPE_CHECKING:
    from rich.console import Console

    from assay.alerts.availability_alerts import Checked
    from assay.alerts.notify import SentTest
    from assay.alerts.states import Alert
    from assay.api.drift import Drift
    from assay.cost.found import CostReport
    from assay.doctor.checks import Check
    from assay.gaps.find import Gaps
    from assay.landing.schema.recorded import SchemaChange
    from assay.ledger.alerts import StandingAlert
    from assay.ledger.details import RunDetails
    from assay.ledger.explain import Explanation
    from assay.ledger.runs import Run
    from assay.ledger.status import LedgerStatus
    from assay.lineage.traced import Trace
    from assay.parity.compare import FeatureParity
    from assay.retraining.due import Verdict


class Monitoring(ProjectFolder):
    """Tells what builds did and what they found, and whether the data is as it was."""

    def status(self) -> Found[LedgerStatus]:
        """Tell what is loaded, tested and published, and whether a build is under way.

        Raises:
            Fault: another program keeps the run ledger open.
        """
        from assay.alerts.availability import read_availability
        from assay.alerts.availability_display import print_late
        from assay.ledger.status import print_status, read_status

        with self.places() as places:
            found, problems = read_availability(places)
            status = read_status(places)

        def write(status: LedgerStatus, console: Console) -> None:
            print_status(status, console)
            print_late(found, problems, console)

        return Found(status, write, self.root)

    def runs(self) -> PrintedList[Run]:
        """Return every run of the ledger, newest first.

        Raises:
            Fault: another program keeps the run ledger open.
        """
        from assay.ledger.show import print_runs
        from assay.ledger.status import read_status

        with self.places() as places:
            status = read_status(places)
        return PrintedList(status.history, lambda _, console: print_runs(status, console), self.root)

    def run(self, run_id: str) -> Found[RunDetails]:
        """Return a run: how it ended, what failed with some of the rows, what took long, what grew or shrank.

        Args:
            run_id: the run's id, or its beginning.

        Raises:
            Fault: no run has that id, several do, or another program keeps the run ledger open.
        """
        from assay.ledger.details import read_run
        from assay.ledger.show import print_run

        with self.places() as places:
            return Found(read_run(places, run_id), print_run, self.root)

    def explain(self, test: str) -> Found[Explanation]:
        """Explain a test: what it claims, what it found, where the rows came from, and what to do.

        Args:
            test: its name.

        Raises:
            Fault: no run has a test of that name, or another program keeps the run ledger open.
        """
        from assay.ledger.explain import explain
        from assay.ledger.show import print_explanation

        with self.places() as places:
            return Found(explain(places, test), print_explanation, self.root)

    def trace(self, what: str) -> Found[Trace]:
        """Follow a prediction, file, version or column to what it was made of, and to what came of it.

        Args:
            what: the id of a prediction; the path of a landed file; a version of a training set, or as much
                of its name as no other has, with `@`; or `table.column`.

        Raises:
            Fault: nothing is called so, or nothing is built.
        """
        from assay.lineage.trace import trace
        from assay.lineage.trace_display import print_trace

        with self.places() as places:
            return Found(trace(places, what), print_trace, self.root)

    def schema_changes(self) -> PrintedList[SchemaChange]:
        """Return how files differ from what their sources declare: changes open, accepted and over.

        Raises:
            Fault: nothing is built yet, or a declaration is wrong.
        """
        from assay.contracts.accept import read_changes, read_tables_by_name
        from assay.contracts.schema_display import print_changes

        with self.places() as places:
            found, tables = read_changes(places), read_tables_by_name()
        return PrintedList(found, lambda changes, console: print_changes(changes, tables, console), self.root)

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
        from assay.api.drift import Drift
        from assay.project.project import Project as DbtProject

        tables = [self.as_given(each) if Path(each).is_file() else each for each in tables]
        with self.places() as places:
            found = compare_named(DbtProject(), places, views, tables, reference, current)
        return Drift(found, self.root)

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
        from assay.online.request import instant_given
        from assay.online.stores.open import open_store, store_url
        from assay.parity.display import print_parity

        def ask() -> list[FeatureParity]:
            with self.places() as places:
                opened = open_store(store_url(store, places))
                moment = at if isinstance(at, datetime) or at is None else instant_given(at)
                from assay.alerts.findings import find_answered_parity
                from assay.alerts.standing import watch_changes
                from assay.parity.check import check_parity
                from assay.parity.logged import check_logged
                from assay.project.project import Project as DbtProject

                with self.display() as display:
                    found = (
                        check_logged(DbtProject(), places.published, view=view, samples=samples)
                        if logged
                        else check_parity(
                            opened,
                            DbtProject(),
                            places.published,
                            view=view,
                            samples=samples,
                            at=moment,
                            seed=seed,
                            tell=lambda name: display.say(f"Asking {name}"),
                        )
                    )
                if store is None:
                    alerts, looked_at = find_answered_parity(found, logged=logged)
                    self.warn(watch_changes(places, alerts, (), looked_at))
                return found

        return PrintedList(run_beside_loop(ask), print_parity, self.root)

    def retraining(self, *, create: bool = False) -> PrintedList[Verdict]:
        """Tell which training sets need retraining, and why.

        Args:
            create: whether to create a version of each set that needs it.

        Returns:
            A verdict for each training set; `is_due` tells whether it needs retraining.

        Raises:
            Fault: nothing is published, or a version cannot be taken.
        """
        from functools import partial

        from assay.alerts.findings import find_due
        from assay.alerts.runbooks import Runbook
        from assay.alerts.standing import watch_changes
        from assay.retraining.display import print_verdicts
        from assay.retraining.due import verdicts, why_held_back
        from assay.retraining.record import all_retrainings
        from assay.retraining.take import take_versions
        from assay.training.store import VersionStore

        with self.places() as places:
            from assay.project.project import Project as DbtProject

            recorded = all_retrainings(places.ledger)
            project = DbtProject()
            why = why_held_back(project, places.ledger)
            found = verdicts(project, places.published, VersionStore(places).versions(), recorded, why)
            if create:
                with self.display() as display:
                    found = take_versions(found, places.ledger, display)
            self.warn(watch_changes(places, find_due(found), [Runbook.RETRAINING_DUE]))
        return PrintedList(found, partial(print_verdicts, why_held_back=why), self.root)

    def alerts(self) -> PrintedList[Alert]:
        """Return the alerts that stand: what was wrong when the last build, stream or command looked.

        Raises:
            Fault: another program keeps the run ledger open.
        """
        from assay.alerts.display import print_alerts
        from assay.alerts.standing import read_open_alerts

        with self.places() as places:
            return PrintedList(read_open_alerts(places), print_alerts, self.root)

    def runbook(self, name: str) -> Found[str]:
        """Return the page that says what an alert means and what to do.

        Args:
            name: the kind of the alert, which each alert names, such as `test-failed`.

        Raises:
            Fault: there is no such kind.
        """
        from assay.alerts.display import print_runbook
        from assay.alerts.runbooks import read_runbook

        return Found(read_runbook(name), print_runbook, self.root)

    def close_alert(self, runbook: str, name: str, *, reason: str = "") -> Found[StandingAlert]:
        """Note that nobody needs to be told of an alert any more, although what it tells of is not over.

        Args:
            runbook: the kind of the alert.
            name: its name.
            reason: why, for those who ask later.

        Raises:
            Fault: no such alert could be closed, or another program keeps the run ledger open.
        """
        from assay.alerts.display import print_closed
        from assay.alerts.standing import close_alert

        with self.places() as places:
            return Found(close_alert(places, runbook, name, reason), print_closed, self.root)

    def send_test_alert(self) -> SentTest:
        """Send a test alert to every channel of alerts.yml; return who was told, and what went wrong.

        Raises:
            Fault: alerts.yml names no channels.
        """
        from assay.alerts.notify import send_test_alert

        with self.places():
            return send_test_alert()

    def gaps(
        self,
        source: str | None = None,
        *,
        since: date | str | None = None,
        until: date | str | None = None,
    ) -> Found[Gaps]:
        """Tell which intervals the sources miss, and which features and training sets rest on these.

        Args:
            source: the one landing table to look at, as `source.table`; all without it.
            since: the first day (UTC); from the beginning without it.
            until: the last day (UTC); to the end without it.

        Raises:
            Fault: nothing is built, a build has the warehouse, there is no such source, or a day is no day.
        """
        from assay.core.moment import read_day
        from assay.gaps.display import print_gaps
        from assay.gaps.find import find_gaps

        days = {
            name: read_day(day, option) if isinstance(day, str) else day
            for name, option, day in (("since", "--from", since), ("until", "--to", until))
        }
        with self.places() as places:
            return Found(find_gaps(places, source=source, **days), print_gaps, self.root)

    def cost(self, *, keep: str | None = None, shows_all: bool = False) -> Found[CostReport]:
        """Tell what each source, table and view takes, who reads it, and what it costs by `costs.yml`.

        Args:
            keep: for how long landed data would be kept, such as `90d`, to tell what that would save.
            shows_all: whether what is printed has a row of its own also for what is below 1 % of the total;
                `found` always has.

        Raises:
            Fault: `costs.yml` or `keep` is wrong, dbt cannot parse the project, or another program keeps the
                run ledger open.
        """
        from functools import partial

        from assay.cost.display import print_costs
        from assay.cost.gather import find_costs, read_declared

        with self.places() as places, self.display() as display:
            from assay.project.project import Project as DbtProject

            found = find_costs(places, read_declared(DbtProject()), keep=keep, tell=display.say)
        return Found(found, partial(print_costs, shows_all=shows_all), self.root)

    def check_alerts(self) -> Found[Checked]:
        """Look which products are late by their contracts, and tell the channels of what has changed.

        Raises:
            Fault: another program keeps the run ledger open, or the disk is full.
        """
        from assay.alerts.availability_alerts import check_availability
        from assay.alerts.availability_display import print_checked

        with self.places() as places:
            return Found(check_availability(places), print_checked, self.root)

    def doctor(self) -> PrintedList[Check]:
        """Look whether all is well: environment, project, warehouse, store, disk, clock.

        Returns:
            The checks; `state` is `ok`, `warning` or `problem`.
        """
        from assay.doctor.checks import run_checks
        from assay.doctor.display import print_checks

        with self.places() as places:
            return PrintedList(list(run_checks(places)), print_checks, self.root)
