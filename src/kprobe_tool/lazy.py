# SPDX-License-Identifier: GPL-2.0-or-later
"""Groups of commands that are imported when one is called, not when they are listed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from kprobe_tool.names import did_you_mean


class LazyGroup(click.Group):
    """A group whose ``table`` names its commands: name: (module with a ``command``, short help).

    The help stands in the table so that --help imports none of them; a test holds it equal to the command's own.

    If the context's object is a list, the names of the commands that are called are added to it: whoever catches
    their errors has no context any more, and needs the names.
    """

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A group alone is wrong usage, told in one line; click's default is its whole help, on either stream.
        self.no_args_is_help = False
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module = self.table[cmd_name][0]
        command = import_module(module).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.command is no command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.table and not args[0].startswith("-"):
            hint = did_you_mean(args[0], self.table)
            raise click.UsageError(f"no such command '{args[0]}'" + (f"; {hint}" if hint else ""), ctx)
        name, command, rest = super().resolve_command(ctx, args)
        path = ctx.find_object(list)
        if path is not None and name is not None:
            path.append(name)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])


def examples(*lines: str) -> str:
    """The end of a command's help: command lines, of which a test runs each."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
