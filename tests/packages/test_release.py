# SPDX-License-Identifier: GPL-2.0-or-later
"""Two builds of one commit are the same, whoever builds, where and when."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from kprobe_tool import __version__

from .conftest import ROOT

CIRCUMSTANCES = (
    {"umask": "022", "TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1"},
    {"umask": "077", "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "2"},
)


def build(directory: Path, circumstances: dict[str, str]) -> dict[str, bytes]:
    """The files of a release of the commit that is checked out, built in a clone of its own."""
    directory.mkdir()
    environment = {**os.environ, **circumstances}
    commands = [
        ["git", "-c", "safe.directory=*", "clone", "-q", str(ROOT), "clone"],
        ["sh", "-c", f'umask {circumstances["umask"]}; exec "$@"', "sh", sys.executable, "-m", "packages.build"],
    ]
    subprocess.run(commands[0], cwd=directory, env=environment, check=True)
    wheels = ["--wheels", str(ROOT / "build" / "wheels"), "../dist"]
    subprocess.run([*commands[1], *wheels], cwd=directory / "clone", env=environment, check=True)
    return {each.name: each.read_bytes() for each in (directory / "dist").iterdir()}


def test_two_builds_are_the_same(tmp_path: Path) -> None:
    names = ("one", "another-and-longer")
    one, other = (build(tmp_path / name, given) for name, given in zip(names, CIRCUMSTANCES, strict=True))
    assert sorted(one) == sorted(other)
    assert len(one) == 5
    assert [name for name in one if one[name] != other[name]] == []
    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in sorted(one.items())
        if name != "SHA256SUMS"
    )
    assert one["SHA256SUMS"].decode() == sums


def test_sdist_has_everything_and_the_wheel_nothing_else(built: Path) -> None:
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    tracked = set(listed.stdout.split("\0")) - {""}
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        assert {name.partition("/")[2] for name in tar.getnames()} == tracked | {"PKG-INFO"}
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
    code = {name.removeprefix("src/") for name in tracked if name.startswith("src/")}
    data = {
        name.replace("packages/data", f"kprobe_tool-{__version__}.data/data", 1)
        for name in tracked
        if name.startswith("packages/data/")
    }
    rest = {
        f"kprobe_tool-{__version__}.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")
    }
    assert names == code | data | rest | {f"kprobe_tool-{__version__}.dist-info/licenses/LICENSE"}
