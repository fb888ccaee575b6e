# SPDX-License-Identifier: GPL-2.0-or-later
"""A file is the old one or the new one, and nothing else is left."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kprobe_tool import files
from kprobe_tool.errors import Error

from ..skips import skip

CODE = "import sys; from kprobe_tool import files; files.replace(sys.argv[1], ['x' * 100] * 1000, 0o644)"


@pytest.mark.parametrize("umask", [0o000, 0o077])
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_mode_is_not_the_umask_s(mode: int, umask: int, tmp_path: Path) -> None:
    path = tmp_path / "x"
    before = os.umask(umask)
    try:
        files.replace(str(path), ["a", "b\udcff"], mode)
    finally:
        os.umask(before)
    assert path.read_text() == "a\nb\\udcff\n"
    assert path.stat().st_mode & 0o7777 == mode


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    files.replace(str(link), ["new"], 0o644)
    assert (target.read_text(), link.read_text(), link.is_symlink()) == ("old", "new\n", False)


@pytest.mark.parametrize("name", ["/dev/null", "/proc/self", "."])
def test_what_is_no_file_is_refused(name: str) -> None:
    with pytest.raises(Error, match="not a regular file"):
        files.replace(name, ["x"], 0o644)


@pytest.mark.parametrize("directory", ["no/such", "x"])
def test_a_missing_directory_is_an_error(directory: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    path = str(tmp_path / directory / "y")
    with pytest.raises(Error) as caught:
        files.replace(path, ["x"], 0o644)
    assert str(caught.value).startswith(f"{path}: ")


def test_what_does_not_fit_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(
        [sys.executable, "-c", CODE, str(path)], check=False, capture_output=True, text=True, preexec_fn=limit
    )
    assert done.stderr.splitlines()[-1].endswith(f"{path}: File too large (EFBIG)")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def lines() -> Iterator[str]:
        yield "new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.replace(str(path), lines(), 0o644)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def replace_under_strace(directory: Path, injection: str) -> subprocess.CompletedProcess[bytes]:
    """A replacement of x in a directory, with something done by strace to the system calls on that directory."""
    strace = shutil.which("strace")
    if strace is None:
        skip("strace is not installed")
    argv = [strace, "-qq", "-o", os.devnull, *injection.split(), sys.executable, "-B", "-c", CODE]
    return subprocess.run([*argv, directory / "x"], check=False, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("call", ["fsync", "write", "fchmod"])
def test_killed_while_it_writes_nothing_is_left(call: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    done = replace_under_strace(tmp_path, f"-e inject={call}:signal=KILL:when=1")
    assert done.returncode == -signal.SIGKILL
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["x"])


def test_a_file_system_without_nameless_files_is_served(tmp_path: Path) -> None:
    """The first open is that of the directory, the second has O_TMPFILE."""
    path = tmp_path / "x"
    path.write_text("old")
    done = replace_under_strace(tmp_path, f"-P {tmp_path} -e inject=openat:error=EOPNOTSUPP:when=2")
    assert done.returncode == 0
    assert (len(path.read_text()), os.listdir(tmp_path)) == (101_000, ["x"])
