# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool skmsg``: the copy bits of sk_msg scatterlists."""

from __future__ import annotations

import click

from kprobe_tool.lazy import LazyGroup

COMMANDS = {
    "check": ("kprobe_tool.commands.skmsg.check", "Check that sk_msg elements keep their copy bits."),
    "watch": ("kprobe_tool.commands.skmsg.watch", "Watch messages and the copy bits of their elements."),
}
"""Name: (module with a ``command``, short help), for LazyGroup."""


@click.group(cls=LazyGroup, table=COMMANDS, short_help="Check or watch the copy bits of sk_msg elements.")
def command() -> None:
    """Check or watch the copy bits of sk_msg elements.

    A message on a socket with a BPF verdict program is a list of elements. A set copy bit keeps such a program from
    writing to an element's page, which may be the page cache of a file that the sender can only read.
    """
