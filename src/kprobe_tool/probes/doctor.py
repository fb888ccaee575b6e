# SPDX-License-Identifier: GPL-2.0-or-later
"""What this host lets the tool do, and how to get the rest."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass

from kprobe_tool.errors import Error
from kprobe_tool.native import bcc, host, kmod, kprobe, sched
from kprobe_tool.native.bpf import BPF_PROG_TYPE_SK_MSG
from kprobe_tool.native.child import Child, Request
from kprobe_tool.native.programs import doctor, skmsg_check

MODULES = ("rds", "rds_tcp", "rds_rdma", "tls", "nvme_core", "nvme_fabrics", "nvme_rdma", "nvme_tcp")
"""What the commands can look at. Absent modules are never loaded, so the hint says who would."""


@dataclass(frozen=True)
class Item:
    """One thing the tool needs. ``available`` is None where it could not be told."""

    name: str
    available: bool | None
    detail: str
    hint: str | None = None


def items() -> list[Item]:
    """All of them, in the order in which they matter."""
    return [
        interpreter(),
        bcc_item(),
        btf(),
        *bpf(),
        kprobes(),
        lockdown(),
        privileges(),
        user_namespaces(),
        unprivileged_bpf(),
        seccomp(),
        *[module(name) for name in MODULES],
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


def btf() -> Item:
    path = "/sys/kernel/btf/vmlinux"
    if not host.exists(path):
        return Item("btf", False, f"no {path}", "a kernel with CONFIG_DEBUG_INFO_BTF=y")
    return Item("btf", host.readable(path), path, None if host.readable(path) else "run as root")


def bpf() -> list[Item]:
    """Whether a program compiles without kernel headers, and the kernel and a sockmap take it, by trying."""
    try:
        bcc.require_privileges("BPF")
    except Error as error:
        return [Item(name, None, error.reason, error.hint) for name in ("bpf-compile", "sockmap")]
    begin = time.monotonic()
    try:
        with bcc.Object("doctor.c") as made:
            program = made.load(doctor.FUNCTION, BPF_PROG_TYPE_SK_MSG)
            taken = time.monotonic() - begin
            compiled = Item("bpf-compile", True, f"compiled and loaded in {taken:.1f} s, without kernel headers")
            return [compiled, sockmap(made, program)]
    except Error as error:
        failed = Item("bpf-compile", False, f"{error.subject}: {error.reason}", error.hint)
        return [failed, Item("sockmap", None, "no program to attach to one", "what bpf-compile needs")]


def sockmap(made: bcc.Object, program: int) -> Item:
    try:
        skmsg_check.attach_verdict(made, program, doctor.SOCKMAP)
    except Error as error:
        return Item("sockmap", False, f"{error.subject}: {error.reason}", error.hint)
    return Item("sockmap", True, "takes a verdict program")


def kprobes() -> Item:
    if kprobe.available():
        return Item("kprobes", True, kprobe.PMU)
    return Item("kprobes", False, f"no {kprobe.PMU}", "a kernel with CONFIG_KPROBE_EVENTS=y")


def lockdown() -> Item:
    """``available`` here: the kernel may be looked into."""
    mode = host.lockdown()
    if mode is None:
        return Item("lockdown", None, "no /sys/kernel/security/lockdown", "mount securityfs to see it")
    open_enough = mode != "confidentiality"
    return Item("lockdown", open_enough, mode, None if open_enough else "boot without lockdown=confidentiality")


def privileges() -> Item:
    names = sorted(host.effective_capabilities())
    detail = f"uid {os.geteuid()}, {' '.join(names) or 'no capabilities of use'}"
    if not host.in_initial_user_namespace():
        detail += ", in a user namespace that is not the host's"
    complete = len(names) == len(host.CAPABILITIES) and host.in_initial_user_namespace()
    return Item("privileges", complete, detail, None if complete else "run as root of the host for all checks")


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


def unprivileged_bpf() -> Item:
    value = host.read_line("/proc/sys/kernel/unprivileged_bpf_disabled")
    if value is None:
        return Item("unprivileged-bpf", None, "no sysctl kernel.unprivileged_bpf_disabled")
    allowed = value == "0"
    return Item(
        "unprivileged-bpf", allowed, f"kernel.unprivileged_bpf_disabled = {value}", None if allowed else "run as root"
    )


def seccomp() -> Item:
    mode = host.status_field("Seccomp")
    if mode is None:
        return Item("no-seccomp-filter", None, "no Seccomp field in /proc/self/status")
    if mode == "0":
        return Item("no-seccomp-filter", True, "system calls reach the kernel")
    return Item("no-seccomp-filter", False, f"mode {mode}: answers may be a filter's", "run outside the container")


def module(name: str) -> Item:
    loaded = kmod.loaded(name)
    if loaded is None:
        return Item(
            f"module-{name}", None, "not loaded; modules.builtin, which would say if it is built in, is not here"
        )
    if loaded:
        return Item(f"module-{name}", True, "loaded or built in")
    return Item(f"module-{name}", False, "not loaded", f"'modprobe {name}' if it is meant to be used here")
