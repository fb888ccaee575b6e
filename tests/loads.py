"""Loads of BPF programs by other processes, for verifier-log watch to see: what each loader asked and was told."""

from __future__ import annotations

import ctypes
import mmap
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from kprobe_tool.native import bcc, bpf, libbpf, sched
from kprobe_tool.native.bpf import bpf_attr_prog_load
from kprobe_tool.native.libc import libc
from kprobe_tool.probes.live import Limits
from kprobe_tool.probes.verifier.watching.attempts import Report
from kprobe_tool.probes.verifier.watching.watch import LoadFilter, LoadWatch

from .corpus.asm import Resolve, assemble
from .corpus.kernel import BPF_MAP_CREATE, MAPS, bpf_attr_map_create

__all__ = ("BPF_MAP_CREATE",)

T = TypeVar("T")

SOCKET_FILTER = 1
LOG_SIZE = 1 << 16

# linux/bpf.h, seen on Linux v7.2
BPF_COMMON_ATTRS = 1 << 16

ATTR_SIZE = ctypes.sizeof(bpf_attr_prog_load)
OLD_ATTR_SIZE = 128
"""Before log_true_size, as libbpf 1.1 passes it."""

BCC_SOURCE = b"int refused(void *ctx) { return *(int *)(ctx + 4096); }\n"
BCC_FLAGS = ["-DLINUX_VERSION_CODE=0", f"-DPAGE_SIZE={os.sysconf('SC_PAGESIZE')}", f"-DMACHINE_{os.uname().machine}"]


def unresolved(kind: str, name: str) -> int:
    raise ValueError(f"no {kind} {name} here")


def program(text: str, name: str = "", resolve: Resolve = unresolved) -> bpf.Program:
    return bpf.Program(assemble(text, resolve), SOCKET_FILTER, prog_name=name.encode())


REFUSED = (
    ("r0 = r2; exit", "R2 !read_ok"),
    ("r0 = 1; exit; exit", "unreachable insn 2"),
    ("r0 = *(u64 *)(r1 +4096); exit", "invalid bpf_context access off=4096 size=8"),
)
"""(program, how the line about it begins on every kernel)."""

FINE = "r0 = 0; exit"

FLOOD = f"flood-{os.getpid()}"

OWN_COMM = Path("/proc/self/comm").read_text(encoding="utf-8").strip()
"""Of our children, too."""

LONG = "r1 = 0; loop:; r1 += 1; if r1 != {count} goto loop; r0 = r2; exit"
"""Refused after so many rounds, of which level 2 logs two lines each."""


@dataclass(frozen=True)
class Told:
    """One load as its loader saw it. ``pid`` is the loader's; ``printed``: the log is among what it printed."""

    pid: int
    name: str
    errno: int
    log: bytes
    printed: bool = False


def agrees(report: Report, told: Told) -> None:
    """A report holds what its loader was told."""
    load = report.last.load
    assert (load.pid, load.name) == (told.pid, told.name)
    if told.printed:
        assert report.last.log
        assert report.last.log.strip() in told.log
    else:
        assert load.errno == told.errno
        assert report.last.log == told.log
        assert load.length == len(told.log)
    assert (load.captured, load.missing) == (load.length, None)


class Child(Generic[T]):
    """A process that waits to be told to run a function, and then to be let go."""

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


def in_child(function: Callable[[], T]) -> T:
    """What a function returns in a process of its own."""
    with child(function) as made:
        made.start()
        return made.answer()


def refused(number: int, loader: str) -> bpf.Program:
    return program(REFUSED[number % len(REFUSED)][0], f"{loader}_{number}")


def array_map() -> bpf_attr_map_create:
    return bpf_attr_map_create(*MAPS["array"])


def by_hand(count: int) -> list[Told]:
    """bpf(2) itself, with a log at once."""

    return in_child(lambda: here(count))


def here(count: int) -> list[Told]:
    """The same by this process."""

    def load(number: int) -> Told:
        wanted = refused(number, "raw")
        answer = bpf.load_once(wanted, 1 + number % 2, LOG_SIZE)
        return Told(os.getpid(), wanted.prog_name.decode(), answer.errno, answer.log)

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


def by_libbpf(count: int) -> list[Told]:
    """libbpf's bpf_prog_load(): without a log first, and with one if that fails."""

    def load(number: int) -> Told:
        wanted = refused(number, "libbpf")
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
        return Told(os.getpid(), wanted.prog_name.decode(), -done, log.value)

    return in_child(lambda: [load(number) for number in range(count)])


