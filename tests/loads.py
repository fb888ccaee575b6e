# SPDX-License-Identifier: GPL-2.0-or-later
"""Loads of BPF programs by other processes, for verifier-log watch to see: what each loader asked and saw."""

from __future__ import annotations

import ctypes
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from kprobe_tool.native import bcc, bpf, libbpf, syscall
from kprobe_tool.native.bpf import bpf_attr_prog_load
from kprobe_tool.native.libc import libc
from kprobe_tool.native.noise import capture_output
from kprobe_tool.probes.live import Counters, Limits
from kprobe_tool.probes.verifier.watching.attempts import Report
from kprobe_tool.probes.verifier.watching.watch import LoadWatch

from .corpus.asm import Resolve, assemble
from .corpus.kernel import BPF_MAP_CREATE, MAPS, bpf_attr_map_create

__all__ = ("BPF_MAP_CREATE",)

T = TypeVar("T")

SOCKET_FILTER = 1
LOG_SIZE = 1 << 16


ATTR_SIZE = ctypes.sizeof(bpf_attr_prog_load)
OLD_ATTR_SIZE = 128
"""Before log_true_size, as libbpf 1.1 passes it."""

NR_BPF = syscall.number("bpf")

BCC_SOURCE = b"int refused(void *ctx) { return *(int *)(ctx + 4096); }\n"
BCC_FLAGS = ["-DLINUX_VERSION_CODE=0", f"-DPAGE_SIZE={os.sysconf('SC_PAGESIZE')}", f"-DMACHINE_{os.uname().machine}"]


def refuse_symbol(kind: str, name: str) -> int:
    raise ValueError(f"no {kind} {name} here")


def program(text: str, name: str = "", resolve: Resolve = refuse_symbol) -> bpf.Program:
    return bpf.Program(assemble(text, resolve), SOCKET_FILTER, prog_name=name.encode())


REFUSED = (
    ("r0 = r2; exit", "R2 !read_ok"),
    ("r0 = 1; exit; exit", "unreachable insn 2"),
    ("r0 = *(u64 *)(r1 +4096); exit", "invalid bpf_context access off=4096 size=8"),
)
"""(program, how the line about it begins on every kernel)."""

FINE = "r0 = 0; exit"


OWN_COMM = Path("/proc/self/comm").read_text(encoding="utf-8").strip()
"""Of our children, too."""

LONG = "r1 = 0; loop:; r1 += 1; if r1 != {count} goto loop; r0 = r2; exit"
"""Refused after so many rounds, of which level 2 logs two lines each."""


@dataclass(frozen=True)
class SeenLoad:
    """One load as its loader saw it. ``pid`` is the loader's; ``printed``: the log is among what it printed."""

    pid: int
    name: str
    errno: int
    log: bytes
    printed: bool = False


def assert_agrees(report: Report, seen: SeenLoad) -> None:
    """A report holds what its loader saw."""
    load = report.last.load
    assert (load.pid, load.name) == (seen.pid, seen.name)
    if seen.printed:
        assert report.last.log
        assert report.last.log.strip() in seen.log
    else:
        assert load.errno == seen.errno
        assert report.last.log == seen.log
        assert load.length == len(seen.log)
    assert (load.captured, load.missing) == (load.length, None)


class Child(Generic[T]):
    """A process that runs a function when it is told to, and ends when it is let go."""

    def __init__(self, function: Callable[[], T]) -> None:
        start, self._start = os.pipe()
        end, self._end = os.pipe()
        self._answer, answer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            # Whatever happens, this process must not go on with the tests.
            try:
                os.close(self._start)
                os.close(self._end)
                os.read(start, 1)
                with open(answer, "wb") as file:
                    file.write(pickle.dumps(function()))
                os.read(end, 1)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(0)
        for fd in (start, end, answer):
            os.close(fd)

    def start(self) -> None:
        # Closing the pipe would not do, because children that were made later have inherited this end.
        os.write(self._start, b"x")

    def answer(self) -> T:
        """What the function returned. Raises EOFError where the process died of it."""
        with open(self._answer, "rb") as file:
            answer: T = pickle.loads(file.read())
        return answer

    def end(self) -> None:
        with suppress(BrokenPipeError):
            os.write(self._start, b"x")
            os.write(self._end, b"x")
        os.waitpid(self.pid, 0)
        os.close(self._start)
        os.close(self._end)


@contextmanager
def child(function: Callable[[], T]) -> Iterator[Child[T]]:
    made = Child(function)
    try:
        yield made
    finally:
        made.end()


def call_in_child(function: Callable[[], T]) -> T:
    """What a function returns in a process of its own."""
    with child(function) as made:
        made.start()
        return made.answer()


def refused_program(number: int, loader: str) -> bpf.Program:
    return program(REFUSED[number % len(REFUSED)][0], f"{loader}_{number}")


def array_map() -> bpf_attr_map_create:
    return bpf_attr_map_create(*MAPS["array"])


def load_by_hand(count: int) -> list[SeenLoad]:
    """bpf(2) itself, with a log at once."""

    return call_in_child(lambda: load_here(count))


def load_here(count: int) -> list[SeenLoad]:
    """The same by this process."""

    def load(number: int) -> SeenLoad:
        wanted = refused_program(number, "raw")
        answer = bpf.load_once(wanted, 1 + number % 2, LOG_SIZE)
        return SeenLoad(os.getpid(), wanted.prog_name.decode(), answer.errno, answer.log)

    return [load(number) for number in range(count)]


