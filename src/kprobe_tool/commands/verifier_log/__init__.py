# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool verifier-log``: the commands about the BPF verifier and its log."""

from __future__ import annotations

import click

from kprobe_tool.lazy import LazyGroup, examples

COMMANDS = {
    "explain": ("kprobe_tool.commands.verifier_log.explain", "Explain a log of the BPF verifier."),
    "floor": ("kprobe_tool.commands.verifier_log.floor", "Tell the oldest kernel that has what an object uses."),
    "load": ("kprobe_tool.commands.verifier_log.load", "Load a program to see what the verifier says."),
    "matrix": ("kprobe_tool.commands.verifier_log.matrix", "Tell which kernels accept a program, and why not."),
    "stats": ("kprobe_tool.commands.verifier_log.stats", "Show what verifying a program took."),
    "watch": ("kprobe_tool.commands.verifier_log.watch", "Watch BPF programs being rejected, with their logs."),
}
"""Name: (module with a ``command``, short help), for LazyGroup."""


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    short_help="Explain what the BPF verifier says about a program.",
    epilog=examples("kprobe-tool verifier-log explain build.log", "kprobe-tool verifier-log load x.o"),
)
def command() -> None:
    """Explain what the BPF verifier says about a program: why it was rejected, where, and what to do."""
