# SPDX-License-Identifier: GPL-2.0-or-later
"""``check-fields`` on known kernels: the masks are those of their sources, and nothing is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.checks import Finding, Status, history
from kprobe_tool.checks.history import parse
from kprobe_tool.lab.offers import Kernel, upstream
from kprobe_tool.native.prober import Prober
from kprobe_tool.probes.extensible_structs import ask, checks, compare, table
from kprobe_tool.probes.extensible_structs.model import CheckFields, Reachability, Support, SyscallReport

from .conftest import Call, has_btf
from .expected import Expected

pytestmark = pytest.mark.no_bpf

SUPERVISE = Path(__file__).parents[2] / "host" / "supervise.py"
EMPTYPATH = 1 << 26
LEGACY = 0xFFFFFFFF & ~0x400000 & ~0x7F
"""CLONE_LEGACY_FLAGS without CLONE_DETACHED and the exit signal."""


def report_of(name: str, *, exhaustive: bool = False) -> SyscallReport:
    return ask.ask(table.entry(name), exhaustive=exhaustive)


def masks(report: SyscallReport) -> dict[str, int | None]:
    return {field.name: field.mask for field in report.fields if field.flags}


def acceptance(report: SyscallReport, name: str) -> Support:
    (taken,) = {flag.result.accepted for field in report.fields for flag in field.flags if flag.name == name}
    return taken


def by_btf(size: int, kernel: Kernel) -> int | None:
    return size if has_btf(kernel) else None


def at_least(kernel: Kernel, *version: int) -> bool:
    return upstream(kernel.version)[: len(version)] >= version


@pytest.fixture(params=["root", "nobody"])
def as_user(request: pytest.FixtureRequest, call_as_nobody: Call) -> Call:
    """Call a function as root or as nobody."""
    return call_as_nobody if request.param == "nobody" else lambda function: function()


def test_masks_of_openat2_are_those_of_the_source(kernel: Kernel, as_user: Call) -> None:
    report: SyscallReport = as_user(lambda: report_of("openat2", exhaustive=True))
    assert (report.reachable, report.check_fields) == (Reachability.YES, CheckFields.NO)
    flags = 0x1047FFFC3 if at_least(kernel, 7, 2) else 0x7FFFC3
    assert masks(report) == {"flags": flags, "mode": 0xFFF, "resolve": 0x3F}
    assert (report.size.value, report.size_btf) == (24, by_btf(24, kernel))


def test_bit_26_is_ignored_refused_or_means_something(kernel: Kernel, as_user: Call) -> None:
    report: SyscallReport = as_user(lambda: report_of("openat2"))
    assert report.calls <= 60
    if at_least(kernel, 7, 2):
        assert acceptance(report, "O_EMPTYPATH") is Support.YES
    elif not at_least(kernel, 6, 13):
        assert acceptance(report, "O_EMPTYPATH") is Support.IGNORED
    else:
        assert acceptance(report, "O_EMPTYPATH") in {Support.IGNORED, Support.NO}


def test_masks_of_clone3_are_those_of_the_source(kernel: Kernel, as_user: Call) -> None:
    report: SyscallReport = as_user(lambda: report_of("clone3", exhaustive=True))
    newer = 0x3F if at_least(kernel, 7, 1) else 0x3
    # CLONE_NEWTIME is the one bit of the exit signal that has a meaning.
    assert masks(report) == {"flags": newer << 32 | LEGACY | 0x80}
    assert acceptance(report, "CLONE_DETACHED") is Support.NO
    assert (report.size.value, report.size_btf) == (88, by_btf(88, kernel))


def needs_mount_setattr(kernel: Kernel) -> None:
    if not at_least(kernel, 5, 12):
        pytest.skip(f"Linux {kernel.release} has no mount_setattr")


def test_masks_of_mount_setattr_are_those_of_the_source(kernel: Kernel) -> None:
    needs_mount_setattr(kernel)
    report = report_of("mount_setattr", exhaustive=True)
    assert masks(report) == {
        "attr_set": 0x3000BF,
        "attr_clr": 0x2000FF,
        "propagation": 0x1E0000,
        "at_flags": 0x9900,
    }
    assert (report.size.value, report.size_btf) == (32, by_btf(32, kernel))


def test_nobody_learns_only_the_argument_of_mount_setattr(kernel: Kernel, call_as_nobody: Call) -> None:
    needs_mount_setattr(kernel)
    report: SyscallReport = call_as_nobody(lambda: report_of("mount_setattr"))
    assert masks(report) == {"attr_set": None, "attr_clr": None, "propagation": None, "at_flags": 0x9900}
    assert (report.size.value, report.size_btf) == (None, by_btf(32, kernel))


def test_all_calls_are_there_with_the_sizes_of_their_release(kernel: Kernel) -> None:
    """Sizes by the system call are those by BTF; and masks that kernels tell are those of their sources."""
    reports = {name: report_of(name) for name in table.NAMES}
    for report in reports.values():
        assert report.reachable is (
            Reachability.YES if at_least(kernel, *compare.version(report.since)) else Reachability.ABSENT
        )
        assert report.sizes_agree is not False
    sizes = {name: report.size.value for name, report in reports.items()}
    known: dict[tuple[int, ...], dict[str, int]] = {
        (5, 10): {"perf_event_open": 120, "bpf": 120},
        (6, 1): {"perf_event_open": 128, "bpf": 144, "landlock_create_ruleset": 8},
        (6, 12): {"perf_event_open": 136, "bpf": 152, "landlock_create_ruleset": 24},
        (7, 2): {"perf_event_open": 144, "bpf": 168, "landlock_create_ruleset": 48},
        (7, 3): {"perf_event_open": 144, "bpf": 168, "landlock_create_ruleset": 48},
    }
    for name, size in known.get(upstream(kernel.version)[:2], {}).items():
        assert sizes[name] == size, name
    assert sizes["sched_setattr"] == 56
    # Utilization clamping is a matter of the configuration.
    assert masks(reports["sched_setattr"])["sched_flags"] in {0x1F, 0x7F}
    priv_save = Support.YES if at_least(kernel, 6, 1) else Support.NO
    assert acceptance(reports["perf_event_open"], "PERF_SAMPLE_BRANCH_PRIV_SAVE") is priv_save
    # io_uring has it since v5.1; a kernel that cannot be asked has not said no.
    query_support = Support.YES if at_least(kernel, 6, 18) else Support.UNKNOWN
    assert acceptance(reports["IORING_REGISTER_QUERY"], "IORING_SETUP_SQPOLL") is query_support


BACKPORTED = {
    "openat2.resolve.RESOLVE_CACHED": history.RESOLVE_CACHED,
    "perf_event_open.read_format.PERF_FORMAT_LOST": history.PERF_FORMAT_LOST,
}
"""Flags that series got after their first release."""


def test_feature_level_is_the_release(kernel: Kernel, expected: Expected) -> None:
    """Nothing is missing, and nothing is there that stable kernels did not get: these are their maintainers' own."""
    level = compare.level([report_of(name) for name in table.NAMES], os.uname().release)
    newer = {name: change for name, change in BACKPORTED.items() if not at_least(kernel, *parse(change.mainline))}
    assert level.beyond == tuple(name for name, change in newer.items() if expected.has(change))
    assert level.missing == ()