class bpf_prog_load_opts(ctypes.Structure):
    """bpf/bpf.h of libbpf 1.0 and later; the library takes a shorter one."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("attempts", ctypes.c_int),
        ("expected_attach_type", ctypes.c_int),
        ("prog_btf_fd", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_ifindex", ctypes.c_uint32),
        ("kern_version", ctypes.c_uint32),
        ("attach_btf_id", ctypes.c_uint32),
        ("attach_prog_fd", ctypes.c_uint32),
        ("attach_btf_obj_fd", ctypes.c_uint32),
        ("fd_array", ctypes.c_void_p),
        ("func_info", ctypes.c_void_p),
        ("func_info_cnt", ctypes.c_uint32),
        ("func_info_rec_size", ctypes.c_uint32),
        ("line_info", ctypes.c_void_p),
        ("line_info_cnt", ctypes.c_uint32),
        ("line_info_rec_size", ctypes.c_uint32),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_void_p),
    )


def load_by_libbpf(count: int) -> list[SeenLoad]:
    """libbpf's bpf_prog_load(): without a log first, and with one if that fails."""

    def load(number: int) -> SeenLoad:
        wanted = refused_program(number, "libbpf")
        log = ctypes.create_string_buffer(LOG_SIZE)
        opts = bpf_prog_load_opts(log_size=LOG_SIZE, log_buf=ctypes.addressof(log))
        opts.sz = ctypes.sizeof(opts)
        insns = ctypes.create_string_buffer(wanted.insns)
        done = libbpf.library().bpf_prog_load(
            SOCKET_FILTER,
            wanted.prog_name,
            b"GPL",
            insns,
            ctypes.c_size_t(len(wanted.insns) // 8),
            ctypes.byref(opts),
        )
        return SeenLoad(os.getpid(), wanted.prog_name.decode(), -done, log.value)

    return call_in_child(lambda: [load(number) for number in range(count)])


def load_by_bcc(count: int) -> list[SeenLoad]:
    """bcc's load_func(), which prints the log: here that is all that was printed."""

    def load(made: Any, kind: int) -> SeenLoad:
        with capture_output() as output:
            with pytest.raises(Exception, match="Failed to load BPF program b'refused'"):
                made.load_func(b"refused", kind)
            printed = output()
        return SeenLoad(os.getpid(), "refused", 0, printed.encode(), printed=True)

    def loads() -> list[SeenLoad]:
        module = bcc.load().module
        with capture_output(), bcc.kernel_source(bcc.SOURCES):
            made = module.BPF(text=BCC_SOURCE, cflags=BCC_FLAGS)
        return [load(made, module.BPF.SOCKET_FILTER) for _ in range(count)]

    return call_in_child(loads)


def call_bpf(cmd: int, attr: bpf_attr_prog_load, size: int = ATTR_SIZE, common: Any = None) -> int:
    """bpf(2) with an attr of this size: 0 or an errno. What is loaded is closed."""
    more = (None, 0) if common is None else (ctypes.byref(common), ctypes.c_ulong(ctypes.sizeof(common)))
    fd = libc.syscall(NR_BPF, cmd, ctypes.byref(attr), ctypes.c_ulong(size), *more)
    if fd < 0:
        return ctypes.get_errno()
    os.close(fd)
    return 0


class Buffers:
    """The memory that an attr points to, for as long as this is kept."""

    def __init__(self, wanted: bpf.Program, log_level: int = 0, log_size: int = 0) -> None:
        self.insns = ctypes.create_string_buffer(wanted.insns)
        self.license = ctypes.create_string_buffer(wanted.license)
        self.log = ctypes.create_string_buffer(max(1, log_size))
        self.attr = bpf_attr_prog_load(
            prog_type=wanted.prog_type,
            insn_cnt=len(wanted.insns) // 8,
            insns=ctypes.addressof(self.insns),
            license=ctypes.addressof(self.license),
            log_level=log_level,
            log_size=log_size,
            log_buf=ctypes.addressof(self.log) if log_size else 0,
            prog_name=wanted.prog_name,
        )

    def result(self, errno: int) -> SeenLoad:
        return SeenLoad(os.getpid(), self.attr.prog_name.decode(), errno, self.log.value)


def load_silently(text: str, count: int = 1) -> SeenLoad:
    """Without a log."""

    return call_in_child(lambda: load_silently_here(text, count=count))


def load_silently_here(text: str, resolve: Resolve = refuse_symbol, count: int = 1) -> SeenLoad:
    """The same by this process."""
    wanted = program(text, "silent", resolve)
    for _ in range(count):
        answer = bpf.load_once(wanted, 0, 0)
    return SeenLoad(os.getpid(), "silent", answer.errno, b"")


def load_with_attr(
    text: str, level: int, size: int, *, attr_size: int = ATTR_SIZE, address: int | None = None
) -> SeenLoad:
    """With such an attr; ``address`` is where the log shall be, whether there is memory or not."""

    def load() -> SeenLoad:
        made = Buffers(program(text, "with_attr"), level, size)
        if address is not None:
            made.attr.log_buf = address
        return made.result(call_bpf(bpf.BPF_PROG_LOAD, made.attr, attr_size))

    return call_in_child(load)


def load_with_growing_logs(text: str, *sizes: int) -> SeenLoad:
    """One attempt with a log of each size."""

    def load() -> SeenLoad:
        for size in sizes:
            made = Buffers(program(text, "growing"), 2, size)
            seen = made.result(call_bpf(bpf.BPF_PROG_LOAD, made.attr))
        return seen

    return call_in_child(load)


NOW = Limits(lambda: "done")


def collect(watch: LoadWatch, pids: Set[int], limits: Limits = NOW) -> tuple[list[Report], Counters]:
    """What these processes have done since the start."""
    reports = watch.feed(limits)
    return [report for report in reports if report.last.load.pid in pids], reports.counters()
