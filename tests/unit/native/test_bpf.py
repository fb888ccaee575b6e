# SPDX-License-Identifier: GPL-2.0-or-later
"""Buffers that grow until a log fits, whatever the kernel tells of its size."""

from __future__ import annotations

import ctypes
import errno as errnos

import pytest

from kprobe_tool.native import bpf, syscall
from kprobe_tool.native.bpf import LOG_SIZE, LOG_SIZE_MAX, LoadAnswer, grow_log_until_whole
from kprobe_tool.native.bpf_insn import INSN_SIZE


def test_attributes_are_where_the_kernel_reads_them() -> None:
    """Those of union bpf_attr, which never change; tests/host holds all of them to the running kernel's BTF."""
    offsets = {"license": 16, "log_level": 24, "log_buf": 32, "prog_name": 48, "attach_btf_id": 108}
    assert {name: getattr(bpf.bpf_attr_prog_load, name).offset for name in offsets} == offsets
    assert bpf.bpf_attr_prog_load.log_true_size.offset == 140
    assert ctypes.sizeof(bpf.bpf_attr_prog_load) == 144
    assert INSN_SIZE == 8


def test_a_log_that_fits() -> None:
    sizes = []

    def attempt(size: int) -> LoadAnswer:
        sizes.append(size)
        return LoadAnswer(errnos.EACCES, b"x", True, 2)

    assert grow_log_until_whole(attempt).errno == errnos.EACCES
    assert sizes == [LOG_SIZE]


def test_a_kernel_that_tells_the_size() -> None:
    needed = LOG_SIZE * 100 + 1
    sizes = []

    def attempt(size: int) -> LoadAnswer:
        sizes.append(size)
        fits = size >= needed
        return LoadAnswer(errnos.EINVAL if fits else errnos.ENOSPC, b"x", fits, needed)

    assert grow_log_until_whole(attempt).errno == errnos.EINVAL
    assert sizes == [LOG_SIZE, needed]


def test_a_kernel_that_does_not() -> None:
    sizes = []

    def attempt(size: int) -> LoadAnswer:
        sizes.append(size)
        return LoadAnswer(errnos.ENOSPC, b"x" * 10, False, None)

    assert not grow_log_until_whole(attempt).complete
    assert sizes == [LOG_SIZE, LOG_SIZE * 16, LOG_SIZE * 256, LOG_SIZE_MAX]


def test_no_system_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscall, "number", lambda name: None)
    with pytest.raises(OSError, match="number not known on"):
        bpf.bpf(bpf.BPF_PROG_GET_NEXT_ID, bpf.bpf_attr_next_id())
