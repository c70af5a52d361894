"""Print API keys."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from assay.console.tables import table_titled
from assay.server.keys import EVERY, Key


def print_keys(keys: Sequence[Key], console: Console) -> None:
    """Print the keys, what they open, and whether they are valid."""
    table = table_titled("API keys (UTC)")
    for column in ("name", "state", "opens", "created", "expires"):
        table.add_column(column)
    for key in keys:
        tags = "" if EVERY in key.tags else f" with {' or '.join(key.tags)}"
        scopes = {
            "views": ", ".join(key.views),
            "predictions of": ", ".join(key.predictions),
            "documents of": ", ".join(key.sources) + tags,
            "experiments": ", ".join(key.experiments),
            "as the role": key.role,
        }
        opens = "\n".join(f"{what} {names}" for what, names in scopes.items() if names)
        expires = key.expires_at[:19] if key.expires_at else "never"
        told = (key.name, key.state, opens, key.created_at[:19], expires)
        table.add_row(*told)
    console.print(table)
