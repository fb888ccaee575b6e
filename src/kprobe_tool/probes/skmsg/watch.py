# SPDX-License-Identifier: GPL-2.0-or-later
"""Every sk_msg that passes one of five functions of the kernel, as bpf/skmsg_watch.c sees it."""

from __future__ import annotations

import errno as errnos
import os
import select
import struct
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_address

from kprobe_tool.errors import Error
from kprobe_tool.native import bcc, bpf, btf, kprobe, sk_msg
from kprobe_tool.native.closing import Closing
from kprobe_tool.native.field_macros import field_macros
from kprobe_tool.native.host import PROC_PID_INIT_INO
from kprobe_tool.native.libc import text
from kprobe_tool.native.programs import skmsg_watch
from kprobe_tool.native.sk_msg import Scatterlist
from kprobe_tool.probes.live import COUNTERS, Feed, Limits

FIELDS = {
    "SK_MSG_SK": ("sk_msg.sk",),
    "SOCK_FAMILY": ("sock.__sk_common.skc_family",),
    "SOCK_NUM": ("sock.__sk_common.skc_num",),
    "SOCK_DPORT": ("sock.__sk_common.skc_dport",),
    "SOCK_RCV_SADDR": ("sock.__sk_common.skc_rcv_saddr",),
    "SOCK_DADDR": ("sock.__sk_common.skc_daddr",),
    "SOCK_NET": ("sock.__sk_common.skc_net.net",),
    "NET_INUM": ("net.ns.inum",),
}
V6_FIELDS = {
    "SOCK_V6_RCV_SADDR": ("sock.__sk_common.skc_v6_rcv_saddr",),
    "SOCK_V6_DADDR": ("sock.__sk_common.skc_v6_daddr",),
}
"""Not in a kernel without IPv6."""

KPROBE_MACHINES = frozenset({"x86_64", "aarch64"})

RING_PAGES = 64
"""About 1500 messages of one element."""

FIRST = struct.pack("=I", 0)

AF_INET6 = 10


class AttachMethod(StrEnum):
    """How a program is attached to a function of the kernel."""

    KPROBE = "kprobe"
    FENTRY = "fentry"


@dataclass(frozen=True)
class HookedFunction:
    """A function whose calls are looked at, on entry or, where data is moved, on return."""

    name: str
    module: str | None = None
    at_return: bool = False


FUNCTIONS = (
    HookedFunction("sk_psock_msg_verdict"),
    HookedFunction("bpf_exec_tx_verdict", module="tls"),
    HookedFunction("bpf_msg_push_data", at_return=True),
    HookedFunction("bpf_msg_pop_data", at_return=True),
    HookedFunction("bpf_msg_pull_data", at_return=True),
)
"""In the order of enum hook."""


@dataclass(frozen=True)
class Hook:
    """Whether one function is watched, and else why not."""

    function: str
    method: AttachMethod
    reason: str | None

    @property
    def attached(self) -> bool:
        return self.reason is None


@dataclass(frozen=True)
class MessageFilter:
    """Which messages to show; None is any. ``everything``: also those without an exposed element."""

    everything: bool = False
    pid: int | None = None
    netns: int | None = None
    port: int | None = None


@dataclass(frozen=True)
class HookEvent:
    """One message at one hook.

    ``time`` is UTC, ``netns`` the inode of the socket's network namespace, pid and comm are the caller's.
    """

    time: datetime
    hook: str
    pid: int
    comm: str
    netns: int
    saddr: str
    sport: int
    daddr: str
    dport: int
    sg: Scatterlist


def decode(record: bytes, boot: int) -> HookEvent:
    """A struct event; ``boot`` is the wall clock's time in ns when the monotonic clock was 0."""
    event = skmsg_watch.event.from_buffer_copy(record)
    size = 16 if event.family == AF_INET6 else 4
    return HookEvent(
        time=datetime.fromtimestamp((event.time + boot) / 1e9, UTC),
        hook=FUNCTIONS[event.hook].name,
        pid=event.pid,
        comm=text(event.comm),
        netns=event.netns,
        saddr=str(ip_address(bytes(event.saddr)[:size])),
        sport=event.sport,
        daddr=str(ip_address(bytes(event.daddr)[:size])),
        dport=event.dport,
        sg=sk_msg.decode(record[skmsg_watch.EVENT_SIZE :]),
    )


