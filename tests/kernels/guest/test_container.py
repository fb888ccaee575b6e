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


def inside(*mounts: tuple[str, ...], ask: Callable[[], object], flags: int = 0) -> object:
    """An answer from a mount namespace with these mounts, or how asking failed; nobody else sees them."""

    def answer(request: Request) -> Request:
        sched.unshare(sched.CLONE_NEWNS | flags)
        for command in (("--make-rprivate", "/"), *mounts):
            subprocess.run(["mount", *command], check=True)
        return {"answer": ask()}

    with Child(answer, time.monotonic() + PATIENCE) as child:
        return child.ask()["answer"]


def tls_as_seen() -> list[object]:
    return [kmod.is_loaded(tls.MODULE), tls.is_ulp_registered()]


NO_SYS_MODULE = ("-t", "tmpfs", "none", "/sys/module")
NO_LIB_MODULES = ("-t", "tmpfs", "none", kmod.MODULES)
NO_KALLSYMS = ("--bind", "/dev/null", "/proc/kallsyms")


@pytest.fixture
def loaded_tls(modprobe: Callable[..., None]) -> None:
    modprobe("tls")
    kmod.built_in.cache_clear()


def test_tls_of_the_kernel_image_in_a_container(loaded_tls: None) -> None:
    """With tls built in, a container has neither /sys/module/tls nor the kernel's modules.builtin, and its network
    namespace no list of ULPs: the kernel's symbols are what is left, and they are right."""

    def ask() -> object:
        assert not os.path.exists(tls.AVAILABLE_ULP)
        seen = tls_as_seen()
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as sock,
        ):
            tls.take_over(sock)
        return seen

    assert inside(NO_SYS_MODULE, NO_LIB_MODULES, ask=ask, flags=sched.CLONE_NEWNET) == [None, True]


def test_tls_where_nothing_shows_it(loaded_tls: None) -> None:
    """With /dev/null for a list of symbols nobody knows; an empty list was "not loaded" once."""
    found = inside(NO_SYS_MODULE, NO_LIB_MODULES, NO_KALLSYMS, ask=tls_as_seen, flags=sched.CLONE_NEWNET)
    assert found == [None, None]


def test_proc_of_processes_only() -> None:
    """As systemd mounts it for ProcSubset=pid. Without /proc/modules it was a "kernel built without modules" once."""
    found = inside(
        ("-t", "proc", "-o", "subset=pid", "proc", "/proc"),
        ask=lambda: [os.path.exists("/proc/modules"), kmod.loading_disabled_by()],
    )
    assert found == [False, None]
    assert os.path.exists("/proc/modules")
