# SPDX-License-Identifier: GPL-2.0-or-later
"""What containers and services do not see of /proc and /sys is not taken for what the kernel does not have."""

import os
import socket
import subprocess
import time
from collections.abc import Callable

import pytest

from kprobe_tool.native import kmod, sched, tls
from kprobe_tool.native.child import Child, Request

PATIENCE = 120


def ask_inside(*mounts: tuple[str, ...], ask: Callable[[], object], flags: int = 0) -> object:
    """Call a function in a mount namespace with these mounts, which nobody else sees. Returns what it returns."""

    def answer(request: Request) -> Request:
        sched.unshare(sched.CLONE_NEWNS | flags)
        for command in (("--make-rprivate", "/"), *mounts):
            subprocess.run(["mount", *command], check=True)
        return {"answer": ask()}

    with Child(answer, time.monotonic() + PATIENCE) as child:
        return child.ask()["answer"]


def ask_tls() -> list[object]:
    return [kmod.is_loaded(tls.MODULE), tls.is_ulp_registered()]


NO_SYS_MODULE = ("-t", "tmpfs", "none", "/sys/module")
NO_LIB_MODULES = ("-t", "tmpfs", "none", kmod.MODULES)
NO_KALLSYMS = ("--bind", "/dev/null", "/proc/kallsyms")


@pytest.fixture
def load_tls(modprobe: Callable[..., None]) -> None:
    modprobe("tls")
    kmod.built_in.cache_clear()


def test_a_container_is_told_of_tls_by_the_kernel_s_symbols(load_tls: None) -> None:
    """With tls built in, a container has neither /sys/module/tls nor the kernel's modules.builtin, and its network
    namespace no list of ULPs: the kernel's symbols are what is left, and they are right."""

    def ask() -> object:
        assert not os.path.exists(tls.AVAILABLE_ULP)
        seen = ask_tls()
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as sock,
        ):
            tls.take_over(sock)
        return seen

    assert ask_inside(NO_SYS_MODULE, NO_LIB_MODULES, ask=ask, flags=sched.CLONE_NEWNET) == [None, True]


def test_tls_that_nothing_shows_is_unknown(load_tls: None) -> None:
    """As with /dev/null in the place of the symbols, which was taken for "not loaded" once."""
    found = ask_inside(NO_SYS_MODULE, NO_LIB_MODULES, NO_KALLSYMS, ask=ask_tls, flags=sched.CLONE_NEWNET)
    assert found == [None, None]


def test_a_proc_of_processes_only_says_nothing_of_modules() -> None:
    """As systemd mounts it for ProcSubset=pid, which was taken for "a kernel built without modules" once."""
    found = ask_inside(
        ("-t", "proc", "-o", "subset=pid", "proc", "/proc"),
        ask=lambda: [os.path.exists("/proc/modules"), kmod.loading_disabled_by()],
    )
    assert found == [False, None]
    assert os.path.exists("/proc/modules")