def by_bcc(count: int) -> list[Told]:
    """bcc's load_func(), which prints the log: here that is all that was printed."""

    def load(made: Any, kind: int) -> Told:
        with bcc.capture_output() as said:
            with pytest.raises(Exception, match="Failed to load BPF program b'refused'"):
                made.load_func(b"refused", kind)
            printed = said()
        return Told(os.getpid(), "refused", 0, printed.encode(), printed=True)

    def loads() -> list[Told]:
        module = bcc.load().module
        with bcc.capture_output(), bcc.kernel_source(bcc.SOURCES):
            made = module.BPF(text=BCC_SOURCE, cflags=BCC_FLAGS)
        return [load(made, module.BPF.SOCKET_FILTER) for _ in range(count)]

    return in_child(loads)


def call(cmd: int, attr: bpf_attr_prog_load, size: int = ATTR_SIZE, common: Any = None) -> int:
    """bpf(2) with an attr of this size: 0 or an errno. What is loaded is closed."""
    more = (None, 0) if common is None else (ctypes.byref(common), ctypes.c_ulong(ctypes.sizeof(common)))
    fd = libc.syscall(321, cmd, ctypes.byref(attr), ctypes.c_ulong(size), *more)
    if fd < 0:
        return ctypes.get_errno()
    os.close(fd)
    return 0


class Buffers:
    """The memory that an attr points to, for as long as this is kept."""

    def __init__(self, asked: bpf.Program, log_level: int = 0, log_size: int = 0) -> None:
        self.insns = ctypes.create_string_buffer(asked.insns)
        self.license = ctypes.create_string_buffer(asked.license)
        self.log = ctypes.create_string_buffer(max(1, log_size))
        self.attr = bpf_attr_prog_load(
            prog_type=asked.prog_type,
            insn_cnt=len(asked.insns) // 8,
            insns=ctypes.addressof(self.insns),
            license=ctypes.addressof(self.license),
            log_level=log_level,
            log_size=log_size,
            log_buf=ctypes.addressof(self.log) if log_size else 0,
            prog_name=asked.prog_name,
        )

    def told(self, errno: int) -> Told:
        return Told(os.getpid(), self.attr.prog_name.decode(), errno, self.log.value)


def silently(text: str, count: int = 1) -> Told:
    """Without a log."""

    return in_child(lambda: silent_here(text, count=count))


def silent_here(text: str, resolve: Resolve = unresolved, count: int = 1) -> Told:
    """The same by this process."""
    wanted = program(text, "silent", resolve)
    for _ in range(count):
        answer = bpf.load_once(wanted, 0, 0)
    return Told(os.getpid(), "silent", answer.errno, b"")


def asked(text: str, level: int, size: int, *, attr_size: int = ATTR_SIZE, address: int | None = None) -> Told:
    """With such an attr; ``address`` is where the log shall be, whether there is memory or not."""

    def load() -> Told:
        made = Buffers(program(text, "asked"), level, size)
        if address is not None:
            made.attr.log_buf = address
        return made.told(call(bpf.BPF_PROG_LOAD, made.attr, attr_size))

    return in_child(load)


def growing(text: str, *sizes: int) -> Told:
    """One attempt with a log of each size."""

    def load() -> Told:
        for size in sizes:
            made = Buffers(program(text, "growing"), 2, size)
            told = made.told(call(bpf.BPF_PROG_LOAD, made.attr))
        return told

    return in_child(load)


def killed(text: str) -> int:
    """In the middle of it, which the time spent in the kernel tells: the pid."""
    made = Buffers(program(text, "killed"), 2, 1 << 26)
    with child(lambda: call(bpf.BPF_PROG_LOAD, made.attr)) as loader:
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


def by_int80(text: str) -> Told:
    """By the system call of 32-bit programs. Raises EOFError where the kernel has none: the loader dies of it."""

    def load() -> Told:
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
        return Told(os.getpid(), "int80", -done, low[LOG_SIZE:].partition(b"\0")[0])

    return in_child(load)


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


