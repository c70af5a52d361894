"""Forget people: remove all that is kept under their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

from assay.console.progress import Display
from assay.core.fault import Fault
from assay.core.moment import now
from assay.core.places import Places
from assay.core.words import counted
from assay.erasure.carry_out import Erased, carry_out, end_other, opened_warehouse, parsed
from assay.erasure.cold import check_copies
from assay.erasure.find import unread_files
from assay.erasure.journal import Journal
from assay.erasure.locked import lock_for_erasure
from assay.erasure.look import Traces, find_traces
from assay.erasure.objects import fetch_objects
from assay.erasure.person import Person, find_people, put_together
from assay.ledger.rollbacks import whoever_asks


def look(places: Places, asked: Sequence[str]) -> Traces:
    """Find everything that is kept of people, and change nothing.

    Args:
        places: of the project.
        asked: `ENTITY=KEY` of each, all of one entity.

    Raises:
        Fault: nothing is built, there is no such entity, or nothing is kept under one of the keys.
    """
    return _look(places, asked)[1]


def _look(places: Places, asked: Sequence[str]) -> tuple[Person, Traces]:
    with opened_warehouse(places) as connection:
        people = find_people(asked, parsed(), connection)
        for person in people:
            traces = find_traces(places, connection, person)
            if not traces.is_known:
                raise _unknown(person, traces)
        person = put_together(people)
        return person, traces if len(people) == 1 else find_traces(places, connection, person)


def _unknown(person: Person, traces: Traces) -> Fault:
    texts = [trace.place for trace in traces.traces if trace.is_word]
    found = ""
    if texts:
        found = f" It is a word in {counted(len(texts), 'text')}, such as {texts[0]}, and may mean anything."
    return Fault(
        f"Nothing is kept of {person.entity}={person.key}: no row has it as {' or '.join(person.columns)}."
        f"{found} Where its files have just landed, build first."
    )


def forget(places: Places, asked: Sequence[str], *, reason: str, wait: float, display: Display) -> Erased:
    """Remove people from everything that is kept, and build what rests on it anew, once.

    Args:
        places: of the project.
        asked: `ENTITY=KEY` of each, all of one entity.
        reason: why, for the run ledger.
        wait: how long to wait for a build to end, in seconds.
        display: shows the progress.

    Raises:
        Fault: there is nothing of such a person, or something cannot be removed. What has begun is ended by
            the next erasure or build.
    """
    with lock_for_erasure(places, wait, display):
        end_other(places, display)
        fetch_objects(places, display)
        person, traces = _look(places, asked)
        _refuse_unread(places)
        check_copies(places, traces.lines)
        journal = Journal(str(uuid4()), person, whoever_asks(), reason, now(), rows=traces.rows)
        journal.keep(places.warehouse)
        return replace(carry_out(places, journal, display), unseen=traces.unseen)


def _refuse_unread(places: Places) -> None:
    """Refuse to forget somebody of whom silver may not know all rows, because a build has not read them."""
    with opened_warehouse(places) as connection:
        if files := unread_files(connection):
            raise Fault(
                f"Silver has not read {counted(files, 'loaded file')}, in which the person may be: "
                "build first, and forget then."
            )
