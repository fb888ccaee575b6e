# SPDX-License-Identifier: GPL-2.0-or-later
"""The function that the rows of checks/rds.py name."""

from __future__ import annotations

from kprobe_tool.checks import Finding
from kprobe_tool.probes.rds.experiment import run_experiment
from kprobe_tool.probes.rds.judge import finding_of
from kprobe_tool.probes.rds.presence import presence


def check(check_id: str) -> Finding:
    """What the experiment says about one check. RDS that is not registered is not asked. Raises Error."""
    status = presence()
    return finding_of(check_id, run_experiment()) if status.registered else status.finding()
