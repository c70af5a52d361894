"""Serve the entities by Feast, in its own Python: `online_feast.py FOLDER ENTITIES PORT`."""

import os
import sys
from datetime import timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, String

VIEW = "features"
_SETTINGS = """
project: bench
registry: registry.db
provider: local
online_store: {type: sqlite, path: online.db}
offline_store: {type: file}
entity_key_serialization_version: 3
"""


def make_store(folder: Path, entities: int) -> None:
    """Fill an online store in SQLite with entities of ten features."""
    folder.mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(_SETTINGS)
    rows = pd.DataFrame({"thing_id": [f"t{number}" for number in range(entities)]})
    types = {f"count_{number}": Int64 for number in range(5)} | {
        f"sum_{number}": Float64 for number in range(5)
    }
    for place, (name, kind) in enumerate(types.items()):
        scale = 1 if kind is Int64 else 100
        rows[name] = [(number * 7919 + place) % 1000 / scale for number in range(entities)]
        rows[name] = rows[name].astype("int64" if kind is Int64 else "float64")
    rows["event_timestamp"] = pd.Timestamp("2025-01-01", tz="UTC")
    rows.to_parquet(folder / "rows.parquet")
    thing = Entity(name="thing", join_keys=["thing_id"], value_type=ValueType.STRING)
    view = FeatureView(
        name=VIEW,
        entities=[thing],
        ttl=timedelta(0),
        schema=[Field(name="thing_id", dtype=String), *(Field(name=n, dtype=t) for n, t in types.items())],
        source=FileSource(path=str(folder / "rows.parquet"), timestamp_field="event_timestamp"),
    )
    store = FeatureStore(repo_path=str(folder))
    store.apply([thing, view])
    store.write_to_online_store(VIEW, rows)


if __name__ == "__main__":
    folder, entities, port = Path(sys.argv[1]).absolute(), int(sys.argv[2]), sys.argv[3]
    make_store(folder, entities)
    feast = str(Path(sys.executable).with_name("feast"))
    os.execv(feast, [feast, "-c", str(folder), "serve", "-h", "127.0.0.1", "-p", port, "--no-access-log"])
