"""Carry out an erasure, of people or of old rows, in steps that can be done again after a kill."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from assay.bucket.cold import remove_fetched
from assay.build.bucket import remove_former_in_bucket
from assay.build.build import Options
from assay.build.inputs import read_inputs
from assay.build.run import run_recorded
from assay.build.state import forget_state
from assay.console.progress import Display
from assay.core.fault import Fault, known_fault
from assay.core.moment import now
from assay.core.places import Places, fetched_beside
from assay.core.words import counted
from assay.embedding.cache import begin_anew, remove_former
from assay.erasure.cold import opened_copies
from assay.erasure.compact import remove_leftovers
from assay.erasure.elsewhere import clean_store
from assay.erasure.exports import write_exports_anew
from assay.erasure.find import (
    FileLines,
    files_as_of,
    files_of_search,
    tables_of_readers,
)
from assay.erasure.forgotten import find_returned
from assay.erasure.journal import Journal, journal_file, read_journal
from assay.erasure.lines import Emptied, empty_lines, empty_members, hash_of, read_emptied
from assay.erasure.objects import write_objects
from assay.erasure.removal import Removal, removal_of
from assay.erasure.unloaded import empty_unloaded
from assay.erasure.versions import erase_from_versions
from assay.erasure.warehouse import rewrite_warehouse
from assay.landing.declared import LandingTable, declared_tables
from assay.landing.discover import LandingFile, LandingFolderMissing, discover, file_at
from assay.ledger.erasures import ERASED_FILES, ERASURES
from assay.ledger.retentions import note_rewritten
from assay.project.graph import Manifest, read_manifest
from assay.project.lake import is_lake
from assay.project.lake_copies import remove_lake
from assay.project.paths import all_model_paths
from assay.project.warehouse import connect


@dataclass(frozen=True)
class Erased:
    """What an erasure has done.

    `rows` is how many rows of people all places together had, or how many landed rows were too old. `files`
    are the landed files that were rewritten.
    `versions` are the training sets that are no longer whole. `run_id` is the build that made the rest anew.
    `unseen` are the places in which nobody could look.
    """

    erasure_id: str
    rows: int
    files: list[str]
    versions: list[str]
    run_id: str
    unseen: list[str] = field(default_factory=list)


def end_other(places: Places, display: Display) -> Erased | None:
    """End an erasure that was begun and killed; None if there is none. The caller holds the warehouse's lock.

    Raises:
        Fault: it cannot be ended now.
    """
    journal = read_journal(places.warehouse)
    if journal is None:
        return None
    display.say("Ending an erasure that was begun before")
    return carry_out(places, journal, display)


def carry_out(places: Places, journal: Journal, display: Display) -> Erased:
    """Do all steps of an erasure; each finds by itself what is left to do."""
    removal = removal_of(journal.removed, parsed())
    try:
        versions, run_id = _remove_and_build(places, journal, removal, display)
        if _has_landed_since(places, removal):
            # Files that landed after the build before, or meanwhile.
            display.say("The build has loaded more of what goes, which goes now")
            more, run_id = _remove_and_build(places, journal, removal, display)
            versions = sorted({*versions, *more})
        if find_returned(places.warehouse):
            # The next build forgets them again, also where nothing lands before it.
            forget_state(places.warehouse)
    except (duckdb.Error, sqlite3.Error, OSError) as error:
        raise known_fault(error) or error from error
    _record(places, journal, run_id)
    journal_file(places.warehouse).unlink()
    names = sorted({key.partition(" ")[2] for key in journal.files})
    return Erased(journal.erasure_id, journal.rows, names, versions, run_id)


def _remove_and_build(
    places: Places, journal: Journal, removal: Removal, display: Display
) -> tuple[list[str], str]:
    """Remove what goes, and build the rest; return the versions that are no longer whole, and the run."""
    removal.prepare(places)
    with opened_warehouse(places) as connection:
        lines = removal.find_lines(connection)
        unloaded = removal.find_unloaded(places, connection)
    display.say(f"Rewriting {counted(len(lines) + len(unloaded), 'landed file')}")
    with opened_copies(places, lines, display) as copies:
        emptied = _empty_files(places, journal, lines, copies)
    for each in unloaded:
        empty_unloaded(each, _announce(places, journal, each.name, each.content_sha256, len(each.lines)))
    write_objects(places, lines, journal.files, display)
    _record(places, journal, None)
    # After a kill, a build makes everything.
    forget_state(places.warehouse)
    display.say(f"Rewriting {places.warehouse}")
    rewrite_warehouse(places.warehouse, removal.manifest, removal, lines, emptied)
    removal.rewrite_published(places, display)
    # The build writes them anew; before that, it would keep them with the publication before it.
    for file in [*tables_of_readers(places), *files_of_search(places)]:
        file.unlink(missing_ok=True)
    shutil.rmtree(places.published.parent / "kept", ignore_errors=True)
    for file in files_as_of(places):
        remove_fetched(fetched_beside(file))
        if is_lake(file):
            remove_lake(file)
        else:
            file.unlink(missing_ok=True)
    versions = erase_from_versions(places, removal, display)
    begin_anew(places.embeddings)
    display.say("Building everything that rests on landed rows")
    with removal.hidden():
        run_id = _build(places, display)
    remove_former(places.embeddings)
    remove_former_in_bucket()
    write_exports_anew(places, display)
    clean_store(places)
    removal.finish(places, run_id)
    return versions, run_id


def _has_landed_since(places: Places, removal: Removal) -> bool:
    """Tell whether the build at the end has loaded more of what goes."""
    if not removal.goes_when_it_lands:
        return False
    with opened_warehouse(places) as connection:
        return bool(removal.find_lines(connection) or removal.find_unloaded(places, connection))


def _empty_files(
    places: Places, journal: Journal, lines: list[FileLines], copies: Mapping[str, Sequence[LandingFile]]
) -> dict[int, Emptied]:
    """Rewrite the landed files from which rows go; return them by the id of the file.

    A file that has been replaced since it was loaded is another version, which has rows of its own.
    """
    tables = declared_tables(*all_model_paths())
    there = _landed_files(places)
    emptied = {}
    of_merged: dict[Path, list[tuple[LandingFile, LandingTable, FileLines]]] = {}
    for each in lines:
        table = tables.get((each.source, each.table))
        if table is None or each.content_sha256 is None:
            continue
        for landed in [*there.get(each.source_file, ()), *copies[each.source_file]]:
            file = _as_it_is(landed)
            content = file.member.content_sha256 if file.member else hash_of(file.path)
            if content == each.content_sha256:
                if file.merged:
                    of_merged.setdefault(file.merged, []).append((file, table, each))
                else:
                    announce = _announce_lines(places, journal, each)
                    emptied[each.file_id] = empty_lines(file, table, each.spans, announce)
            elif content in _noted(journal, each.content_sha256):
                emptied[each.file_id] = (
                    read_emptied(file, table)
                    if file.member
                    else empty_lines(file, table, [], lambda sha256: None)
                )
                if f"{each.content_sha256} {each.source_file}" not in journal.files:
                    _announce_lines(places, journal, each)(content)
    for path, found in of_merged.items():
        rewritten = empty_members(
            path,
            [
                (file, table, each.spans, _announce_lines(places, journal, each))
                for file, table, each in found
            ],
        )
        emptied |= {each.file_id: new for (_, _, each), new in zip(found, rewritten, strict=True)}
    return emptied


def _noted(journal: Journal, before: str) -> set[str]:
    """Return what a content has become, by any name: links may give a file several."""
    return {after for key, after in journal.files.items() if key.startswith(f"{before} ")}


def _as_it_is(file: LandingFile) -> LandingFile:
    """Return a landed file that may have been written under another name since it was found."""
    return file if file.merged else replace(file, signature=file_at(file.path).signature)


def _announce_lines(places: Places, journal: Journal, lines: FileLines) -> Callable[[str], None]:
    return _announce(places, journal, lines.source_file, lines.content_sha256 or "", len(lines.spans))


def _announce(places: Places, journal: Journal, name: str, before: str, rows: int) -> Callable[[str], None]:
    """Return what notes the hash of a file without the lines that go, before it takes the old one's place.

    Args:
        places: of the project.
        journal: of the erasure.
        name: of the landed file.
        before: its SHA-256 until now.
        rows: how many go.
    """

    def announce(sha256: str) -> None:
        journal.files[f"{before} {name}"] = sha256
        journal.keep(places.warehouse)
        note_rewritten(places.ledger, name, before, sha256)
        ERASED_FILES.write(
            places.ledger,
            [
                {
                    "erasure_id": journal.erasure_id,
                    "source_file": name,
                    "sha256_before": before,
                    "sha256_after": sha256,
                    "row_count": rows,
                    "erased_at": now(),
                }
            ],
        )

    return announce


def _landed_files(places: Places) -> dict[str, list[LandingFile]]:
    """Return the landed files by name; of one, earlier versions may be in merged files."""
    found: dict[str, list[LandingFile]] = {}
    try:
        remove_leftovers(places.landing)
        for file in discover(places.landing):
            if not file.fault:
                found.setdefault(file.name, []).append(file)
    except LandingFolderMissing:
        pass
    return found


def _build(places: Places, display: Display) -> str:
    """Build everything from what is left.

    Raises:
        Fault: a test failed, so that readers have not all of it.
    """
    options = Options(full_refresh=True)
    report = run_recorded(options, places, read_inputs(places), None, display)
    withheld = report.withheld or report.online_fault
    if report.failed or withheld or not (report.is_searched and report.are_roles_applied):
        raise Fault(
            "What goes is removed, but not everything could be built anew: "
            f"{withheld or 'something failed'}. To see why: assay runs show {report.run.run_id}. "
            "The next build that passes ends the erasure."
        )
    return report.run.run_id


def _record(places: Places, journal: Journal, run_id: str | None) -> None:
    ERASURES.write(
        places.ledger,
        [
            {
                "erasure_id": journal.erasure_id,
                "warehouse": str(places.warehouse),
                "entity": journal.removed.subject,
                "who": journal.who,
                "reason": journal.reason,
                "started_at": journal.started_at,
                "ended_at": now() if run_id else None,
                "run_id": run_id,
                "row_count": journal.rows,
                "file_count": len(journal.files),
            }
        ],
    )


def parsed() -> Manifest:
    """Return the project as dbt has parsed it.

    Raises:
        Fault: it has not yet.
    """
    if manifest := read_manifest():
        return manifest
    raise Fault("dbt has not parsed this project yet, so nobody can tell what rests on its rows: assay build")


@contextmanager
def opened_warehouse(places: Places) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse to read.

    Raises:
        Fault: there is none, or another program has it open.
    """
    if not places.warehouse.is_file():
        raise Fault(f"Nothing is built yet in {places.warehouse.parent}. To build: assay build")
    try:
        connection = connect(places.warehouse)
    except duckdb.Error as error:
        raise known_fault(error) or error from error
    with connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection
