# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel log, when all other tests of this guest are done."""

import re
import subprocess

import pytest

_COMPLAINT = re.compile(
    r"WARNING: |BUG: |\bOops\b|kernel BUG at|general protection fault|refcount_t: |UBSAN: |KASAN: |"
    r"INFO: task .* blocked|Kernel panic"
)
# Where a host connects to nvmet-tcp, before "nvmet: use a private workqueue instead of the system workqueue" (v5.18).
_OLD_TARGET = re.compile(r"WARNING: .* check_flush_dependency")


@pytest.mark.last
def test_the_kernel_complains_of_nothing_unexpected(expected_complaints: list[re.Pattern[str]]) -> None:
    log = subprocess.run(["dmesg"], check=True, capture_output=True, text=True, errors="replace").stdout
    complaints = [
        line
        for line in log.splitlines()
        if _COMPLAINT.search(line) and not any(e.search(line) for e in [*expected_complaints, _OLD_TARGET])
    ]
    assert not complaints
