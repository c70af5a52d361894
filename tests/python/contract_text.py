"""How a contract begins, for tests that say what follows."""

from __future__ import annotations


def contract(name: str, rest: str) -> str:
    """Return the text of a contract.

    Args:
        name: its id.
        rest: what it says of its tables, in YAML.
    """
    return (
        f"apiVersion: v3.1.0\nkind: DataContract\nid: {name}\nversion: 1.0.0\nstatus: active\n"
        f"team: {{name: us}}\n{rest}"
    )
