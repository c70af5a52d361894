"""Merge landed files that are loaded into large ones, by the days on which they landed.

What is merged reads as before: names, lines, rows and counts stay, and nothing is loaded again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from assay.build.inputs import read_landed
from assay.build.state import read_state, write_state
from assay.console.progress import Display
from assay.core.disk import sync
from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.moment import now
from assay.core.places import Places, landing_url
from assay.core.words import counted
from assay.erasure.journal import journal_file
from assay.erasure.locked import lock_for_erasure
from assay.landing.declared import LandingTable, declared_tables
from assay.landing.discover import LandingFile, UnreadableFile, discover, members_of
from assay.landing.dlt_layout import completed_loads
from assay.landing.formats.encoding import line_encoding
from assay.landing.member import MERGED, Member
from assay.landing.merged import (
    COMPRESSION_LEVEL,
    MergedFile,
    MergedWriter,
    find_merged,
    open_member,
    read_merged,
    unpacked,
)
from assay.landing.segments import segment_of
from assay.ledger.merges import MERGED_FILES
from assay.ledger.rollbacks import whoever_asks
from assay.project.paths import all_model_paths
from assay.project.warehouse import connect

_COMMAND = "assay land compact"
_SAMPLED_FILES, _SAMPLED_BYTES = 8, 4 << 20


@dataclass(frozen=True)
class Sizes:
    """Sizes in bytes: a merged file is ended once it has `least`; files that are larger than `most` stay."""

    least: int = 128 << 20
    most: int = 1 << 30


@dataclass(frozen=True)
class CompactedTable:
    """What is merged of a landing table, or would be.

    Attributes:
        table: `source/table`.
        files: how many landed files are merged that were not before.
        size: the bytes that they take.
        again: merged files that are merged again, because they are small.
        written: the merged files that were written; none in a dry run.
        kept: names of loaded files that stay as they are, with the reason.
        estimate: about how many bytes the files would take, by a sample of them; None where it is not asked.
    """

    table: str
    files: int
    size: int
    again: int
    written: list[MergedFile] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    estimate: int | None = None


@dataclass(frozen=True)
class CompactedLanding:
    """What is merged of the landing zone; `is_done` is false in a dry run."""

    tables: list[CompactedTable]
    is_done: bool


@dataclass
class _Plan:
    """What to merge of a landing table: landed files and small merged ones, in the order of landing."""

    table: LandingTable
    folder: Path
    items: list[tuple[datetime, LandingFile | MergedFile]] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)

    def described(self, written: Iterable[MergedFile] = ()) -> CompactedTable:
        files = [item for _, item in self.items if isinstance(item, LandingFile)]
        return CompactedTable(
            f"{self.table.source}/{self.table.name}",
            len(files),
            sum(file.size for file in files),
            len(self.items) - len(files),
            list(written),
            self.kept,
        )


def plan_compaction(places: Places, sizes: Sizes, at: datetime) -> CompactedLanding:
    """Tell which landed files would be merged, and change nothing.

    Args:
        places: of the project.
        sizes: of merged files.
        at: now; files of its day stay, since more of them may land (UTC, naive).

    Raises:
        Fault: the landing zone lies in a bucket, or nothing is built.
    """
    plans = _plan(places, sizes, at)
    return CompactedLanding(
        [replace(plan.described(), estimate=_estimate(plan)) for plan in plans], is_done=False
    )


def compact_landing(places: Places, sizes: Sizes, *, wait: float, display: Display) -> CompactedLanding:
    """Merge landed files that are loaded. If this is killed, the next call goes on.

    Args:
        places: of the project.
        sizes: of merged files.
        wait: how long to wait for a build to end, in seconds.
        display: shows the progress.

    Raises:
        Fault: a build is under way, somebody is being forgotten, a file changes meanwhile, or the disk is
            full.
    """
    with lock_for_erasure(places, wait, display, command=_COMMAND):
        if journal_file(places.warehouse).exists():
            raise Fault("An erasure was begun and has not ended. To end it first: assay build")
        try:
            with _found_as_before(places):
                remove_leftovers(places.landing)
                plans = _plan(places, sizes, now())
                loaded = _loaded(places)
                tables = [
                    plan.described(_carry_out(plan, sizes, loaded, places.ledger, display)) for plan in plans
                ]
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            raise known_fault(error) or error from error
    return CompactedLanding(tables, is_done=True)


def remove_leftovers(landing: Path) -> None:
    """Remove what a merge that was killed had merged, and had not removed yet.

    Raises:
        OSError: a merged file cannot be read.
    """
    for folder in sorted(found.parent for found in landing.glob(f"*/*/{MERGED}")):
        for unfinished in (folder / MERGED).glob(".*.parquet"):
            unfinished.unlink()
        merged = [read_merged(path) for path in find_merged(folder)]
        for each in list(merged):
            others = [other for other in merged if other is not each]
            if any(each.keys() < other.keys() for other in others):
                each.path.unlink()
                sync(each.path.parent)
                merged.remove(each)
        held = set().union(*(each.keys() for each in merged))
        for name in {name for name, _ in held}:
            path = landing / name
            if path.is_file() and (name, _sha256_at(path)) in held:
                _remove([path], folder)


def _plan(places: Places, sizes: Sizes, at: datetime) -> list[_Plan]:
    if url := landing_url():
        raise Fault(
            f"The landing zone lies in {url}, whose objects stay as they are: files are merged in a folder.",
            MISUSED,
        )
    if sizes.least > sizes.most:
        raise Fault("The least size of merged files is above the largest one.", MISUSED)
    if not places.landing.is_dir():
        return []
    signatures = _signatures(places)
    plans = {
        place: _Plan(table, places.landing / table.source / table.name)
        for place, table in declared_tables(*all_model_paths()).items()
    }
    for file in discover(places.landing):
        plan = plans.get((file.source, file.table))
        if plan is None or file.fault or file.member or signatures.get(file.name) != file.signature:
            continue
        if plan.table.is_streamed and segment_of(file.name):
            # Streams read by these how far they came; `assay stream compact` merges them.
            continue
        try:
            landed_at = file.landed_at
        except UnreadableFile:
            continue
        if landed_at.date() >= at.date():
            continue
        if why := _why_not(file, places.landing, sizes):
            plan.kept.append((file.name, why))
        else:
            plan.items.append((landed_at, file))
    for plan in plans.values():
        for path in find_merged(plan.folder):
            merged = read_merged(path)
            if merged.size < sizes.least:
                first = min(file.landed_at for file in members_of(places.landing, path))
                plan.items.append((first, merged))
        plan.items.sort(key=lambda item: (item[0], _name_of(item[1])))
        if len(plan.items) == 1 and isinstance(plan.items[0][1], MergedFile):
            plan.items.clear()
    return [plan for plan in plans.values() if plan.items or plan.kept]


def _estimate(plan: _Plan) -> int:
    """Return about how many bytes the landed files of a table take when they are merged.

    Of some files, the beginning is packed.
    """
    files = [item for _, item in plan.items if isinstance(item, LandingFile)]
    before = after = 0
    for file in files[:: max(len(files) // _SAMPLED_FILES, 1)][:_SAMPLED_FILES]:
        with _opened(file) as stream, unpacked(stream, file.name) as content:
            plain = content.read(_SAMPLED_BYTES)
            # What was read ahead counts too, so that little files count whole.
            before += min(stream.tell(), file.size)
            after += len(pa.Codec("zstd", COMPRESSION_LEVEL).compress(plain, asbytes=True))
    return round(sum(file.size for file in files) * after / before) if before else 0


def _why_not(file: LandingFile, landing: Path, sizes: Sizes) -> str | None:
    """Return why a loaded file is not merged; None if it can be."""
    if file.path.resolve() != landing.resolve() / file.path.relative_to(landing):
        return "a link leads to it"
    if completed_loads(landing / file.source) is not None:
        return "dlt keeps account of it"
    if file.size > sizes.most:
        return "it is large by itself"
    return None


def _carry_out(
    plan: _Plan, sizes: Sizes, loaded: dict[tuple[str, str], int], ledger: Path, display: Display
) -> Iterator[MergedFile]:
    """Merge what is planned of a table, and yield the merged files.

    Args:
        plan: of the table.
        sizes: of merged files.
        loaded: the number of each loaded version of a file, by name and hash.
        ledger: the run ledger, which records what is merged.
        display: shows the progress.
    """
    items = [item for _, item in plan.items]
    done = 0
    while done < len(items):
        begun = done
        writer = MergedWriter(plan.folder)
        taken: list[LandingFile | MergedFile] = []
        try:
            while done < len(items) and (not taken or writer.size < sizes.least):
                if _add(writer, items[done], plan, loaded):
                    taken.append(items[done])
                done += 1
            if not taken or (len(taken) == 1 and isinstance(taken[0], MergedFile)):
                # Nothing but what is merged already.
                continue
            for item in taken:
                if isinstance(item, LandingFile) and item.has_changed():
                    raise _changed(item)
            merged = writer.close(partial(_name_recorded, plan, begun, done, ledger))
        finally:
            writer.give_up()
        # What could not be removed because of a kill is removed by the next call.
        _remove([item.path for item in taken if item.path != merged.path], plan.folder)
        display.say(
            f"{plan.table.source}/{plan.table.name}: {done:,} of {counted(len(items), 'file')} merged"
        )
        yield merged


def _add(
    writer: MergedWriter,
    item: LandingFile | MergedFile,
    plan: _Plan,
    loaded: dict[tuple[str, str], int],
) -> bool:
    """Add a landed file, or all that a merged one holds; tell whether it is added."""
    if isinstance(item, MergedFile):
        for member in item.members:
            with open_member(item.path, member) as content:
                writer.add(member, content)
        return True
    with _opened(item) as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        version = loaded.get((item.name, sha256))
        if version is None:
            plan.kept.append((item.name, "no build has loaded this version of it"))
            return False
        stream.seek(0)
        has_lines = _has_lines(item.name, plan.table)
        described = Member(item.name, sha256, "", item.size, item.modified, version, has_lines, 0, 0)
        with unpacked(stream, item.name) as content:
            writer.add(described, content)
    return True


def _opened(file: LandingFile) -> BufferedReader:
    try:
        return file.open()
    except UnreadableFile as error:
        raise _changed(file) from error


def _changed(file: LandingFile) -> Fault:
    return Fault(f"{file.name} changed meanwhile, and stays as it is. Try again: {_COMMAND}")


def _has_lines(name: str, table: LandingTable) -> bool:
    is_parquet = ".parquet" in name.lower().rpartition("/")[2]
    return not is_parquet and line_encoding(table) == table.dialect.encoding


def _name_recorded(plan: _Plan, begun: int, done: int, ledger: Path, written: MergedFile) -> str:
    """Return the name of a merged file, and record before it has it what it holds."""
    name = _file_name(plan, begun, done, written)
    path = f"{plan.table.source}/{plan.table.name}/{MERGED}/{name}"
    who, at = whoever_asks(), now()
    MERGED_FILES.write(
        ledger,
        [
            {
                "merged_file": path,
                "source_file": member.name,
                "content_sha256": member.content_sha256,
                "size_bytes": member.size,
                "who": who,
                "merged_at": at,
            }
            for member in written.members
        ],
    )
    return name


def _file_name(plan: _Plan, begun: int, done: int, written: MergedFile) -> str:
    """Return the name of a merged file: the days on which its files landed, and a hash of what it holds."""
    days = [f"{landed_at:%Y-%m-%d}" for landed_at, _ in (plan.items[begun], plan.items[done - 1])]
    digest = hashlib.sha256("\n".join(sorted(map(" ".join, written.keys()))).encode()).hexdigest()
    return f"{'_'.join(dict.fromkeys(days))}-{digest[:12]}.parquet"


def _remove(paths: Sequence[Path], table: Path) -> None:
    """Remove files that are merged, and the folders that they leave empty."""
    for path in paths:
        path.unlink(missing_ok=True)
    for folder in sorted({path.parent for path in paths}, reverse=True):
        sync(folder)
        with suppress(OSError):
            while folder not in (table, table / MERGED):
                folder.rmdir()
                folder = folder.parent


def _name_of(item: LandingFile | MergedFile) -> str:
    return item.name if isinstance(item, LandingFile) else item.path.name


def _signatures(places: Places) -> dict[str, str]:
    """Return the signature of each landed file whose content is loaded, by its name."""
    found = _ask(
        places,
        "select source_file, signature from landing.signatures "
        "where source_file in (select source_file from landing.files where status = 'loaded')",
    )
    return dict(found)


def _loaded(places: Places) -> dict[tuple[str, str], int]:
    found = _ask(
        places,
        "select source_file, content_sha256, file_version from landing.files "
        "where status = 'loaded' and content_sha256 is not null",
    )
    return {(name, sha256): version for name, sha256, version in found}


def _ask(places: Places, sql: str) -> list[tuple[Any, ...]]:
    """Ask the warehouse; nothing is found where nothing has landed.

    Raises:
        Fault: nothing is built, or another program has the warehouse open.
    """
    if not places.warehouse.is_file():
        raise Fault(
            f"Nothing is built yet in {places.warehouse.parent}, and only files that are loaded are merged. "
            "To build: assay build"
        )
    try:
        with connect(places.warehouse) as connection:
            return connection.execute(sql).fetchall()
    except duckdb.CatalogException:
        return []
    except duckdb.Error as error:
        raise known_fault(error) or error from error


@contextmanager
def _found_as_before(places: Places) -> Iterator[None]:
    """Let the next build find the landing zone as it was left: merged files hold what was there."""
    state = read_state(places.warehouse)
    is_as_left = state is not None and state.inputs.landed == read_landed(places.landing)
    yield
    if state and is_as_left:
        inputs = replace(state.inputs, landed=read_landed(places.landing))
        write_state(places.warehouse, replace(state, inputs=inputs))


def _sha256_at(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
