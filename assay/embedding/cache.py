"""Keep vectors by text and model, so that each text is embedded once, also if a build is stopped.

From a vector, something of its text can be found again. So vectors are encrypted where a key is set, and so
are the hashes of texts, since whoever guesses a text could look for it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assay.core.disk import sync
from assay.core.fault import Fault
from assay.core.sealed_file import SealedFile
from assay.embedding.vectors import TextFault

if TYPE_CHECKING:
    from assay.core.sealing import Seal
    from assay.embedding.maker import Maker
    from assay.embedding.vectors import Vectors

# Texts that are lost, and embedded again, if the process ends.
_BATCH = 256
_COLUMNS = (
    "(model blob not null, text_hash blob not null, vector blob not null, primary key (model, text_hash)) "
    "without rowid"
)
_TABLE = f"create table if not exists vectors {_COLUMNS}"


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
        self._sealed = sealed_vectors(file)

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
            with self._sealed.begin(connection, writes=False) as seal:
                for key, where in places.items():
                    kept = _find(connection, seal, self._model, key)
                    if kept is None:
                        missing.append(key)
                    else:
                        found.vectors[where] = np.frombuffer(kept, np.float32)
                        found.hits += len(where)
            for start in range(0, len(missing), _BATCH):
                batch = [(key, texts[places[key][0]]) for key in missing[start : start + _BATCH]]
                made = list(self._made(batch))
                new = ((key, vector.tobytes()) for key, vector, _ in made if vector is not None)
                with self._sealed.begin(connection, writes=True) as seal:
                    _add(connection, seal, self._model, new)
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
        former = sealed_vectors(former_file(self._file))
        if not former.file.is_file():
            return
        with former.open() as opened, former.begin(opened, writes=False) as its_seal:
            found = [(key, _find(opened, its_seal, self._model, key)) for key in keys]
        with self._sealed.begin(connection, writes=True) as seal:
            _add(connection, seal, self._model, ((key, kept) for key, kept in found if kept is not None))

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
            with self._sealed.open() as connection:
                yield connection
        except (sqlite3.Error, ValueError) as error:
            raise Fault(
                f"{self._file}, which keeps embeddings, cannot be used ({error}). If it is damaged, delete "
                "it: what is missing is embedded again."
            ) from error


def sealed_vectors(file: Path) -> SealedFile:
    """Return a file of vectors, which is encrypted if a key was set when it was made."""
    return SealedFile(file, "embeddings", (_TABLE,), _write_anew)


def _write_anew(connection: sqlite3.Connection, old: Seal | None, new: Seal) -> None:
    connection.execute(f"create table resealed {_COLUMNS}")
    for model, sealed_hash, sealed in connection.execute("select model, text_hash, vector from vectors"):
        key = old.open_name(sealed_hash, model) if old else sealed_hash
        vector = old.open_value(sealed, model + sealed_hash) if old else sealed
        connection.execute("insert into resealed values (?, ?, ?)", _row(new, model, key, vector))
    connection.execute("drop table vectors")
    connection.execute("alter table resealed rename to vectors")


def _find(connection: sqlite3.Connection, seal: Seal | None, model: bytes, key: bytes) -> bytes | None:
    stored = seal.seal_name(key, model) if seal else key
    row = connection.execute(
        "select vector from vectors where model = ? and text_hash = ?", [model, stored]
    ).fetchone()
    if row is None:
        return None
    return seal.open_value(row[0], model + stored) if seal else bytes(row[0])


def _add(
    connection: sqlite3.Connection, seal: Seal | None, model: bytes, vectors: Iterable[tuple[bytes, bytes]]
) -> None:
    connection.executemany(
        "insert or replace into vectors values (?, ?, ?)",
        (_row(seal, model, key, vector) for key, vector in vectors),
    )


def _row(seal: Seal | None, model: bytes, key: bytes, vector: bytes) -> tuple[bytes, bytes, bytes]:
    if seal is None:
        return model, key, vector
    stored = seal.seal_name(key, model)
    return model, stored, seal.seal_value(vector, model + stored)


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
