# SPDX-License-Identifier: GPL-2.0-or-later
"""Does this kernel show one network namespace's RDS to another?

Asked with two children in throw-away namespaces of their own: an *owner* who makes rows of every kind it can (the
canary), and an *observer* who made none and reads everything. Whatever the observer reads that is not its own,
leaked. Without a canary in a list an idle host that leaks and one that does not look alike: see judge.py. No root is
needed where users may make user namespaces, and nothing outlives the children.
"""

from __future__ import annotations

import errno as errnos
import os
import time
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from kprobe_tool.errors import Error
from kprobe_tool.native import kallsyms, rds, rds_info
from kprobe_tool.native.child import Child
from kprobe_tool.probes.rds.children import MADE, OWNER_CONTROL, Observer, Owner, rows_by_option

DEADLINE = 120.0
"""Seconds for the whole experiment; it takes two or three, more on an emulated machine."""

SYMBOLS = ("rds_sock_count", "rds_tcp_tc_count", "rds6_tcp_tc_count")
"""Host-wide counters (net/rds/af_rds.c, net/rds/tcp.c) that the fix removed. A second witness, never the verdict."""
VARIABLE = "rds_sysctl_max_unacked_packets"
"""A variable that every rds has (net/rds/sysctl.c). A kernel without CONFIG_KALLSYMS_ALL shows none, nor SYMBOLS."""


class OptionAnswer(NamedTuple):
    """What one RDS_INFO_* option gave to the observer: its rows, how many of them are its own, and how many rows
    the zero-length probe stands for; or the errno's name."""

    seen: int = 0
    own: int = 0
    counted: int = 0
    errno: str | None = None


class DeliveryAttempt(NamedTuple):
    """A message from the observer to the owner's 127.0.0.1, its sender kept open to the end.

    ``arrived`` at the owner; ``errno`` of sendto(2); ``queued`` is how often the message was still seen in its
    sender's queues at the end, None where these could not be read. ``sender_control`` is whether the sender's next
    message, to itself and over the same connection, arrived; ``owner_control`` whether one did that the owner sent
    itself after all that.
    """

    arrived: bool
    errno: str | None
    queued: int | None
    sender_control: bool
    owner_control: bool


class IsolationExperiment(NamedTuple):
    """Everything that was seen.

    ``canary_rows`` are, by option, rows that were there to leak, before the observer read and after. ``bind_errno``
    is what bind(2) of the owner's address and port gave the observer, None for success. ``tcp_canary`` says how far
    the lists of rds_tcp were filled. ``symbols`` are those of SYMBOLS and VARIABLE that are
    there, None where /proc/kallsyms cannot be read.
    """

    observed: Mapping[str, OptionAnswer]
    canary_rows: Mapping[str, int]
    delivery: DeliveryAttempt
    bind_errno: str | None
    symbols: Mapping[str, str | None] | None
    tcp_canary: str


def tcp_canary(owner: Child) -> str:
    """Fill the lists of rds_tcp as far as that loads no module, and say how far.

    Where a row is missing its list is inconclusive, and everything else is not.
    """
    try:
        return str(owner.ask(do="tcp")["detail"])
    except TimeoutError:
        raise
    except OSError as error:
        return f"not made: {Error.from_os(error.filename or 'tcp', error)}"


def run_experiment() -> IsolationExperiment:
    """Run it, once per process. RDS must be registered. Raises Error where it cannot be run."""
    done = attempt()
    if isinstance(done, Error):
        raise done
    return done


@cache
def attempt() -> IsolationExperiment | Error:
    """A failure is remembered too: a kernel that does not answer is not asked by every check again."""
    try:
        return run(time.monotonic() + DEADLINE)
    except TimeoutError:
        return Error("leak check", f"no answer within {DEADLINE:.0f} s", errno=errnos.ETIMEDOUT)
    except OSError as error:
        return Error.from_os("leak check in throw-away namespaces", error, hint=hint_about(error.errno))


def hint_about(number: int | None) -> str:
    """What to do about the errno that kept the experiment from being run."""
    if number == errnos.ENOMEM:
        # net/rds/bind.c, rds_add_bound(): so fails rhashtable_insert_fast() beyond twice ht_parms.max_size.
        return (
            "memory is short, or the kernel's one table of bound RDS sockets is full: close some of those that "
            "'kprobe-tool rds-info --all-netns --sockets' shows"
        )
    return "it needs user namespaces (user.max_user_namespaces, kernel.unprivileged_userns_clone) or root"


def run(deadline: float) -> IsolationExperiment:
    """Raises OSError; TimeoutError past the deadline."""
    token = os.urandom(8).hex()
    with (
        Child(Owner().serve, deadline) as owner,
        Child(Observer().serve, deadline) as observer,
        rds.open_socket() as own,
    ):
        port = owner.ask(do="canary")["ports"]["127.0.0.1"]
        tcp_detail = tcp_canary(owner)

        def count_own_rows() -> list[dict[str, int]]:
            # The caller's own rows are strangers to the observer as well: where RDS/IB is in use they are the only
            # ones of its lists (it works in the initial namespace alone).
            return [owner.ask(do="rows")["counts"], rows_by_option(own.fileno())]

        before = count_own_rows()
        observed = observer.ask(do="read")["options"]
        after = count_own_rows()
        bind_errno = observer.ask(do="bind", port=port)["errno"]
        sent = observer.ask(do="send", port=port, token=token)
        messages = owner.ask(do="receive")["messages"]
        if tcp_detail == MADE:
            owner.ask(do="hang_up")
    try:
        symbols: Mapping[str, str | None] | None = kallsyms.kernel_symbols({*SYMBOLS, VARIABLE})
    except OSError:
        symbols = None
    return IsolationExperiment(
        observed={name: OptionAnswer(**observed[name]) for name in rds_info.OPTIONS},
        canary_rows={
            name: max(min(first[name], last[name]) for first, last in zip(before, after, strict=True))
            for name in rds_info.OPTIONS
        },
        delivery=DeliveryAttempt(
            arrived=token in messages,
            errno=sent["errno"],
            queued=sent["queued"],
            sender_control=sent["control"],
            owner_control=OWNER_CONTROL in messages,
        ),
        bind_errno=bind_errno,
        symbols=symbols,
        tcp_canary=tcp_detail,
    )
