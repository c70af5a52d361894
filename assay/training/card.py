"""Write the dataset card of an export: README.md, from which Hugging Face `datasets` reads the schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import yaml

from assay.core.words import listed
from assay.training.store import VersionManifest

# The formats that `datasets` reads.
CARD_FORMATS = ("parquet", "csv", "jsonl", "arrow")

_NAMES = {"float": "float32", "double": "float64", "date32[day]": "date32"}


def write_card(
    manifest: VersionManifest, schema: pa.Schema, format_name: str, parts: Mapping[str | None, str]
) -> str:
    """Write the card of a folder of shards.

    Without the card, `datasets` infers types from the first rows of each shard: a column that is all NULL in
    one shard cannot be loaded, an id of digits loses its leading zeros, and the text NA becomes NULL.

    Args:
        manifest: the manifest of the exported version.
        schema: the schema of the rows.
        format_name: one of `CARD_FORMATS`.
        parts: the pattern of the shards' names by split; None is the split of all rows.
    """
    # Without this entry, `datasets` would name all rows train, also those for tests.
    every = "all_splits" if manifest.splits else "train"
    config: dict[str, Any] = {
        "config_name": "default",
        "data_files": [
            {"split": re.sub(r"\W", "_", split or every), "path": path} for split, path in parts.items()
        ],
    }
    if format_name == "csv":
        # Read as texts, which `datasets` then casts to the types in dataset_info.
        texts = [{"name": field.name, "dtype": "string"} for field in schema]
        config |= {"keep_default_na": False, "na_values": [""], "features": texts}
    features = [{"name": field.name, **_feature(field.type)} for field in schema]
    described = yaml.safe_dump(
        {"configs": [config], "dataset_info": {"features": features}}, sort_keys=False, allow_unicode=True
    )
    splits = [f"`{split}`" for split in parts if split]
    rows = f"Rows of split {listed(splits, len(splits))}" if splits else "All rows"
    return f"""---
{described}---

# {manifest.version}

{rows} of a version of the training set `{manifest.name}`. `dataset_info.json` says what the columns mean, how
values are written, and what the files' hashes are.
"""


def _feature(kind: pa.DataType) -> dict[str, Any]:
    """Return the name that `datasets` gives to an Arrow type."""
    if pa.types.is_list(kind):
        if pa.types.is_struct(kind.value_type):
            return {"list": [{"name": field.name, **_feature(field.type)} for field in kind.value_type]}
        item = _feature(kind.value_type)
        return {"list": item.get("dtype", item)}
    return {"dtype": _NAMES.get(str(kind), str(kind))}
