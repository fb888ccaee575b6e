# SPDX-License-Identifier: GPL-2.0-or-later
"""``check-fields`` on this kernel: as it is, behind filters, and with a supervisor that gives it CHECK_FIELDS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kprobe_tool.probes.extensible_structs import table

from ..nobody import NOBODY, command_as_nobody
from ..skips import skip

SUPERVISE = Path(__file__).with_name("supervise.py")
ONES = "0xffffffffffffffff"
USERS = [None, NOBODY]


def run(*args: str, under: tuple[str, ...] = (), user: int | None = None) -> subprocess.CompletedProcess[str]:
    """``kprobe-tool check-fields`` in a process of its own, under ``supervise.py`` when that gets arguments."""
    argv = [sys.executable, "-m", "kprobe_tool", "check-fields", *args]
    if under:
        argv = [sys.executable, str(SUPERVISE), *under, *argv]
    if user is not None and os.geteuid() != user:
        argv = command_as_nobody(argv)
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120)


def answer(*args: str, under: tuple[str, ...] = (), user: int | None = None) -> dict[str, Any]:
    """The document of ``-o json``, valid by its schema."""
    done = run(*args, "-o", "json", under=under, user=user)
    assert done.stderr == ""
    document: dict[str, Any] = json.loads(done.stdout)
    jsonschema.Draft202012Validator(schema()).validate(document)
    return document


def schema() -> Any:
    return json.loads((files("kprobe_tool") / "schemas" / "check-fields.json").read_text())


def only_row(*args: str, under: tuple[str, ...] = (), user: int | None = None) -> dict[str, Any]:
    """The row of the only result."""
    (row,) = answer(*args, under=under, user=user)["results"]
    assert isinstance(row, dict)
    return row


def masks(row: dict[str, Any]) -> dict[str, str]:
    return {field["name"]: field["mask"] for field in row["fields"] if field["mask"] is not None}


def acceptance(row: dict[str, Any], flag: str) -> str:
    (found,) = {each["accepted"] for field in row["fields"] for each in field["flags"] if each["name"] == flag}
    return str(found)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("user", USERS)
def test_every_call_has_an_answer_or_a_reason(user: int | None) -> None:
    document = answer("--all", user=user)
    assert [row["syscall"] for row in document["results"]] == list(table.NAMES)
    for row in document["results"]:
        assert row["reachable"] in {"yes", "absent"} or row["reasons"]
        assert row["calls"] > 0
        assert row["sizes_agree"] is not False, row
    assert document["feature_level"]["release"] == ".".join(os.uname().release.split(".")[:2])


@pytest.mark.parametrize("user", USERS)
def test_openat2_takes_what_every_kernel_takes(user: int | None) -> None:
    row = only_row("openat2", user=user)
    if row["reachable"] != "yes":
        skip(f"openat2: {row['reasons']}")
    assert row["size"] >= 24
    for flag in ("O_PATH", "__O_TMPFILE", "O_CLOEXEC", "RESOLVE_IN_ROOT", "S_ISUID"):
        assert acceptance(row, flag) == "yes"
    # Both kinds of kernels that let the bit pass, and the one that does not.
    assert acceptance(row, "O_EMPTYPATH") in {"yes", "no", "ignored"}
    assert int(masks(row)["flags"], 16) & 0x7FFFC3 == 0x7FFFC3


def test_nobody_gets_what_needs_no_privilege() -> None:
    mine, nobodys = only_row("clone3"), only_row("clone3", user=NOBODY)
    assert masks(mine) == masks(nobodys)
    row = only_row("mount_setattr", user=NOBODY)
    fields = {field["name"]: field for field in row["fields"]}
    assert fields["at_flags"]["mask"] == "0x9900"
    # What is accepted needs a privilege; a mask, where the kernel tells one, does not.
    assert (fields["attr_set"]["mask"] is None) is (row["check_fields"] == "no")
    assert {flag["accepted"] for flag in fields["attr_set"]["flags"]} == {"unknown"}
    assert "CAP_SYS_ADMIN" in fields["attr_set"]["flags"][0]["note"]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(("errno", "name"), [("134", "errno 134"), ("141", "errno 141"), ("22", "EINVAL")])
def test_masks_of_openat2_are_read_whatever_the_errno(errno: str, name: str, user: int | None) -> None:
    row = only_row("openat2", under=("--emulate", "--errno", errno), user=user)
    assert (row["check_fields"], row["check_fields_errno"]) == ("yes", name)
    assert masks(row) == {"flags": "0x1047fffc3", "mode": "0xfff", "resolve": "0x3f"}
    assert {field["mask_method"] for field in row["fields"]} == {"check-fields"}
    assert row["size_check_fields"] == 24
    assert {flag["in_mask"] for field in row["fields"] for flag in field["flags"]} == {"yes"}
    # The supervisor answers for the mask, this kernel for what it does.
    real = only_row("openat2", user=user)
    for field, really in zip(row["fields"], real["fields"], strict=True):
        assert [flag["accepted"] for flag in field["flags"]] == [flag["accepted"] for flag in really["flags"]]


@pytest.mark.parametrize("user", USERS)
def test_masks_of_clone3_may_have_what_it_refuses(user: int | None) -> None:
    row = only_row("clone3", under=("--emulate",), user=user)
    assert row["check_fields"] == "yes"
    assert masks(row) == {
        **dict.fromkeys([field["name"] for field in row["fields"]], ONES),
        "flags": "0x3fffffffff",
        "exit_signal": "0xff",
    }
    over = {
        flag["name"]
        for field in row["fields"]
        for flag in field["flags"]
        if flag["in_mask"] == "yes" and flag["accepted"] == "no"
    }
    assert over >= {"CLONE_DETACHED", *(f"bit {bit}" for bit in range(7))}, "in the mask, and refused"


@pytest.mark.parametrize("user", USERS)
def test_masks_of_mount_setattr_need_no_privilege(user: int | None) -> None:
    row = only_row("mount_setattr", under=("--emulate",), user=user)
    assert row["check_fields"] == "yes"
    assert masks(row) == {
        "attr_set": "0x3000ff",
        "attr_clr": "0x3000ff",
        "propagation": "0x1e0000",
        "userns_fd": ONES,
        "at_flags": "0x9900",
    }
    done = run("mount_setattr", "--require", "MOUNT_ATTR_NOSYMFOLLOW", under=("--emulate",), user=user)
    assert done.returncode == 0, "a probe or, without privilege, the kernel's mask says so"


def test_fields_of_a_grown_struct_are_found() -> None:
    row = only_row("openat2", under=("--emulate", "--grow", "16"))
    assert row["size_check_fields"] == 40
    assert row["size"] == 24
    assert row["sizes_agree"] is False
    assert row["reasons"] == ["the sizes that BTF, CHECK_FIELDS and the call itself give differ"]
    newer = {field["name"]: field["mask"] for field in row["fields"] if field["since"] is None}
    assert newer == {"field@24": "0x1", "field@32": "0x1"}
    assert only_row("clone3", under=("--emulate", "--grow", "16"))["size_check_fields"] == 104
    assert only_row("mount_setattr", under=("--emulate", "--grow", "16"))["size_check_fields"] == 48


def test_a_page_rewritten_in_part_is_no_answer() -> None:
    row = only_row("openat2", under=("--emulate", "--partial"))
    assert row["check_fields"] == "unknown"
    assert masks(row)["resolve"] == "0x3f", "found by probing"


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(
    ("action", "errno"), [("134", "errno 134"), ("EPERM", "EPERM"), ("ENOSYS", "ENOSYS"), ("kill", None)]
)
def test_a_filter_on_check_fields_blocks_nothing_else(action: str, errno: str | None, user: int | None) -> None:
    row = only_row("openat2", under=("--filter", f"openat2@63={action}"), user=user)
    assert (row["reachable"], row["check_fields"], row["check_fields_errno"]) == ("yes", "blocked", errno)
    assert acceptance(row, "O_PATH") == "yes"
    assert row["size"] >= 24


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(
    ("action", "errno"), [("EPERM", "EPERM"), ("ENOSYS", "ENOSYS"), ("EACCES", "EACCES"), ("kill", None)]
)
@pytest.mark.parametrize("syscall", ["openat2", "clone3", "mount_setattr"])
def test_a_filter_on_a_system_call_blocks_it(syscall: str, action: str, errno: str | None, user: int | None) -> None:
    under = ("--filter", f"{syscall}={action}")
    row = only_row(syscall, under=under, user=user)
    assert (row["reachable"], row["reachable_errno"], row["check_fields"]) == ("blocked", errno, "blocked")
    assert row["calls"] == 1
    assert {flag["accepted"] for field in row["fields"] for flag in field["flags"]} == {"unknown"}
    done = run(syscall, "--require", row["fields"][0]["flags"][0]["name"], under=under, user=user)
    assert done.returncode == 3
    assert done.stdout.startswith("unknown: ")


def test_filters_block_no_other_call() -> None:
    rows = answer("--all", under=("--filter", "openat2=kill", "--filter", "statmount=ENOSYS"))["results"]
    assert [row["syscall"] for row in rows if row["reachable"] == "blocked"] == [
        name
        for name in table.NAMES
        if name == "openat2" or (name == "statmount" and only_row(name)["reachable"] == "yes")
    ]


LATE = """
import os
import sys
from kprobe_tool import cli
from tests.host.supervise import install, parse_rule
rules, args = sys.argv[1].split(), sys.argv[2:]
install([parse_rule(text) for text in rules], 0)
code = cli.run(args)
sys.stdout.flush()
# Python's own end needs some of these calls.
os._exit(code)
"""
"""A program that installs a filter once Python has started, which it could not behind the filter."""


def run_behind(rules: str, *args: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", LATE, rules, *args]
    return subprocess.run(
        argv, check=False, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2]
    )


@pytest.mark.parametrize("action", ["EPERM", "ENOSYS", "kill"])
@pytest.mark.parametrize("helper", ["prlimit64", "prctl", "rt_sigaction"])
def test_a_filter_on_what_asking_needs_is_one_error(helper: str, action: str) -> None:
    """No child can ask: that is one error, and no system call is blamed."""
    done = run_behind(f"{helper}={action}", "check-fields", "--all")
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("kprobe-tool: check-fields: child process")
    assert done.returncode == 3
    audit = run_behind(f"{helper}={action}", "audit", "--only", "extensible-struct-reachability", "-o", "json")
    (row,) = json.loads(audit.stdout)["results"]
    assert row["status"] == "unknown"


def test_a_filter_on_what_nothing_needs_changes_nothing() -> None:
    done = run_behind("recvfrom=kill", "check-fields", "openat2", "-o", "json")
    assert done.stderr == ""
    assert json.loads(done.stdout)["results"][0]["reachable"] == "yes"


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("syscall", ["openat2", "clone3", "mount_setattr"])
def test_a_filter_that_answers_einval_blocks(syscall: str, user: int | None) -> None:
    """As the kernel itself does to the first question."""
    row = only_row(syscall, under=("--filter", f"{syscall}=EINVAL"), user=user)
    assert (row["reachable"], row["reachable_errno"]) == ("blocked", "EINVAL")


@pytest.mark.parametrize(
    ("syscall", "helper"), [("PIDFD_GET_INFO", "ioctl"), ("IORING_REGISTER_QUERY", "io_uring_register")]
)
def test_einval_of_a_filter_is_not_absent(syscall: str, helper: str) -> None:
    done = run_behind(f"{helper}=EINVAL", "check-fields", syscall, "-o", "json")
    (row,) = json.loads(done.stdout)["results"]
    assert (row["reachable"], row["reachable_errno"]) == ("blocked", "EINVAL")


@pytest.mark.parametrize("action", ["ENOMEM", "EIO", "EOPNOTSUPP", "EMFILE"])
def test_an_errno_of_no_kernel_and_no_filter_is_unknown(action: str) -> None:
    """There is a filter, which may have answered so; nothing shows whether it has."""
    row = only_row("openat2", under=("--filter", f"openat2={action}"))
    assert (row["reachable"], row["reachable_errno"]) == ("unknown", action)
    assert "may be a seccomp filter's" in row["reasons"][0]


def test_require_has_a_verdict_and_an_exit_code() -> None:
    done = run("openat2", "--require", "RESOLVE_BENEATH,O_PATH,flags")
    assert (done.returncode, done.stdout, done.stderr) == (0, "yes\n", "")
    # No kernel has it: clone3() refuses the bit so that it can be given a meaning one day.
    done = run("clone3", "--require", "CLONE_VM,CLONE_DETACHED")
    assert (done.returncode, done.stdout, done.stderr) == (1, "no: CLONE_DETACHED\n", "")
    document = answer("clone3", "--require", "CLONE_DETACHED")
    assert document["require"]["verdict"] == "no"
    done = run("openat2", "--require", "RESOLVE_CACHE")
    assert done.returncode == 2
    assert "did you mean 'RESOLVE_CACHED'" in done.stderr
    assert done.stdout == ""


def test_diff_tells_what_is_not_as_saved(tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    saved.write_text(run("openat2", "clone3", "-o", "json").stdout)
    same = run("openat2", "clone3", "--diff", str(saved))
    assert (same.returncode, same.stdout.splitlines()[0]) == (0, "no difference")

    document = json.loads(saved.read_text())
    document["results"][0]["size"] = 32
    saved.write_text(json.dumps(document))
    other = answer("openat2", "clone3", "--diff", str(saved))
    assert other["diff"]["differences"] == [
        {"syscall": "openat2", "field": None, "flag": None, "what": "size", "here": 24, "there": 32}
    ]
    assert run("openat2", "--diff", str(saved)).returncode == 1

    missing = run("bpf", "--diff", str(saved))
    assert missing.returncode == 3
    assert "no answer for bpf" in missing.stderr


def test_diff_settles_nothing_between_two_users_of_one_kernel(tmp_path: Path) -> None:
    """What one of them may not ask is no difference."""
    saved = tmp_path / "saved.json"
    saved.write_text(run("--all", "-o", "json", user=NOBODY).stdout)
    document = answer("--all", "--diff", str(saved))
    settled = [
        one
        for one in document["diff"]["differences"]
        if not {"unknown", "disabled", None} & {one["here"], one["there"]}
    ]
    assert settled == []
    assert run("--all", "--diff", str(saved)).returncode == (3 if document["diff"]["differences"] else 0)


def test_jsonl_has_a_line_for_each_call() -> None:
    lines = [json.loads(line) for line in run("openat2", "clone3", "-o", "jsonl").stdout.splitlines()]
    assert [line["type"] for line in lines] == ["header", "result", "result"]
    assert lines[0]["feature_level"]["release"]


def test_the_table_fits_80_columns() -> None:
    done = run("openat2", "clone3", "mount_setattr")
    assert done.returncode == 0
    rows = [line for line in done.stdout.splitlines() if ":" not in line]
    assert len(rows) > 100
    assert max(map(len, rows)) <= 80


def test_few_calls_are_made_and_all_are_counted(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        skip("no strace")
    counts = tmp_path / "counts"
    argv = [strace, "-f", "-c", "-o", str(counts), "-e", "trace=openat2", sys.executable, "-m", "kprobe_tool"]
    done = subprocess.run(
        [*argv, "check-fields", "openat2", "-o", "json"], check=False, capture_output=True, text=True, timeout=120
    )
    if "ptrace" in done.stderr:
        skip(f"strace: {done.stderr.splitlines()[0]}")
    (line,) = [line.split() for line in counts.read_text().splitlines() if line.endswith(" openat2")]
    (row,) = json.loads(done.stdout)["results"]
    assert int(line[3]) == row["calls"], "what it says is what it does"
    assert row["calls"] <= 60


def test_nothing_is_left() -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    answer("--all", "--exhaustive")
    assert Path("/proc/self/mountinfo").read_text() == mounts


def test_without_proc_no_namespace_is_said_to_be_missing() -> None:
    """Which of clone3()'s namespaces there are shows in /proc only."""
    script = 'mount -t tmpfs tmpfs /proc && exec "$@"'
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-m", "kprobe_tool"]
    if subprocess.run([*argv[:4], "mount -t tmpfs tmpfs /proc"], check=False, capture_output=True).returncode != 0:
        skip("mounting needs root")
    done = subprocess.run(
        [*argv, "check-fields", "clone3", "-o", "json"], check=False, capture_output=True, text=True
    )
    (row,) = json.loads(done.stdout)["results"]
    flags = {flag["name"]: flag["accepted"] for field in row["fields"] for flag in field["flags"]}
    assert {flags[name] for name in flags if name.startswith("CLONE_NEW")} == {"unknown"}
