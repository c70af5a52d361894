"""Classify the nodes of a dbt project by schema, name and `config.meta`: the only place that does so.

Each node gets `config.meta.assay` with its `layer` and its `kinds`, and with `reads` if it declares reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

LAYERS = ("bronze", "silver", "gold")
# The types of dbt's nodes that are tables or views.
TABLES = ("model", "seed", "snapshot")
TRAINING_SET, DIMENSION, MONITORING, SERVING = "trn_", "dim_", "mon_", "srv_"
CHECKED, REJECTED = "__checked", "__rejected"
# The tables of gold that are searched.
CHUNKS, EMBEDDINGS = "doc_chunks", "doc_embeddings"
# What every label has, beside its key.
LABEL_COLUMNS = ("prediction_at", "outcome", "outcome_known_at")
# Keys of `config.meta`.
STAMP, READS, MONITORED, CSV_FILE, AVAILABILITY = "assay", "reads", "monitored", "csv_file", "availability"
REFRESH, CORPUS, DISTRIBUTE_BY = "refresh", "corpus", "distribute_by"
# Keys of the stamp: whether metrics of experiments are made of a node, and experiments that a node judges.
MEASURED, EXPERIMENTS = "measured", "experiments"
# Of a training set: a Python file and its function that trains a model on the rows and says how good it is.
SCORE_WITH = "score_with"


def is_training_set(node: Any) -> bool:
    """Tell whether a node holds the rows that a model trains on."""
    return bool(node.resource_type == "model" and node.name.startswith(TRAINING_SET))


def is_corpus(node: Any) -> bool:
    """Tell whether a node holds texts that language models train on."""
    return bool(node.resource_type == "model" and node.config.meta.get(CORPUS) is not None)


def is_feature_view(node: Any) -> bool:
    """Tell whether a node is a feature view."""
    return bool(node.resource_type == "model" and node.config.meta.get("feature_view"))


def is_online(node: Any) -> bool:
    """Tell whether a node is a feature view that is served online."""
    return is_feature_view(node) and bool(node.config.meta["feature_view"].get("online"))


def is_label(node: Any) -> bool:
    """Tell whether a node holds the outcomes that models are to predict."""
    return bool(node.resource_type == "model" and node.config.meta.get("label"))


def is_checked(node: Any) -> bool:
    """Tell whether a node holds landed rows with the rules that they break."""
    return bool(node.resource_type == "model" and node.name.endswith(CHECKED))


def is_dimension(node: Any) -> bool:
    """Tell whether a node is a dimension: states of entities to which other tables refer by key."""
    return bool(node.resource_type == "model" and node.name.startswith(DIMENSION))


def is_monitored(node: Any) -> bool:
    """Tell whether a table is monitored: tables of silver and gold, without those that monitor or serve."""
    return bool(
        node.resource_type == "model"
        and layer_of(node) in ("silver", "gold")
        and not node.name.startswith((MONITORING, SERVING))
        and not node.name.endswith(REJECTED)
        and node.config.meta.get(MONITORED, True)
    )


def has_events(node: Any) -> bool:
    """Tell whether a node holds events: rows that silver kept, each with a time."""
    return (
        is_monitored(node)
        and layer_of(node) == "silver"
        and not is_checked(node)
        and "event_at" in node.columns
    )


def is_measured(node: Any) -> bool:
    """Tell whether a metric of an experiment is made of a node."""
    return bool((node.config.meta.get(STAMP) or {}).get(MEASURED))


def is_published(node: Any) -> bool:
    """Tell whether a node is a model of gold, which is published."""
    return bool(node.resource_type == "model" and layer_of(node) == "gold")


# The kinds of tables that a node may name under `config.meta.reads`.
KINDS: dict[str, Callable[[Any], bool]] = {
    "checked_rows": is_checked,
    "corpora": is_corpus,
    "dimensions": is_dimension,
    "events": has_events,
    "feature_views": is_feature_view,
    "gold": is_published,
    "labels": is_label,
    "measured": is_measured,
    "monitored": is_monitored,
    "online_views": is_online,
    "training_sets": is_training_set,
}


def layer_of(node: Any) -> str | None:
    """Return the layer of a node (of dbt, or of the manifest's file); None if it has no layer."""
    meta = node["config"].get("meta") if isinstance(node, dict) else node.config.meta
    return ((meta or {}).get(STAMP) or {}).get("layer")


def is_of_kind(node: dict[str, Any], kind: str) -> bool:
    """Tell whether `stamp_kinds` gave a kind to a node of the manifest's file."""
    return kind in (((node["config"].get("meta") or {}).get(STAMP) or {}).get("kinds") or [])


def product_of(node: dict[str, Any]) -> str:
    """Return the product that a node of gold in the manifest's file belongs to: its group, or itself."""
    return str(node["config"].get("group") or node["alias"])


def tables_of(node: Any) -> list[str]:
    """Return the tables that a model makes: its own, and for the catalog also those of the online views."""
    stamp = node.config.meta.get(STAMP) or {}
    return [str(node.alias), *(SERVING + view for view in (stamp.get(READS) or {}).get("online_views", []))]


def stamp_layer(node: Any, schemas: Mapping[str, str]) -> None:
    """Write a node's layer into its meta.

    Args:
        node: a model, seed or snapshot.
        schemas: the schema of every layer, as models declare it or as it is called in the warehouse.
    """
    own = (node.config.schema, node.schema)
    found = [layer for layer in LAYERS if own[0] == layer or schemas[layer] in own]
    if found:
        _stamp(node)["layer"] = found[0]


def stamp_kinds(node: Any) -> None:
    """Write a node's kinds into its meta; its layer must be there already."""
    _stamp(node)["kinds"] = [kind for kind, holds in KINDS.items() if holds(node)]


def stamp_measured(node: Any, *, measured: bool) -> None:
    """Write into a node's meta whether a metric of an experiment is made of it."""
    stamp = _stamp(node)
    stamp.pop(MEASURED, None)
    if measured:
        stamp[MEASURED] = True


def stamp_experiments(node: Any, experiments: Sequence[Mapping[str, Any]], problems: Sequence[str]) -> None:
    """Write into the meta of a node that judges experiments those that there are, and what is wrong."""
    _stamp(node)[EXPERIMENTS] = {"planned": list(experiments), "problems": list(problems)}


def stamp_reads(node: Any, reads: Mapping[str, list[str]]) -> None:
    """Write the names of the tables that a node reads, by kind, into its meta."""
    _stamp(node)[READS] = dict(reads)


def _stamp(node: Any) -> dict[str, Any]:
    stamp: dict[str, Any] = node.config.meta.setdefault(STAMP, {})
    return stamp
