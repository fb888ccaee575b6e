# SPDX-License-Identifier: GPL-2.0-or-later
"""What is tried: data, not code.

Each case sends BYTES bytes of a file in memory from OFFSET on, which tcp and kTLS take as a page of the page cache
with its copy bit set, or as a copy. The verdict program then has the element moved, split or replaced. What must hold
afterwards is in judge.py.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from kprobe_tool.native.programs.skmsg_check import SK_PASS, Plan, Step, StepKind

OFFSET = 100
BYTES = 1000
PART = 100
"""Bytes of each message where a case takes several."""
PUSHED = 8


class SocketKind(StrEnum):
    """What the message is sent on."""

    KTLS = "ktls"
    TCP = "tcp"


class Send(StrEnum):
    """One send: of the file, of memory, or of memory on a socket that is in no sockmap."""

    FILE = "file"
    MEMORY = "memory"
    OTHER = "other"


class Must(StrEnum):
    """What must hold at the end."""

    NOT_EXPOSE = "not-expose"
    """The range that the program could write to is not in the file's page."""
    NOT_BE_STALE = "not-be-stale"
    """A page of the message's own is not marked as one to be copied: the program could not see its data."""


class Case(NamedTuple):
    """``name`` says which helpers are called, in which order.

    ``seen`` is the record, as (call, steps done), in which the file's element must have its copy bit for the case to
    say anything; ``last`` the one that is judged, ``byte`` where in the message its range begins.
    """

    name: str
    check: str
    title: str
    sockets: tuple[SocketKind, ...]
    plans: tuple[Plan, ...]
    last: tuple[int, int]
    byte: int = 0
    must: Must = Must.NOT_EXPOSE
    sends: tuple[tuple[Send, int], ...] = ((Send.FILE, BYTES),)
    seen: tuple[int, int] = (0, 0)


BOTH = (SocketKind.KTLS, SocketKind.TCP)

CASES: tuple[Case, ...] = (
    Case(
        name="split",
        check="skmsg-tls-split-copy",
        title="a record is split where bpf_msg_apply_bytes() says",
        sockets=(SocketKind.KTLS,),
        plans=(Plan((Step(StepKind.APPLY, 0, PART),), SK_PASS),),
        last=(1, 0),
    ),
    Case(
        name="push+pop",
        check="skmsg-push-pop-copy",
        title="bpf_msg_push_data() moves the element to the right, bpf_msg_pop_data() to the left",
        sockets=BOTH,
        plans=(Plan((Step(StepKind.PUSH, 0, PUSHED), Step(StepKind.POP, 0, PUSHED))),),
        last=(0, 2),
    ),
    Case(
        name="push+pull",
        check="skmsg-push-pop-copy",
        title="bpf_msg_push_data() moves the element to the right, bpf_msg_pull_data() shows it",
        sockets=BOTH,
        plans=(Plan((Step(StepKind.PUSH, 0, PUSHED), Step(StepKind.PULL, PUSHED, 1))),),
        last=(0, 2),
        byte=PUSHED,
    ),
    Case(
        name="pop_middle+pull",
        check="skmsg-push-pop-copy",
        title="bpf_msg_pop_data() splits the element, bpf_msg_pull_data() shows the second part",
        sockets=BOTH,
        plans=(Plan((Step(StepKind.POP, PUSHED, PUSHED), Step(StepKind.PULL, PUSHED, 1))),),
        last=(0, 2),
        byte=PUSHED,
    ),
    Case(
        name="push_middle+pull",
        check="skmsg-push-pop-copy",
        title="bpf_msg_push_data() splits the element, bpf_msg_pull_data() shows the second part",
        sockets=BOTH,
        plans=(Plan((Step(StepKind.PUSH, PUSHED, PUSHED), Step(StepKind.PULL, 2 * PUSHED, 1))),),
        last=(0, 2),
        byte=2 * PUSHED,
    ),
    Case(
        name="pull_stale",
        check="skmsg-stale-copy",
        title="bpf_msg_pull_data() replaces the page by a copy",
        sockets=BOTH,
        # Pushing at the end makes the kernel compute the program's range anew.
        plans=(Plan((Step(StepKind.PULL, 0, BYTES), Step(StepKind.PUSH, BYTES, PUSHED))),),
        last=(0, 2),
        must=Must.NOT_BE_STALE,
    ),
    Case(
        name="alloc_stale",
        check="skmsg-stale-copy",
        title="bpf_msg_pop_data() frees the element, and the kernel puts new memory into its place",
        # With kTLS, no element is allocated in a message that a program sees.
        sockets=(SocketKind.TCP,),
        plans=(
            Plan((Step(StepKind.CORK, 0, 2 * PART),), SK_PASS),
            Plan((Step(StepKind.POP, PART, PART), Step(StepKind.CORK, 0, 2 * PART)), SK_PASS),
            Plan((Step(StepKind.CORK, 0, 0), Step(StepKind.APPLY, 0, PART)), SK_PASS),
        ),
        # The message on the other socket takes the memory that would have joined the first element.
        sends=((Send.MEMORY, PART), (Send.FILE, PART), (Send.OTHER, PART), (Send.MEMORY, PART)),
        seen=(1, 0),
        last=(3, 0),
        must=Must.NOT_BE_STALE,
    ),
)
