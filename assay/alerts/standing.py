"""Send an alert once when something begins and once when it is over, whichever process finds out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import duckdb

from assay.alerts.availability import read_availability
from assay.alerts.availability_alerts import make_missed_alert
from assay.alerts.config import Config, read_config
from assay.alerts.lock import alerts_lock
from assay.alerts.runbooks import Runbook
from assay.alerts.states import Alert, find_alerts
from assay.core.fault import MISUSED, Fault, known_fault, unknown
from assay.core.moment import now
from assay.core.places import Places
from assay.ledger.alerts import StandingAlert, read_standing, record_alerts
from assay.ledger.rollbacks import whoever_asks
from assay.ledger.runs import read_runs


def tell_changes(
    places: Places,
    found: Sequence[Alert],
    is_judged: Callable[[StandingAlert], bool],
    config: Config,
) -> list[str]:
    """Send what has begun or is over, record it, and return what is wrong with channels.

    What no channel took is sent the next time.

    Args:
        places: of the project.
        found: what is wrong now.
        is_judged: tells whether an alert that stands and is not among these is over.
        config: where alerts go.

    Raises:
        Fault: another program keeps the run ledger open, or the disk is full.
    """
    with alerts_lock(places):
        standing = {(each.runbook, each.name): each for each in read_standing(places.ledger)}
        names = {(each.runbook, each.name) for each in found}
        begun = [each for each in found if (each.runbook, each.name) not in standing]
        over = [each for key, each in standing.items() if key not in names and is_judged(each)]
        alerts = begun + [_alert(each, is_over=True) for each in over if each.closed_by is None]
        is_told, problems = config.tell(alerts)
        if is_told:
            moment = now()
            record_alerts(
                places.ledger,
                [
                    *(replace(each, over_at=moment) for each in over),
                    *(
                        StandingAlert(
                            *(each.runbook, each.name, each.kind, each.about, each.owner, each.severity),
                            message=each.message,
                            since=moment,
                        )
                        for each in begun
                    ),
                ],
            )
    return problems


def watch_changes(
    places: Places,
    found: Sequence[Alert],
    kinds: Collection[Runbook],
    looked_at: Collection[tuple[Runbook, str]] = (),
) -> list[str]:
    """Do the same beside something that it does not fail.

    Args:
        places: of the project.
        found: what is wrong now.
        kinds: the kinds of which all that is wrong is among these.
        looked_at: of other kinds, the names of what was looked at.
    """

    def is_judged(each: StandingAlert) -> bool:
        return each.runbook in kinds or (each.runbook, each.name) in looked_at

    try:
        return tell_changes(places, found, is_judged, read_config())
    except (Fault, duckdb.Error, OSError) as error:
        return [f"No alerts could be sent: {known_fault(error) or error}"]


def read_open_alerts(places: Places) -> list[Alert]:
    """Return what is wrong as far as anybody has looked: the last build, products, streams.

    Raises:
        Fault: another program keeps the run ledger open.
    """
    runs = read_runs(places.ledger)
    last = next((run for run in runs if run.warehouse == str(places.warehouse) and run.ended_at), None)
    found = find_alerts(places.ledger, last.run_id, remind_after=1) if last else []
    late, _ = read_availability(places)
    return [
        *(each for each in found if each.change != "recovered"),
        *(make_missed_alert(each, each.missed_since) for each in late if each.missed_since),
        *(_alert(each) for each in read_standing(places.ledger) if each.closed_by is None),
    ]


def close_alert(places: Places, runbook: str, name: str, reason: str) -> StandingAlert:
    """Note that nobody needs to be told of an alert any more, although what it tells of is not over.

    Args:
        places: of the project.
        runbook: the kind of the alert.
        name: its name.
        reason: why, for those who ask later.

    Raises:
        Fault: there is no such alert that could be closed, or another program keeps the run ledger open.
    """
    with alerts_lock(places):
        there = {f"{each.runbook} '{each.name}'": each for each in read_standing(places.ledger)}
        found = there.get(f"{runbook} '{name}'")
        if found is None:
            said = (
                f"No alert {runbook} '{name}' can be closed; a build ends those of models, tests and products"
            )
            raise Fault(unknown(said, f"{runbook} '{name}'", there), MISUSED)
        closed = replace(found, closed_by=f"{whoever_asks()}: {reason or 'no reason given'}")
        record_alerts(places.ledger, [closed])
    return closed


def _alert(standing: StandingAlert, *, is_over: bool = False) -> Alert:
    return Alert(
        Runbook(standing.runbook),
        "recovered" if is_over else "broken",
        standing.name,
        standing.kind,
        standing.about,
        standing.owner,
        standing.severity,
        standing.message,
    )
