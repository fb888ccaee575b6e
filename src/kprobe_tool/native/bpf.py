# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/bpf.h: bpf(2), as far as loading a program and reading what the verifier says needs it.

A program that the kernel accepts is closed at once: nothing is attached or pinned, so nothing is left of it.
"""

from __future__ import annotations

import ctypes
import errno as errnos
import mmap
import os
import re
import resource
from collections.abc import Callable, Iterator
from typing import NamedTuple

from kprobe_tool.errors import Error
from kprobe_tool.native import host, seccomp, syscall
from kprobe_tool.native.bpf_insn import INSN_SIZE
from kprobe_tool.native.libc import oserror

# enum bpf_cmd
BPF_MAP_CREATE = 0
BPF_MAP_LOOKUP_ELEM = 1
BPF_MAP_UPDATE_ELEM = 2
BPF_MAP_DELETE_ELEM = 3
BPF_MAP_GET_NEXT_KEY = 4
BPF_PROG_LOAD = 5
BPF_PROG_GET_NEXT_ID = 11
BPF_MAP_GET_NEXT_ID = 12
BPF_OBJ_GET_INFO_BY_FD = 15
BPF_BTF_LOAD = 18
BPF_BTF_GET_FD_BY_ID = 19
BPF_MAP_FREEZE = 22
BPF_BTF_GET_NEXT_ID = 23
BPF_LINK_GET_NEXT_ID = 31
BPF_PROG_BIND_MAP = 35
BPF_TOKEN_CREATE = 36

NEXT_ID = {
    "prog": BPF_PROG_GET_NEXT_ID,
    "map": BPF_MAP_GET_NEXT_ID,
    "btf": BPF_BTF_GET_NEXT_ID,
    "link": BPF_LINK_GET_NEXT_ID,
}

# enum bpf_prog_type, in the order of its values; the names are those of the kernel without BPF_PROG_TYPE_.
PROG_TYPES = (
    "unspec",
    "socket_filter",
    "kprobe",
    "sched_cls",
    "sched_act",
    "tracepoint",
    "xdp",
    "perf_event",
    "cgroup_skb",
    "cgroup_sock",
    "lwt_in",
    "lwt_out",
    "lwt_xmit",
    "sock_ops",
    "sk_skb",
    "cgroup_device",
    "sk_msg",
    "raw_tracepoint",
    "cgroup_sock_addr",
    "lwt_seg6local",
    "lirc_mode2",
    "sk_reuseport",
    "flow_dissector",
    "cgroup_sysctl",
    "raw_tracepoint_writable",
    "cgroup_sockopt",
    "tracing",
    "struct_ops",
    "ext",
    "lsm",
    "sk_lookup",
    "syscall",
    "netfilter",
)
BPF_PROG_TYPE_KPROBE = 2
BPF_PROG_TYPE_SK_MSG = 16
BPF_PROG_TYPE_RAW_TRACEPOINT = 17
BPF_PROG_TYPE_TRACING = 26

# enum bpf_attach_type
BPF_SK_MSG_VERDICT = 7

# enum bpf_map_type
BPF_MAP_TYPE_PROG_ARRAY = 3
BPF_MAP_TYPE_DEVMAP = 14
BPF_MAP_TYPE_CPUMAP = 16

CONTAINS_PROGS = frozenset({BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_CPUMAP})
"""linux/bpf.h, map_type_contains_progs(): the first program that is loaded with one sets which programs it takes from
then on (kernel/bpf/core.c, bpf_check_tail_call())."""

# linux/bpf_verifier.h
BPF_LOG_LEVEL1 = 1
BPF_LOG_STATS = 4

BPF_OBJ_NAME_LEN = 16

LOG_SIZE = 1 << 20
"""The first buffer. Pages that nobody writes cost nothing."""
LOG_SIZE_MAX = 0xFFFFFFFF >> 2
"""kernel/bpf/log.c, bpf_verifier_log_attr_valid(): more is EINVAL (since Linux v5.2)."""

# libbpf's PROG_LOAD_ATTEMPTS: EAGAIN is a signal that came while the verifier was at work.
ATTEMPTS = 5

LOADER_COMMANDS = (
    *(BPF_MAP_CREATE, BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM, BPF_MAP_GET_NEXT_KEY),
    *(BPF_MAP_FREEZE, BPF_PROG_LOAD, BPF_PROG_BIND_MAP, BPF_BTF_LOAD, BPF_OBJ_GET_INFO_BY_FD),
    *(BPF_BTF_GET_NEXT_ID, BPF_BTF_GET_FD_BY_ID, BPF_TOKEN_CREATE),
)
"""The commands of bpf(2) that make something, work on a descriptor, read the types of modules or take what privilege
this container was given: nobody else's maps and programs are in their reach."""


LOCKED_DOWN = "the kernel is locked down (confidentiality)"


