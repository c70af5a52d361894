"""The models and contracts of documents, for a project of one's own."""

from __future__ import annotations

from pathlib import Path

from assay.contracts.contract import FOLDER
from assay.core.fault import MISUSED, Fault
from assay.documents.landed import SOURCE, TABLE
from assay.generate.product import with_groups
from assay.generate.write import write_all
from assay.landing.declared import declared_tables
from assay.project.paths import all_model_paths, own_models

_TEMPLATE = Path(__file__).with_name("documents_template")
# Python models are no modules of Assay.
_PYTHON = ".template"
_OWNER = "OWNER"


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
    models, contracts = (
        {
            folder / str(path.relative_to(_TEMPLATE / part)).removesuffix(_PYTHON): path.read_text(
                encoding="utf-8"
            ).replace(_OWNER, owner)
            for path in sorted((_TEMPLATE / part).rglob("*"))
            if path.is_file()
        }
        for part, folder in (("models", own_models()), ("contracts", Path(FOLDER)))
    )
    if there := [str(path) for path in (*models, *contracts) if path.exists()]:
        raise Fault(f"{', '.join(there)} is there already: nothing is written.", MISUSED)
    files = models | with_groups(contracts)
    write_all(files)
    return list(files)
