# SPDX-License-Identifier: GPL-2.0-or-later
"""What more than one file of tests asks this kernel with."""

from collections.abc import Iterator

import pytest

from kprobe_tool.native import host
from kprobe_tool.probes.verifier.watching.watch import LoadWatch

from ..skips import skip

MAX_LOG = 1 << 18


@pytest.fixture(scope="module")
def able() -> None:
    if not host.effective_capabilities() & {"CAP_BPF", "CAP_SYS_ADMIN"}:
        skip("BPF needs root")
    if not host.readable("/sys/kernel/btf/vmlinux"):
        skip("this kernel has no BTF")


@pytest.fixture(scope="module")
def watch(able: None) -> Iterator[LoadWatch]:
    with LoadWatch(MAX_LOG, reload=True) as made:
        yield made
