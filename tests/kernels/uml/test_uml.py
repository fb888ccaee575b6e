# SPDX-License-Identifier: GPL-2.0-or-later
"""A real kernel with CHECK_FIELDS, against the command and against its emulation.

Opt-in: these tests run where build.py has built the kernel. In the host tests, an emulation answers for a kernel that
no release is; here is one, and the same tests pass in it.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ...nobody import command_as_nobody
from .build import HERE, kernel

ROOT = HERE.parents[2]
TIME_LIMIT = 900
ONES = "0xffffffffffffffff"

ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/mnt",
    "TMPDIR": "/mnt",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
}
TOOL = [sys.executable, "-m", "kprobe_tool", "check-fields", "openat2", "clone3", "mount_setattr", "-o", "json"]
# strace needs a ptrace inside of UML's own; the rest of the host tests is the same here as anywhere.
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp=/mnt/pytest", "--color=no"]
HOST_TESTS = [*PYTEST, "tests/host/test_check_fields.py", "-k", "not few_calls"]


@dataclass(frozen=True)
class Boot:
    """What the guest printed, by the section that it printed it in."""

    sections: dict[str, str]

    def rows(self, section: str) -> dict[str, Any]:
        return {row["syscall"]: row for row in json.loads(self.sections[section])["results"]}


@pytest.fixture(scope="module")
def boot() -> Iterator[Boot]:
    """One boot for all tests; it has no other way out than its console."""
    if not kernel().exists():
        reason = "opt-in: 'python -m tests.kernels.uml.build' builds the kernel"
        if os.environ.get("KPROBE_TOOL_UML") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(dir=kernel().parent) as tmp:
        script = Path(tmp) / "commands.sh"
        lines = [f"export {name}={shlex.quote(value)}" for name, value in ENVIRONMENT.items()]
        lines += [f"cd {shlex.quote(str(ROOT))}"]
        for name, argv in {
            "root": TOOL,
            "nobody": command_as_nobody(TOOL),
            "pytest": HOST_TESTS,
        }.items():
            lines += [
                f"echo '=== {name}'",
                shlex.join(argv),
                "status=$?",
                f"echo '=== {name}-status'",
                "echo $status",
            ]
        script.write_text("\n".join(lines) + "\n")
        argv = [
            str(kernel()),
            f"uml_dir={tmp}/",
            "mem=512M",
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
            f"init={HERE / 'init.sh'}",
            f"COMMANDS={script}",
            "con=null",
            "con0=null,fd:1",
            "quiet",
        ]
        done = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIME_LIMIT)
    console = done.stdout.decode(errors="replace").replace("\r", "")
    assert "uml: exit status" in console, console
    parts = re.split(r"^=== (\S+)\n", console, flags=re.MULTILINE)
    yield Boot(dict(zip(parts[1::2], parts[2::2], strict=True)))


def masks(row: dict[str, Any]) -> dict[str, str]:
    return {field["name"]: field["mask"] for field in row["fields"] if field["offset"] is not None}


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_masks_and_sizes_are_those_of_the_source(boot: Boot, user: str) -> None:
    """The masks are the same for every user, and all witnesses of the sizes agree."""
    rows = boot.rows(user)
    for row in rows.values():
        assert (row["reachable"], row["check_fields"]) == ("yes", "yes")
        assert row["check_fields_errno"] == "errno 134"
        assert row["sizes_agree"] in {True, None}
    assert [row["size_check_fields"] for row in rows.values()] == [24, 88, 32]
    assert masks(rows["openat2"]) == {"flags": "0x1047fffc3", "mode": "0xfff", "resolve": "0x3f"}
    assert masks(rows["mount_setattr"]) == {
        "attr_set": "0x3000ff",
        "attr_clr": "0x3000ff",
        "propagation": "0x1e0000",
        "userns_fd": ONES,
    }
    clone3 = masks(rows["clone3"])
    assert (clone3.pop("flags"), clone3.pop("exit_signal")) == ("0x3fffffffff", "0xff")
    assert set(clone3.values()) == {ONES}


def test_mask_and_call_differ_only_where_the_mask_has_more(boot: Boot) -> None:
    different = {
        (row["syscall"], field["name"], flag["name"])
        for row in boot.rows("root").values()
        for field in row["fields"]
        for flag in field["flags"]
        if flag["in_mask"] != flag["accepted"] and field["offset"] is not None
    }
    assert different == {
        ("clone3", "flags", "CLONE_DETACHED"),
        *(("clone3", "flags", f"bit {bit}") for bit in range(7)),
        ("mount_setattr", "attr_set", "bit 6"),
        ("mount_setattr", "attr_clr", "MOUNT_ATTR_IDMAP"),
    }


def test_host_tests_pass_in_it(boot: Boot) -> None:
    """The tests that an emulation passes on every kernel."""
    assert boot.sections["pytest-status"].split()[0] == "0", boot.sections["pytest"]
