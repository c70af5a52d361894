"""The models and contracts of documents, as the example has them, for a project of one's own."""

from __future__ import annotations

import re
from pathlib import Path

from assay.contracts.contract import FOLDER
from assay.core.fault import MISUSED, Fault
from assay.documents.landed import SOURCE, TABLE
from assay.generate.product import with_groups
from assay.generate.write import write_all
from assay.landing.declared import declared_tables
from assay.project.packages import package_folder
from assay.project.paths import all_model_paths, own_models

_MODELS = ("bronze/docs/*", "silver/docs/*", "gold/documents/*")
_CONTRACTS = ("documents.odcs.yaml", "document_search.odcs.yaml")
_OWNER = re.compile(r"(owner: |team:\n  name: )support\b")


def add_documents(owner: str) -> list[Path]:
    """Write what loads documents, cuts them into chunks and embeds them, into the current project.

    Args:
        owner: who answers for the documents.

    Returns:
        The files, none of which was there before; none where the project loads documents already.

    Raises:
        Fault: one of them is there; then nothing is written.
    """
    if (SOURCE, TABLE) in declared_tables(*all_model_paths()):
        return []
    package = package_folder()
    example = package / "models" / "example"
    models = {
        own_models() / path.relative_to(example): _owned(path, owner)
        for pattern in _MODELS
        for path in sorted(example.glob(pattern))
        if path.is_file()
    }
    contracts = {
        Path(FOLDER, name): _owned(package / "contracts" / "example" / name, owner) for name in _CONTRACTS
    }
    if there := [str(path) for path in (*models, *contracts) if path.exists()]:
        raise Fault(f"{', '.join(there)} is there already: nothing is written.", MISUSED)
    files = models | with_groups(contracts)
    write_all(files)
    return list(files)


def _owned(path: Path, owner: str) -> str:
    return _OWNER.sub(lambda found: found[1] + owner, path.read_text(encoding="utf-8"))
