# SPDX-License-Identifier: GPL-2.0-or-later
"""A few inputs for each target: ``make fuzz`` has the many."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from ..skips import skip
from .targets import targets

INPUTS = 5000


def test_each_target_takes_what_it_is_for() -> None:
    """Every corpus has a target, and every target something to begin with."""
    names = {target.name for target in targets()}
    assert {path.name for path in Path(__file__).with_name("corpus").iterdir()} <= names
    assert all(target.seeds for target in targets())


def test_nothing_is_found(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        skip("mounting files over those of /proc needs root")
    argv = [sys.executable, "-m", "tests.fuzz", "--inputs", str(INPUTS), "--findings", str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    counts = dict(re.findall(r"^(\S+): \d+ inputs in \d+ s: (\d+) accepted", done.stdout, re.MULTILINE))
    assert set(counts) == {target.name for target in targets()}
    assert "0" not in counts.values(), done.stdout