def fields() -> dict[str, int]:
    """The macros of skmsg_watch.c. Raises Error."""
    macros = sk_msg.fields()
    kernel = btf.vmlinux()
    wanted = dict(FIELDS)
    if kernel.place_of(V6_FIELDS["SOCK_V6_DADDR"][0]):
        wanted |= V6_FIELDS
    return macros | field_macros(wanted, kernel)


class TargetProcess(Closing):
    """The process of --pid, known by a pidfd, so that another one with its number is not taken for it."""

    def __init__(self, pid: int) -> None:
        """Raises Error where there is none, or where the number would mean another process to the kernel."""
        if os.stat("/proc/self/ns/pid").st_ino != PROC_PID_INIT_INO:
            raise Error(
                f"pid {pid}", "BPF programs see another number for it", hint="run it in the initial pid namespace"
            )
        try:
            self.fd = os.pidfd_open(pid)
        except OSError as error:
            raise Error(f"pid {pid}", errno=error.errno) from error
        self.pid = pid

    def has_ended(self) -> bool:
        """A pidfd is readable when its process has ended (kernel/fork.c, pidfd_poll())."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        os.close(self.fd)


def default_method() -> AttachMethod:
    """Kprobes where there are any and bpf/include/uapi/linux/ptrace.h knows the machine's registers."""
    has_registers = os.uname().machine in KPROBE_MACHINES
    return AttachMethod.KPROBE if has_registers and kprobe.available() else AttachMethod.FENTRY


class MessageWatch(Closing):
    """The program, compiled once: ``start()`` attaches it, and what it saw is read from ``feed()`` to the end.

    Raises Error: no bcc, no privilege, no BTF, what does not compile.
    """

    def __init__(self, method: AttachMethod | None = None) -> None:
        self.method = method or default_method()
        defines = fields() | {"RING_PAGES": RING_PAGES}
        if self.method is AttachMethod.FENTRY:
            defines["FENTRY"] = 1
        self.program = bcc.Object("skmsg_watch.c", defines)
        self.hooks: tuple[Hook, ...] = ()

    def start(self, filters: MessageFilter) -> None:
        """Attach to what can be attached to; ``hooks`` says what that is. Raises OSError."""
        settings = skmsg_watch.settings(
            pid=filters.pid or 0, netns=filters.netns or 0, port=filters.port or 0, all=filters.everything
        )
        self.program.update("settings", FIRST, bytes(settings))
        self.program.zero_per_cpu("counters", len(COUNTERS))
        self.hooks = tuple(self._hook(function) for function in FUNCTIONS)

    def _hook(self, function: HookedFunction) -> Hook:
        reason = None
        try:
            self._attach(function)
        except (Error, OSError) as error:
            refusal = error if isinstance(error, Error) else Error.from_os(self.method, error)
            reason = str(refusal).removeprefix(f"{refusal.subject}: ")
            if function.module and refusal.errno == errnos.ENOENT:
                reason = f"{function.module} is not loaded"
                if self.method is AttachMethod.FENTRY:
                    reason += ", or is a module, which only --attach kprobe can watch"
        return Hook(function.name, self.method, reason)

    def _attach(self, function: HookedFunction) -> None:
        program, name = self.program, function.name
        if self.method is AttachMethod.FENTRY:
            kind = "kretfunc" if function.at_return else "kfunc"
            # The second is what newer releases of bcc make of it.
            names = {f"{kind}__{name}", f"{kind}__vmlinux__{name}"}
            made = next(each for each in program.functions() if each in names)
            program.attach_fentry(program.load(made, bpf.BPF_PROG_TYPE_TRACING))
            return
        if function.at_return:
            # First, and so detached last: no call is left without its return.
            at_return = program.load("on_return", bpf.BPF_PROG_TYPE_KPROBE)
            program.own(kprobe.attach(at_return, name, at_return=True))
        program.own(kprobe.attach(program.load(f"{name}_entry", bpf.BPF_PROG_TYPE_KPROBE), name))

    def feed(self, limits: Limits) -> Feed:
        """What comes from now on, as bytes for ``decode()``."""
        return Feed(self.program, limits)

    def close(self) -> None:
        self.program.close()


def boot_time() -> int:
    """The wall clock's time in ns when the monotonic clock was 0."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
