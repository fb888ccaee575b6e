# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's side of a session: run the planned tests, and send each report to the host at once.

At once, because the next test may be the one the kernel does not survive.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from kprobe_tool.checks import history
from kprobe_tool.lab.machines import architecture_of

from .guest.expected import Expected
from .session import Plan

CHANNEL = 3
"""The file descriptor that leads to the host, see kprobe_tool.lab.boot."""
TEST_LIMIT = 240
"""Seconds for one test that has no mark of its own. Compiling a BPF program takes up to 60 in an emulated machine."""
OTHER_MACHINE_FACTOR = 4
"""How much longer a test may take in a guest that is no x86-64, as its whole session: boot.OTHER_MACHINE_LIMITS."""

EXPECTED = pytest.StashKey[Expected]()
"""What a test asked about this kernel's release."""


def release() -> str | None:
    """The release of this guest; None on the host.

    Guest tests make kernels oops. An environment variable alone must not be enough to let them loose.
    """
    name = os.environ.get("KPROBE_TOOL_GUEST")
    if name is None:
        return None
    if "virtme" not in Path("/proc/cmdline").read_text() or os.uname().release != name:
        raise pytest.UsageError(f"KPROBE_TOOL_GUEST={name}, but this is no guest of the kernel lab with that kernel")
    return name


def plan() -> Plan:
    return Plan.read(Path(os.environ["KPROBE_TOOL_PLAN"]))


class GuestPlugin:
    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.plan = plan()

    def send(self, **event: Any) -> None:
        data = (json.dumps(event, default=repr) + "\n").encode()
        while data:
            data = data[os.write(CHANNEL, data) :]

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        by_name = {item.nodeid: item for item in items}
        items[:] = [by_name[test] for test in self.plan.tests if test in by_name]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.send(event="trouble", text=report.longreprtext)

    def pytest_internalerror(self, excrepr: object) -> None:
        self.send(event="trouble", text=str(excrepr))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        def time_out(number: int, frame: FrameType | None) -> None:
            raise TimeoutError(f"{item.nodeid} takes longer than {limit} s")

        marker = item.get_closest_marker("limit")
        limit = TEST_LIMIT if marker is None else marker.args[0]
        if architecture_of(self.plan.kernel.release) != "amd64":
            limit *= OTHER_MACHINE_FACTOR
        signal.signal(signal.SIGALRM, time_out)
        signal.alarm(limit)
        yield
        signal.alarm(0)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        """Report what a kernel newer than the table of releases does otherwise as news, not as a failure."""
        outcome: Any = yield
        report: pytest.TestReport = outcome.get_result()
        expected = item.stash.get(EXPECTED, None)
        if (
            report.failed
            and expected is not None
            and expected.is_news
            and os.environ.get("KPROBE_TOOL_NEWS") != "fail"
        ):
            last = report.longreprtext.strip().splitlines()[-1:]
            report.user_properties.append(("news", f"{item.nodeid}: {' '.join(last)}"))
            report.outcome = "skipped"
            # What pytest shows beside an expected failure.
            report.wasxfail = f"news: newer than {', '.join(history.SEEN)}"

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.send(event="start", test=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        self.send(event="report", report=data)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.send(event="finish", test=nodeid)

    def pytest_sessionfinish(self) -> None:
        dmesg = subprocess.run(["dmesg"], capture_output=True, text=True, errors="replace", check=False)
        self.send(event="dmesg", text=dmesg.stdout)
