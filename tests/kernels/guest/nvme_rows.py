# SPDX-License-Identifier: GPL-2.0-or-later
"""Connects to a target, what must come of each, and the rows of nvme-queues about them."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kprobe_tool.errors import ExitCode
from kprobe_tool.native import kallsyms

from .nvmet import CLASS, attribute
from .tool import Answer


@dataclass(frozen=True)
class Scenario:
    """A connect with these options to a target with this limit; and what must come of it (default, read, poll)."""

    transport: str
    asked: int
    mapped: tuple[int, int, int]
    qid_max: int = 128
    options: dict[str, int] = field(default_factory=dict)
    findings: frozenset[str] = frozenset()


WRITE_POLL = {"nr_io_queues": 4, "nr_write_queues": 2, "nr_poll_queues": 2}
FEWER = "nvme-queues-granted"
STALE = "nvme-stale-io-queues"
NO_POLL = "nvme-poll-queues"
SCENARIOS = {
    "rdma-all": Scenario("rdma", 4, (4, 0, 0)),
    "rdma-fewer": Scenario("rdma", 4, (2, 0, 0), 2, findings=frozenset({FEWER})),
    "rdma-write": Scenario(
        "rdma", 4, (2, 2, 0), options={"nr_io_queues": 2, "nr_write_queues": 2}, findings=frozenset({STALE})
    ),
    "rdma-poll": Scenario(
        "rdma", 4, (2, 0, 2), options={"nr_io_queues": 2, "nr_poll_queues": 2}, findings=frozenset({STALE})
    ),
    "rdma-write-poll": Scenario(
        "rdma",
        4,
        (1, 2, 1),
        options={"nr_io_queues": 2, "nr_write_queues": 1, "nr_poll_queues": 1},
        findings=frozenset({STALE}),
    ),
    "rdma-write-poll-fewer": Scenario(
        "rdma", 8, (2, 4, 0), 6, options=WRITE_POLL, findings=frozenset({FEWER, STALE, NO_POLL})
    ),
    "rdma-write-poll-starved": Scenario(
        "rdma", 8, (3, 0, 0), 3, options=WRITE_POLL, findings=frozenset({FEWER, NO_POLL})
    ),
    "tcp-all": Scenario("tcp", 4, (4, 0, 0)),
    "tcp-write-poll": Scenario("tcp", 8, (2, 4, 2), options=WRITE_POLL, findings=frozenset({STALE})),
    "tcp-fewer-write": Scenario(
        "tcp", 6, (3, 0, 0), 3, options={"nr_io_queues": 4, "nr_write_queues": 2}, findings=frozenset({FEWER})
    ),
    "loop-all": Scenario("loop", 4, (4, 0, 0)),
    "loop-fewer": Scenario("loop", 4, (2, 0, 0), 2, findings=frozenset({FEWER})),
}


def types_are_known() -> bool:
    """Whether the kernel has the types of its modules, which it takes to read what a controller was asked for."""
    return Path("/sys/kernel/btf/nvme_core").exists()


def first_source() -> str:
    """Where root reads what was asked for: Debian's arm64 6.1 does not tell where variables are (KALLSYMS_ALL)."""
    try:
        kallsyms.address_of("nvme_subsystems")
    except LookupError:
        return "kprobe-event"
    return "kcore"


UNREAD = (
    "kprobe-tool: nvme-queues: options cannot be read from the kernel: kcore and kprobe-event: "
    "the kernel does not tell the types of its modules; Linux does since v5.11\n"
)


def row_of(answer: Answer, controller: str) -> Any:
    assert answer.err == "" or (answer.err == UNREAD and not types_are_known())
    counted = [each for row in answer.json["results"] for each in row["findings"] if each["severity"] != "low"]
    assert answer.code == (ExitCode.FOUND if counted else ExitCode.OK)
    (row,) = (row for row in answer.json["results"] if row["controller"] == controller)
    return row


def ids(row: Any) -> set[str]:
    return {finding["id"] for finding in row["findings"]}


def figures(row: Any) -> tuple[int, tuple[int, int, int]]:
    return row["granted"], tuple(row["mapped"][name] for name in ("default", "read", "poll"))


def pci_controller() -> str:
    """The lab's emulated controller: two queues for four CPUs."""
    (pci,) = (path.name for path in CLASS.iterdir() if attribute(path.name, "transport") == "pcie")
    return pci


def bounds(asked: Any) -> tuple[int | None, int | None, int | None]:
    return asked["at_least"], asked["value"], asked["at_most"]


def waits_in(pid: int, function: str) -> bool:
    """Whether a process sleeps in this function of the kernel."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "D" and bool(
        re.search(rf"\b{function}\b", Path(f"/proc/{pid}/stack").read_text())
    )


def reset(controller: str) -> None:
    """Reset a controller. The write returns when the reset is done, with an error where it failed."""
    subprocess.run(["sh", "-c", f"echo 1 > {CLASS}/{controller}/reset_controller"], check=False, capture_output=True)
