# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab itself: the kernel that was asked for, with what the other tests build on."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kprobe_tool.lab.offers import Kernel

from .conftest import NOBODY, Call, Run, has_btf

pytestmark = pytest.mark.no_bpf

Modprobe = Callable[..., None]


def test_the_kernel_is_the_one_asked_for(kernel: Kernel) -> None:
    assert os.uname().release == kernel.release


def test_rds_can_be_loaded(modprobe: Modprobe) -> None:
    modprobe("rds", "rds_tcp")
    protocols = Path("/proc/net/protocols").read_text()
    assert any(line.split()[0] == "RDS" for line in protocols.splitlines())


def test_tls_can_be_loaded(modprobe: Modprobe) -> None:
    modprobe("tls")
    assert "tls" in Path("/proc/sys/net/ipv4/tcp_available_ulp").read_text().split()


def test_the_kernel_has_btf(kernel: Kernel) -> None:
    path = Path("/sys/kernel/btf/vmlinux")
    if not has_btf(kernel):
        assert not path.exists()
        pytest.skip("Debian builds its kernels for s390x without BTF")
    # The first field of struct btf_header.
    assert path.read_bytes()[:2] == (0xEB9F).to_bytes(2, sys.byteorder)


def test_nobody_has_no_privilege(run_as_nobody: Run, call_as_nobody: Call) -> None:
    assert run_as_nobody(["id", "-u"]).stdout == "65534\n"
    assert call_as_nobody(os.getuid) == NOBODY
    with pytest.raises(PermissionError):
        call_as_nobody(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))


def test_namespaces_can_be_made(netns: Callable[[str], str]) -> None:
    name = netns("lab")
    shown = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True)
    assert name in shown.stdout.split()
