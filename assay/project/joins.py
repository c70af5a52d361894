"""Read which features a model joins: `point_in_time_join` writes them into its meta while dbt parses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# The key in `config.meta`, and the maximum age of features whose model sets none.
JOINED = "joined_features"
AGE_OF_VIEW = "of the view"


@dataclass(frozen=True)
class JoinedFeatures:
    """The features that a model joins from one history.

    `view` is None where the history is no feature view; `inputs` maps request inputs to the spine's columns;
    `max_age` is `AGE_OF_VIEW` where the model sets none.
    """

    view: str | None
    columns: list[str]
    derived: list[str]
    inputs: dict[str, str]
    prefix: str
    max_age: str | None
    confirmed_at: bool


def joined_features(node: dict[str, Any]) -> list[JoinedFeatures]:
    """Return the features that a node of dbt's manifest joins, in the order of its SQL."""
    return [JoinedFeatures(**each) for each in (node["config"].get("meta") or {}).get(JOINED, [])]
