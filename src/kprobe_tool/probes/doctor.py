# SPDX-License-Identifier: GPL-2.0-or-later
"""What this host lets the tool do, which command needs what of it, and how to get the rest."""

from __future__ import annotations

import errno as errnos
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from kprobe_tool.errors import Error, errno_name
from kprobe_tool.lab import boot
from kprobe_tool.native import bcc, bpf, host, kmod, kprobe, libbpf, sched, tls
from kprobe_tool.native.child import Child, Request
from kprobe_tool.native.programs import doctor, skmsg_check
from kprobe_tool.probes.rds.presence import presence

NVME = "/sys/class/nvme"
BTF = "/sys/kernel/btf/vmlinux"
ATTACHED_TO = "bpf_fentry_test1"
"""net/bpf/test_run.c (Linux v5.5): a function that is there to be attached to, and that nothing calls by itself."""
TRACEPOINT = "sys_enter"
MACHINES = frozenset({"x86_64", "aarch64"})


class Item(NamedTuple):
    """One thing that commands can need. ``available`` is None where it could not be found out."""

    name: str
    available: bool | None
    detail: str
    hint: str | None = None


class Works(StrEnum):
    """Whether a command does its work here."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"
    UNKNOWN = "unknown"


Choices = tuple[tuple[str, ...], ...]
"""Each a choice of items, of which one is enough."""


class CommandNeeds(NamedTuple):
    """What a command cannot do without (``needs``), and what it says less without (``wants``). ``elsewhere`` are the
    options with which it asks no kernel, and needs nothing of this one."""

    command: str
    needs: Choices = ()
    wants: Choices = ()
    elsewhere: tuple[str, ...] = ()


COMMANDS = (
    CommandNeeds(
        "audit", wants=(("user-namespaces", "capabilities"), ("sockmap",), ("btf",), ("no-seccomp-filter",))
    ),
    CommandNeeds("bugreport"),
    CommandNeeds("check-fields", wants=(("no-seccomp-filter",), ("btf",))),
    CommandNeeds("doctor"),
    CommandNeeds("explain"),
    CommandNeeds("fleet"),
    CommandNeeds(
        "nvme-queues",
        needs=(("nvme",),),
        wants=(("capabilities",), ("btf",)),
        elsewhere=("--simulate", "--sysfs", "--from-sos"),
    ),
    CommandNeeds("rds-info", needs=(("rds",),), wants=(("capabilities",),), elsewhere=("--from",)),
    CommandNeeds("rds-info --leak-check", needs=(("rds",), ("user-namespaces", "capabilities"))),
    CommandNeeds("schema"),
    CommandNeeds("skmsg check", needs=(("bpf-compile",), ("btf",), ("sockmap",)), wants=(("tls",),)),
    CommandNeeds("skmsg watch", needs=(("bpf-compile",), ("btf",), ("kprobes", "fentry"))),
    CommandNeeds("verifier-log explain"),
    CommandNeeds("verifier-log floor"),
    CommandNeeds("verifier-log load", needs=(("bpf",),), wants=(("bcc",), ("libbpf",))),
    CommandNeeds("verifier-log matrix", needs=(("guests",),), wants=(("bcc",), ("libbpf",))),
    CommandNeeds("verifier-log stats"),
    CommandNeeds(
        "verifier-log watch",
        needs=(("machine",), ("bpf-compile",), ("btf",), ("raw-tracepoints",)),
        wants=(("kprobes",),),
    ),
)


class CommandStatus(NamedTuple):
    """Whether a command works here; ``missing`` are the items that keep it from that, or from saying more. Where they
    keep it from that, it works with one of the options ``elsewhere`` only."""

    command: CommandNeeds
    works: Works
    missing: tuple[Item, ...]
    elsewhere: tuple[str, ...] = ()


def status_of(command: CommandNeeds, items: Mapping[str, Item]) -> CommandStatus:
    """What the items mean for a command."""
    needed, wanted = (missing(choices, items) for choices in (command.needs, command.wants))
    if any(item.available is False for item in needed):
        works = Works.PARTLY if command.elsewhere else Works.NO
        return CommandStatus(command, works, needed, command.elsewhere)
    if needed:
        return CommandStatus(command, Works.UNKNOWN, needed, command.elsewhere)
    return CommandStatus(command, Works.PARTLY if wanted else Works.YES, wanted)


def missing(choices: Choices, items: Mapping[str, Item]) -> tuple[Item, ...]:
    """The items of each choice none of which is available. If one of them could not be determined, only that one."""
    found: list[Item] = []
    for choice in choices:
        each = [items[name] for name in choice]
        if not any(item.available for item in each):
            undetermined = [item for item in each if item.available is None]
            found += undetermined[:1] or each
    return tuple(found)


def items() -> list[Item]:
    """All of them, each asked now; those that others rest on come first."""
    return [
        interpreter(),
        bcc_item(),
        libbpf_item(),
        machine(),
        btf_item(),
        bpf_item(),
        *program_items(),
        lockdown(),
        capabilities(),
        user_namespaces(),
        seccomp(),
        rds(),
        kernel_tls(),
        nvme(),
        guests(),
    ]


def interpreter() -> Item:
    return Item(
        "interpreter", True, f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    )


def bcc_item() -> Item:
    try:
        found = bcc.load()
    except Error as error:
        return Item("bcc", False, error.reason, error.hint)
    return Item("bcc", True, f"{found.version}, {found.path}")


def libbpf_item() -> Item:
    try:
        version = libbpf.version()
    except Error as error:
        return Item("libbpf", False, error.reason, error.hint)
    return Item("libbpf", True, f"{version}, {libbpf.SONAME}")


def machine() -> Item:
    name = os.uname().machine
    if name in MACHINES:
        return Item("machine", True, name)
    return Item("machine", False, f"{name}: where it keeps the arguments of system calls is not known here")


def btf_item() -> Item:
    if not host.exists(BTF):
        return Item("btf", False, f"no {BTF}", "a kernel with CONFIG_DEBUG_INFO_BTF=y")
    if host.readable(BTF):
        return Item("btf", True, BTF)
    return Item("btf", False, f"{BTF} cannot be read", host.privilege_hint())


def bpf_item() -> Item:
    """Whether the kernel takes the least of all programs from us."""
    program = bpf.Program(doctor.RETURN_0, bpf.PROG_TYPES.index("socket_filter"))
    try:
        answer = bpf.load(program, 0)
    except OSError as error:
        return Item("bpf", False, str(Error.from_os("bpf(2)", error)))
    if answer.errno:
        return Item("bpf", False, f"refused ({errno_name(answer.errno)})", bpf.refusal_hint())
    return Item("bpf", True, "the kernel takes a program")


def program_items() -> list[Item]:
    """Whether programs compile without kernel headers and can be attached, each to where nothing runs them."""
    attached = {
        "sockmap": attach_sockmap,
        "raw-tracepoints": attach_raw_tracepoint,
        "kprobes": attach_kprobe,
        "fentry": attach_fentry,
    }
    try:
        bcc.require_privileges("BPF")
    except Error as error:
        return [Item(name, False, "needs privileges", error.hint) for name in ("bpf-compile", *attached)]
    begin = time.monotonic()
    try:
        with bcc.Object("doctor.c") as bpf_object:
            bpf_object.load(doctor.FUNCTION, bpf.BPF_PROG_TYPE_SK_MSG)
            taken = time.monotonic() - begin
            compiled = Item("bpf-compile", True, f"compiled and loaded in {taken:.1f} s, without kernel headers")
            return [compiled, *(attempt(name, attach, bpf_object) for name, attach in attached.items())]
    except Error as error:
        failed = Item("bpf-compile", False, f"{error.subject}: {error.reason}", error.hint)
        return [
            failed,
            *(Item(name, None, "not tried: no program to attach", "what bpf-compile needs") for name in attached),
        ]


Attach = Callable[[bcc.Object], str]
"""Attaches a program, which goes with the object, and says to what. Raises Error, OSError."""


def attempt(name: str, attach: Attach, bpf_object: bcc.Object) -> Item:
    try:
        return Item(name, True, attach(bpf_object))
    except Error as error:
        if error.errno in {errnos.EPERM, errnos.EACCES}:
            return Item(name, False, f"refused ({errno_name(error.errno)})", error.hint)
        return Item(name, False, error.reason, error.hint)
    except OSError as error:
        return Item(name, False, str(Error.from_os(error.filename or name, error)), NEEDED[name])


NEEDED = {
    "sockmap": "a kernel with CONFIG_NET_SOCK_MSG=y",
    "raw-tracepoints": "a kernel with CONFIG_FTRACE_SYSCALLS=y",
    "kprobes": "a kernel with CONFIG_KPROBE_EVENTS=y",
    "fentry": "a kernel with CONFIG_DEBUG_INFO_BTF=y and CONFIG_FUNCTION_TRACER=y, on an architecture that has it",
}
"""What a kernel must have for a program to be attached, where its answer does not say that."""


def attach_sockmap(bpf_object: bcc.Object) -> str:
    skmsg_check.attach_verdict(bpf_object, bpf_object.load(doctor.FUNCTION, bpf.BPF_PROG_TYPE_SK_MSG), doctor.SOCKMAP)
    return "takes a verdict program"


def attach_raw_tracepoint(bpf_object: bcc.Object) -> str:
    bpf_object.attach_raw_tracepoint(bpf_object.load(doctor.AT_SYSCALL, bpf.BPF_PROG_TYPE_RAW_TRACEPOINT), TRACEPOINT)
    return f"a program was attached to {TRACEPOINT}"


def attach_kprobe(bpf_object: bcc.Object) -> str:
    bpf_object.own(kprobe.attach(bpf_object.load(doctor.AT_FUNCTION, bpf.BPF_PROG_TYPE_KPROBE), ATTACHED_TO))
    return f"a program was attached to {ATTACHED_TO}"


def attach_fentry(bpf_object: bcc.Object) -> str:
    bpf_object.attach_fentry(
        bpf_object.load(doctor.fentry_function(bpf_object.functions()), bpf.BPF_PROG_TYPE_TRACING)
    )
    return f"a program was attached to {ATTACHED_TO}"


def lockdown() -> Item:
    """``available`` here: the kernel may be looked into."""
    mode = host.lockdown()
    if mode is None:
        return Item("lockdown", None, "no /sys/kernel/security/lockdown")
    open_enough = mode != "confidentiality"
    return Item("lockdown", open_enough, mode, None if open_enough else "boot without lockdown=confidentiality")


def capabilities() -> Item:
    effective = host.effective_capabilities()
    absent = [name for name in sorted(host.CAPABILITIES) if name not in effective]
    if absent:
        return Item("capabilities", False, f"uid {os.geteuid()} has no {', '.join(absent)}", host.privilege_hint())
    if not host.in_initial_user_namespace():
        return Item("capabilities", False, "in a user namespace only", "root of the host, not of a user namespace")
    return Item("capabilities", True, ", ".join(sorted(effective)))


def user_namespaces() -> Item:
    """Asked by making one, in a child that ends at once."""

    def unshare(request: Request) -> Request:
        sched.unshare(sched.CLONE_NEWUSER | sched.CLONE_NEWNET)
        return {}

    try:
        with Child(unshare, time.monotonic() + 10) as child:
            child.ask()
    except OSError as error:
        hint = "sysctl user.max_user_namespaces and kernel.unprivileged_userns_clone"
        return Item("user-namespaces", False, str(Error.from_os("unshare(2)", error)), hint)
    return Item("user-namespaces", True, "can be made, with a network namespace")


def seccomp() -> Item:
    mode = host.status_field("Seccomp")
    if mode is None:
        return Item("no-seccomp-filter", None, "no Seccomp field in /proc/self/status")
    if mode == "0":
        return Item("no-seccomp-filter", True, "no filter answers for the kernel")
    return Item(
        "no-seccomp-filter",
        False,
        "a seccomp filter may answer for the kernel",
        "run outside the container or the service",
    )


def rds() -> Item:
    try:
        found = presence()
    except Error as error:
        return Item("rds", None, str(error))
    if found.registered:
        return Item("rds", True, f"loaded: {', '.join(found.modules) or 'built in'}")
    return Item("rds", False, "not loaded", modprobe_hint("rds", "RDS"))


def guests() -> Item:
    """What boots other kernels."""
    if lacking := boot.missing():
        return Item("guests", False, f"not there: {', '.join(lacking)}", "install what is missing")
    return Item("guests", True, "QEMU and virtme-ng can boot other kernels")


def kernel_tls() -> Item:
    loaded = tls.is_ulp_registered()
    if loaded is None:
        return Item("tls", None, "whether kernel TLS is loaded cannot be seen", host.privilege_hint())
    if loaded:
        return Item("tls", True, "loaded")
    return Item("tls", False, "not loaded", modprobe_hint("tls", "kernel TLS"))


def modprobe_hint(module: str, what: str) -> str | None:
    """How to get a module, where there is one to be had; whether that is a good idea is the host's to say."""
    try:
        if not kmod.on_disk(module, os.uname().release):
            return None
    except OSError as error:
        return f"whether there is a module to load is unknown: {Error.from_os(str(error.filename), error)}"
    who = "" if os.geteuid() == 0 else " by root"
    return f"'modprobe {module}'{who}, only if {what} is meant to be used here"


def nvme() -> Item:
    try:
        names: Sequence[str] = sorted(os.listdir(NVME))
    except FileNotFoundError:
        names = []
    except OSError as error:
        return Item("nvme", None, str(Error.from_os(NVME, error)))
    return Item("nvme", bool(names), ", ".join(names) or "no controller")
