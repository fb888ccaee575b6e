# SPDX-License-Identifier: GPL-2.0-or-later
"""The linters, as tests: what they say holds for every commit."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "args",
    [
        ["ruff", "check", "--no-cache", "--quiet", "."],
        ["ruff", "format", "--no-cache", "--quiet", "--check", "."],
        # Each Python that is supported has its own view of the standard library.
        ["mypy", "--python-version", "3.11"],
        pytest.param(["mypy", "--python-version", "3.12", "src"], marks=pytest.mark.slow),
        pytest.param(["mypy", "--python-version", "3.13", "src"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_linters_find_nothing(args: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *args], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