def behind_seccomp(errno: int) -> Told:
    """By a process whose filter answers bpf(2) with this errno."""

    def load() -> Told:
        filters = (sock_filter * 4)(
            sock_filter(BPF_LD_W_ABS),
            sock_filter(BPF_JEQ_K, 0, 1, 321),
            sock_filter(BPF_RET_K, k=SECCOMP_RET_ERRNO | errno),
            sock_filter(BPF_RET_K, k=SECCOMP_RET_ALLOW),
        )
        made = Buffers(program(REFUSED[0][0], "filtered"), 1, LOG_SIZE)
        code = sock_fprog(len(filters), ctypes.addressof(filters))
        assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(code), 0, 0) == 0
        return made.told(call(bpf.BPF_PROG_LOAD, made.attr))

    return in_child(load)


def untouched(text: str) -> Told:
    """With an attr in a page that this process has never touched: it is first read by the kernel."""

    def load() -> Told:
        made = Buffers(program(text, "untouched"), 1, LOG_SIZE)
        fd = os.memfd_create("attr")
        os.write(fd, bytes(made.attr).ljust(mmap.PAGESIZE, b"\0"))
        page = mmap.mmap(fd, 0)
        start = ctypes.addressof(ctypes.c_char.from_buffer(page))
        there = bpf_attr_prog_load.from_address(start)
        return made.told(call(bpf.BPF_PROG_LOAD, there))

    return in_child(load)


def in_new_pid_namespace(function: Callable[[], T]) -> T:
    """What a function returns in the first process of a pid namespace."""

    def first() -> T:
        sched.unshare(sched.CLONE_NEWPID)
        return in_child(function)

    return in_child(first)


def watched_in_pid_namespace() -> tuple[int, list[int], list[int]]:
    """A process here; which ones --pid with its number reports, of two; and which one loads in a namespace below."""
    with LoadWatch(0) as watch, child(lambda: here(1)) as one, child(lambda: here(1)) as other:
        watch.start(LoadFilter(pid=one.pid))
        for each in (other, one):
            each.start()
            each.answer()
        by_pid = numbers(watch)
        watch.start(LoadFilter())
        in_new_pid_namespace(lambda: here(1))
        return one.pid, by_pid, numbers(watch)


def numbers(watch: LoadWatch) -> list[int]:
    """The processes of this pid namespace that have loaded."""
    found = [report.last.load.ns_pid for report in watch.feed(Limits(lambda: "done"))]
    return [number for number in found if number is not None]


def nowhere() -> Told:
    """With an attr where no memory is."""

    def load() -> Told:
        errno = call(bpf.BPF_PROG_LOAD, bpf_attr_prog_load.from_address(mmap.PAGESIZE))
        return Told(os.getpid(), "nowhere", errno, b"")

    return in_child(load)


class bpf_common_attr(ctypes.Structure):
    """linux/bpf.h, seen on Linux v7.2."""

    _fields_ = (
        ("log_buf", ctypes.c_uint64),
        ("log_size", ctypes.c_uint32),
        ("log_level", ctypes.c_uint32),
        ("log_true_size", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    )


def by_common_attrs(text: str) -> Told:
    """With the log in the fourth argument of bpf(2)."""

    def load() -> Told:
        made = Buffers(program(text, "common"))
        log = ctypes.create_string_buffer(LOG_SIZE)
        common = bpf_common_attr(ctypes.addressof(log), LOG_SIZE, 1)
        errno = call(bpf.BPF_PROG_LOAD | BPF_COMMON_ATTRS, made.attr, ATTR_SIZE, common)
        return Told(os.getpid(), "common", errno, log.value)

    return in_child(load)


def flood(count: int, level: int = 1) -> Told:
    """So many failing loads, as fast as one thread can; it is named FLOOD."""

    def load() -> Told:
        Path("/proc/self/comm").write_text(FLOOD, encoding="ascii")
        made = Buffers(program(REFUSED[0][0], "flood"), level, LOG_SIZE if level else 0)
        for _ in range(count):
            errno = call(bpf.BPF_PROG_LOAD, made.attr)
        return made.told(errno)

    return in_child(load)


def while_scribbled(count: int) -> Told:
    """Another thread of the loader overwrites the log, its NUL included, all the time."""

    def load() -> Told:
        made = Buffers(program(REFUSED[0][0], "scribbled"), 2, LOG_SIZE)
        over = threading.Event()

        def scribble() -> None:
            while not over.is_set():
                ctypes.memset(made.log, ord("x"), LOG_SIZE)

        thread = threading.Thread(target=scribble)
        thread.start()
        for _ in range(count):
            errno = call(bpf.BPF_PROG_LOAD, made.attr, OLD_ATTR_SIZE)
        over.set()
        thread.join()
        return Told(os.getpid(), "scribbled", errno, b"")

    return in_child(load)
