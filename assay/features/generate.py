"""Write the YAML entry of a model: from its SQL, the warehouse, and the entry there is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.fault import MISUSED, Fault, unknown
from assay.features.columns import columns_of, description_of, is_history
from assay.features.entry import Entry, View, complete_entry, find_entry
from assay.project.graph import parent_ids
from assay.project.personal import PII
from assay.project.project import Project
from assay.project.views import VALIDITY

_ASSAY = "assay"


@dataclass(frozen=True)
class Generated:
    """An entry, the file it belongs to, and where in it."""

    entry: str
    columns: int
    file: Path
    place: Entry

    def save(self) -> Path:
        """Put the entry into its file, in place of the old one or behind the others, and return the file."""
        lines = _read(self.file).splitlines(keepends=True)
        place = slice(self.place.first, self.place.last)
        stands_alone = self.place.parts or lines[place.start - 1 :] == ["models:\n"]
        lines[place] = [self.entry] if stands_alone else ["\n", self.entry]
        self.file.write_text("".join(lines))
        return self.file


def generate(project: Project, name: str) -> Generated:
    """Make the YAML entry of a model of the project in the current folder.

    Raises:
        Fault: it is none, or its columns cannot be told.
    """
    model = _model(name, project)
    file = _yaml_file(model)
    place = find_entry(_read(file), name)
    columns = columns_of(project, name)
    has_history = is_history(columns)
    if not has_history and (model.config.materialized == "history" or model.config.meta.get("feature_view")):
        missing = ", ".join(sorted(set(VALIDITY[:3]) - {column.name for column in columns}))
        raise Fault(
            f"{name} is no history: it has no column {missing}. Feature views are "
            "made by windowed_history, change_history or snapshot_history."
        )
    view = View(
        name=name,
        columns=columns,
        is_history=has_history,
        package="" if project.name == _ASSAY else f"{_ASSAY}.",
        describe=lambda column: _description(column, model, project),
        shield=lambda column: _shield(column, model, project),
    )
    return Generated(complete_entry(place, view), len(columns), file, place)


def _model(name: str, project: Project) -> Any:
    models = {model.name: model for model in project.models}
    if name not in models:
        raise Fault(unknown(f"There is no model {name} in this project", name, models), MISUSED)
    model = models[name]
    if model.package_name != project.name:
        raise Fault(
            f"{name} belongs to the package {model.package_name}: its YAML is written there.", MISUSED
        )
    if model.language != "sql":
        raise Fault(f"{name} is a {model.language} model, which cannot be under contract.", MISUSED)
    return model


def _yaml_file(model: Any) -> Path:
    """Return the file that describes a model, or would by the rule of `_<folder>__models.yml`."""
    if model.patch_path:
        return Path(model.patch_path.split("://")[1])
    folder = Path(model.original_file_path).parent
    return folder / f"_{folder.name}__models.yml"


def _read(file: Path) -> str:
    """Return what the file says, with a key for models at its end where it has none."""
    text = file.read_text() if file.exists() else ""
    text = text if text.endswith("\n") or not text else f"{text}\n"
    return text if re.search("^models:", text, re.MULTILINE) else f"{text}models:\n"


def _description(column: str, model: Any, project: Project) -> str:
    """Describe a column by the doc block of its name, else as what the model reads does, else by its name."""
    if column in project.doc_blocks:
        return f"{{{{ doc('{column}') }}}}"
    inherited = [each.description for each in _inherited(column, model, project)]
    return " ".join(next(filter(None, inherited), description_of(column)).split())


def _shield(column: str, model: Any, project: Project) -> str | None:
    """Return what is declared of a column that is personal data in what the model reads."""
    return next(
        filter(None, (each.config.meta.get(PII) for each in _inherited(column, model, project))), None
    )


def _inherited(column: str, model: Any, project: Project) -> list[Any]:
    """Return the columns of that name in what the model reads."""
    parents = [parent for parent in project.models if parent.unique_id in parent_ids(model)]
    return [parent.columns[column] for parent in parents if column in parent.columns]
