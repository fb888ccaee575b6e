# SPDX-License-Identifier: GPL-2.0-or-later
"""What is built once, and the roots that it is tried in.

Opt-in, since they take half an hour, root, debootstrap and a mirror: KPROBE_TOOL_PACKAGES=1, as
'make test-packages-in-roots' sets it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import roots

ROOT = Path(__file__).parents[2]
WANTED = os.environ.get("KPROBE_TOOL_PACKAGES") == "1"
BASES = os.environ.get("KPROBE_TOOL_PACKAGES_BASES")
"""A directory that keeps what debootstrap made, for who runs them again and again."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not WANTED and item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason="opt-in: make test-packages-in-roots"))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with everything that a release has."""
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "packages.build", str(directory)], cwd=ROOT, check=True)
    return directory


@pytest.fixture(scope="session", params=roots.SUITES)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    suite: str = request.param
    if BASES:
        directory = Path(BASES, suite)
        if not directory.exists():
            made = Path(BASES, f".{suite}")
            roots.bootstrap(suite, made)
            made.rename(directory)
        yield directory
    else:
        directory = tmp_path_factory.mktemp("bases") / suite
        roots.bootstrap(suite, directory)
        yield directory
        shutil.rmtree(directory)


@pytest.fixture
def root(base: Path, tmp_path: Path) -> Iterator[roots.Root]:
    """A clean root of each suite."""
    yield roots.new_root(base.name, base, tmp_path)
    for name in ("upper", "work"):
        shutil.rmtree(tmp_path / name)
