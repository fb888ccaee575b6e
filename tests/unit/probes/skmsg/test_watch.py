# SPDX-License-Identifier: GPL-2.0-or-later
"""Events as kernels gave them, see ../../data/skmsg-watch/README.md."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.native import btf, kprobe
from kprobe_tool.native.sk_msg import PageKind
from kprobe_tool.probes.skmsg import watch
from kprobe_tool.probes.skmsg.watch import FUNCTIONS, AttachMethod, HookEvent, MessageWatch, TargetProcess, decode

CAPTURES = sorted((Path(__file__).parents[2] / "data" / "skmsg-watch").glob("*.json"))
AFFECTED = "6.12.43+deb12-amd64"


def events(path: Path) -> list[HookEvent]:
    capture = json.loads(path.read_text(encoding="utf-8"))
    return [decode(bytes.fromhex(record), capture["boot_time"]) for record in capture["records"]]


of_captures = pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)


def test_there_are_captures() -> None:
    assert AFFECTED in {path.stem for path in CAPTURES}


@of_captures
def test_every_hook_is_in_the_captures(path: Path) -> None:
    assert {event.hook for event in events(path)} == {function.name for function in FUNCTIONS}


@of_captures
def test_events_add_up(path: Path) -> None:
    found = events(path)
    assert [event.time for event in found] == sorted(event.time for event in found)
    for event in found:
        assert event.sg.size == sum(element.length for element in event.sg.elements)
        assert event.saddr == event.daddr in {"127.0.0.1", "::1"}
        assert event.sport and event.dport
        assert (event.comm, event.netns >> 28) == ("python3", 0xF)
        for element in event.sg.elements:
            assert element.copy == bool(event.sg.copy >> element.index & 1)
            assert (element.ino is None) == (element.dev is None) == (element.kind is not PageKind.CACHE)


@of_captures
def test_elements_of_the_page_cache_without_a_copy_bit_are_exposed(path: Path) -> None:
    exposed = Counter(event.hook for event in events(path) if event.sg.exposed)
    expected = {
        "sk_psock_msg_verdict": 1,
        "bpf_msg_push_data": 3,
        "bpf_msg_pop_data": 2,
        "bpf_msg_pull_data": 3,
    }
    assert exposed == (expected if path.stem == AFFECTED else {})
    for event in events(path):
        for element in event.sg.elements:
            assert element.exposed == (element.kind is PageKind.CACHE and not element.copy)


def test_a_kernel_without_btf_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise FileNotFoundError(2, "No such file or directory", "/sys/kernel/btf/vmlinux")

    monkeypatch.setattr(btf, "vmlinux", fail)
    with pytest.raises(Error, match=r"^BTF: this kernel has none; a kernel with CONFIG_DEBUG_INFO_BTF=y$"):
        MessageWatch()


def test_machines_whose_registers_are_not_known_use_fentry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kprobe, "available", lambda: True)
    monkeypatch.setattr(watch, "KPROBE_MACHINES", frozenset({os.uname().machine}))
    assert watch.default_method() is AttachMethod.KPROBE
    monkeypatch.setattr(watch, "KPROBE_MACHINES", frozenset())
    assert watch.default_method() is AttachMethod.FENTRY


def test_a_missing_process_is_an_error() -> None:
    with pytest.raises(Error, match=r"^pid 4194304: No such process \(ESRCH\)$"):
        TargetProcess(1 << 22)


def test_a_process_of_another_pid_namespace_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs see the numbers of the initial one."""
    monkeypatch.setattr(watch, "PROC_PID_INIT_INO", 1)
    with pytest.raises(Error, match="initial pid namespace"):
        TargetProcess(os.getpid())
