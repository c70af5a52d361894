"""The dataset card of an export: README.md, from which Hugging Face `datasets` takes columns and types."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import yaml

from assay.training.store import VersionManifest

# Those that `datasets` reads.
CARD_FORMATS = ("parquet", "csv", "jsonl", "arrow")

# The column that says what a row is for.
_SPLIT = "split"

_NAMES = {"float": "float32", "double": "float64", "date32[day]": "date32"}


def card(manifest: VersionManifest, schema: pa.Schema, format_name: str, split: str | None) -> str:
    """Write the card of a folder of shards.

    Without it, `datasets` takes types from the first rows of each shard: a column that is NULL in one shard
    alone cannot be loaded, an id of digits loses its zeros, and the text NA is NULL.

    Args:
        manifest: of the version that was exported.
        schema: of the rows.
        format_name: one of `CARD_FORMATS`, and the ending of the shards' names.
        split: the split that was exported, None for all rows.
    """
    # Without other word, `datasets` calls all rows train, those to test with as well.
    every = "all_splits" if _SPLIT in schema.names else "train"
    name = re.sub(r"\W", "_", split or every)
    config: dict[str, Any] = {
        "config_name": "default",
        "data_files": [{"split": name, "path": f"*.{format_name}"}],
    }
    if format_name == "csv":
        # Read as texts, which are then cast to the types of dataset_info.
        texts = [{"name": field.name, "dtype": "string"} for field in schema]
        config |= {"keep_default_na": False, "na_values": [""], "features": texts}
    features = [{"name": field.name, **_feature(field.type)} for field in schema]
    described = yaml.safe_dump(
        {"configs": [config], "dataset_info": {"features": features}}, sort_keys=False, allow_unicode=True
    )
    rows = f"Rows of split `{split}`" if split else "All rows"
    return f"""---
{described}---

# {manifest.version}

{rows} of a version of the training set `{manifest.name}`. `dataset_info.json` says what the columns mean, how
values are written, and what the files' hashes are.
"""


def _feature(kind: pa.DataType) -> dict[str, Any]:
    """Name an Arrow type as `datasets` does."""
    if pa.types.is_list(kind):
        item = _feature(kind.value_type)
        return {"list": item.get("dtype", item)}
    return {"dtype": _NAMES.get(str(kind), str(kind))}
