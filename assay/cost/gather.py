"""Gather what a project's sources, tables, views and files cost."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from assay.bucket.bucket import Bucket
from assay.build.publications import find_kept
from assay.core.fault import Fault, known_fault
from assay.core.moment import now
from assay.core.places import BUCKETS, Places, cold_url, named_cold_folder
from assay.core.words import counted
from assay.cost.found import (
    FEATURE_VIEW,
    FILE,
    RECORDED,
    SOURCE,
    TABLE,
    TRAINING_SET,
    VIEW,
    CostReport,
    Costs,
    Gathered,
)
from assay.cost.prices import TIERS, Prices, read_prices
from assay.cost.reads import Records, read_records
from assay.cost.retention import Saving, find_savings, read_keep
from assay.cost.tables import read_sizes
from assay.erasure.compact import CompactedTable, Sizes, plan_compaction
from assay.landing.discover import LandingFolderMissing, discover
from assay.ledger.nodes import read_first_built, read_seconds
from assay.online.stores.open import store_file, store_url
from assay.online.stores.shown_url import shown_url
from assay.online.stores.sqlite import SqliteStore
from assay.project.conventions import TABLES, is_feature_view, is_training_set, layer_of
from assay.project.lake import data_of, is_lake
from assay.project.project import Project
from assay.project.warehouse import connect, connect_published
from assay.training.store import Version, VersionStore

_SECONDS_COUNT_FOR = timedelta(days=30)
_UNREAD_FOR = timedelta(days=90)
_REST = "catalog and free room"
_OTHER_STEPS = "other steps of builds"


@dataclass(frozen=True)
class Declared:
    """What a project says of its tables.

    `kinds` and `tiers` are by relation (`schema.name`), `relations` by the name of the model. `sources` are
    the landing tables, by source and table name.
    """

    kinds: dict[str, str]
    tiers: dict[str, str]
    relations: dict[str, str]
    sources: list[tuple[str, str]]


def read_declared(project: Project) -> Declared:
    """Return what a project says of its tables."""
    nodes = [node for node in project.nodes.values() if node.resource_type in TABLES]
    relations = {node.name: f"{node.schema}.{node.alias}" for node in nodes}
    return Declared(
        kinds={
            relations[node.name]: FEATURE_VIEW if is_feature_view(node) else TRAINING_SET
            for node in nodes
            if is_feature_view(node) or is_training_set(node)
        },
        tiers={relations[node.name]: layer_of(node) or "other" for node in nodes},
        relations=relations,
        sources=sorted(project.landing_tables),
    )


def find_costs(
    places: Places, declared: Declared, *, keep: str | None = None, tell: Callable[[str], None]
) -> CostReport:
    """Tell what a project costs, who reads it, and what a retention would save.

    What cannot be read is left out, and named among the problems; the rest is told.

    Args:
        places: of the project.
        declared: what the project says of its tables.
        keep: for how long landed data would be kept, such as `90d`; None asks for no savings.
        tell: called with messages about progress.

    Raises:
        Fault: `costs.yml` or `keep` is wrong, or another program keeps the run ledger open.
    """
    prices = read_prices()
    length = read_keep(keep) if keep is not None else None
    gathering = _Gathering(places, declared)
    tell("Counting landed files")
    landed = gathering.add_landed_files()
    tell("Counting the bytes of tables")
    gathering.add_cold_files()
    gathering.add_warehouse()
    gathering.add_published()
    gathering.add_online()
    gathering.add_versions()
    with gathering.leaving_out("Some files beside the warehouse"):
        gathering.add_files()
    gathering.add_seconds()
    records = gathering.note_reads()
    before = None if length is None else now() - length
    savings = None if before is None else gathering.find_savings(before, landed, prices)
    merging = None if before is None else gathering.find_merging()
    built = read_first_built(places.ledger, str(places.warehouse))
    return replace(_make_report(gathering, records, built, before, savings, prices), merging=merging)


class _Gathering:
    """What was found until now."""

    def __init__(self, places: Places, declared: Declared) -> None:
        self.costs = Gathered()
        self.problems: list[str] = []
        self.versions: list[Version] = []
        # The tables of the warehouse that hold what landed.
        self._there: set[str] = set()
        self._places = places
        self._declared = declared
        self._landed_tables = {f"landing.{'__'.join(source)}": source for source in declared.sources}

    def _of_relation(self, relation: str, kind: str = TABLE) -> Costs:
        if relation in self._landed_tables:
            return self.costs.thing(".".join(self._landed_tables[relation]), SOURCE)
        return self.costs.thing(relation, self._declared.kinds.get(relation, kind))

    def _of_model(self, name: str, kind: str) -> Costs:
        return self._of_relation(self._declared.relations.get(name, name), kind)

    @contextmanager
    def leaving_out(self, what: str) -> Iterator[None]:
        """Note what cannot be read instead of raising."""
        try:
            yield
        except (duckdb.Error, Fault, OSError) as error:
            self.problems.append(f"{what}: not known. {known_fault(error) or error}")

    def add_landed_files(self) -> dict[str, int]:
        """Add the files of the landing zone; return their bytes by name."""
        sizes: dict[str, int] = {}
        for source, name in self._declared.sources:
            self.costs.thing(f"{source}.{name}", SOURCE).add("landing", 0)
        with self.leaving_out("The landing zone"):
            try:
                for file in discover(self._places.landing):
                    if (file.source, file.table) in self._declared.sources:
                        costs = self.costs.thing(f"{file.source}.{file.table}", SOURCE)
                    else:
                        costs = self.costs.thing("other landed files", FILE)
                    costs.add("landing", file.stored_size)
                    sizes[file.name] = sizes.get(file.name, 0) + file.stored_size
            except LandingFolderMissing:
                pass
        return sizes

    def add_cold_files(self) -> None:
        """Add the landed files that moved to a folder or a bucket because they were too old."""
        with self.leaving_out("Landed files that moved"):
            for source, name, size in _cold_sizes():
                if (source, name) in self._declared.sources:
                    costs = self.costs.thing(f"{source}.{name}", SOURCE)
                else:
                    costs = self.costs.thing("other landed files", FILE)
                costs.add("cold", size)

    def add_warehouse(self) -> None:
        """Add the tables and views of the warehouse."""
        file = self._places.warehouse
        if not file.is_file():
            return
        with self.leaving_out(f"The tables of {file}"):
            with connect(file) as connection:
                sizes = read_sizes(connection)
            self._there = {each.relation for each in sizes} & self._landed_tables.keys()
            for each in sizes:
                # What landed as text is bronze; models of bronze are views of it.
                tier = "bronze" if each.relation in self._there else "other"
                costs = self._of_relation(each.relation, VIEW if each.is_view else TABLE)
                costs.add(self._declared.tiers.get(each.relation, tier), each.bytes)
            if is_lake(file):
                folder = data_of(file)
                now = sum(each.bytes or 0 for each in sizes)
                size = None if folder.startswith(BUCKETS) else max(_size(Path(folder)) - now, 0)
                self.costs.thing(f"{folder}: files of earlier snapshots", FILE).add("other", size)
            # The tables of a lake are not in its catalog.
            self._add_rest(file, "other", [] if is_lake(file) else [each.bytes for each in sizes])

    def add_published(self) -> None:
        """Add what readers have, with the publications that are kept and the files of roles."""
        file = self._places.published
        if not file.is_file():
            return
        with self.leaving_out(f"The tables of {file}"):
            with connect_published(file) as connection:
                sizes = read_sizes(connection)
            for each in sizes:
                self._of_relation(each.relation, VIEW if each.is_view else TABLE).add("published", each.bytes)
            self._add_rest(file, "published", [each.bytes for each in sizes])

    def _add_rest(self, file: Path, tier: str, sizes: list[int | None]) -> None:
        """Add what a file takes beside its tables; of a lake, all of its catalog."""
        rest = file.stat().st_size - sum(size or 0 for size in sizes)
        # Tables may share a block, which then counts for each.
        self.costs.thing(f"{file}: {_REST}", FILE).add(tier, max(rest, 0))

    def add_online(self) -> None:
        """Add what the views take in the online store, and the rest of its file."""
        url = store_url(None, self._places)
        file = store_file(url)
        if file is None:
            self.costs.thing(f"online store {shown_url(url)}", FILE).add("online", None)
            return
        if not file.is_file():
            return
        with self.leaving_out(f"The views in {file}"):
            sizes = SqliteStore(file).bytes_by_view()
            for view, size in sizes.items():
                self._of_model(view, FEATURE_VIEW).add("online", size)
            self._add_rest(file, "online", list(sizes.values()))

    def add_versions(self) -> None:
        """Add the versions of training sets."""
        with self.leaving_out("Versions of training sets"):
            self.versions = VersionStore(self._places).versions()
            for version in self.versions:
                self._of_model(version.manifest.name, TRAINING_SET).add("training", _size(version.folder))

    def add_files(self) -> None:
        """Add what lies beside warehouse and publication; a file that has two names counts once."""
        places = self._places
        main, published = places.main_warehouse, places.published
        seen = {_identity(file) for file in (main, published) if file.is_file()}
        pattern = f"{glob.escape(main.stem)}@*{main.suffix}"
        self._add_files("warehouses of earlier moments", "other", main.parent.glob(pattern), seen)
        self._add_files("index of documents", "search", places.search.parent.glob("search*.duckdb"), seen)
        self._add_files("other published files", "published", published.parent.glob("[!.]*"), seen)
        kept = [file for each in find_kept(published) for file in each.folder.iterdir()]
        self._add_files("kept publications", "kept", kept, seen)
        for folder in sorted(places.roles.glob("[!.]*")):
            self._add_files(f"files of role {folder.name}", "roles", folder.rglob("*"), seen)
        for file in (places.ledger, places.embeddings, places.ahead, main.with_name("stream.duckdb")):
            self._add_files(str(file), "other", [file], seen)
        self._add_files(str(places.serving), "other", places.serving.rglob("*"), seen)

    def _add_files(self, name: str, tier: str, files: Iterable[Path], seen: set[tuple[int, int]]) -> None:
        for file in files:
            if file.is_file() and not file.is_symlink() and _identity(file) not in seen:
                seen.add(_identity(file))
                self.costs.thing(name, FILE).add(tier, file.stat().st_size)

    def add_seconds(self) -> None:
        """Add how long builds of the last days took for each table."""
        since = now() - _SECONDS_COUNT_FOR
        for relation, seconds in read_seconds(
            self._places.ledger, str(self._places.warehouse), since
        ).items():
            # A test of a column names the column too; what several tables share is nobody's own.
            own = ".".join(relation.split(".")[:2])
            is_own = "," not in relation and own in self._declared.tiers
            costs = self._of_relation(own) if is_own else self.costs.thing(_OTHER_STEPS, "builds")
            costs.seconds = (costs.seconds or 0.0) + seconds

    def note_reads(self) -> Records:
        """Note who reads feature views and training sets, and return all that is recorded."""
        records = Records()
        with self.leaving_out("Who reads online views"):
            records = read_records(self._places.serving, self.versions)
        if records.unreadable:
            lines = counted(records.unreadable, "line")
            self.problems.append(f"{self._places.serving}: {lines} of the audit log cannot be read.")
        for relation, kind in self._declared.kinds.items():
            self._of_relation(relation, kind).readers = []
        for name, reads in records.by_name.items():
            if name in self._declared.relations:
                costs = self._of_model(name, FEATURE_VIEW)
                costs.readers, costs.last_read_at = reads.readers, reads.last_at
        return records

    def find_savings(
        self, before: datetime, landed: dict[str, int], prices: Prices | None
    ) -> list[Saving] | None:
        """Return what would be saved without what landed before a moment; None if nobody can tell."""
        file, found = self._places.warehouse, None
        if not file.is_file():
            return []
        with self.leaving_out("What a retention would save"), connect(file) as connection:
            sources = {
                source: self.costs.thing(".".join(source), SOURCE).bytes.get("bronze")
                for relation, source in self._landed_tables.items()
                if relation in self._there
            }
            found = find_savings(connection, before, sources, landed)
        if found is None or prices is None:
            return found
        return [
            replace(
                each,
                money_month=prices.of_storage({"landing": each.landed_bytes, "bronze": each.bronze_bytes}),
            )
            for each in found
        ]

    def find_merging(self) -> list[CompactedTable] | None:
        """Return what merging landed files would save; None if nobody can tell."""
        if not self._places.warehouse.is_file():
            return []
        with self.leaving_out("What merging landed files would save"):
            return plan_compaction(self._places, Sizes(), now()).tables
        return None


def _make_report(
    gathering: _Gathering,
    records: Records,
    built: dict[str, datetime],
    before: datetime | None,
    savings: list[Saving] | None,
    prices: Prices | None,
) -> CostReport:
    things = gathering.costs.things()
    totals = {tier: sum(each.bytes.get(tier) or 0 for each in things) for tier in TIERS}
    if prices:
        for each in things:
            each.storage_money = prices.of_storage(each.bytes)
            each.build_money = prices.of_building(each.seconds)
    unread_since = now() - _UNREAD_FOR
    unread = [
        each.name
        for each in things
        if each.kind in RECORDED and (each.last_read_at is None or each.last_read_at < unread_since)
    ]
    # Nobody could have read for so long what is not that old.
    too_new = [name for name in unread if name in built and built[name] > unread_since]
    return CostReport(
        things=things,
        bytes=totals,
        seconds_since=now() - _SECONDS_COUNT_FOR,
        unread=[name for name in unread if name not in too_new],
        unread_since=unread_since,
        too_new=too_new,
        log_begins_at=records.begin_at,
        savings_before=before,
        savings=savings,
        currency=prices.currency if prices else None,
        storage_money={tier: prices.of_storage({tier: size}) or 0.0 for tier, size in totals.items()}
        if prices
        else None,
        problems=gathering.problems,
    )


def _cold_sizes() -> Iterator[tuple[str, str, int]]:
    """Yield source, table and bytes of each landed file that moved; none without a place for them.

    Raises:
        Fault: the folder is missing, or the bucket cannot be read.
        OSError: the folder cannot be read.
    """
    folder = named_cold_folder()
    if url := cold_url():
        for found in Bucket(url).list():
            source, name, *rest = [*found.key.split("/"), ""]
            yield *((source, name) if len(rest) > 1 else ("", "")), found.size
    elif folder and not folder.is_dir():
        raise Fault(f"{folder} is no folder: mount its disk.")
    elif folder:
        for file in discover(folder):
            yield file.source, file.table, file.stored_size


def _identity(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_dev, found.st_ino


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
