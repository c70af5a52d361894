"""Spare Typer, in the process of the tests, making all commands anew for each that is called."""

from __future__ import annotations

from functools import cache

from typer import testing

testing._get_command = cache(testing._get_command)  # type: ignore[attr-defined]
