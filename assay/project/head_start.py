"""Keep what each process of dbt would make again: the parsed project, Jinja's code, its classes' schemas."""

from __future__ import annotations

import json
import marshal
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from types import CodeType
from typing import Any
from unittest import mock

from assay.core.disk import replace_private
from assay.core.pickled import keep_pickled, read_pickled
from assay.core.places import find_target

_PARSED, _MADE = "assay_parsed.pickle", "assay_made.marshal"
# Of dbt: what it has parsed of each file.
_PARTIAL = "partial_parse.msgpack"
# Texts that are no longer part of the project are dropped when so many are kept.
_MOST = 5000


def prepare_import() -> None:
    """Have dbt's classes compile their (de)serialising when it is first called: of most it never is."""
    from mashumaro.config import BaseConfig

    BaseConfig.lazy_compilation = True


def read_parsed(key: Sequence[str]) -> Any:
    """Return dbt's manifest as it was kept for a key; None if none is kept for it.

    Args:
        key: all that the manifest follows from: the project's folder, files, versions, environment variables.
    """
    prepare_import()
    parts = read_pickled(_PARSED, key)
    if parts is None:
        return None
    from dbt.contracts.graph.manifest import Manifest

    manifest: Any = Manifest(**parts)
    manifest.build_parent_and_child_maps()
    return manifest


def keep_parsed(key: Sequence[str], manifest: Any) -> None:
    """Keep dbt's manifest for the next process; a folder that cannot be written is let be."""
    # Pickled as a whole, dbt's class gives some of its private tables the names of others.
    parts = {each.name: getattr(manifest, each.name) for each in fields(manifest) if each.name[0] != "_"}
    keep_pickled(_PARSED, key, parts)


@contextmanager
def made_once() -> Iterator[None]:
    """Have dbt take the code of Jinja templates and the schemas of its classes from the last process."""
    from dbt_common.clients.jinja import MacroFuzzEnvironment
    from dbt_common.dataclass_schema import dbtClassMixin

    compile_, schema_of = MacroFuzzEnvironment.compile, dbtClassMixin.__dict__["json_schema"].__func__
    kept, schemas = _read_made()
    known = set(schemas)
    read: dict[str, Any] = {}
    used: dict[bytes, CodeType] = {}

    def compile_once(self: Any, source: Any, *arguments: Any, **options: Any) -> Any:
        if not isinstance(source, str):
            return compile_(self, source, *arguments, **options)
        key = sha256(f"{type(self).__name__} {arguments} {options} {source}".encode()).digest()
        used[key] = kept.get(key) or compile_(self, source, *arguments, **options)
        return used[key]

    def schema_once(of: type) -> Any:
        name = f"{of.__module__}.{of.__qualname__}"
        if name not in read:
            if name not in schemas:
                schemas[name] = json.dumps(schema_of(of))
            read[name] = json.loads(schemas[name])
        return read[name]

    with (
        mock.patch.object(MacroFuzzEnvironment, "compile", compile_once),
        mock.patch.object(dbtClassMixin, "json_schema", classmethod(schema_once)),
    ):
        yield
    if used.keys() - kept.keys() or schemas.keys() - known:
        _keep_made(used if len(kept) > _MOST else kept | used, schemas)


def take_head_start(target: Path) -> None:
    """Copy what helps dbt to parse another version of the project in the current folder.

    Args:
        target: dbt's target folder of that version.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in (_MADE, _PARTIAL):
        with suppress(OSError):
            shutil.copyfile(find_target() / name, target / name)


def _read_made() -> tuple[dict[bytes, CodeType], dict[str, str]]:
    """Return the kept codes, by a hash of their text, and the schemas as JSON, by the name of their class."""
    try:
        made_by, codes, schemas = marshal.loads((find_target() / _MADE).read_bytes())
    except (OSError, ValueError, EOFError, TypeError):
        return {}, {}
    return (codes, schemas) if made_by == _maker() else ({}, {})


def _keep_made(codes: dict[bytes, CodeType], schemas: dict[str, str]) -> None:
    with suppress(OSError):
        replace_private(find_target() / _MADE, marshal.dumps((_maker(), codes, schemas)))


def _maker() -> list[str]:
    names = ("jinja2", "mashumaro", "dbt-common", "dbt-adapters", "dbt-core", "dbt-duckdb")
    return [sys.version, *(f"{name} {version(name)}" for name in names)]
