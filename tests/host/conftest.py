# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of more than one file of tests."""

from collections.abc import Iterator

import pytest

from kprobe_tool.native import host
from kprobe_tool.probes.verifier.watching.watch import LoadWatch

from ..skips import skip

MAX_LOG = 1 << 18


@pytest.fixture(scope="module")
def needs_bpf() -> None:
    if not host.effective_capabilities() & {"CAP_BPF", "CAP_SYS_ADMIN"}:
        skip("BPF needs root")
    if not host.readable("/sys/kernel/btf/vmlinux"):
        skip("this kernel has no BTF")


@pytest.fixture(scope="module")
def watch(needs_bpf: None) -> Iterator[LoadWatch]:
    with LoadWatch(MAX_LOG, reload=True) as made:
        yield made