def refusal_hint(needs: str = "CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN", token: str | None = None) -> str:
    """What to do where the kernel refuses BPF with EPERM: the one text about it.

    ``needs`` are the capabilities, ``token`` what else helps in a user namespace, where something does.
    """
    if host.lockdown() == "confidentiality":
        return LOCKED_DOWN
    if not host.effective_capabilities() & {"CAP_BPF", "CAP_SYS_ADMIN"}:
        disabled = host.read_line("/proc/sys/kernel/unprivileged_bpf_disabled")
        setting = "" if disabled in {None, "0"} else f" (kernel.unprivileged_bpf_disabled is {disabled})"
        return f"needs {needs}: {host.privilege_hint()}{setting}"
    if not host.in_initial_user_namespace():
        return "needs root of the host, not of a user namespace" + ("" if token is None else f", or {token}")
    if "CAP_SYS_ADMIN" not in host.effective_capabilities():
        return f"needs {needs}, and there is no CAP_SYS_ADMIN: {host.privilege_hint()}"
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if hint := locked_memory_hint(os.uname().release, soft):
        return hint
    return "no capability is missing: this kernel, a seccomp filter or an LSM refuses programs of this type"


def locked_memory_hint(release: str, limit: int) -> str | None:
    """Where programs and maps count as locked memory, root's as well: what to do about a limit to that.

    They did up to Linux v5.10 (kernel/bpf/syscall.c, __bpf_prog_charge()). ``limit`` is in bytes.
    """
    found = re.match(r"(\d+)\.(\d+)", release)
    if found is None or (int(found[1]), int(found[2])) >= (5, 11) or limit == resource.RLIM_INFINITY:
        return None
    return (
        f"no capability is missing: before Linux 5.11 BPF counts as locked memory, of which {limit >> 10} KiB are "
        "allowed here ('ulimit -l unlimited' lifts that), or a seccomp filter or an LSM refuses it"
    )


def confine() -> None:
    """Keep this process, for good, to maps and programs of its own: nothing pinned, opened by path or id, attached.

    For a child that loads files of anybody's: bcc pins maps where its macros say so, and makes the directories for
    that; so does libbpf, where an object says so. Raises Error where this kernel has no seccomp filters.
    """
    try:
        seccomp.install(seccomp.refuse("bpf", LOADER_COMMANDS), seccomp.refuse("mkdir"), seccomp.refuse("mkdirat"))
    except OSError as error:
        hint = "a process that loads the programs of others filters its own system calls (CONFIG_SECCOMP_FILTER)"
        raise Error(error.filename, errno=error.errno, hint=hint) from error


