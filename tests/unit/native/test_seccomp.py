# SPDX-License-Identifier: GPL-2.0-or-later
"""Filters, which stay: each is installed by a child."""

from __future__ import annotations

import errno as errnos
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kprobe_tool.native import seccomp

from ...skips import skip

CODE = """
import os, sys
from kprobe_tool.native import bpf, seccomp
seccomp.install(seccomp.refuse("bpf", (bpf.BPF_MAP_GET_NEXT_ID,)), seccomp.refuse("mkdir"), seccomp.refuse("mkdirat"))
for function in (lambda: os.mkdir(sys.argv[1]), lambda: bpf.bpf(bpf.BPF_PROG_GET_NEXT_ID, bpf.bpf_attr_next_id())):
    try:
        function()
    except OSError as error:
        print(error.errno)
try:
    bpf.bpf(bpf.BPF_MAP_GET_NEXT_ID, bpf.bpf_attr_next_id())
except OSError as error:
    # EPERM is the kernel's to those without privilege, ENOENT where there is none.
    print("refused" if error.errno == 13 else "asked")
else:
    print("asked")
"""


def test_only_what_is_named_is_refused(tmp_path: Path) -> None:
    if "Seccomp_filters" not in Path("/proc/self/status").read_text():
        skip("no seccomp filters in this kernel")
    path = tmp_path / "made"
    done = subprocess.run([sys.executable, "-c", CODE, str(path)], check=False, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.split() == [str(errnos.EACCES), str(errnos.EACCES), "asked"]
    assert not os.path.exists(path)


def test_a_machine_that_is_not_known_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "machine_name", lambda: "alpha")
    with pytest.raises(OSError, match="alpha"):
        seccomp.install()
