# SPDX-License-Identifier: GPL-2.0-or-later
"""verifier-log load on this kernel: objects, C and instructions; and nothing is left of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kprobe_tool.cli import run
from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.native import bcc, bpf, btf, libbpf

from .. import bpffs
from ..corpus.objects import object_file
from ..corpus.roundtrip import compare_by_command, objects, objects_since
from ..nobody import command_as_nobody
from ..skips import skip

Capsys = pytest.CaptureFixture[str]

RETURNS_TWO = "b7 00 00 00 02 00 00 00\n95 00 00 00 00 00 00 00\n"
BCC = """
BPF_HASH(seen, u64, u64);
int unchecked(struct pt_regs *ctx) { u64 key = 0; u64 *value = seen.lookup(&key); return *value; }
int kprobe__fine(struct pt_regs *ctx) { return 0; }
"""
LOOKUP = """
BPF_HASH(seen, u64, u64);

int kprobe__unchecked(struct pt_regs *ctx)
{
	u64 key = 0;
	u64 *value = seen.lookup(&key);

	return *value;
}
"""


@pytest.fixture(autouse=True)
def assert_nothing_left() -> Iterator[None]:
    try:
        before = objects()
    except OSError as error:
        skip(f"no bpf(2): {error}")
    yield
    assert objects_since(before) == {}


@pytest.fixture
def needs_libbpf() -> None:
    try:
        libbpf.library()
    except Error as error:
        skip(str(error))


def test_fields_are_where_union_bpf_attr_has_them() -> None:
    attr = btf.vmlinux().struct("bpf_attr")
    assert attr is not None
    places = {(member.name, member.offset, member.size) for member in attr.members}
    for struct in (bpf.bpf_attr_prog_load, bpf.bpf_attr_next_id):
        for name, *_ in struct._fields_:
            place = getattr(struct, name)
            if name == "log_true_size" and name not in {member.name for member in attr.members}:
                continue
            assert (name, place.offset, place.size) in places


@pytest.mark.usefixtures("needs_libbpf")
def test_load_and_explain_of_its_log_agree(tmp_path: Path, capsys: Capsys) -> None:
    def tool(*args: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(list(args))
        return code, capsys.readouterr().out

    assert compare_by_command(tool, object_file("memory"), tmp_path) >= 15


@pytest.mark.usefixtures("needs_libbpf")
def test_accepted_programs_have_statistics(capsys: Capsys) -> None:
    assert run(["verifier-log", "load", str(object_file("accepted")), "-o", "json"]) == ExitCode.OK
    rows = json.loads(capsys.readouterr().out)["results"]
    assert [row["outcome"] for row in rows] == ["accepted", "accepted"]
    assert all(row["stats"]["insns_processed"] > 50 for row in rows)
    assert all(row["stats"]["verification_time_us"] is not None for row in rows)
    assert {row["prog_type"] for row in rows} == {"sched_cls"}


@pytest.mark.usefixtures("needs_libbpf")
def test_another_type_than_the_section_s_is_tried(capsys: Capsys) -> None:
    argv = ["verifier-log", "load", str(object_file("memory")), "--prog", "header_not_checked", "-o", "json"]
    assert run([*argv, "--type", "socket_filter"]) == ExitCode.FOUND
    (row,) = json.loads(capsys.readouterr().out)["results"]
    assert row["prog_type"] == "socket_filter"
    assert row["diagnoses"][0]["recognised"]


@pytest.mark.usefixtures("needs_libbpf")
def test_a_broken_object_is_one_line(tmp_path: Path, capsys: Capsys) -> None:
    path = tmp_path / "broken.o"
    path.write_bytes(object_file("memory").read_bytes()[:3000])
    assert run(["verifier-log", "load", str(path)]) == ExitCode.CANNOT_RUN
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("level", "logged"), [("0", False), ("1", True), ("2", True)])
def test_instructions_are_taken_as_digits_and_as_bytes(
    level: str, logged: bool, tmp_path: Path, capsys: Capsys
) -> None:
    path = tmp_path / "insns"
    for content in (RETURNS_TWO.encode(), bytes.fromhex(RETURNS_TWO)):
        path.write_bytes(content)
        argv = ["verifier-log", "load", str(path), "--raw", "--type", "cgroup_skb", "--level", level, "-o", "json"]
        assert run(argv) == ExitCode.FOUND
        (row,) = json.loads(capsys.readouterr().out)["results"]
        assert row["errno"] == "EINVAL"
        assert (row["log_size"] > 0) == logged


def test_a_long_log_is_read_whole(tmp_path: Path, capsys: Capsys) -> None:
    """A log of megabytes grows the buffer; the errno is that of the verifier, not ENOSPC."""
    path = tmp_path / "insns"
    # r0 = 0; again: r0 += 1; if r0 < 20000 goto again; r0 = 2; exit
    path.write_text("b700000000000000 0700000001000000 a500feff204e0000 b700000002000000 9500000000000000")
    assert run(["verifier-log", "load", str(path), "--raw", "--type", "cgroup_skb", "-o", "json"]) == ExitCode.FOUND
    (row,) = json.loads(capsys.readouterr().out)["results"]
    assert row["errno"] == "EINVAL"
    assert row["log_size"] > bpf.LOG_SIZE
    assert row["log_complete"]
    assert row["diagnoses"][0]["problem"] == "Return value out of range"


def test_c_is_compiled_by_bcc(tmp_path: Path, capsys: Capsys) -> None:
    try:
        bcc.load()
    except Error as error:
        skip(str(error))
    path = tmp_path / "x.c"
    path.write_text(BCC)
    assert run(["verifier-log", "load", str(path), "-o", "json"]) == ExitCode.CANNOT_RUN
    out, err = capsys.readouterr()
    assert [row["program"] for row in json.loads(out)["results"]] == ["kprobe__fine"]
    assert "unchecked: its name does not tell the type of program; give it with --type" in err
    assert run(["verifier-log", "load", str(path), "--type", "kprobe", "-o", "json"]) == ExitCode.FOUND
    rows = {row["program"]: row for row in json.loads(capsys.readouterr().out)["results"]}
    assert rows["unchecked"]["diagnoses"][0]["problem"] == "Invalid dereference"
    assert rows["unchecked"]["insn_count"] == 9
    path.write_text("int broken(")
    assert run(["verifier-log", "load", str(path)]) == ExitCode.CANNOT_RUN
    assert f"{path}: line 1: " in capsys.readouterr().err
    path.write_text("#include <bpf/bpf_helpers.h>\n")
    assert run(["verifier-log", "load", str(path)]) == ExitCode.CANNOT_RUN
    assert "clang -g -O2 -target bpf -c" in capsys.readouterr().err


@pytest.mark.usefixtures("needs_bcc")
def test_lines_of_c_are_those_of_the_file(tmp_path: Path, capsys: Capsys) -> None:
    """bcc compiles a text that it has rewritten; what is shown is what the author wrote, where he wrote it."""
    path = tmp_path / "prog.c"
    path.write_text(LOOKUP)
    assert run(["verifier-log", "load", str(path), "-o", "json"]) == ExitCode.FOUND
    (row,) = json.loads(capsys.readouterr().out)["results"]
    (diagnosis,) = row["diagnoses"]
    assert diagnosis["problem"] == "Invalid dereference"
    lines = LOOKUP.splitlines()
    wrong = lines.index("\treturn *value;") + 1
    lookup = lines.index("\tu64 *value = seen.lookup(&key);") + 1
    place = diagnosis["place"]
    assert (Path(place["file"]).name, place["line"], place["source"]) == ("prog.c", wrong, "return *value;")
    assert {line["number"]: line["text"] for line in place["source_context"]}.items() <= dict(
        enumerate(lines, 1)
    ).items()
    assert [(step["place"]["line"], step["place"]["source"]) for step in diagnosis["path"]] == [
        (lookup, "u64 *value = seen.lookup(&key);")
    ]


@pytest.mark.usefixtures("needs_bcc")
def test_llvm_giving_up_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It ends the process that compiles, with exit code 1: that is no program that was rejected."""
    path = tmp_path / "big.c"
    path.write_text(
        "int kprobe__big(struct pt_regs *ctx)\n"
        "{ char a[600]; bpf_get_current_comm(a, sizeof(a)); return a[bpf_get_smp_processor_id() & 255]; }\n"
    )
    assert run(["verifier-log", "load", str(path)]) == ExitCode.CANNOT_RUN
    out, err = capfd.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "big.c: function kprobe__big: " in err
    assert "stack limit of 512 bytes" in err


