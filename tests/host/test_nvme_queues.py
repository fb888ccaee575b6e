# SPDX-License-Identifier: GPL-2.0-or-later
"""nvme-queues on this host, whatever it has: the tool and a walk of sysfs that shares nothing with it agree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

CLASS = Path("/sys/class/nvme")
STRACE = ("strace", "-f", "-qq", "-e", "trace=openat,open,ioctl", "-o", "/dev/stdout")
SCHEMA = json.loads((files("kprobe_tool") / "schemas/nvme-queues.json").read_text(encoding="utf-8"))


def test_the_rows_agree_with_sysfs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kprobe_tool", "nvme-queues", "-o", "json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    document = json.loads(done.stdout)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    found = {row["controller"]: row for row in document["results"]}
    names = {path.name for path in CLASS.glob("nvme*")} if CLASS.is_dir() else set()
    assert set(found) == names
    for name, row in found.items():
        assert row["queue_count"] == int((CLASS / name / "queue_count").read_text())
        queues = {path.parent.name for path in CLASS.glob(f"{name}/nvme*n*/mq/*/cpu_list")}
        assert {str(hctx["index"]) for path in row["paths"] for hctx in path["hctxs"]} == queues


def test_controllers_are_asked_nothing() -> None:
    """No /dev/nvme* is opened, and no attribute that sends a command is, by the tool and its children."""
    try:
        done = subprocess.run(
            [*STRACE, sys.executable, "-m", "kprobe_tool", "nvme-queues", "-o", "jsonl"],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
    except FileNotFoundError:
        done = None
    if done is None or "openat(" not in done.stdout:
        reason = "strace is not installed, or may not trace here"
        if os.environ.get("KPROBE_TOOL_REQUIRE") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    calls = done.stdout.splitlines()
    assert any('"class"' in call or '"class/nvme"' in call for call in calls)
    assert not [call for call in calls if "/dev/nvme" in call or "nuse" in call or "hwmon" in call or "0x4e" in call]
