"""Write the YAML entry of a model: from its SQL, the warehouse, and the entry there is."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core.fault import MISUSED, Fault, unknown
from assay.features.columns import ModelColumn, columns_of, description_of, is_history
from assay.features.entry import Entry, View, complete_entry, find_entry
from assay.project.calls import entity_keys_in
from assay.project.conventions import is_feature_view
from assay.project.graph import parent_ids
from assay.project.project import Project
from assay.project.views import VALIDITY


@dataclass(frozen=True)
class Generated:
    """An entry, the file it belongs to, and where in it."""

    entry: str
    columns: int
    file: Path
    place: Entry

    @property
    def text(self) -> str:
        """The text of the file with the entry, which replaces the old one or comes last."""
        lines = _read(self.file).splitlines(keepends=True)
        place = slice(self.place.first, self.place.last)
        stands_alone = self.place.parts or lines[place.start - 1 :] == ["models:\n"]
        lines[place] = [self.entry] if stands_alone else ["\n", self.entry]
        return "".join(lines)

    def save(self) -> Path:
        """Write the entry to its file, and return the file."""
        self.file.write_text(self.text, encoding="utf-8")
        return self.file


def generate(project: Project, name: str) -> Generated:
    """Make the YAML entry of a model of the project in the current folder.

    Raises:
        Fault: there is no such model, or its columns cannot be found.
    """
    model = _model(name, project)
    file = _yaml_file(model)
    place = find_entry(_read(file), name)
    columns = columns_of(project, name)
    has_history = is_history(columns)
    if not has_history and (model.config.materialized == "history" or is_feature_view(model)):
        missing = ", ".join(sorted(set(VALIDITY[:3]) - {column.name for column in columns}))
        raise Fault(
            f"{name} is no history: it has no column {missing}. Feature views are "
            "made by windowed_history, change_history or snapshot_history."
        )
    reads = _reads(model, project)
    view = View(
        name=name,
        columns=columns,
        is_history=has_history,
        describe=lambda column: _described_by(column, reads, project),
        shield=lambda column: _shielded_by(column, reads, project),
        keys=entity_keys_in(model.raw_code) or (),
    )
    return Generated(complete_entry(place, view), len(columns), file, place)


def entry_of_new(
    project: Project,
    entry: dict[str, Any],
    folder: Path,
    columns: Sequence[ModelColumn],
    reads: Sequence[Any],
    *,
    descriptions: Mapping[str, str],
    personal: Mapping[str, str],
    required: Collection[str],
) -> Generated:
    """Make the YAML entry of a model that is not written yet.

    Args:
        project: of the current folder.
        entry: what it says; columns are completed.
        folder: of the model.
        columns: of the model.
        reads: the models that it reads, whose columns are described already.
        descriptions: of columns that are not described by doc blocks, what it reads, or their names.
        personal: how columns are shielded that hold personal data under another name than in what it reads.
        required: columns that are never NULL.
    """
    name, file = entry["name"], folder / f"_{folder.name}__models.yml"
    place = find_entry(_read(file), name)
    view = View(
        name=name,
        columns=columns,
        is_history=is_history(columns),
        describe=lambda column: descriptions.get(column) or _described_by(column, reads, project),
        shield=lambda column: personal.get(column) or _shielded_by(column, reads, project),
        required=required,
    )
    return Generated(complete_entry(place.saying(entry), view), len(columns), file, place)


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
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    text = text if text.endswith("\n") or not text else f"{text}\n"
    return text if re.search("^models:", text, re.MULTILINE) else f"{text}models:\n"


def _described_by(column: str, reads: Sequence[Any], project: Project) -> str:
    """Describe a column by the doc block of its name, else as what the model reads does, else by its name."""
    if column in project.doc_blocks:
        return f"{{{{ doc('{column}') }}}}"
    inherited = [each.description for each in _inherited(column, reads)]
    return " ".join(next(filter(None, inherited), description_of(column)).split())


def _shielded_by(column: str, reads: Sequence[Any], project: Project) -> str | None:
    """Return what is declared of a column that is personal data in what the model reads."""
    shields = (project.shields.of(column, node) for node in reads if column in node.columns)
    return next(filter(None, shields), None)


def _inherited(column: str, reads: Sequence[Any]) -> list[Any]:
    """Return the columns of that name in what the model reads."""
    return [node.columns[column] for node in reads if column in node.columns]


def _reads(model: Any, project: Project) -> list[Any]:
    return [parent for parent in project.models if parent.unique_id in parent_ids(model)]
