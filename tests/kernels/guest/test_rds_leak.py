# SPDX-License-Identifier: GPL-2.0-or-later
"""RDS across namespaces, on kernels whose changelogs say what they show."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.checks import CHECKS
from kprobe_tool.lab.machines import architecture_of
from kprobe_tool.lab.offers import Kernel
from kprobe_tool.native import netns, rds_info
from kprobe_tool.probes.rds import experiment
from kprobe_tool.probes.rds.children import connections_hold_namespace, tune_can_fail

from .expected import Expected
from .tool import as_nobody, start, tool

pytestmark = pytest.mark.no_bpf

PER_NAMESPACE = {name for name in rds_info.OPTIONS if name != "RDS_INFO_COUNTERS" and "IB_" not in name}
OF_RDS_TCP = {name for name in PER_NAMESPACE if "SEND" in name or "RETRANS" in name or "TCP" in name}


@pytest.fixture(autouse=True)
def load_rds(modprobe: Callable[..., None]) -> Iterator[None]:
    modprobe("rds", "rds_tcp")
    experiment.attempt.cache_clear()
    yield
    experiment.attempt.cache_clear()


def outcomes(document: Any) -> dict[str, str]:
    return {row["optname"]: row["outcome"] for row in document["results"]}


def verdicts(document: Any) -> dict[str, str]:
    return {row["id"]: row["status"] for row in document["findings"]}


def expected_outcomes(expected: Expected) -> dict[str, str]:
    state = "leaks" if expected.affected("rds-info-netns-leak") else "isolated"
    # Where the canary of rds_tcp is not made nothing is in its lists.
    untried = set() if connections_hold_namespace(os.uname().release) else OF_RDS_TCP
    return {
        **dict.fromkeys(PER_NAMESPACE - untried, state),
        **dict.fromkeys(untried, "inconclusive"),
        "RDS_INFO_COUNTERS": "global",
        "RDS_INFO_IB_CONNECTIONS": "unavailable",
        "RDS6_INFO_IB_CONNECTIONS": "unavailable",
    }


def test_twelve_options_are_per_namespace() -> None:
    assert len(PER_NAMESPACE) == 12


def test_root_finds_what_the_release_leaks(expected: Expected) -> None:
    answer = tool("rds-info", "--leak-check", "-o", "json")
    assert outcomes(answer.json) == expected_outcomes(expected), answer.out
    found = {check.id: expected.affected(check.id) for check in CHECKS if check.system == "rds"}
    assert verdicts(answer.json) == {name: "affected" if affected else "ok" for name, affected in found.items()}
    # The bind table does not count here.
    assert answer.code == (1 if any(found[name] for name in found if name != "rds-bind-netns") else 0)


def test_nobody_finds_what_the_release_leaks(expected: Expected) -> None:
    answer = as_nobody("rds-info", "--leak-check", "-o", "json")
    assert not answer.err
    assert outcomes(answer.json) == expected_outcomes(expected), answer.out
    assert answer.code == (1 if expected.affected("rds-info-netns-leak") else 0)


def test_audit_and_leak_check_agree(kernel: Kernel) -> None:
    audit = tool("audit", "--only", "rds", "-o", "json").json
    check = tool("rds-info", "--leak-check", "-o", "json").json
    rds_rows = {row["id"]: row["status"] for row in audit["results"] if row["system"] == "rds"}
    assert rds_rows == verdicts(check)


def test_the_tcp_canary_is_made_where_connections_hold_their_namespace(kernel: Kernel) -> None:
    row = tool("audit", "--only", "rds-info-netns-leak", "-o", "json").json["results"][0]
    assert (row["evidence"]["tcp_canary"] == "made") == connections_hold_namespace(kernel.release)


def test_the_types_say_whether_connections_hold_their_namespace(kernel: Kernel) -> None:
    """Older stable kernels with the fix are told by this alone. Before v5.11 modules have no types."""
    if not Path("/sys/kernel/btf/rds_tcp").exists():
        pytest.skip(f"{kernel.release} has no BTF of modules")
    assert tune_can_fail() == connections_hold_namespace(kernel.release)


def test_symbols_and_outcome_agree(kernel: Kernel) -> None:
    row = next(
        row
        for row in tool("audit", "--only", "rds", "-o", "json").json["results"]
        if row["id"] == "rds-info-netns-leak"
    )
    found = row["evidence"]["symbols_of_unfixed_kernels"]
    last = tool("rds-info", "--leak-check").out.splitlines()[-1]
    if architecture_of(kernel.release) != "amd64":
        # Debian builds them without CONFIG_KALLSYMS_ALL.
        assert found is None and last.endswith("shows no variables")
        return
    assert bool(found) == (row["status"] == "affected")
    assert last.startswith("second witness: ") and ("rds_sock_count" in last) == (row["status"] == "affected")


def test_lists_of_rds_tcp_are_inconclusive_without_it(modprobe: Callable[..., None]) -> None:
    """Without rds_tcp there is no canary in the send, retransmit and TCP lists."""
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
    return {space.inode for space in netns.list_by_process([])}


LIMIT = Path("/proc/sys/user/max_net_namespaces")


def count_namespaces() -> int:
    """How many network namespaces the kernel has, also those that only a kernel socket keeps.

    Nothing lists them, but the kernel counts them against a limit: the lowest one that still lets us make another.
    """
    before = LIMIT.read_text()
    try:
        for limit in range(1, 200):
            LIMIT.write_text(str(limit))
            if subprocess.run(["unshare", "--net", "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0:
                return limit - 1
    finally:
        LIMIT.write_text(before)
    pytest.fail("more than anyone can have made")


def snapshot() -> dict[str, object]:
    """What a run could leave behind."""
    return {
        "modules": sorted(line.split()[0] for line in Path("/proc/modules").read_text().splitlines()),
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "netns": sorted(namespaces()),
        "names": sorted(os.listdir("/run/netns")),
        "count": count_namespaces(),
    }


def wait_until_settled(before: dict[str, object]) -> dict[str, object]:
    """Wait until nothing differs any more, as namespaces die in the kernel's own time. Returns the last snapshot."""
    end = time.monotonic() + 120
    while (after := snapshot()) != before and time.monotonic() < end:
        time.sleep(1)
    return after