@pytest.mark.usefixtures("needs_bcc")
def test_c_is_compiled_from_a_directory_that_is_gone(tmp_path: Path) -> None:
    path, gone = tmp_path / "x.c", tmp_path / "gone"
    path.write_text("int kprobe__fine(struct pt_regs *ctx) { return 0; }\n")
    gone.mkdir()
    script = f"rmdir {gone}; exec {sys.executable} -m kprobe_tool verifier-log load {path}"
    done = subprocess.run(["sh", "-c", script], cwd=gone, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (ExitCode.OK, "")
    assert "kprobe__fine: accepted" in done.stdout


def test_a_log_is_not_written_through_a_symbolic_link(tmp_path: Path, capsys: Capsys) -> None:
    path, victim, link = tmp_path / "hex", tmp_path / "victim", tmp_path / "link"
    path.write_text(RETURNS_TWO)
    victim.write_text("kept")
    link.symlink_to(victim)
    argv = ["verifier-log", "load", str(path), "--raw", "--type", "cgroup_skb", "--log"]
    assert run([*argv, str(link)]) == ExitCode.CANNOT_RUN
    assert "a symbolic link is not followed" in capsys.readouterr().err
    assert victim.read_text() == "kept"


def test_a_licence_may_be_any_bytes(tmp_path: Path) -> None:
    path = tmp_path / "hex"
    path.write_text(RETURNS_TWO)
    argv = ["verifier-log", "load", str(path), "--raw", "--type", "cgroup_skb", "--license"]
    assert run([*argv, os.fsdecode(b"\xff\xfe")]) == ExitCode.FOUND


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/urandom"])
@pytest.mark.parametrize("more", [[], ["--raw", "--type", "xdp"]])
def test_files_without_an_end_are_refused(path: str, more: list[str], capsys: Capsys) -> None:
    assert run(["verifier-log", "load", path, *more]) == ExitCode.CANNOT_RUN
    assert f"{path}: neither a file nor a pipe" in capsys.readouterr().err


def test_a_fifo_is_refused(tmp_path: Path, capsys: Capsys) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert run(["verifier-log", "load", str(tmp_path / "fifo")]) == ExitCode.CANNOT_RUN
    assert "not a regular file" in capsys.readouterr().err


@pytest.fixture
def needs_bcc() -> None:
    try:
        bcc.load()
    except Error as error:
        skip(str(error))


@pytest.mark.usefixtures("needs_libbpf")
def test_a_message_of_libbpf_that_is_lost_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What became of a program is told by libbpf's messages."""

    def fail(raw: bytes) -> str:
        raise MemoryError

    monkeypatch.setattr(libbpf, "text", fail)
    with pytest.raises(MemoryError), libbpf.messages():
        libbpf.library().bpf_object__open_file(b"/nonexistent.o", None)


@pytest.mark.usefixtures("needs_libbpf")
def test_root_of_a_user_namespace_is_told_what_lets_it_load() -> None:
    """Where this kernel knows BPF tokens, that these do."""
    argv = ["unshare", "--user", "--map-root-user"]
    if subprocess.run([*argv, "true"], check=False, capture_output=True).returncode:
        skip("no user namespaces here")
    command = [*argv, sys.executable, "-m", "kprobe_tool", "verifier-log", "load"]
    path = Path(__file__).parents[1] / "unit/data/verifier/null-check.o"
    done = subprocess.run([*command, str(path)], check=False, capture_output=True, text=True)
    knows = "BPF_TOKEN_CREATE" in btf.vmlinux().enumerators("bpf_cmd").values()
    token = r", or a BPF token: /sys/fs/bpf mounted by .*" if knows else ""
    needs = "needs root of the host, not of a user namespace"
    assert re.fullmatch(rf"kprobe-tool: .* \(EPERM\); {needs}{token}\n", done.stderr), done.stderr


@pytest.mark.usefixtures("needs_libbpf")
def test_an_object_that_libbpf_dies_of_is_one_line() -> None:
    """null-check.o and its like, mutated: libbpf 1.1 ends by SIGSEGV, and newer ones call it broken."""
    path = Path(__file__).parents[1] / "unit/data/verifier/libbpf-1.1-dies.o"
    argv = [sys.executable, "-m", "kprobe_tool", "verifier-log", "load", str(path)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (ExitCode.CANNOT_RUN, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.usefixtures("needs_libbpf")
def test_nothing_is_pinned() -> None:
    bpffs.assert_loading_pins_nothing()


@pytest.mark.usefixtures("needs_libbpf")
@pytest.mark.parametrize("name", bpffs.REACHING)
def test_nothing_of_others_is_reached(name: str) -> None:
    bpffs.assert_loading_reaches_nothing(name)


@pytest.mark.usefixtures("needs_libbpf")
@pytest.mark.parametrize("used", [False, True])
def test_pinned_maps_of_others_are_left_alone(used: bool) -> None:
    bpffs.assert_loading_leaves_pinned_maps_alone(used=used)


@pytest.mark.usefixtures("needs_libbpf")
def test_live_maps_of_a_program_loaded_again_are_left_alone() -> None:
    bpffs.assert_reloading_leaves_live_maps_alone()


@pytest.mark.usefixtures("needs_bcc", "needs_libbpf")
@pytest.mark.parametrize("declaration", bpffs.BCC_PINS.values(), ids=bpffs.BCC_PINS)
def test_tables_that_bcc_would_pin_are_refused(declaration: str, tmp_path: Path) -> None:
    bpffs.assert_bcc_pins_nothing(declaration, tmp_path)


@pytest.mark.usefixtures("needs_bcc", "needs_libbpf")
@pytest.mark.parametrize("declaration", bpffs.BCC_PINS.values(), ids=bpffs.BCC_PINS)
def test_tables_that_bcc_would_pin_unseen_are_not_pinned(declaration: str, tmp_path: Path) -> None:
    bpffs.assert_bcc_pins_nothing_unseen(declaration, tmp_path)


@pytest.mark.usefixtures("needs_libbpf")
def test_an_arena_leaves_nothing() -> None:
    bpffs.assert_an_arena_leaves_nothing()


@pytest.mark.usefixtures("needs_libbpf")
def test_nothing_is_made_at_a_token_path() -> None:
    bpffs.assert_nothing_is_made_at_a_token_path()


@pytest.mark.usefixtures("needs_libbpf")
def test_loaders_are_confined() -> None:
    bpffs.assert_confined_loaders_reach_nothing()


@pytest.mark.usefixtures("needs_bcc", "needs_libbpf")
@pytest.mark.parametrize("declaration", bpffs.BCC_SHARED.values(), ids=bpffs.BCC_SHARED)
def test_tables_that_bcc_would_share_are_not_shared(declaration: str, tmp_path: Path) -> None:
    bpffs.assert_bcc_shares_nothing(declaration, tmp_path)


@pytest.mark.usefixtures("needs_bcc", "needs_libbpf")
def test_tables_of_other_programs_are_not_borrowed(tmp_path: Path) -> None:
    bpffs.assert_bcc_borrows_nothing(tmp_path)


def test_bpftool_sees_nothing_of_a_load(capsys: Capsys) -> None:
    if shutil.which("bpftool") is None:
        skip("bpftool is not installed")
    assert run(["verifier-log", "load", str(object_file("accepted"))]) == ExitCode.OK
    shown = subprocess.run(["bpftool", "prog", "show"], check=True, capture_output=True, text=True).stdout
    assert "accepted_with" not in shown


def test_nobody_gets_one_line() -> None:
    with open("/proc/sys/kernel/unprivileged_bpf_disabled", encoding="ascii") as file:
        if file.read().strip() == "0":
            skip("anyone may use BPF here")
    argv = [sys.executable, "-m", "kprobe_tool", "verifier-log", "load", str(object_file("accepted"))]
    done = subprocess.run(command_as_nobody(argv), check=False, capture_output=True, text=True, env={**os.environ})
    assert done.returncode == ExitCode.CANNOT_TELL
    assert done.stdout == ""
    assert "EPERM" in done.stderr
    assert "needs CAP_BPF" in done.stderr
