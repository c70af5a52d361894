"""What a model joins by `point_in_time_join`, which registers it in the model's meta while dbt parses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# The key in `config.meta`, and what stands for no age of one's own.
JOINED = "joined_features"
AGE_OF_VIEW = "of the view"


@dataclass(frozen=True)
class JoinedFeatures:
    """Features that a model takes from one history.

    `view` is None where the history is no feature view; `inputs` maps request inputs to the spine's columns;
    `max_age` is `AGE_OF_VIEW` where the model does not say one.
    """

    view: str | None
    columns: list[str]
    derived: list[str]
    inputs: dict[str, str]
    prefix: str
    max_age: str | None
    confirmed_at: bool


def joined_features(node: dict[str, Any]) -> list[JoinedFeatures]:
    """Return what a node of dbt's manifest joins, in the order of writing."""
    return [JoinedFeatures(**each) for each in (node["config"].get("meta") or {}).get(JOINED, [])]
