# SPDX-License-Identifier: GPL-2.0-or-later
"""The verdict program bpf/skmsg_check.c: the plan of what it does at each call, the record of what it was given."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from kprobe_tool.errors import Error
from kprobe_tool.native import bcc, bpf, sk_msg
from kprobe_tool.native.closing import Closing
from kprobe_tool.native.sk_msg import Scatterlist

CALLS = 4
STEPS = 2

U32 = struct.Struct("=I")

# enum sk_action, linux/bpf.h
SK_DROP = 0
SK_PASS = 1


class step(ctypes.Structure):
    """bpf/skmsg_check.c."""

    _fields_ = (("kind", ctypes.c_uint32), ("start", ctypes.c_uint32), ("length", ctypes.c_uint32))


class plan(ctypes.Structure):
    """bpf/skmsg_check.c."""

    _fields_ = (("verdict", ctypes.c_uint32), ("step", step * STEPS))


class record(ctypes.Structure):
    """bpf/skmsg_check.c, up to its ``struct sg_list``."""

    _fields_ = (
        ("call", ctypes.c_uint32),
        ("after", ctypes.c_uint32),
        ("error", ctypes.c_int32),
        ("size", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
        ("page_offset", ctypes.c_uint32),
    )


class StepKind(IntEnum):
    """What a step calls (enum step_kind); ``start`` and ``length`` are its arguments in bytes."""

    PUSH = 1
    POP = 2
    PULL = 3
    APPLY = 4
    CORK = 5


HELPERS = {
    StepKind.PUSH: "bpf_msg_push_data",
    StepKind.POP: "bpf_msg_pop_data",
    StepKind.PULL: "bpf_msg_pull_data",
    StepKind.APPLY: "bpf_msg_apply_bytes",
    StepKind.CORK: "bpf_msg_cork_bytes",
}


class Step(NamedTuple):
    kind: StepKind
    start: int
    length: int


class Plan(NamedTuple):
    """What the program does when it is called once: at most STEPS steps, then SK_DROP or SK_PASS."""

    steps: tuple[Step, ...] = ()
    verdict: int = SK_DROP

    def packed(self) -> bytes:
        """A struct plan."""
        packed = plan(verdict=self.verdict)
        for number, each in enumerate(self.steps):
            packed.step[number] = step(each.kind, each.start, each.length)
        return bytes(packed)


class Record(NamedTuple):
    """What the program was given in its ``call``-th call after ``after`` steps, the last of which returned ``error``.

    ``size`` is the message's, ``length`` that of the range from data to data_end and ``page_offset`` where in a page
    this range begins, all in bytes.
    """

    call: int
    after: int
    error: int
    size: int
    length: int
    page_offset: int
    sg: Scatterlist


def decode(data: bytes) -> Record:
    """A struct record. Raises ValueError where it is cut short."""
    raw = record.from_buffer_copy(data)
    sg = sk_msg.decode(data[ctypes.sizeof(record) :])
    return Record(raw.call, raw.after, raw.error, raw.size, raw.length, raw.page_offset, sg)


def attach_verdict(bpf_object: bcc.Object, program: int, sockmap: str) -> None:
    """Have a sockmap give what its sockets send to an SK_MSG program. Raises Error."""
    try:
        bpf_object.attach_to_map(program, sockmap, bpf.BPF_SK_MSG_VERDICT)
    except OSError as error:
        hint = "a kernel with CONFIG_NET_SOCK_MSG=y and CONFIG_BPF_STREAM_PARSER=y"
        raise Error.from_os("sockmap: attaching a verdict program", error, hint=hint) from error


class CheckProgram(Closing):
    """The program, compiled, loaded and attached to a sockmap of its own. Raises Error, OSError."""

    def __init__(self) -> None:
        self._object = bcc.Object("skmsg_check.c", sk_msg.fields())
        try:
            verdict = self._object.load("on_message", bpf.BPF_PROG_TYPE_SK_MSG)
            attach_verdict(self._object, verdict, "sockets")
            self._ring = self._object.ring_buffer("records")
        except BaseException:
            self._object.close()
            raise

    def begin(self, plans: Sequence[Plan]) -> None:
        """Begin anew, with a plan for each call; further calls only record, and drop. Raises OSError."""
        for number in range(CALLS):
            plan = plans[number] if number < len(plans) else Plan()
            self._object.update("plans", U32.pack(number), plan.packed())
        self._object.update("calls", U32.pack(0), U32.pack(0))

    def take(self, sock: socket.socket) -> None:
        """Hand what a connected socket sends to the program. Raises OSError: EINVAL where the kernel refuses it."""
        self._object.update("sockets", U32.pack(0), U32.pack(sock.fileno()))

    def records(self) -> list[bytes]:
        """What was recorded since, for decode(). Raises OSError."""
        return self._ring.read(0)

    def close(self) -> None:
        self._ring.close()
        self._object.close()
