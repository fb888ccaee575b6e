# SPDX-License-Identifier: GPL-2.0-or-later
"""The service of contrib/monitoring against the command and the privileges that there are.

tests/hosts has systemd judge it and run it.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from .test_monitoring import MONITORING, ROOT, parse

SERVICE = (MONITORING / "systemd" / "kprobe-tool-audit.service").read_text()


def setting(name: str) -> list[str]:
    """The words of a setting of the service."""
    (value,) = re.findall(rf"^{name}=(.*)$", SERVICE, re.MULTILINE)
    return shlex.split(value)


def test_the_service_writes_what_a_collector_reads() -> None:
    options = parse(setting("ExecStart"))
    assert (options["output"], options["fail_on"]) == ("prometheus", "never")
    written = Path(options["write"])
    assert written.suffix == ".prom"
    assert setting("ReadWritePaths") == setting("ConditionPathIsDirectory") == [str(written.parent)]


def test_the_service_has_the_privileges_that_the_audit_needs() -> None:
    table = (ROOT / "SECURITY.md").read_text()
    rows = re.findall(r"^\| `audit` \| (.*?) \|", table, re.MULTILINE)
    assert setting("CapabilityBoundingSet") == sorted({name for row in rows for name in row.split(", ")})
