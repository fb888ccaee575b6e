# SPDX-License-Identifier: GPL-2.0-or-later
"""The units of contrib/monitoring, judged by systemd. test_service.py runs the service."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from . import tools

UNITS = Path(__file__).parents[2] / "contrib" / "monitoring" / "systemd"
TOOL = Path(sys.prefix) / "bin" / "kprobe-tool"
EXPOSURE_MAX = 45
"""Tenths of what 'systemd-analyze security' calls exposure; a service with no settings has 96."""


def test_systemd_finds_nothing_in_the_units(tmp_path: Path) -> None:
    analyze = tools.find("systemd-analyze")
    for unit in UNITS.iterdir():
        text = unit.read_text()
        # Where the tool is installed on this machine; the rest is as it is.
        (tmp_path / unit.name).write_text(text.replace("/usr/bin/kprobe-tool", str(TOOL)))
    units = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run([analyze, "verify", "--man=no", *units], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    argv = [analyze, "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", "--no-pager", units[0]]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_setting_that_systemd_does_not_know_is_named(tmp_path: Path) -> None:
    """The control: verify does say so."""
    unit = tmp_path / "kprobe-tool-audit.service"
    text = (UNITS / unit.name).read_text().replace("/usr/bin/kprobe-tool", str(TOOL))
    unit.write_text(text.replace("ProtectClock=", "ProtectClocks="))
    argv = [tools.find("systemd-analyze"), "verify", "--man=no", str(unit)]
    assert "ProtectClocks" in subprocess.run(argv, check=False, capture_output=True, text=True).stderr
