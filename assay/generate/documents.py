"""The models and contracts of documents, as the example has them, for a project of one's own."""

from __future__ import annotations

import re
from pathlib import Path

from assay.contracts.contract import FOLDER
from assay.core.fault import MISUSED, Fault
from assay.generate.write import find_differing, write_all
from assay.project.packages import package_folder
from assay.project.paths import own_models

_MODELS = ("bronze/*docs*", "silver/docs/*", "gold/documents/*")
_CONTRACTS = ("documents.odcs.yaml", "document_search.odcs.yaml")
_OWNER = re.compile(r"((?:owner: |owner: \{name: |team:\n  name: ))support\b")


def add_documents(owner: str) -> list[Path]:
    """Write what loads documents, cuts them into chunks and embeds them, into the current project.

    Args:
        owner: who answers for the documents.

    Returns:
        The files, none of which was there before.

    Raises:
        Fault: one of them is there and holds something else; then nothing is written.
    """
    package = package_folder()
    example, models = package / "models" / "example", own_models()
    sources = {
        models / path.relative_to(example): path
        for pattern in _MODELS
        for path in sorted(example.glob(pattern))
    }
    sources |= {Path(FOLDER, name): package / "contracts" / "example" / name for name in _CONTRACTS}
    files = {
        target: _OWNER.sub(rf"\g<1>{owner}", source.read_text(encoding="utf-8"))
        for target, source in sources.items()
        if source.is_file()
    }
    if there := [str(path) for path in find_differing(files) if path.exists()]:
        raise Fault(f"{', '.join(there)} is there already: nothing is written.", MISUSED)
    missing = find_differing(files)
    write_all(missing)
    return list(missing)
