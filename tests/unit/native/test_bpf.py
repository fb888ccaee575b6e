# SPDX-License-Identifier: GPL-2.0-or-later
"""bpf(2): where its attributes are, and buffers that grow until a log fits."""

from __future__ import annotations

import ctypes
import errno as errnos
import resource

import pytest

from kprobe_tool.native import bpf, syscall
from kprobe_tool.native.bpf import LOG_SIZE, LOG_SIZE_MAX, LoadAnswer, grow_log_until_whole
from kprobe_tool.native.bpf_insn import INSN_SIZE


def test_attributes_are_where_the_kernel_reads_them() -> None:
    """In union bpf_attr they never move; tests/host compares all of them with the running kernel's BTF."""
    offsets = {"license": 16, "log_level": 24, "log_buf": 32, "prog_name": 48, "attach_btf_id": 108}
    assert {name: getattr(bpf.bpf_attr_prog_load, name).offset for name in offsets} == offsets
    assert bpf.bpf_attr_prog_load.log_true_size.offset == 140
    assert ctypes.sizeof(bpf.bpf_attr_prog_load) == 144
    assert INSN_SIZE == 8


def test_a_log_that_fits_is_asked_for_once() -> None:
    sizes = []

    def attempt(size: int) -> LoadAnswer:
        sizes.append(size)
        return LoadAnswer(errnos.EACCES, b"x", True, 2)

    assert grow_log_until_whole(attempt).errno == errnos.EACCES
    assert sizes == [LOG_SIZE]


def test_a_size_that_the_kernel_tells_is_asked_for() -> None:
    needed = LOG_SIZE * 100 + 1
    sizes = []

    def attempt(size: int) -> LoadAnswer:
        sizes.append(size)
        fits = size >= needed
        return LoadAnswer(errnos.EINVAL if fits else errnos.ENOSPC, b"x", fits, needed)

    assert grow_log_until_whole(attempt).errno == errnos.EINVAL
    assert sizes == [LOG_SIZE, needed]


def test_the_buffer_grows_where_the_kernel_tells_no_size() -> None:
    sizes = []

    def attempt(size: int) -> LoadAnswer:
        sizes.append(size)
        return LoadAnswer(errnos.ENOSPC, b"x" * 10, False, None)

    assert not grow_log_until_whole(attempt).complete
    assert sizes == [LOG_SIZE, LOG_SIZE * 16, LOG_SIZE * 256, LOG_SIZE_MAX]


def test_a_number_that_is_not_known_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syscall, "number", lambda name: None)
    with pytest.raises(OSError, match="number not known on"):
        bpf.bpf(bpf.BPF_PROG_GET_NEXT_ID, bpf.bpf_attr_next_id())


@pytest.mark.parametrize(
    ("release", "limit", "hint"),
    [
        ("5.10.0-46-amd64", 64 << 10, "64 KiB are allowed here ('ulimit -l unlimited' lifts that)"),
        ("4.19.0-27-amd64", 0, "0 KiB are allowed here"),
        ("5.10.0-46-amd64", resource.RLIM_INFINITY, None),
        ("5.11.0", 64 << 10, None),
        ("6.1.0-56-amd64", 0, None),
        ("unreadable", 0, None),
    ],
)
def test_locked_memory_is_a_cause_before_5_11(release: str, limit: int, hint: str | None) -> None:
    found = bpf.locked_memory_hint(release, limit)
    assert found is None if hint is None else found is not None and hint in found
