"""Score models by a function of the project, on files of rows; run as a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

FILES = ("before.parquet", "after.parquet")
SCORES = "scores.json"


def score(script: str, function: str, *files: str) -> list[dict[str, float]]:
    """Return the scores for each file.

    Args:
        script: the Python file.
        function: its function, which takes the path of a Parquet file, and returns numbers by name.
        files: the rows of a training set each.

    Raises:
        Exception: whatever the script raises.
    """
    call = _load(script, function)
    return [{str(name): float(value) for name, value in call(Path(file)).items()} for file in files]


@cache
def _load(script: str, function: str) -> Callable[[Path], dict[str, Any]]:
    name = Path(script).stem
    spec = spec_from_file_location(name, script)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    # Data classes look up the module that they are of, and a script imports what lies beside it.
    sys.modules[name] = module
    sys.path.insert(0, str(Path(script).resolve().parent))
    spec.loader.exec_module(module)
    loaded: Callable[[Path], dict[str, Any]] = getattr(module, function)
    return loaded


if __name__ == "__main__":
    # What the script prints is its own: scores go to files, and why there are none.
    script, function, *folders = sys.argv[1:]
    for folder in map(Path, folders):
        try:
            found: object = score(script, function, *(str(folder / file) for file in FILES))
        except Exception as error:
            found = " ".join(f"{type(error).__name__}: {error}".split())
        (folder / SCORES).write_text(json.dumps(found))
