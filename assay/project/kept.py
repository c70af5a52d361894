"""Keep the project as dbt has parsed it, and read it again, without dbt, until a file of it changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from assay.core.disk import replace_private
from assay.core.places import find_target
from assay.project.code_files import Code

_FILE, _MANIFEST = "assay_parsed.json", "assay_manifest.json"
#: The manifest that dbt writes when it builds.
OF_BUILD = "manifest.json"


class Kept(dict[str, Any]):
    """A part of a kept manifest: its entries can be asked as attributes, as of dbt's own objects."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def to_dict(self) -> Kept:
        """Return it as it is, where dbt's own objects return such a dictionary."""
        return self


def read_kept(code: Code) -> tuple[Kept, Path] | None:
    """Return the manifest and the warehouse of a project; None if none is kept of the present files.

    Args:
        code: the project's files as they are.
    """
    try:
        told = json.loads((find_target() / _FILE).read_text())
        if told["code"] != [code.settings, code.nodes]:
            return None
        manifest: Kept = json.loads((find_target() / told["manifest"]).read_text(), object_hook=Kept)
        if manifest.metadata.invocation_id != told["invocation_id"]:
            return None
        return manifest, Path(told["warehouse"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def keep(code: Code, manifest: Any, warehouse: Path) -> None:
    """Keep what dbt has parsed of a project's files; a folder that cannot be written is let be.

    Args:
        code: the project's files before they were parsed.
        manifest: dbt's own.
        warehouse: the file that the project's profile names.
    """
    try:
        written = find_target() / _MANIFEST
        content = json.dumps(manifest.writable_manifest().to_dict(omit_none=False), default=str)
        replace_private(written, content.encode())
    except OSError:
        return
    point_to(code, written.name, manifest.metadata.invocation_id, warehouse)


def point_to(code: Code, name: str, invocation_id: str, warehouse: Path) -> None:
    """Note that a manifest in dbt's target folder is of some files of the project."""
    told = {
        "code": [code.settings, code.nodes],
        "manifest": name,
        "invocation_id": invocation_id,
        "warehouse": str(warehouse),
    }
    try:
        replace_private(find_target() / _FILE, json.dumps(told).encode())
    except OSError:
        return
