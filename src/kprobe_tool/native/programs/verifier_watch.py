# SPDX-License-Identifier: GPL-2.0-or-later
"""The records of bpf/verifier_watch.c."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from kprobe_tool.native.bpf import BPF_OBJ_NAME_LEN, bpf_attr_prog_load
from kprobe_tool.native.libc import text
from kprobe_tool.native.sched import TASK_COMM_LEN
from kprobe_tool.native.seccomp import SECCOMP_MODE_FILTER

KIND_LOAD, KIND_TAIL, KIND_LOG, KIND_INSNS, KIND_MESSAGE = range(5)

LICENSE = 32
ARGS = 10
STRING = 128
FORMAT = 256

MISSING = (None, "limit", "room", "unreadable")
"""enum missing: why a log begins later than the loader's: --max-log, full rings, memory that could not be read."""


class settings(ctypes.Structure):
    """Which loads are reported. 0 means any; for the type, where 0 is one, ``has_type`` says whether one is
    wanted."""

    _fields_ = (
        ("comm", ctypes.c_char * TASK_COMM_LEN),
        ("pid", ctypes.c_uint32),
        ("all", ctypes.c_uint32),
        ("has_type", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
    )


class key(ctypes.Structure):
    """Which load a record belongs to."""

    _fields_ = (
        ("kind", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("thread", ctypes.c_uint64),
        ("time", ctypes.c_uint64),
    )


class header(ctypes.Structure):
    """A load, when it has ended."""

    _fields_ = (
        ("key", key),
        ("start", ctypes.c_uint64),
        ("cgroup", ctypes.c_uint64),
        ("user", ctypes.c_uint64),
        ("ret", ctypes.c_int64),
        ("length", ctypes.c_uint32),
        ("captured", ctypes.c_uint32),
        ("true_size", ctypes.c_uint32),
        ("missing", ctypes.c_uint32),
        ("messages", ctypes.c_uint32),
        ("messages_lost", ctypes.c_uint32),
        ("insns", ctypes.c_uint32),
        ("cmd", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("compat", ctypes.c_uint32),
        ("ns_pid", ctypes.c_uint32),
        ("seccomp", ctypes.c_uint32),
        ("attr_read", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
        ("log_buf", ctypes.c_uint64),
        ("log_size", ctypes.c_uint32),
        ("log_level", ctypes.c_uint32),
        ("attr", bpf_attr_prog_load),
        ("comm", ctypes.c_char * TASK_COMM_LEN),
        ("license", ctypes.c_char * LICENSE),
    )


class message(ctypes.Structure):
    """A call of the verifier's message function; ``key.time`` is when the load began."""

    _fields_ = (
        ("key", key),
        ("args", ctypes.c_uint64 * ARGS),
        ("strings", ctypes.c_char * STRING * ARGS),
        ("format", ctypes.c_char * FORMAT),
    )


@dataclass(frozen=True)
class Load:
    """A BPF_PROG_LOAD that has ended. Times are of CLOCK_MONOTONIC in ns.

    ``pid`` and ``tid`` are of the initial pid namespace, ``ns_pid`` is of ours, None for a process outside of it.
    ``start`` is None where only the end was seen: it had begun before we looked, or was refused before it began,
    which a seccomp filter does (``seccomp``: whether the thread has one). Without ``attr_read`` the attributes could
    not be read, and nothing is known of the program. ``errno`` 0 is accepted. The log in the loader's buffer has
    ``length`` bytes, of which the last ``captured`` come in pieces; ``missing`` says why not all of them do.
    ``true_size`` is the kernel's own word on the size of the whole log with its NUL (since Linux v6.4), or None.
    ``log_size`` is 0 for a loader that gave no buffer. ``attr`` holds union bpf_attr, without the pointers' targets.
    """

    thread: int
    time: int
    start: int | None
    pid: int
    tid: int
    ns_pid: int | None
    uid: int
    gid: int
    cgroup: int
    comm: str
    errno: int
    name: str
    prog_type: int
    expected_attach_type: int
    insn_cnt: int
    log_level: int
    log_size: int
    length: int
    captured: int
    missing: str | None
    true_size: int | None
    messages: int
    messages_lost: int
    insns: int
    compat: bool
    seccomp: bool
    attr_read: bool
    license: bytes
    attr: bytes


@dataclass(frozen=True)
class Piece:
    """Part of a log (each stands before the one that came before it) or of the instructions (in their order)."""

    kind: int
    thread: int
    time: int
    data: bytes


@dataclass(frozen=True)
class PrintedMessage:
    """What the message function was called with: a printf format, and each argument as a number and as a string."""

    thread: int
    start: int
    format: bytes
    args: tuple[int, ...]
    strings: tuple[bytes, ...]


def is_load(record: bytes) -> bool:
    """Whether a record is what the program counted as emitted."""
    return int(key.from_buffer_copy(record).kind) == KIND_LOAD


def parse(record: bytes) -> Load | Piece | PrintedMessage:
    """One record of a ring. Raises ValueError for one that is too short."""
    of = key.from_buffer_copy(record)
    if of.kind == KIND_LOAD:
        return load_of(header.from_buffer_copy(record))
    if of.kind == KIND_MESSAGE:
        raw = message.from_buffer_copy(record)
        return PrintedMessage(
            of.thread, of.time, raw.format, tuple(raw.args), tuple(each.value for each in raw.strings)
        )
    return Piece(of.kind, of.thread, of.time, record[ctypes.sizeof(key) :][: of.size])


def load_of(raw: header) -> Load:
    attr = raw.attr
    return Load(
        thread=raw.key.thread,
        time=raw.key.time,
        start=raw.start or None,
        pid=raw.key.thread >> 32,
        tid=raw.key.thread & 0xFFFFFFFF,
        ns_pid=raw.ns_pid or None,
        uid=raw.user & 0xFFFFFFFF,
        gid=raw.user >> 32,
        cgroup=raw.cgroup,
        comm=text(raw.comm),
        errno=max(0, -raw.ret),
        name=text(attr.prog_name[:BPF_OBJ_NAME_LEN]),
        prog_type=attr.prog_type,
        expected_attach_type=attr.expected_attach_type,
        insn_cnt=attr.insn_cnt,
        log_level=raw.log_level,
        log_size=raw.log_size if raw.log_level and raw.log_buf else 0,
        length=raw.length,
        captured=raw.captured,
        missing=MISSING[raw.missing],
        true_size=raw.true_size or None,
        messages=raw.messages,
        messages_lost=raw.messages_lost,
        insns=raw.insns,
        compat=bool(raw.compat),
        seccomp=raw.seccomp == SECCOMP_MODE_FILTER,
        attr_read=bool(raw.attr_read),
        license=raw.license,
        attr=bytes(attr),
    )
