# SPDX-License-Identifier: GPL-2.0-or-later
"""What is expected of the kernel that the test runs on: by its release, never by the role it serves."""

from kprobe_tool.checks import history
from kprobe_tool.lab.offers import Kernel, upstream


class Expected:
    """Answers from the table of releases. Where the kernel is newer, a test that asked fails with news."""

    def __init__(self, kernel: Kernel) -> None:
        self.release = upstream(kernel.version)
        self.asked = False

    def has(self, change: history.KernelChange) -> bool:
        """Whether this kernel has a change."""
        self.asked = True
        return change.is_in(self.release)

    def affected(self, check: str) -> bool:
        """Whether a check is to find something here."""
        self.asked = True
        return history.AFFECTED[check].includes(self.release)

    @property
    def is_news(self) -> bool:
        """Whether what differs from the table is no failure of the tool."""
        return self.asked and history.is_news(self.release)
