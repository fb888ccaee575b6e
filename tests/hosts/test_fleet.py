# SPDX-License-Identifier: GPL-2.0-or-later
"""A report each of 10,000 hosts, made from one that audit wrote on 6.18.44: fleet's time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RECORDED = Path(__file__).parents[1] / "unit" / "data" / "fleet" / "6.18.44.json"
TOOL = Path(sys.prefix) / "bin" / "kprobe-tool"
HOSTS = 10_000
SECONDS_MAX = 30
BYTES_MAX = 200_000_000
STATUSES = ("ok",) * 97 + ("affected", "unknown", "not-applicable")


def write(directory: Path, hosts: int, release: Callable[[int], str]) -> None:
    document = RECORDED.read_text(encoding="utf-8")
    host = next(line for line in document.splitlines() if '"hostname"' in line)
    kernel = next(line for line in document.splitlines() if '"release"' in line)
    status = next(line for line in document.splitlines() if '"status"' in line)
    for number in range(hosts):
        text = document.replace(host, f'"hostname": "host{number:05}",', 1)
        text = text.replace(kernel, f'"release": "{release(number)}",', 1)
        text = text.replace(status, f'"status": "{STATUSES[number % len(STATUSES)]}",', 1)
        (directory / f"{number:05}.json").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("output", ["table", "json"])
@pytest.mark.parametrize(
    ("kernels", "release"),
    [("seven kernels", lambda number: f"6.1.{number % 7}"), ("a kernel each", lambda number: f"6.1.{number}")],
)
def test_ten_thousand_hosts_take_little_time_and_memory(
    tmp_path: Path, kernels: str, release: Callable[[int], str], output: str
) -> None:
    write(tmp_path, HOSTS, release)
    with open(tmp_path / "out", "wb") as out:
        process = subprocess.Popen([TOOL, "fleet", "-o", output, "--fail-on", "never", tmp_path], stdout=out)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    seconds, memory = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    print(f"{kernels}, {output}: {seconds:.1f} s of CPU, {memory / 1e6:.0f} MB")
    assert seconds < SECONDS_MAX
    assert memory < BYTES_MAX
    assert (tmp_path / "out").read_text().count("host0") > HOSTS / 100
