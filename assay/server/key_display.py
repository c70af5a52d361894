"""Print API keys."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from assay.console.tables import table_titled
from assay.server.keys import EVERY, Key


def print_keys(keys: Sequence[Key], console: Console) -> None:
    """Print the keys, what they are for, and whether they are valid."""
    table = table_titled("API keys (UTC)")
    for column in ("name", "state", "feature views", "predictions of", "documents of", "created", "expires"):
        table.add_column(column)
    for key in keys:
        expires = key.expires_at[:19] if key.expires_at else "never"
        scopes = [", ".join(scope) or "-" for scope in (key.views, key.predictions, key.sources)]
        if EVERY not in key.tags:
            scopes[-1] += f" with {' or '.join(key.tags)}"
        told = (key.name, key.state, *scopes, key.created_at[:19], expires)
        table.add_row(*map(escape, told))
    console.print(table)
