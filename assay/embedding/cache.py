"""Keep vectors by text and model, so that each text is embedded once, also if a build is stopped."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assay.core.disk import make_private, sync
from assay.core.fault import Fault
from assay.embedding.vectors import TextFault

if TYPE_CHECKING:
    from assay.embedding.maker import Maker
    from assay.embedding.vectors import Vectors

# Texts that are lost, and embedded again, if the process ends.
_BATCH = 256
_SECONDS_FOR_OTHERS = 60.0
_TABLE = """
create table if not exists vectors (
    model blob not null, text_hash blob not null, vector blob not null, primary key (model, text_hash)
) without rowid
"""


@dataclass
class Embedded:
    """What became of texts.

    Attributes:
        vectors: one for each text; zeros where there is a problem.
        problems: why a text has no vector, by its place among the texts.
        hits: how many vectors were there already.
        made: how many were made now; a text that stands twice is embedded once.
        truncated: how many of those are of texts of which the model took the begin only.
    """

    vectors: Vectors
    problems: dict[int, str] = field(default_factory=dict)
    hits: int = 0
    made: int = 0
    truncated: int = 0


class Cached:
    """A maker, and a file that keeps what it has made; vectors of other models are never used.

    Args:
        maker: makes what is not there.
        file: of SQLite; it is made if it is missing.
    """

    def __init__(self, maker: Maker, file: Path) -> None:
        self.maker = maker
        self._file = file

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return a vector for each text.

        Raises:
            TextFault: of a text no vector can be made.
            Fault: the model does not work, or the file cannot be used.
        """
        found = self.embed_each(texts)
        if found.problems:
            place, problem = min(found.problems.items())
            raise TextFault(f"Text {place + 1} of {len(texts)}: {problem}")
        return found.vectors

    def embed_each(self, texts: Sequence[str]) -> Embedded:
        """Embed those texts that can be, and tell why others cannot.

        Raises:
            Fault: the model does not work, or the file cannot be used. What was made before is kept.
        """
        import numpy as np

        places: dict[bytes, list[int]] = {}
        for place, text in enumerate(texts):
            places.setdefault(_hash(text), []).append(place)
        found = Embedded(np.zeros((len(texts), self.maker.dimension), np.float32))
        with self._opened() as connection:
            missing = []
            self._take_over(connection, places)
            for key, where in places.items():
                kept = self._kept(connection, key)
                if kept is None:
                    missing.append(key)
                else:
                    found.vectors[where] = kept
                    found.hits += len(where)
            for start in range(0, len(missing), _BATCH):
                batch = [(key, texts[places[key][0]]) for key in missing[start : start + _BATCH]]
                made = list(self._made(batch))
                with connection:
                    connection.executemany(
                        "insert or replace into vectors values (?, ?, ?)",
                        [
                            (self._model, key, vector.tobytes())
                            for key, vector, _ in made
                            if vector is not None
                        ],
                    )
                for key, vector, problem in made:
                    if vector is None:
                        found.problems |= dict.fromkeys(places[key], problem)
                    else:
                        found.vectors[places[key]] = vector
                        found.made += 1
                        found.truncated += self._is_truncated(texts[places[key][0]])
        return found

    @property
    def _model(self) -> bytes:
        return bytes.fromhex(self.maker.digest)

    def _take_over(self, connection: sqlite3.Connection, keys: Iterable[bytes]) -> None:
        """Copy vectors from the file before this one, where that is about to go."""
        former = former_file(self._file)
        if not former.is_file():
            return
        connection.execute("attach ? as former", [str(former)])
        with connection:
            connection.executemany(
                "insert or ignore into vectors "
                "select * from former.vectors where model = ? and text_hash = ?",
                [(self._model, key) for key in keys],
            )
        connection.execute("detach former")

    def _kept(self, connection: sqlite3.Connection, key: bytes) -> Vectors | None:
        import numpy as np

        row = connection.execute(
            "select vector from vectors where model = ? and text_hash = ?", [self._model, key]
        ).fetchone()
        return None if row is None else np.frombuffer(row[0], np.float32)

    def _made(self, batch: Sequence[tuple[bytes, str]]) -> Iterator[tuple[bytes, Vectors | None, str]]:
        """Yield the vector or the problem of each text; one that is unfit is found by halving."""
        try:
            vectors = self.maker.embed([text for _, text in batch])
        except TextFault as unfit:
            if len(batch) == 1:
                yield batch[0][0], None, str(unfit)
                return
            yield from self._made(batch[: len(batch) // 2])
            yield from self._made(batch[len(batch) // 2 :])
            return
        for (key, _), vector in zip(batch, vectors, strict=True):
            yield key, vector, ""

    def _is_truncated(self, text: str) -> bool:
        # A token is a byte at least.
        limit = self.maker.max_tokens
        return len(text.encode(errors="replace")) > limit and self.maker.count_tokens(text) > limit

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            make_private(self._file)
            connection = sqlite3.connect(self._file, timeout=_SECONDS_FOR_OTHERS)
            try:
                connection.execute(_TABLE)
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise Fault(
                f"{self._file}, which keeps embeddings, cannot be used ({error}). If it is damaged, delete "
                "it: what is missing is embedded again."
            ) from error


def begin_anew(file: Path) -> None:
    """Set a file of vectors aside: the new one takes over those of texts that are asked for, and no others.

    A second time changes nothing, until `remove_former`.

    Raises:
        OSError: it cannot be moved.
    """
    if file.is_file() and not former_file(file).exists():
        with closing(sqlite3.connect(file)) as connection:
            # What a process that was killed was writing is undone, by the name that the file still has.
            connection.execute("select count(*) from sqlite_master").fetchall()
        file.replace(former_file(file))
        sync(file.parent)


def remove_former(file: Path) -> None:
    """Remove the file of vectors that was set aside, with those of texts that nobody has asked for.

    Raises:
        OSError: it cannot be removed.
    """
    former_file(file).unlink(missing_ok=True)
    sync(file.parent)


def former_file(file: Path) -> Path:
    """Return where a file of vectors lies that was set aside."""
    return file.with_name(f"{file.name}.former")


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
