# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a container was delegated BPF, libbpf takes a token by itself: that much, and nothing that others have."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kprobe_tool.errors import ExitCode

from ..corpus.objects import object_file
from ..corpus.roundtrip import objects, objects_since

LIBRARIES = os.environ.get("KPROBE_TOOL_LIBBPF")
pytestmark = [
    pytest.mark.skipif(LIBRARIES is None, reason="'make test-libbpf' runs it: Debian 12's libbpf knows no tokens"),
    pytest.mark.skipif(os.geteuid() != 0, reason="delegating BPF needs root"),
]

ROOT = Path(__file__).parents[2]
CONTAINER = [sys.executable, "-m", "tests.libbpf.container"]
MOUNTED = "/sys/fs/bpf"
HOST = [
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-c",
    f'mount -t bpf bpf {MOUNTED} && exec "$@"',
    "sh",
]
"""Here, but with a BPF file system of its own."""
# linux/bpf.h; strace may be older than it.
BPF_TOKEN_CREATE = re.compile(r"^\d+ +bpf\((0x24|BPF_TOKEN_CREATE)\b")
OPENED = re.compile(rf'^\d+ +openat\(AT_FDCWD<[^>]*>, "{MOUNTED}", O_RDONLY\|O_DIRECTORY\) = (\d+)<{MOUNTED}>$')
CLOSED = re.compile(rf"^\d+ +close\(\d+<{MOUNTED}>\) += 0$")


@dataclass(frozen=True)
class Loading:
    """An object's load: its exit code, whether the kernel saw the program, and the trace."""

    code: int
    seen: bool
    err: str
    trace: list[str]

    def named(self) -> list[str]:
        """What was done to the BPF file system and to what is in it."""
        return [line for line in self.trace if re.search(rf'["<]{MOUNTED}', line)]

    def tokens(self) -> list[str]:
        return [line for line in self.trace if BPF_TOKEN_CREATE.match(line)]


def load(directory: Path, *, path: str | None, container: bool) -> Loading:
    """Load an object whose maps want to be pinned, with the newer libbpf; ``path`` is where to take a token from."""
    assert LIBRARIES is not None
    (loader,) = Path(LIBRARIES).glob("usr/lib/*/ld-linux-*")
    interpreter = [str(loader), "--library-path", str(loader.parent), os.path.realpath(sys.executable)]
    trace = directory / "trace"
    prefix = CONTAINER if container else HOST
    tool = ["-m", "kprobe_tool", "verifier-log", "load", str(object_file("pinned")), "-o", "json"]
    environment = {name: value for name, value in os.environ.items() if name != "LIBBPF_BPF_TOKEN_PATH"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), sysconfig.get_path("purelib")])
    if path is not None:
        environment["LIBBPF_BPF_TOKEN_PATH"] = path
    done = subprocess.run(
        [*prefix, "strace", "-f", "-qq", "-y", "-s", "4096", "-o", str(trace), *interpreter, *tool],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    rows = json.loads(done.stdout)["results"] if done.stdout else []
    return Loading(done.returncode, bool(rows), done.stderr, trace.read_text(errors="replace").splitlines())


def assert_only_opened(lines: Iterable[str]) -> None:
    assert [line for line in lines if not OPENED.match(line) and not CLOSED.match(line)] == []


@pytest.mark.parametrize("path", [None, MOUNTED])
def test_a_token_is_taken_and_nothing_else(path: str | None, tmp_path: Path) -> None:
    before = objects()
    loading = load(tmp_path, path=path, container=True)
    assert (loading.code, loading.seen, loading.err) == (ExitCode.OK, True, "")
    assert any(OPENED.match(line) for line in loading.named())
    assert loading.tokens()
    assert all(re.search(r"= \d+", line) for line in loading.tokens())
    assert_only_opened(loading.named())
    assert objects_since(before) == {}


def test_without_a_token_a_container_is_refused(tmp_path: Path) -> None:
    """The control: it is the token that makes the difference. An empty path is libbpf's word for none."""
    loading = load(tmp_path, path="", container=True)
    assert (loading.code, loading.seen, loading.tokens()) == (ExitCode.CANNOT_TELL, False, [])
    assert "EPERM" in loading.err


def test_nothing_is_delegated_to_the_host(tmp_path: Path) -> None:
    """There libbpf asks for a token, is told that there is none, and loads without."""
    before = objects()
    loading = load(tmp_path, path=None, container=False)
    assert (loading.code, loading.seen, loading.err) == (ExitCode.OK, True, "")
    assert [line for line in loading.tokens() if "= -1" not in line] == []
    assert_only_opened(loading.named())
    assert objects_since(before) == {}


@pytest.mark.parametrize("path", [MOUNTED, "/nowhere"])
def test_a_path_without_a_token_is_an_error(path: str, tmp_path: Path) -> None:
    """Who names it insists on it."""
    loading = load(tmp_path, path=path, container=False)
    assert (loading.code, loading.seen) == (ExitCode.CANNOT_RUN, False)
    assert "token" in loading.err or "/nowhere" in loading.err
    assert "Traceback" not in loading.err
