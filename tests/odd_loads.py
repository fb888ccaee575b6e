# SPDX-License-Identifier: GPL-2.0-or-later
"""Loads by ways that few loaders take, or while something else goes on."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from kprobe_tool.native import bpf, sched
from kprobe_tool.native.bpf import bpf_attr_prog_load
from kprobe_tool.native.libc import libc
from kprobe_tool.probes.live import Limits
from kprobe_tool.probes.verifier.watching.watch import LoadFilter, LoadWatch

from .loads import (
    ATTR_SIZE,
    LOG_SIZE,
    NR_BPF,
    OLD_ATTR_SIZE,
    REFUSED,
    Buffers,
    SeenLoad,
    T,
    call_bpf,
    call_in_child,
    child,
    load_here,
    program,
)

# linux/bpf.h, seen on Linux v7.2
BPF_COMMON_ATTRS = 1 << 16


FLOOD = f"flood-{os.getpid()}"


def load_and_kill(text: str) -> int:
    """In the middle of it, which the time spent in the kernel tells: the pid."""
    made = Buffers(program(text, "killed"), 2, 1 << 26)
    with child(lambda: call_bpf(bpf.BPF_PROG_LOAD, made.attr)) as loader:
        loader.start()
        while kernel_ticks(loader.pid) < 10:
            time.sleep(0.01)
        os.kill(loader.pid, signal.SIGKILL)
    return loader.pid


def kernel_ticks(pid: int) -> int:
    """stime of proc_pid_stat(5)."""
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[12])


# push rbx; eax = edi; ebx = esi; r9d = edx; edx = ecx; ecx = r9d; esi = r8d; int 0x80; cdqe; pop rbx; ret
INT80 = bytes.fromhex("53 89f8 89f3 4189d1 89ca 4489c9 4489c6 cd80 4898 5b c3")
NR_BPF_I386 = 357
MAP_32BIT = 0x40
"""asm/mman.h of x86: below 2 GiB, where a 32-bit pointer reaches."""


def load_by_int80(text: str) -> SeenLoad:
    """By the system call of 32-bit programs. Raises EOFError where the kernel has none: the loader dies of it."""

    def load() -> SeenLoad:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_32BIT
        low = mmap.mmap(-1, 2 * LOG_SIZE, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        start = ctypes.addressof(ctypes.c_char.from_buffer(low))
        wanted = program(text, "int80")
        low[: len(INT80)] = INT80
        low[512 : 512 + len(wanted.insns)] = wanted.insns
        low[1024:1028] = b"GPL\0"
        attr = bpf_attr_prog_load(
            prog_type=wanted.prog_type,
            insn_cnt=len(wanted.insns) // 8,
            insns=start + 512,
            license=start + 1024,
            log_level=1,
            log_size=LOG_SIZE,
            log_buf=start + LOG_SIZE,
            prog_name=wanted.prog_name,
        )
        low[2048 : 2048 + ATTR_SIZE] = bytes(attr)
        function = ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_long] * 5)(start)
        done = function(NR_BPF_I386, bpf.BPF_PROG_LOAD, start + 2048, ATTR_SIZE, 0)
        return SeenLoad(os.getpid(), "int80", -done, low[LOG_SIZE:].partition(b"\0")[0])

    return call_in_child(load)


class sock_filter(ctypes.Structure):
    """linux/filter.h, 8 bytes."""

    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class sock_fprog(ctypes.Structure):
    """linux/filter.h."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


# linux/prctl.h, linux/seccomp.h
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 38, 22
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 0x00050000, 0x7FFF0000
BPF_LD_W_ABS, BPF_JEQ_K, BPF_RET_K = 0x20, 0x15, 0x06


def load_behind_seccomp(errno: int) -> SeenLoad:
    """By a process whose filter answers bpf(2) with this errno."""

    def load() -> SeenLoad:
        filters = (sock_filter * 4)(
            sock_filter(BPF_LD_W_ABS),
            sock_filter(BPF_JEQ_K, 0, 1, NR_BPF),
            sock_filter(BPF_RET_K, k=SECCOMP_RET_ERRNO | errno),
            sock_filter(BPF_RET_K, k=SECCOMP_RET_ALLOW),
        )
        made = Buffers(program(REFUSED[0][0], "filtered"), 1, LOG_SIZE)
        code = sock_fprog(len(filters), ctypes.addressof(filters))
        assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(code), 0, 0) == 0
        return made.result(call_bpf(bpf.BPF_PROG_LOAD, made.attr))

    return call_in_child(load)


