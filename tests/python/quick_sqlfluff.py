"""sqlfluff as a script, in half of the time: each rule on layout makes the same map of a file anew.

All rules run, on the same tree.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import dbt_here  # noqa: F401
from sqlfluff.cli.commands import cli
from sqlfluff.core.parser import BaseSegment
from sqlfluff.utils.reflow.config import ReflowConfig
from sqlfluff.utils.reflow.depthmap import StackPosition
from sqlfluff.utils.reflow.sequence import ReflowSequence

_from_root = ReflowSequence.from_root.__func__  # type: ignore[attr-defined]
_from_step = StackPosition.from_path_step
_block_config = ReflowConfig.get_block_config
# Of the file at hand: a rule reads the map, and leaves it as it is where nothing is fixed.
_root: BaseSegment | None = None
_map: Any = None
_positions: dict[int, tuple[Any, StackPosition]] = {}
_configs: dict[frozenset[str], Any] = {}


def _mapped_once(kind: type[ReflowSequence], root: BaseSegment, config: Any) -> ReflowSequence:
    global _root, _map
    if root is not _root:
        _positions.clear()
        _configs.clear()
        if gc.get_count()[0] > 1_000_000:
            gc.collect()
        _root, _map = root, _from_root(kind, root, config)
    return kind(
        elements=[*_map.elements],
        root_segment=root,
        reflow_config=_map.reflow_config,
        depth_map=_map.depth_map,
    )


def _position_once(step: Any) -> StackPosition:
    """Where a segment stands in the one above it: the same for all that lie within it."""
    # Whoever keeps the step keeps its id from being given to another one.
    if (found := _positions.get(id(step))) is None:
        found = _positions[id(step)] = (step, _from_step(step))
    return found[1]


def _config_once(config: ReflowConfig, types: Any, depth_info: Any = None) -> Any:
    if depth_info:
        return _block_config(config, types, depth_info)
    key = frozenset(types)
    if (found := _configs.get(key)) is None:
        found = _configs[key] = _block_config(config, key)
    return found


@contextmanager
def quick() -> Iterator[None]:
    """Lint quickly, where nothing is fixed."""
    with (
        mock.patch.object(ReflowSequence, "from_root", classmethod(_mapped_once)),
        mock.patch.object(StackPosition, "from_path_step", _position_once),
        mock.patch.object(ReflowConfig, "get_block_config", _config_once),
    ):
        yield


if __name__ == "__main__":
    # Trees of segments are large, and to look through them for garbage takes longer than to make them.
    gc.disable()
    with quick():
        cli()
