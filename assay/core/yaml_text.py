"""Read YAML quickly."""

from __future__ import annotations

from typing import Any

import yaml

# The loader written in C takes a tenth of the time; a build of PyYAML without LibYAML lacks it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str) -> Any:
    """Return what a YAML text says; None if it is empty.

    Raises:
        yaml.YAMLError: the text is no YAML.
    """
    return yaml.load(text, _LOADER)
