# SPDX-License-Identifier: GPL-2.0-or-later
"""What is expected of the kernel that the test runs on: by its release, never by the role it serves."""

from kprobe_tool.checks import history
from kprobe_tool.lab.offers import Kernel, upstream


class Expected:
    """The table of releases, asked about one kernel. Where that is newer, a failure of a test that asked is news."""

    def __init__(self, kernel: Kernel) -> None:
        self.release = upstream(kernel.version)
        self.asked = False

    def has(self, change: history.KernelChange) -> bool:
        """Whether this kernel has a change."""
        self.asked = True
        return change.is_in(self.release)

    def affected(self, check: str) -> bool:
        """Whether a check must find this kernel affected."""
        self.asked = True
        return history.AFFECTED[check].includes(self.release)

    @property
    def is_news(self) -> bool:
        """Whether a difference from the table is news, and no failure of the tool."""
        return self.asked and history.is_news(self.release)
