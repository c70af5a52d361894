"""Refuse an option that stands twice though it takes one value: the first value would be dropped unsaid."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperOption


class EachOptionOnce(TyperCommand):
    """A command that takes each option once, those aside that take several values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of a command, as its base does.

        Raises:
            UsageError: an option of one value stands twice.
        """
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        seen = []
        for parameter in order:
            if isinstance(parameter, TyperOption) and not (parameter.multiple or parameter.is_flag):
                if parameter in seen:
                    ctx.fail(f"{parameter.opts[0]} stands twice, and takes one value: say all in one.")
                seen.append(parameter)
        return super().parse_args(ctx, args)


def take_each_option_once(group: typer.Typer) -> None:
    """Let all commands of a group, and of the groups in it, refuse an option that stands twice."""
    for command in group.registered_commands:
        command.cls = EachOptionOnce
    for inner in group.registered_groups:
        if inner.typer_instance:
            take_each_option_once(inner.typer_instance)
