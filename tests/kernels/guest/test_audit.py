"""audit in every kernel of the lab, as root and as nobody, against the matrix of verdicts that are known."""

import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kprobe_tool.checks import CHECKS, SYSTEMS
from kprobe_tool.lab.offers import Kernel

from .nvmet import Target, every_cpu_online
from .tool import Answer, as_nobody, tool

MATRIX: dict[str, dict[str, dict[str, str]]] = tomllib.loads(
    (Path(__file__).parent / "data" / "audit-matrix.toml").read_text(encoding="utf-8")
)
"""Check: role: user: verdict."""
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
def loaded(system: str, modprobe: Modprobe) -> Iterator[None]:
    """What the checks of a system need; RDS lists more with rds_tcp."""
    modules = {module for check in CHECKS if check.system == system for module in check.needs.modules}
    modprobe(*sorted(modules), *(["rds_tcp"] if "rds" in modules else []))
    yield


@pytest.mark.parametrize("user", RUN)
@pytest.mark.parametrize("system", SYSTEMS)
def test_matrix(system: str, user: str, kernel: Kernel, modprobe: Modprobe) -> None:
    with nvme(modprobe) if system == "nvme" else loaded(system, modprobe):
        answer = RUN[user]("audit", "--only", system, "-o", "json", "--fail-on", "unknown")
    assert answer.err == ""
    rows = {row["id"]: row for row in answer.json["results"]}
    expected = {check.id: MATRIX[check.id][kernel.role][user] for check in CHECKS if check.system == system}
    assert {name: row["status"] for name, row in rows.items()} == expected, [row["reason"] for row in rows.values()]
    counted = set(expected.values())
    assert answer.code == (1 if "affected" in counted else 3 if "unknown" in counted else 0)
    summary = answer.json["summary"]
    assert summary["root"] == (user == "root")
    assert set(summary["root_may_settle"]) <= {name for name, status in expected.items() if status == "unknown"}
