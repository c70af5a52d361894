"""Score a model by a function of the project, on each of some files of rows; run as a process of its own."""

from __future__ import annotations

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path


def score(script: str, function: str, *files: str) -> list[dict[str, float]]:
    """Return the scores for each file.

    Args:
        script: the Python file.
        function: its function, which takes the path of a Parquet file, and returns numbers by name.
        files: the rows of a training set each.

    Raises:
        Exception: whatever the script raises.
    """
    name = Path(script).stem
    spec = spec_from_file_location(name, script)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    # Data classes look up the module that they are of, and a script imports what lies beside it.
    sys.modules[name] = module
    sys.path.insert(0, str(Path(script).resolve().parent))
    spec.loader.exec_module(module)
    found = []
    for file in files:
        scores = getattr(module, function)(Path(file))
        found.append({str(name): float(value) for name, value in scores.items()})
    return found


if __name__ == "__main__":
    # What the script prints is its own.
    script, function, out, *files = sys.argv[1:]
    try:
        Path(out).write_text(json.dumps(score(script, function, *files)))
    except Exception as error:
        sys.exit(" ".join(f"{type(error).__name__}: {error}".split()))
