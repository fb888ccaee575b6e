# SPDX-License-Identifier: GPL-2.0-or-later
"""What shell completion offers for arguments and values of options, each list imported only where it is wanted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import click

Completer = Callable[[click.Context, click.Parameter, str], list[str]]

NAMED_NETNS = "/run/netns"
NVME = "/sys/class/nvme"


def complete(names: Callable[[click.Context], Iterable[str]], *, several: bool = False) -> Completer:
    """A function for click's ``shell_complete``; with ``several`` the names are offered behind a comma as well."""

    def offer(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        before, comma, begun = incomplete.rpartition(",") if several else ("", "", incomplete)
        return [f"{before}{comma}{name}" for name in names(ctx) if name.lower().startswith(begun.lower())]

    return offer


def check_names(ctx: click.Context) -> Iterable[str]:
    from kprobe_tool.checks import CHECKS, SYSTEMS

    cves = (name for check in CHECKS for name in check.references if name.startswith("CVE-"))
    return dict.fromkeys((*SYSTEMS, *(check.id for check in CHECKS), *cves))


def errno_names(ctx: click.Context) -> Iterable[str]:
    from kprobe_tool.errors import ERRNO_NAMES

    return sorted(ERRNO_NAMES.values())


def prog_type_names(ctx: click.Context) -> Iterable[str]:
    from kprobe_tool.probes.verifier.prog_types import TYPES

    return TYPES


def flags_and_fields(ctx: click.Context) -> Iterable[str]:
    """Of the system call that stands before the option."""
    from kprobe_tool.probes.extensible_structs import table

    # An option that still lacks its value keeps click from taking what stands before it for arguments.
    for name in (*(ctx.params.get("syscalls") or ()), *ctx.args):
        if name in table.NAMES:
            for field in table.entry(name).fields:
                yield from (flag.name for flag in field.flags)
                yield field.name


def netns_names(ctx: click.Context) -> Iterable[str]:
    return names_in(NAMED_NETNS)


def controller_names(ctx: click.Context) -> Iterable[str]:
    """Of the captured tree that stands before them, or else of this host."""
    if tree := ctx.params.get("directory"):
        return names_in(f"{tree}/class/nvme") or names_in(f"{tree}/sys/class/nvme")
    if report := ctx.params.get("sosreport"):
        return names_in(f"{report}/sys/class/nvme")
    return names_in(NVME)


def names_in(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []
