# SPDX-License-Identifier: GPL-2.0-or-later
"""Every BPF_PROG_LOAD on this host, as bpf/verifier_watch.c sees it."""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache

from kprobe_tool.errors import Error, errno_name
from kprobe_tool.native import bcc, bpf, btf, cgroup, host, kallsyms, kprobe
from kprobe_tool.native.closing import Closing
from kprobe_tool.native.field_macros import field_macros
from kprobe_tool.native.programs import verifier_watch
from kprobe_tool.native.sched import TASK_COMM_LEN
from kprobe_tool.probes.live import COUNTERS, Counters, Feed, Limits
from kprobe_tool.probes.verifier.diagnosis import Diagnosis
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
from kprobe_tool.probes.verifier.explaining.redact import redact
from kprobe_tool.probes.verifier.watching.attempts import PATIENCE, Assembler, Attempt, Report, RetryJoiner
from kprobe_tool.probes.verifier.watching.reload import Unable, reload

MACHINE = os.uname().machine

FIELDS: dict[str, tuple[str, ...]] = {
    "TASK_LEADER": ("task_struct.group_leader",),
    "TASK_PID": ("task_struct.thread_pid",),
    "PID_LEVEL": ("pid.level",),
    "PID_NUMBERS": ("pid.numbers",),
    "UPID": ("upid",),
    "UPID_NR": ("upid.nr",),
    "UPID_NS": ("upid.ns",),
    "PID_NAMESPACE_INUM": ("pid_namespace.ns.inum",),
}
FIELDS_OF_MACHINE: dict[str, dict[str, tuple[str, ...]]] = {
    "x86_64": {"TASK_STATUS": ("task_struct.thread_info.status",)},
    "aarch64": {},
}
"""What bpf/include/registers.h needs besides, for the machines that it knows."""
SECCOMP_FIELDS = {"TASK_SECCOMP": ("task_struct.seccomp.mode",)}
"""Not in a kernel without CONFIG_SECCOMP."""

MESSAGE_FUNCTIONS = frozenset({"verbose", "bpf_verifier_log_write", "bpf_log"})
"""kernel/bpf: each gets a log, a format and its arguments, and is called even where nobody has asked for a log."""

EVENTS_BYTES = 16 << 20
MESSAGES_BYTES = 1 << 20
LOGS_BYTES_MIN = 8 << 20
"""Sizes of the rings; that of the logs holds two of --max-log, that of the events some 15,000 loads with short logs:
loaders can be twenty times as fast as we explain."""

CONTAINER = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
"""How container runtimes name control groups (docker-ID.scope, cri-containerd-ID.scope, libpod-ID, /docker/ID)."""

FIRST = struct.pack("=I", 0)

COMM_MAX = TASK_COMM_LEN - 1


@dataclass(frozen=True)
class LoadFilter:
    """Which loads are reported. ``comm`` is the thread's name; ``prog_type`` a number."""

    everything: bool = False
    pid: int | None = None
    comm: str | None = None
    prog_type: int | None = None

    def packed(self) -> bytes:
        """struct settings of the program. Raises Error for a name that no thread can have."""
        comm = os.fsencode(self.comm or "")
        if self.comm is not None and not 0 < len(comm) <= COMM_MAX:
            raise Error(f"comm '{self.comm}'", f"a thread's name has 1 to {COMM_MAX} bytes")
        has_type = self.prog_type is not None
        return bytes(
            verifier_watch.settings(
                comm=comm, pid=self.pid or 0, all=self.everything, has_type=has_type, type=self.prog_type or 0
            )
        )


def pages(size: int) -> int:
    """The pages of a ring that has room for ``size`` bytes; a ring is a power of two."""
    count = 1
    while count * os.sysconf("SC_PAGESIZE") < size:
        count *= 2
    return count


class Names:
    """The kernel's own names of program and attach types."""

    def __init__(self, types: btf.Btf) -> None:
        self._types = types.enumerators("bpf_prog_type")
        self._attach_types = types.enumerators("bpf_attach_type")

    def prog_type(self, number: int) -> str:
        return self._types.get(number, str(number)).removeprefix("BPF_PROG_TYPE_").lower()

    def attach_type(self, number: int) -> str:
        return self._attach_types.get(number, str(number)).removeprefix("BPF_").lower()


@dataclass(frozen=True)
class ControlGroup:
    """The loader's control group (version 2); ``path`` is None where none is mounted or it is gone."""

    id: int
    path: str | None
    container: str | None


class ControlGroups:
    """Control groups by id; those asked for last are remembered, since a loader seldom comes alone."""

    def __init__(self) -> None:
        self._mount = cgroup.mount_point()
        self.find = lru_cache(maxsize=1024)(self._find)

    def _find(self, number: int) -> ControlGroup:
        path = None
        if self._mount is not None:
            with suppress(OSError):
                path = cgroup.path_of(number, self._mount)
        names = CONTAINER.findall(path or "")
        return ControlGroup(number, path, names[-1] if names else None)


class LogSource(StrEnum):
    """Where a log is from."""

    LOADER = "loader"
    """The loader's own buffer."""
    MESSAGES = "messages"
    """The verifier's messages to a loader that asked for no log."""
    RELOAD = "reload"
    """Another try of ours."""


@dataclass(frozen=True)
class Explained:
    """A report, and what the best log that there is of it says.

    ``at`` is when the load ended. ``note`` says why it could not be loaded again. The diagnosis of a program that was
    accepted is None.
    """

    report: Report
    at: datetime
    source: LogSource | None
    log: bytes
    diagnosis: Diagnosis | None
    note: str | None = None


LATEST = datetime(9998, 1, 1, tzinfo=UTC).timestamp()
"""A clock may be set later than that; a datetime cannot."""


def wall_clock(monotonic: int) -> datetime:
    """The time of day of a CLOCK_MONOTONIC time of the kernel's in ns, as the clock is set now."""
    seconds = (time.time_ns() - host.kernel_monotonic_ns() + monotonic) / 1e9
    return datetime.fromtimestamp(min(max(0.0, seconds), LATEST), UTC)


def explain_report(report: Report, *, again: bool = False, redacted: bool = False) -> Explained:
    """The best log there is; with ``again`` a program that was rejected without one is loaded once more."""
    attempt = report.last
    load = attempt.load
    source, log, note = None, b"", None
    if attempt.log:
        source, log = LogSource.LOADER, attempt.log
    elif attempt.messages:
        source, log = LogSource.MESSAGES, attempt.messages
    elif again and load.errno and not load.log_size:
        try:
            source, log = LogSource.RELOAD, reload(attempt)
        except Unable as error:
            source, note = None, str(error)
    at = wall_clock(load.time)
    if not load.errno:
        return Explained(report, at, source, redact_log(log) if redacted else log, None)
    whole = log
    if source is LogSource.LOADER and load.captured < load.length:
        # The first line is the rest of one.
        whole = log.partition(b"\n")[2] or log
    diagnosis = diagnose(whole, errno_name(load.errno))
    if redacted:
        log, diagnosis = redact_log(log), redact(diagnosis)
    return Explained(report, at, source, log, diagnosis, note)


# A loader that tries the same again and again is explained once.
diagnose = lru_cache(maxsize=8)(explain_bytes)


def redact_log(log: bytes) -> bytes:
    return redact(log.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


class LoadWatch(Closing):
    """The programs, compiled once: ``start()`` attaches them, and what they saw is read from ``feed()`` to the end.

    ``warnings`` say what will be missing. Raises Error: no bcc, no privilege, no BTF, an architecture that is not
    known here.
    """

    def __init__(self, max_log: int, *, reload: bool = False) -> None:
        if MACHINE not in FIELDS_OF_MACHINE:
            raise Error("loads of BPF programs", f"where {MACHINE} keeps the arguments of bpf(2) is not known here")
        bcc.require_privileges("loads of BPF programs")
        self.warnings: Sequence[str] = ()
        try:
            types = btf.vmlinux()
        except OSError as error:
            raise Error.from_os("BTF", error, hint="a kernel with CONFIG_DEBUG_INFO_BTF=y") from error
        self.names = Names(types)
        self.groups = ControlGroups()
        defines = {
            **field_macros(FIELDS | FIELDS_OF_MACHINE[MACHINE], types),
            "PIDNS_INO": os.stat("/proc/self/ns/pid").st_ino,
            "OWN_PID": os.getpid(),
            "MAX_LOG": max_log,
            "EVENTS_PAGES": pages(EVENTS_BYTES),
            "LOGS_PAGES": pages(max(LOGS_BYTES_MIN, 2 * max_log)),
            "MESSAGES_PAGES": pages(MESSAGES_BYTES),
        }
        if reload:
            defines["RELOAD"] = 1
        with suppress(Error):
            defines |= field_macros(SECCOMP_FIELDS, types)
        self._program = bcc.Object("verifier_watch.c", defines)

    def start(self, filters: LoadFilter) -> None:
        """Raises Error: a kernel without these tracepoints, a filter that nothing can pass."""
        self._program.update("settings_map", FIRST, filters.packed())
        self._program.zero_per_cpu("counters", len(COUNTERS))
        self.warnings = [f"{why}: of a load without a log only the errno is known" for why in self._attach_messages()]
        for function, tracepoint in (("load_exit", "sys_exit"), ("load_enter", "sys_enter")):
            program = self._program.load(function, bpf.BPF_PROG_TYPE_RAW_TRACEPOINT)
            try:
                self._program.attach_raw_tracepoint(program, tracepoint)
            except OSError as error:
                raise Error.from_os(
                    f"raw tracepoint {tracepoint}", error, hint="a kernel with CONFIG_FTRACE_SYSCALLS=y"
                ) from error

    def _attach_messages(self) -> Iterator[str]:
        """Hear what the verifier says to loaders that ask for no log; the rest works without. Yields why not."""
        if not kprobe.available():
            yield "no kprobes in this kernel"
            return
        try:
            found = kallsyms.function_addresses(MESSAGE_FUNCTIONS)
        except OSError as error:
            yield f"/proc/kallsyms: {error.strerror}"
            return
        addresses = [address for each in found.values() for address in each]
        if not addresses:
            yield "/proc/kallsyms shows no addresses of the verifier's functions"
            return
        program = self._program.load("load_message", bpf.BPF_PROG_TYPE_KPROBE)
        for address in addresses:
            try:
                self._program.own(kprobe.attach(program, address))
            except OSError as error:
                yield f"kprobe on the verifier's messages: {error.strerror}"

    def feed(self, limits: Limits) -> Reports:
        """What comes from now on."""
        return Reports(self._program, limits)

    def close(self) -> None:
        self._program.close()


class Reports:
    """The reports of one run, once, at most as many as --count says; then ``counters()`` and ``ended``."""

    def __init__(self, program: bcc.Object, limits: Limits) -> None:
        self._limits = limits
        limits = Limits(over=self._over, duration=limits.duration)
        self._feed = Feed(program, limits, ("events", "logs", "messages"), verifier_watch.is_load)
        self.shown = 0

    def _over(self) -> str | None:
        return "count" if self.shown == self._limits.count else self._limits.over()

    @property
    def ended(self) -> str | None:
        return self._feed.ended

    def counters(self) -> Counters:
        """Of loads, of which one report can have several."""
        return self._feed.counters()

    def __iter__(self) -> Iterator[Report]:
        for report in self._join_retries():
            if self.shown == self._limits.count:
                continue
            self.shown += 1
            self._feed.shown += len(report.attempts)
            yield report

    def _join_retries(self) -> Iterator[Report]:
        assembler, joiner = Assembler(), RetryJoiner()
        now = host.kernel_monotonic_ns()
        for batch in self._feed.batches():
            for record in batch:
                assembler.add(record)
            now = host.kernel_monotonic_ns()
            for attempt in assembler.take(now):
                yield from joiner.add(attempt)
            yield from joiner.take_expired(now)
        for attempt in assembler.take(now + PATIENCE):
            yield from joiner.add(attempt)
        yield from joiner.take_rest()


def duration_of(attempt: Attempt) -> int | None:
    """How long the system call took, in ns."""
    load = attempt.load
    return None if load.start is None else load.time - load.start
