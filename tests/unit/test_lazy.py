# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands that are imported when they are called."""

from collections.abc import Iterator

import click
import pytest

from kprobe_tool import cli
from kprobe_tool.lazy import LazyGroup


def commands_of(group: LazyGroup, *path: str) -> Iterator[tuple[str, ...]]:
    """The paths of all commands, those of the groups below included."""
    for name in group.table:
        yield (*path, name)
        command = group.get_command(click.Context(group), name)
        if isinstance(command, LazyGroup):
            yield from commands_of(command, *path, name)


assert isinstance(cli.cli, LazyGroup)
ALL_COMMANDS = list(commands_of(cli.cli))
of_commands = pytest.mark.parametrize("path", ALL_COMMANDS, ids=" ".join)


@of_commands
def test_short_help_is_the_command_s_own(path: tuple[str, ...]) -> None:
    group: click.Command | None = cli.cli
    for name in path:
        assert isinstance(group, LazyGroup)
        text = group.table[name][1]
        group = group.get_command(click.Context(group), name)
    assert group is not None
    # With click's own limit: completion shows what is longer cut, unless the command says itself what is short.
    assert group.get_short_help_str() == text


@of_commands
def test_each_command_has_help(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*path, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: kprobe-tool {' '.join(path)} ")
