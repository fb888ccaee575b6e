# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors of bcc: one line about what libbcc and the kernel wrote, and where bcc is found."""

from __future__ import annotations

import errno as errnos
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kprobe_tool.native import bcc, host

from ...skips import skip

# As Linux 6.1 and 7.2 word it.
NO_READ_6_1 = "0: (85) call bpf_probe_read_kernel#113\nunknown func bpf_probe_read_kernel#113\nprocessed 30 insns\n"
NO_READ_7_2 = "program of this type cannot use helper bpf_probe_read_kernel#113\nprocessed 30 insns (limit 1000000)\n"
NO_SOCKMAP = "could not open bpf map: sockets, error: Invalid argument\n"
REFUSED = "bpf: Failed to load program: Permission denied\n; return *x;\nR0 !read_ok\nprocessed 1 insns\n"
NO_RIGHT = "could not open bpf map: sockets, error: Operation not permitted\n"


@pytest.mark.parametrize("noise", [NO_READ_6_1, NO_READ_7_2])
@pytest.mark.parametrize(
    ("lockdown", "hint"), [("confidentiality", "the kernel is locked down"), ("none", "needs CAP_PERFMON")]
)
def test_kernel_memory_that_may_not_be_read_has_a_hint(
    noise: str, lockdown: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "lockdown", lambda: lockdown)
    error = bcc.failure("BPF program x.c", errnos.EINVAL, noise)
    assert str(error).startswith(f"BPF program x.c: may not read kernel memory (EPERM); {hint}")


@pytest.mark.parametrize(
    ("number", "noise", "line"),
    [
        (0, NO_SOCKMAP, "x.c: could not open bpf map: sockets, error: Invalid argument; 'kprobe-tool doctor'"),
        (errnos.EACCES, REFUSED, "x.c: R0 !read_ok (EACCES); 'kprobe-tool doctor'"),
        (0, "", "x.c: libbcc does not say why; 'kprobe-tool doctor'"),
        (0, NO_RIGHT, "x.c: Operation not permitted (EPERM); needs CAP_BPF"),
    ],
)
def test_a_failure_is_one_line(number: int, noise: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "lockdown", lambda: None)
    monkeypatch.setattr(host, "in_initial_user_namespace", lambda: True)
    monkeypatch.setattr(host, "effective_capabilities", frozenset)
    line_of_error = str(bcc.failure("x.c", number, noise))
    assert line_of_error.startswith(line)
    assert "\n" not in line_of_error


def test_bcc_is_found_outside_its_own_python() -> None:
    """As from pipx or a virtual environment without system packages; -S leaves the site directories out."""
    from kprobe_tool.native import bcc

    if not bcc.DISTRIBUTION.exists():
        skip("python3-bpfcc is not installed")
    source = Path(bcc.__file__).parents[2]
    code = (
        f"import sys; sys.path.insert(0, {str(source)!r})\n"
        "from kprobe_tool.native import bcc\n"
        "found = bcc.load()\n"
        "assert hasattr(found.module, 'BPF') and 'dist-packages' not in ''.join(sys.path)\n"
        "print(found.path)\n"
    )
    done = subprocess.run(["/usr/bin/python3", "-S", "-c", code], check=False, capture_output=True, text=True)
    assert done.stdout.strip() == str(bcc.DISTRIBUTION), done.stderr


def test_a_foreign_bcc_is_not_believed(tmp_path: Path) -> None:
    """The package index has another project of that name; it must not be taken for iovisor's."""
    (tmp_path / "bcc.py").write_text("class Lattice: pass\n")
    code = (
        "from kprobe_tool.native import bcc\n"
        "from kprobe_tool.errors import Error\n"
        "try:\n"
        "    print(bcc.load().path)\n"
        "except Error as error:\n"
        "    print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) not in done.stdout