def last_pid() -> str:
    return Path("/proc/loadavg").read_text().split()[-1]


def test_no_process_file_or_mount_is_made(kernel: Kernel) -> None:
    """Once its child runs, all of the probing moves neither the last pid nor anything else.

    The machine may start a process of its own meanwhile, so that one of several rounds has to be quiet.
    """
    mounts = Path("/proc/self/mountinfo").read_text()
    descriptors = sorted(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with Prober(time.monotonic() + 60) as prober:
            # The first question starts the child.
            assert ask.ask_reach(table.entry("openat2"), prober, False).reach is Reachability.YES
            child_files = sorted(os.listdir(f"/proc/{prober.child_pid}/fd"))
            before = last_pid()
            for name in ("openat2", "clone3", "mount_setattr"):
                report = ask.Inquiry(table.entry(name), prober, False, None, True).report()
                assert report.reasons == () or report.reachable is Reachability.ABSENT
            after = last_pid()
            assert sorted(os.listdir(f"/proc/{prober.child_pid}/fd")) == child_files
        assert Path("/proc/self/mountinfo").read_text() == mounts
        assert sorted(os.listdir("/proc/self/fd")) == descriptors
        if before == after:
            return
    pytest.fail(f"the last pid went from {before} to {after}")


def run_supervised(*under: str) -> Any:
    argv = [sys.executable, str(SUPERVISE), *under, sys.executable, "-m", "kprobe_tool", "check-fields"]
    done = subprocess.run(
        [*argv, "openat2", "clone3", "mount_setattr", "-o", "json"], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)["results"]


def test_an_emulated_check_fields_is_read(kernel: Kernel) -> None:
    openat2, clone3, mount_setattr = run_supervised("--emulate", "--grow", "16")
    assert (openat2["check_fields"], openat2["size_check_fields"]) == ("yes", 40)
    assert (clone3["check_fields"], clone3["size_check_fields"]) == ("yes", 104)
    assert openat2["fields"][0]["mask"] == "0x1047fffc3"
    assert clone3["fields"][0]["mask"] == "0x3fffffffff"
    needs_mount_setattr(kernel)
    assert (mount_setattr["check_fields"], mount_setattr["size_check_fields"]) == ("yes", 48)
    assert mount_setattr["fields"][0]["mask"] == "0x3000ff"


def test_filters_block_what_they_are_on(kernel: Kernel) -> None:
    openat2, clone3, mount_setattr = run_supervised(
        "--filter", "openat2@63=134", "--filter", "clone3=ENOSYS", "--filter", "mount_setattr=kill"
    )
    assert (openat2["reachable"], openat2["check_fields"]) == ("yes", "blocked")
    assert (clone3["reachable"], clone3["reachable_errno"]) == ("blocked", "ENOSYS")
    assert (mount_setattr["reachable"], mount_setattr["reachable_errno"]) == ("blocked", None)


@pytest.mark.parametrize("check", [checks.check_usize_limit, checks.check_reachability])
def test_checks_find_nothing(kernel: Kernel, check: Callable[[], Finding]) -> None:
    assert check().status is Status.OK


def test_the_tail_is_cleared_since_copy_struct_to_user(kernel: Kernel) -> None:
    finding = checks.check_copy_to_user()
    assert finding.evidence["size"] == 56
    assert finding.evidence["written_beyond_smaller"] is False
    assert finding.status is (Status.OK if at_least(kernel, 6, 13) else Status.AFFECTED)