@pytest.fixture
def before() -> dict[str, object]:
    """A snapshot that no longer changes: what earlier tests made may still be going away."""
    end = time.monotonic() + 120
    while snapshot() != (found := snapshot()):
        assert time.monotonic() < end
        time.sleep(3)
    return found


def test_nothing_is_left(before: dict[str, object]) -> None:
    process = start("rds-info", "--leak-check")
    process.join()
    assert wait_until_settled(before) == before


def start_leak_check(seconds: float) -> BaseProcess | None:
    """A leak check that has had its namespaces for so long; None where it has ended before that."""
    spaces = namespaces()
    process = start("rds-info", "--leak-check")
    end = time.monotonic() + 60
    while len(namespaces() - spaces) < 2 and process.is_alive() and time.monotonic() < end:
        time.sleep(0.01)
    process.join(seconds)
    return process if process.is_alive() else None


def test_nothing_is_left_after_a_kill(before: dict[str, object]) -> None:
    """Killed when everything is there: the last thing it does is wait for the message that must not come."""
    for seconds in (0.5, 0.3, 0.1, 0.05, 0):
        process = start_leak_check(seconds)
        if process is not None:
            break
    assert process is not None, "it ended before it could be killed"
    process.kill()
    process.join()
    assert wait_until_settled(before) == before


def test_without_user_namespaces_only_root_has_verdicts(expected: Expected) -> None:
    limit = Path("/proc/sys/user/max_user_namespaces")
    before = limit.read_text()
    limit.write_text("0")
    try:
        answer = as_nobody("audit", "--only", "rds", "-o", "json")
        # Root needs no user namespace.
        as_root = tool("rds-info", "--leak-check", "-o", "json")
    finally:
        limit.write_text(before)
    rows = answer.json["results"]
    assert {row["status"] for row in rows} == {"unknown"}
    assert all("ENOSPC" in row["reason"] and "root" in row["settle"] for row in rows)
    assert "Traceback" not in answer.err
    assert outcomes(as_root.json) == expected_outcomes(expected)