class bpf_attr_prog_load(ctypes.Structure):
    """linux/bpf.h, union bpf_attr: the part of BPF_PROG_LOAD up to log_true_size (Linux v6.4).

    An older kernel takes the longer structure as long as what it does not know is zero.
    """

    _fields_ = (
        ("prog_type", ctypes.c_uint32),
        ("insn_cnt", ctypes.c_uint32),
        ("insns", ctypes.c_uint64),
        ("license", ctypes.c_uint64),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_uint64),
        ("kern_version", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_name", ctypes.c_char * BPF_OBJ_NAME_LEN),
        ("prog_ifindex", ctypes.c_uint32),
        ("expected_attach_type", ctypes.c_uint32),
        ("prog_btf_fd", ctypes.c_uint32),
        ("func_info_rec_size", ctypes.c_uint32),
        ("func_info", ctypes.c_uint64),
        ("func_info_cnt", ctypes.c_uint32),
        ("line_info_rec_size", ctypes.c_uint32),
        ("line_info", ctypes.c_uint64),
        ("line_info_cnt", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
        ("attach_prog_fd", ctypes.c_uint32),
        ("core_relo_cnt", ctypes.c_uint32),
        ("fd_array", ctypes.c_uint64),
        ("core_relos", ctypes.c_uint64),
        ("core_relo_rec_size", ctypes.c_uint32),
        ("log_true_size", ctypes.c_uint32),
    )


class bpf_attr_next_id(ctypes.Structure):
    """linux/bpf.h, union bpf_attr: the part of BPF_*_GET_NEXT_ID."""

    _fields_ = (("start_id", ctypes.c_uint32), ("next_id", ctypes.c_uint32), ("open_flags", ctypes.c_uint32))


class Program(NamedTuple):
    """What BPF_PROG_LOAD is asked to load; the fields are those of union bpf_attr.

    ``insns`` are the bytes of struct bpf_insn; ``func_info`` and ``line_info`` those of the records that the BTF of
    ``prog_btf_fd`` explains, of 8 and 16 bytes each.
    """

    insns: bytes
    prog_type: int
    license: bytes = b"GPL"
    prog_name: bytes = b""
    prog_flags: int = 0
    expected_attach_type: int = 0
    attach_btf_id: int = 0
    attach_prog_fd: int = 0
    prog_btf_fd: int = 0
    func_info: bytes = b""
    line_info: bytes = b""


class LoadAnswer(NamedTuple):
    """What the kernel said about a program: ``errno`` 0 is accepted.

    ``log`` is without its NUL; ``complete`` says whether that is all of it. ``log_true_size`` is what the kernel says
    that it takes, with the NUL, and None where it does not say (before Linux v6.4, or nothing was logged).
    """

    errno: int
    log: bytes
    complete: bool
    log_true_size: int | None


def bpf(cmd: int, attr: ctypes.Structure) -> int:
    """bpf(2): a file descriptor or 0. Raises OSError."""
    value = syscall.call("bpf", cmd, ctypes.addressof(attr), ctypes.sizeof(attr))
    if value < 0:
        oserror("bpf(2)", needs="CAP_BPF or CAP_SYS_ADMIN")
    return value


def ids(kind: str) -> Iterator[int]:
    """The ids of all BPF objects of a kind: prog, map, btf, link. Raises OSError (EPERM without CAP_SYS_ADMIN)."""
    attr = bpf_attr_next_id()
    while True:
        try:
            bpf(NEXT_ID[kind], attr)
        except FileNotFoundError:
            return
        attr.start_id = attr.next_id
        yield attr.next_id


def map_type(fd: int) -> int | None:
    """The enum bpf_map_type of a map; None for what is none. Raises OSError."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        shown = dict(line.split(":\t", 1) for line in file.read().splitlines())
    kind = shown.get("map_type")
    return None if kind is None else int(kind)


def load_once(program: Program, log_level: int, log_size: int, *, log_buf: bool = True) -> LoadAnswer:
    """BPF_PROG_LOAD with this level and size of the log, as they are: the errno may be the log's (ENOSPC).

    ``log_buf``: whether a buffer is passed at all. Raises OSError only where there is no bpf(2) or no memory.
    """
    insns = ctypes.create_string_buffer(program.insns, max(1, len(program.insns)))
    license_ = ctypes.create_string_buffer(program.license)
    func_info = ctypes.create_string_buffer(program.func_info, max(1, len(program.func_info)))
    line_info = ctypes.create_string_buffer(program.line_info, max(1, len(program.line_info)))
    attr = bpf_attr_prog_load(
        prog_type=program.prog_type,
        insn_cnt=len(program.insns) // INSN_SIZE,
        insns=ctypes.addressof(insns),
        license=ctypes.addressof(license_),
        log_level=log_level,
        log_size=log_size,
        prog_name=program.prog_name,
        prog_flags=program.prog_flags,
        expected_attach_type=program.expected_attach_type,
        attach_btf_id=program.attach_btf_id,
        attach_prog_fd=program.attach_prog_fd,
        prog_btf_fd=program.prog_btf_fd,
    )
    if program.func_info:
        attr.func_info, attr.func_info_rec_size = ctypes.addressof(func_info), 8
        attr.func_info_cnt = len(program.func_info) // 8
    if program.line_info:
        attr.line_info, attr.line_info_rec_size = ctypes.addressof(line_info), 16
        attr.line_info_cnt = len(program.line_info) // 16
    # Anonymous memory takes no more than what the kernel writes to.
    with mmap.mmap(-1, max(log_size, mmap.PAGESIZE)) as memory:
        if log_buf and log_size:
            start = ctypes.c_char.from_buffer(memory)
            attr.log_buf = ctypes.addressof(start)
            # mmap cannot be closed while something points into it.
            del start
        errno = 0
        for _ in range(ATTEMPTS):
            try:
                os.close(bpf(BPF_PROG_LOAD, attr))
                errno = 0
            except OSError as error:
                errno = error.errno or 0
            if errno != errnos.EAGAIN:
                break
        end = memory.find(b"\0")
        log = memory[: end if end >= 0 else log_size]
    true_size = attr.log_true_size or None
    # Without log_true_size: a log that reaches the end of the buffer was cut there.
    complete = len(log) + 1 < log_size if true_size is None else true_size <= log_size
    return LoadAnswer(errno, log, complete or not log_level, true_size)


def grow_log_until_whole(attempt: Callable[[int], LoadAnswer]) -> LoadAnswer:
    """What ``attempt`` gives with a buffer of so many bytes that the log fits: then the errno is the verifier's."""
    size = LOG_SIZE
    while True:
        answer = attempt(size)
        if answer.complete or size == LOG_SIZE_MAX:
            return answer
        size = min(max(answer.log_true_size or 0, size * 16), LOG_SIZE_MAX)


def load(program: Program, log_level: int) -> LoadAnswer:
    """Load a program and close it; the buffer grows until the log fits. Raises OSError as :func:`load_once` does."""
    if not log_level:
        return load_once(program, 0, 0)
    return grow_log_until_whole(lambda size: load_once(program, log_level, size))
