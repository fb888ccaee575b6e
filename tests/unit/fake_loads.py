# SPDX-License-Identifier: GPL-2.0-or-later
"""``verifier-log watch`` of a kernel that has told everything already, and the records that it tells."""

from __future__ import annotations

import errno as errnos
from collections.abc import Iterator, Mapping

from kprobe_tool.native.bpf import bpf_attr_prog_load
from kprobe_tool.native.programs import verifier_watch
from kprobe_tool.native.programs.verifier_watch import (
    KIND_LOAD,
    KIND_LOG,
    KIND_MESSAGE,
    KIND_TAIL,
    header,
    key,
    message,
)
from kprobe_tool.probes.live import Limits
from kprobe_tool.probes.verifier.watching.watch import ControlGroup, LoadFilter, Reports

from .probes.test_live import Program

THREAD = 4242 << 32 | 4243
SECOND = 1_000_000_000
TAIL = 2048

LOG = (
    b"0: R1=ctx() R10=fp0\n0: (bf) r0 = r2\nR2 !read_ok\n"
    b"processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n"
)


def load(
    time: int,
    log: bytes = b"",
    *,
    errno: int = errnos.EACCES,
    log_size: int = 0,
    name: bytes = b"prog",
    captured: int | None = None,
    missing: str | None = None,
    messages: int = 0,
    thread: int = THREAD,
    comm: bytes = b"loader",
) -> bytes:
    """The header of a load that ended at this time, 1 ms after it had begun."""
    return bytes(
        header(
            key=key(KIND_LOAD, 0, thread, time),
            start=time - SECOND // 1000,
            cgroup=7,
            user=1000 << 32 | 1001,
            ret=-errno if errno else 5,
            length=len(log),
            captured=len(log) if captured is None else captured,
            true_size=len(log) + 1 if log else 0,
            missing=verifier_watch.MISSING.index(missing),
            messages=messages,
            cmd=5,
            log_buf=0x1000 if log_size else 0,
            log_size=log_size,
            log_level=1 if log_size else 0,
            attr=bpf_attr_prog_load(prog_type=6, insn_cnt=2, prog_name=name, expected_attach_type=37),
            comm=comm,
            license=b"GPL",
            ns_pid=thread >> 32,
            attr_read=1,
        )
    )


def pieces(time: int, log: bytes, *, thread: int = THREAD, chunk: int = 32768) -> Iterator[bytes]:
    """A log as the program sends it: the tail, then what stands before it, chunk by chunk."""
    rest, tail = log[:-TAIL], log[-TAIL:]
    yield bytes(key(KIND_TAIL, len(tail), thread, time)) + tail.ljust(TAIL, b"\xff")
    while rest:
        rest, last = rest[:-chunk], rest[-chunk:]
        yield bytes(key(KIND_LOG, len(last), thread, time)) + last.ljust(chunk, b"\xff")


def message_call(start: int, template: bytes, *args: int | bytes, thread: int = THREAD) -> bytes:
    """A call of the message function; a string is at a kernel address that does not matter."""
    raw = message(key=key(KIND_MESSAGE, 0, thread, start), format=template)
    for index, arg in enumerate(args):
        if isinstance(arg, bytes):
            raw.args[index] = 0xFFFFFFFF81000000
            raw.strings[index].value = arg
        else:
            raw.args[index] = arg & 0xFFFFFFFFFFFFFFFF
    return bytes(raw)


class FakeNames:
    def prog_type(self, number: int) -> str:
        return {6: "xdp"}[number]

    def attach_type(self, number: int) -> str:
        return {37: "xdp"}[number]


class FakeGroups:
    def find(self, number: int) -> ControlGroup:
        return ControlGroup(number, "/docker/" + "0123456789abcdef" * 4, "0123456789abcdef" * 4)


RECORDS = [
    load(10 * SECOND),
    load(10 * SECOND + 2_000_000, LOG, log_size=65536),
    *pieces(10 * SECOND + 2_000_000, LOG),
    load(20 * SECOND, b"", errno=errnos.EPERM, name=b"\x1b[31m"),
    load(30 * SECOND, LOG, log_size=65536, captured=0, missing="room", name=b"", comm=b"\x1b[2J"),
    load(40 * SECOND, errno=0),
]


class FakeWatch:
    """A LoadWatch that has seen what RECORDS hold, and lost two."""

    asked: Mapping[str, object]
    names = FakeNames()
    groups = FakeGroups()
    warnings = ("no kprobes in this kernel: of a load without a log only the errno is known",)

    def __init__(self, max_log: int, *, reload: bool) -> None:
        FakeWatch.asked = {"max_log": max_log, "reload": reload}

    def start(self, filters: LoadFilter) -> None:
        FakeWatch.asked = {**FakeWatch.asked, "filters": filters}

    def feed(self, limits: Limits) -> Reports:
        return Reports(Program([RECORDS], seen=7, emitted=5, dropped=2, filtered=3), limits)

    def __enter__(self) -> FakeWatch:
        return self

    def __exit__(self, *exception: object) -> None:
        pass
