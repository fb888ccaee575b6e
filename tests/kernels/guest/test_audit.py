# SPDX-License-Identifier: GPL-2.0-or-later
"""audit in every kernel of the lab, as root and as nobody, against what is known of its release."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kprobe_tool.checks import CHECKS, SYSTEMS, Check, Root
from kprobe_tool.native import kmod, tls

from .expected import Expected
from .nvmet import Target, every_cpu_online
from .tool import Answer, as_nobody, tool

HERE = {
    "extensible-struct-reachability": "ok",
    "nvme-queues-granted": "affected",
    "nvme-stale-io-queues": "affected",
    "nvme-hctx-offline-cpus": "ok",
    "nvme-queue-count": "ok",
    "nvme-path-queues": "not-applicable",
    "nvme-poll-queues": "ok",
    "nvme-cpu-balance": "ok",
}
"""Verdicts that depend on the guest, and not on the kernel's release: the lab's PCI controller has two queues for
four CPUs, and there is a controller over TCP with write and poll queues."""
KTLS_ONLY = "skmsg-tls-split-copy"
"""Of nothing else; the others of sk_msg are asked on plain TCP as well."""
RUN: dict[str, Callable[..., Answer]] = {"root": tool, "nobody": as_nobody}
NQN = "nqn.2026-01.org.example:audit"

Modprobe = Callable[..., None]


@contextmanager
def nvme(modprobe: Modprobe) -> Iterator[None]:
    """Beside the PCI controller of the lab: one over TCP with write and poll queues, all of them granted."""
    with every_cpu_online():
        target = Target(modprobe)
        try:
            target.offer(NQN, "tcp")
            target.connect(NQN, "tcp", nr_io_queues=4, nr_write_queues=2, nr_poll_queues=2)
            yield
        finally:
            target.close()


@contextmanager
def load_modules(system: str, modprobe: Modprobe) -> Iterator[None]:
    """What the checks of a system need; RDS lists more with rds_tcp. A kernel without kTLS is asked without."""
    modules = {module for check in CHECKS if check.system == system for module in check.needs.modules}
    if not has_ktls():
        modules.discard(tls.MODULE)
    modprobe(*sorted(modules), *(["rds_tcp"] if "rds" in modules else []))
    yield


def has_ktls() -> bool:
    """Whether this kernel was built with it; Debian's 5.10 was not."""
    return kmod.on_disk(tls.MODULE, os.uname().release)


def verdict(check: Check, user: str, expected: Expected) -> str:
    if check.needs.root is Root.ALWAYS and user != "root":
        return "unknown"
    if check.id in HERE:
        return HERE[check.id]
    if check.id == KTLS_ONLY and not has_ktls():
        return "not-applicable"
    return "affected" if expected.affected(check.id) else "ok"


@pytest.mark.parametrize("user", RUN)
@pytest.mark.parametrize("system", SYSTEMS)
def test_verdicts_are_those_of_the_release_and_the_guest(
    system: str, user: str, expected: Expected, modprobe: Modprobe
) -> None:
    with nvme(modprobe) if system == "nvme" else load_modules(system, modprobe):
        answer = RUN[user]("audit", "--only", system, "-o", "json", "--fail-on", "unknown")
    assert answer.err == ""
    rows = {row["id"]: row for row in answer.json["results"]}
    wanted = {check.id: verdict(check, user, expected) for check in CHECKS if check.system == system}
    assert {name: row["status"] for name, row in rows.items()} == wanted, [row["reason"] for row in rows.values()]
    counted = set(wanted.values())
    assert answer.code == (1 if "affected" in counted else 3 if "unknown" in counted else 0)
    summary = answer.json["summary"]
    assert summary["root"] == (user == "root")
    assert set(summary["root_may_settle"]) <= {name for name, status in wanted.items() if status == "unknown"}
