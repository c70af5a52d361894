"""A small project that loads documents, and nothing else."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from small_project import SmallProject, make_small_project


@dataclass(frozen=True)
class DocumentsProject(SmallProject):
    """The project; `land_documents` lands lines, as other systems do."""

    def land_documents(
        self, day: int, *documents: dict[str, Any] | str, name: str = "documents.jsonl"
    ) -> Path:
        """Land versions of documents on a day of March 2025; what a version does not say is made up."""
        path = self.landing / "docs" / "documents" / f"landed_at=2025-03-{day:02}T12-00-00" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        usual = {"source": "help", "tags": [], "updated_at": f"2025-03-{day:02}T10:00:00Z"}
        lines = [each if isinstance(each, str) else json.dumps(usual | each) for each in documents]
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def chunks(self, where: str = "valid_to > '9999-01-01'") -> list[tuple[str, int, str]]:
        """The chunks that stand, or others: document, number and text."""
        return self.query(
            f"select document_id, chunk_number, text from gold.doc_chunks where {where} order by all"
        )


def make_documents_project(root: Path) -> DocumentsProject:
    """Write the project to `root`; nothing is landed, and nothing built."""
    make_small_project(root)
    shutil.rmtree(root / "models" / "own")
    shutil.rmtree(root / "models" / "example")
    shutil.rmtree(root / "data" / "landing" / "erp")
    project = DocumentsProject(root)
    added = project.assay("documents", "add", "--owner", "support")
    assert added.exit_code == 0, added.stdout + added.stderr
    return project
