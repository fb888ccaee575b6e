"""Does the kernel show RDS across namespaces? The answer for these kernels is known, from their changelogs."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.native import netns, rds
from kprobe_tool.probes.rds import leak

from ..packages import Kernel
from .conftest import Run
from .tool import ARGV, tool

PER_NAMESPACE = {name for name in rds.OPTIONS if name != "RDS_INFO_COUNTERS" and "IB_" not in name}


@pytest.fixture(autouse=True)
def loaded(modprobe: Callable[..., None]) -> Iterator[None]:
    modprobe("rds", "rds_tcp", "veth")
    leak.attempt.cache_clear()
    yield
    leak.attempt.cache_clear()


def outcomes(document: Any) -> dict[str, str]:
    return {row["optname"]: row["outcome"] for row in document["results"]}


def verdicts(document: Any) -> dict[str, str]:
    return {row["id"]: row["status"] for row in document["findings"]}


def expected(kernel: Kernel) -> dict[str, str]:
    state = "leaks" if "unfixed-6.12" in kernel.roles else "isolated"
    return {
        **dict.fromkeys(PER_NAMESPACE, state),
        "RDS_INFO_COUNTERS": "global",
        "RDS_INFO_IB_CONNECTIONS": "unavailable",
        "RDS6_INFO_IB_CONNECTIONS": "unavailable",
    }


def test_twelve_options() -> None:
    assert len(PER_NAMESPACE) == 12


def test_leak_check_as_root(kernel: Kernel) -> None:
    answer = tool("rds-info", "--leak-check", "-o", "json")
    assert outcomes(answer.json) == expected(kernel), answer.out
    unfixed = "unfixed-6.12" in kernel.roles
    assert verdicts(answer.json) == {
        "rds-info-netns-leak": "affected" if unfixed else "ok",
        "rds-info-count-leak": "affected" if unfixed else "ok",
        "rds-netns-delivery": "affected" if unfixed else "ok",
        # No kernel has separated the bind table.
        "rds-bind-netns": "affected",
    }
    # The bind table does not count here.
    assert answer.code == (1 if unfixed else 0)


def test_leak_check_as_nobody(kernel: Kernel, as_nobody: Run) -> None:
    done = as_nobody([*ARGV, "rds-info", "--leak-check", "-o", "json"])
    assert done.stderr == ""
    assert outcomes(json.loads(done.stdout)) == expected(kernel), done.stdout
    assert done.returncode == (1 if "unfixed-6.12" in kernel.roles else 0)


def test_audit_says_the_same(kernel: Kernel) -> None:
    audit = tool("audit", "-o", "json").json
    check = tool("rds-info", "--leak-check", "-o", "json").json
    rds_rows = {row["id"]: row["status"] for row in audit["results"] if row["system"] == "rds"}
    assert rds_rows == verdicts(check)


def test_the_second_witness_agrees(kernel: Kernel) -> None:
    row = next(row for row in tool("audit", "-o", "json").json["results"] if row["id"] == "rds-info-netns-leak")
    assert bool(row["evidence"]["symbols_of_unfixed_kernels"]) == (row["status"] == "affected")


def test_with_rds_alone(modprobe: Callable[..., None]) -> None:
    """Without rds_tcp there is no canary in the send, retransmit and TCP lists, and that is said."""
    # rmmod, since modprobe -r would take rds with it.
    subprocess.run(["rmmod", "rds_tcp"], check=True)
    try:
        found = outcomes(tool("rds-info", "--leak-check", "-o", "json").json)
    finally:
        modprobe("rds_tcp")
    # An unfixed kernel may still leak rows of these lists from elsewhere; here there are none.
    assert {name for name, outcome in found.items() if outcome == "inconclusive"} == {
        name for name in PER_NAMESPACE if "SEND" in name or "RETRANS" in name
    }
    assert found["RDS_INFO_TCP_SOCKETS"] == found["RDS6_INFO_TCP_SOCKETS"] == "unavailable"


def namespaces() -> set[int]:
    return {space.inode for space in netns.of_processes([])}


def snapshot() -> dict[str, object]:
    """What a run could leave behind."""
    rds_rows = subprocess.run(
        [*ARGV, "rds-info", "-k", "-n", "-T", "-s", "-t", "-r", "-o", "json"], check=True, capture_output=True
    ).stdout
    return {
        "modules": sorted(line.split()[0] for line in Path("/proc/modules").read_text().splitlines()),
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "netns": sorted(namespaces()),
        "names": sorted(os.listdir("/run/netns")),
        "rds": json.loads(rds_rows)["results"],
    }


def settled(before: dict[str, object]) -> dict[str, object]:
    """Namespaces die in the kernel's own time: wait until nothing differs, or give up and show it."""
    end = time.monotonic() + 30
    while (after := snapshot()) != before and time.monotonic() < end:
        time.sleep(0.5)
    return after


def steady() -> dict[str, object]:
    """A snapshot that holds still: what earlier tests made may still be going away."""
    end = time.monotonic() + 120
    while (before := snapshot())["rds"] or snapshot() != before:
        assert time.monotonic() < end
    return before


def test_no_module_is_loaded_for_it(modprobe: Callable[..., None]) -> None:
    """Without veth there is no canary in the retransmit queue, and none is made by loading it."""
    subprocess.run(["rmmod", "veth"], check=True)
    try:
        found = outcomes(tool("rds-info", "--leak-check", "-o", "json").json)
        assert not Path("/sys/module/veth").exists()
    finally:
        modprobe("veth")
    assert {name for name, outcome in found.items() if outcome == "inconclusive"} == {
        "RDS_INFO_RETRANS_MESSAGES",
        "RDS6_INFO_RETRANS_MESSAGES",
    }


def test_nothing_is_left() -> None:
    before = steady()
    subprocess.run([*ARGV, "rds-info", "--leak-check"], check=False, capture_output=True)
    assert settled(before) == before


def test_nothing_is_left_after_kill() -> None:
    before = steady()
    spaces = namespaces()
    process = subprocess.Popen([*ARGV, "rds-info", "--leak-check"], stdout=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while namespaces() == spaces and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    assert process.poll() is None, "it ended before it could be killed"
    assert namespaces() != spaces
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert settled(before) == before


def test_user_namespaces_disabled(as_nobody: Run) -> None:
    limit = Path("/proc/sys/user/max_user_namespaces")
    before = limit.read_text()
    limit.write_text("0")
    try:
        done = as_nobody([*ARGV, "audit", "-o", "json"])
        # Root needs no user namespace.
        as_root = tool("rds-info", "--leak-check", "-o", "json")
    finally:
        limit.write_text(before)
    rows = [row for row in json.loads(done.stdout)["results"] if row["system"] == "rds"]
    assert {row["status"] for row in rows} == {"unknown"}
    assert all("ENOSPC" in row["reason"] and "root" in row["settle"] for row in rows)
    assert done.returncode == 0
    assert "inconclusive" not in outcomes(as_root.json).values()
