# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool skmsg``: could BPF programs on sockets overwrite cached file pages?"""

from __future__ import annotations

import click

from kprobe_tool.lazy import LazyGroup, examples

COMMANDS = {
    "check": (
        "kprobe_tool.commands.skmsg.check",
        "Check this kernel, with sockets and BPF programs of the tool's own.",
    ),
    "watch": (
        "kprobe_tool.commands.skmsg.watch",
        "Watch this host for messages with file pages that could be overwritten.",
    ),
}
"""Name: (module with a ``command``, short help), for LazyGroup."""


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    epilog=examples("kprobe-tool skmsg check", "kprobe-tool skmsg watch --all"),
    short_help="Check whether BPF socket programs could overwrite cached file pages.",
)
def command() -> None:
    """Check whether BPF socket programs could overwrite cached file pages.

    What sendfile(2) and splice(2) send is not copied: a BPF program on the socket (SK_MSG, in a sockmap) is handed
    the file's own pages in the page cache. A copy bit for each of them keeps the program from writing there, which
    would change the file for everybody. Some kernels lose that bit.
    """