def load_from_untouched_memory(text: str) -> SeenLoad:
    """With an attr in a page that this process has never touched: it is first read by the kernel."""

    def load() -> SeenLoad:
        made = Buffers(program(text, "untouched"), 1, LOG_SIZE)
        fd = os.memfd_create("attr")
        os.write(fd, bytes(made.attr).ljust(mmap.PAGESIZE, b"\0"))
        page = mmap.mmap(fd, 0)
        start = ctypes.addressof(ctypes.c_char.from_buffer(page))
        there = bpf_attr_prog_load.from_address(start)
        return made.result(call_bpf(bpf.BPF_PROG_LOAD, there))

    return call_in_child(load)


def call_in_new_pid_namespace(function: Callable[[], T]) -> T:
    """What a function returns in the first process of a pid namespace."""

    def fork_and_call() -> T:
        sched.unshare(sched.CLONE_NEWPID)
        return call_in_child(function)

    return call_in_child(fork_and_call)


def watch_in_pid_namespace() -> tuple[int, list[int], list[int]]:
    """A process here; which ones --pid with its number reports, of two; and which one loads in a namespace below."""
    with LoadWatch(0) as watch, child(lambda: load_here(1)) as one, child(lambda: load_here(1)) as other:
        watch.start(LoadFilter(pid=one.pid))
        for each in (other, one):
            each.start()
            each.answer()
        by_pid = loading_pids(watch)
        watch.start(LoadFilter())
        call_in_new_pid_namespace(lambda: load_here(1))
        return one.pid, by_pid, loading_pids(watch)


def loading_pids(watch: LoadWatch) -> list[int]:
    """The processes of this pid namespace that have loaded."""
    found = [report.last.load.ns_pid for report in watch.feed(Limits(lambda: "done"))]
    return [number for number in found if number is not None]


def load_from_nowhere() -> SeenLoad:
    """With an attr where no memory is."""

    def load() -> SeenLoad:
        errno = call_bpf(bpf.BPF_PROG_LOAD, bpf_attr_prog_load.from_address(mmap.PAGESIZE))
        return SeenLoad(os.getpid(), "nowhere", errno, b"")

    return call_in_child(load)


class bpf_common_attr(ctypes.Structure):
    """linux/bpf.h, seen on Linux v7.2."""

    _fields_ = (
        ("log_buf", ctypes.c_uint64),
        ("log_size", ctypes.c_uint32),
        ("log_level", ctypes.c_uint32),
        ("log_true_size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    )


def load_by_common_attrs(text: str) -> SeenLoad:
    """With the log in the fourth argument of bpf(2)."""

    def load() -> SeenLoad:
        made = Buffers(program(text, "common"))
        log = ctypes.create_string_buffer(LOG_SIZE)
        common = bpf_common_attr(ctypes.addressof(log), LOG_SIZE, 1)
        errno = call_bpf(bpf.BPF_PROG_LOAD | BPF_COMMON_ATTRS, made.attr, ATTR_SIZE, common)
        return SeenLoad(os.getpid(), "common", errno, log.value)

    return call_in_child(load)


def flood(count: int, level: int = 1) -> SeenLoad:
    """So many failing loads, as fast as one thread can; it is named FLOOD."""

    def load() -> SeenLoad:
        Path("/proc/self/comm").write_text(FLOOD, encoding="ascii")
        made = Buffers(program(REFUSED[0][0], "flood"), level, LOG_SIZE if level else 0)
        for _ in range(count):
            errno = call_bpf(bpf.BPF_PROG_LOAD, made.attr)
        return made.result(errno)

    return call_in_child(load)


def load_while_scribbled(count: int) -> SeenLoad:
    """Another thread of the loader overwrites the log, its NUL included, all the time."""

    def load() -> SeenLoad:
        made = Buffers(program(REFUSED[0][0], "scribbled"), 2, LOG_SIZE)
        over = threading.Event()

        def scribble() -> None:
            while not over.is_set():
                ctypes.memset(made.log, ord("x"), LOG_SIZE)

        thread = threading.Thread(target=scribble)
        thread.start()
        for _ in range(count):
            errno = call_bpf(bpf.BPF_PROG_LOAD, made.attr, OLD_ATTR_SIZE)
        over.set()
        thread.join()
        return SeenLoad(os.getpid(), "scribbled", errno, b"")

    return call_in_child(load)
