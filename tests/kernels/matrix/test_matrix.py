# SPDX-License-Identifier: GPL-2.0-or-later
"""verifier-log matrix for real: five programs on kernels that it boots itself, and what is left when it is killed.

Opt-in, since it boots kernels besides those of the session: KPROBE_TOOL_MATRIX=1. KPROBE_TOOL_MATRIX_KERNELS names
others than the default ones, such as newest-5.10,newest-6.1,unfixed-6.12,newest.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.lab.archive import cache_directory
from kprobe_tool.probes.verifier.floor.judge import floor, parse_release

from ...corpus.objects import SOURCES
from ...skips import skip

SOURCE = Path(__file__).parent / "ages.bpf.c"
KERNELS = os.environ.get("KPROBE_TOOL_MATRIX_KERNELS", "newest-6.1,newest")
MATRIX = (sys.executable, "-m", "kprobe_tool", "verifier-log", "matrix")
FOR_NONE = "for_none"
SECONDS = 1500
"""For all kernels on a busy machine; an idle one of two cores takes a tenth of that."""

pytestmark = pytest.mark.skipif(os.environ.get("KPROBE_TOOL_MATRIX") != "1", reason="opt-in: KPROBE_TOOL_MATRIX=1")


@pytest.fixture(scope="module")
def ages(tmp_path_factory: pytest.TempPathFactory) -> str:
    if shutil.which("clang") is None:
        skip("clang is not installed")
    target = tmp_path_factory.mktemp("matrix") / "ages.bpf.o"
    argv = ["clang", "-g", "-O2", "-target", "bpf", "-mcpu=v3", "-Wall", "-I", str(SOURCES)]
    subprocess.run([*argv, "-c", SOURCE.name, "-o", str(target)], cwd=SOURCE.parent, check=True)
    return str(target)


def guest_directories() -> set[Path]:
    return set(cache_directory().glob(".guests-*"))


def test_floor_is_what_the_kernels_say(ages: str) -> None:
    before = guest_directories()
    begin = time.monotonic()
    argv = [*MATRIX, ages, "--kernels", KERNELS, "-o", "json", "--timeout", str(SECONDS)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=2 * SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    print(json.dumps(document["kernels"]), f"{time.monotonic() - begin:.0f} s")
    assert document["errors"] == []
    assert len({row["release"] for row in document["results"]}) == len(KERNELS.split(","))
    floors = {each.program.name: each.load.release for each in floor(ages).programs}
    assert len(floors) == 5
    assert len(document["results"]) == len(floors) * len(KERNELS.split(","))
    for row in document["results"]:
        needed = floors[row["program"]]
        assert needed == row["floor"]
        has_all = parse_release(str(needed)) <= parse_release(row["release"])
        assert (row["outcome"] == "accepted") == (has_all and row["program"] != FOR_NONE), row
        if not has_all:
            assert row["cause_class"] == "environment", row
        elif row["program"] == FOR_NONE:
            assert row["cause_class"] == "source", row
    assert guest_directories() == before


def test_guests_end_with_a_killed_command(ages: str) -> None:
    """A killed command leaves no guest, and no directory of one."""
    before = guest_directories()
    process = subprocess.Popen(
        [*MATRIX, ages, "--kernels", KERNELS.split(",")[-1]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: any(path.glob("*/console.log") for path in guest_directories() - before))
    (directory,) = guest_directories() - before
    wait_until(lambda: bool(guests_of(directory)))
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not directory.exists())
    wait_until(lambda: not guests_of(directory))


def guests_of(directory: Path) -> list[int]:
    """The processes that were started for a guest whose script is in ``directory``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(directory).encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def wait_until(true: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.2)
