# SPDX-License-Identifier: GPL-2.0-or-later
"""-v: what is asked of the kernel, a line each, and nothing else changes."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from typing import Any

import pytest

from kprobe_tool.report.questions import question

from ..test_cli import ARGV

PREFIX = "kprobe-tool: asks: "


@pytest.mark.parametrize(
    ("event", "args", "line"),
    [
        ("open", ("/proc/net/protocols", "r", os.O_RDONLY | os.O_CLOEXEC), "read /proc/net/protocols"),
        ("open", ("/proc/sys/net/x", "w", os.O_WRONLY | os.O_CLOEXEC), "write /proc/sys/net/x"),
        ("open", ("/usr/lib/python3/x.py", "r", os.O_RDONLY), None),
        ("open", (3, "r", os.O_RDONLY), None),
        ("os.listdir", ("/proc",), "list /proc"),
        ("socket.__new__", (None, socket.AF_INET, socket.SOCK_STREAM, 0), "socket(AF_INET, SOCK_STREAM, 0)"),
        (
            "socket.__new__",
            (None, 21, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC, 0),
            "socket(AF_RDS, SOCK_SEQPACKET, 0)",
        ),
        ("socket.__new__", (None, 99, socket.SOCK_STREAM, 0), "socket(99, SOCK_STREAM, 0)"),
        ("socket.__new__", (None, socket.AF_UNIX, socket.SOCK_STREAM, 0), None),
        ("fcntl.ioctl", (3, 0x8913, b""), "ioctl(0x8913)"),
        ("kprobe_tool.question", ("setns(%d, %#x)", (3, 0x40000000)), "setns(3, 0x40000000)"),
        (
            "kprobe_tool.question",
            ("%s(%s)", ("openat2", (-1, 0x7F0000001000, b"\1\2\0\0"))),
            "openat2(-1, 0x7f0000001000, [4: 0102])",
        ),
        ("kprobe_tool.question", ("%s(%s)", ("x", (b"a" * 40,))), f"x([40: {'61' * 32}...])"),
        ("import", ("os", None, None, None, None), None),
    ],
)
def test_questions_are_shown_as_calls(event: str, args: tuple[Any, ...], line: str | None) -> None:
    assert question(event, args) == line


def run_tool(*args: str) -> tuple[str, list[str]]:
    done = subprocess.run([*ARGV, *args], check=False, capture_output=True, text=True)
    assert done.returncode in {0, 3}, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if line.startswith(PREFIX)]


def test_child_processes_say_what_they_ask() -> None:
    out, lines = run_tool("check-fields", "openat2", "-v", "-o", "json")
    calls = json.loads(out)["results"][0]["calls"]
    found = [line for line in lines if re.fullmatch(rf"{PREFIX}openat2\(.*\)", line)]
    assert len(found) == calls > 0


@pytest.mark.parametrize(
    "args", [["rds-info"], ["nvme-queues"], ["audit", "--only", "rds,nvme"], ["doctor"]], ids=" ".join
)
def test_every_command_says_what_it_asks(args: list[str]) -> None:
    _, lines = run_tool("-v", *args)
    assert any("/proc/" in line or "/sys/" in line for line in lines)
    assert run_tool(*args)[1] == []
