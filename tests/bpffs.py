# SPDX-License-Identifier: GPL-2.0-or-later
"""A BPF file system in a mount namespace of its own, and what others keep in it while we load programs."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool import cli
from kprobe_tool.errors import ExitCode
from kprobe_tool.native import bpf, btf, libbpf, sched
from kprobe_tool.native.bpf import bpf_attr_prog_load
from kprobe_tool.native.libc import oserror
from kprobe_tool.native.programs import verifier_watch
from kprobe_tool.probes.verifier.watching.attempts import Attempt
from kprobe_tool.probes.verifier.watching.reload import Unable, reload

from .corpus.objects import object_file
from .corpus.roundtrip import objects, objects_since
from .loads import T, call_in_child

MOUNTED = Path("/sys/fs/bpf")
CONGESTION = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
CLONE_NEWNS = 0x00020000

# linux/bpf.h
BPF_MAP_TYPE_PROG_ARRAY = 3
BPF_PROG_TYPE_SCHED_CLS = 3

RETURNS_0 = bytes.fromhex("b700000000000000 9500000000000000")

NAME = b"pinned_jumps"
ENTRIES = 4

PATH = "/sys/fs/bpf/of/others"
BCC_PINS = {
    "table": f'BPF_TABLE_PINNED("hash", u64, u64, pinned, 8, "{PATH}");',
    "table with flags": f'BPF_TABLE_PINNED("hash", u64, u64, pinned, 8, "{PATH}", 1);',
    "table by number": f'BPF_TABLE_PINNED6("hash", u64, u64, pinned, 8, "{PATH}");',
    "any table": f'BPF_TABLE("hash:{PATH}", u64, u64, pinned, 8);',
    "queue": f'BPF_QUEUESTACK_PINNED("queue", pinned, u64, 8, 0, "{PATH}");',
    "section": f"struct {{ u64 key; u64 leaf; u32 max_entries; int flags; }} pinned"
    f' __attribute__((section("maps/hash:{PATH}"))) = {{ .max_entries = 8 }};',
}
"""Ways to declare a pinned map to bcc. It makes the directories of the path, too."""
BCC_PROGRAM = "\nint kprobe__fine(struct pt_regs *ctx) { return 0; }\n"


def call_in_bpffs(function: Callable[[], T]) -> T:
    """What a function returns in a child, whose /sys/fs/bpf is new and gone with it."""

    def mount_and_call() -> T:
        sched.unshare(CLONE_NEWNS)
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "-t", "bpf", "bpf", MOUNTED], check=True)
        return function()

    return call_in_child(mount_and_call)


def pins() -> set[Path]:
    """What is pinned, and every directory made for it; kernels have iterators there from the first."""
    return set(MOUNTED.rglob("*"))


@dataclass(frozen=True)
class Jumps:
    """An array of programs that others use: the program's id in its first slot, and whose programs it takes.

    ``owner`` is the type of program of the first that was loaded with it, None as long as there was none.
    """

    slot: int | None
    owner: str | None


class LiveJumps:
    """A BPF_MAP_TYPE_PROG_ARRAY of others, which can be pinned at the path where the corpus looks for its own."""

    def __init__(self, *, used: bool) -> None:
        """``used``: with a program of type sched_cls in its first slot."""
        lib = libbpf.library()
        sizes = [ctypes.c_uint32(size) for size in (4, 4, ENTRIES)]
        self.fd = check(lib.bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, NAME, *sizes, None))
        if used:
            count = ctypes.c_size_t(len(RETURNS_0) // 8)
            program = check(lib.bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, b"in_use", b"GPL", RETURNS_0, count, None))
            key, value = ctypes.c_uint32(0), ctypes.c_uint32(program)
            check(lib.bpf_map_update_elem(self.fd, ctypes.byref(key), ctypes.byref(value), ctypes.c_uint64(0)))
            os.close(program)

    def pin(self) -> None:
        check(libbpf.library().bpf_obj_pin(self.fd, bytes(MOUNTED / NAME.decode())))

    def contents(self) -> Jumps:
        """What it holds now."""
        key, value = ctypes.c_uint32(0), ctypes.c_uint32()
        empty = libbpf.library().bpf_map_lookup_elem(self.fd, ctypes.byref(key), ctypes.byref(value)) < 0
        with open(f"/proc/self/fdinfo/{self.fd}", encoding="ascii") as file:
            shown = dict(line.split(":\t", 1) for line in file.read().splitlines())
        return Jumps(None if empty else value.value, shown.get("owner_prog_type"))


def check(value: int) -> int:
    if value < 0:
        oserror("libbpf")
    return value


def load(path: Path) -> tuple[int, dict[str, Any], str]:
    """verifier-log load: its exit code, its rows by program, and what it writes to stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run(["verifier-log", "load", str(path), "-o", "json"])
    rows = json.loads(out.getvalue())["results"] if out.getvalue() else []
    return code, {row["program"]: row for row in rows}, err.getvalue()


def assert_loading_pins_nothing() -> None:
    """An object with LIBBPF_PIN_BY_NAME: its programs are verified, and nothing is pinned."""
    path = object_file("pinned")
    before = objects()

    def load_and_look() -> tuple[int, dict[str, Any], str, set[Path]]:
        there = pins()
        return *load(path), pins() - there

    code, rows, err, left = call_in_bpffs(load_and_look)
    assert left == set()
    assert (code, err) == (ExitCode.OK, "")
    assert {name: row["outcome"] for name, row in rows.items()} == {"in_slot": "accepted", "jumps": "accepted"}
    assert objects_since(before) == {}


REACHING = {
    "reaching": {"map_in_map": "accepted", "configuration": "accepted", "module_symbol": "accepted"},
    "struct_ops": {"BPF_ssthresh": "accepted", "BPF_undo_cwnd": "accepted", "BPF_cong_avoid": "accepted"},
}
"""Objects that name what others have, by the ways there are: and their programs, which are verified all the same."""


def assert_loading_reaches_nothing(name: str) -> None:
    """Maps in maps that say LIBBPF_PIN_BY_NAME, .kconfig, a symbol of a module, freplace, struct_ops."""
    path = object_file(name)
    before = objects()

    def load_and_look() -> tuple[dict[str, Any], str, set[Path], str]:
        there = pins()
        _, rows, err = load(path)
        return rows, err, pins() - there, CONGESTION.read_text()

    offered = CONGESTION.read_text()
    rows, err, left, then = call_in_bpffs(load_and_look)
    assert {name: row["outcome"] for name, row in rows.items()} == REACHING[name]
    # There is no program to replace: who attaches would have to name one.
    assert ("replacement: " in err) == (name == "reaching")
    assert left == set()
    assert then == offered == CONGESTION.read_text()
    assert objects_since(before) == {}


def assert_an_arena_leaves_nothing() -> None:
    """Memory shared with a process, at an address that the object chooses: nobody's but the loading child's."""
    path = object_file("arena")
    before = objects()

    def load_and_look() -> tuple[dict[str, Any], str, set[Path]]:
        there = pins()
        _, rows, err = load(path)
        return rows, err, pins() - there

    rows, err, left = call_in_bpffs(load_and_look)
    if btf.vmlinux().struct("bpf_arena") is None:
        # Linux v6.9 has them.
        assert rows == {}
        assert len(err.splitlines()) == 1
    else:
        assert {name: row["outcome"] for name, row in rows.items()} == {"allocates": "accepted"}
        assert err == ""
    assert left == set()
    assert objects_since(before) == {}


def assert_nothing_is_made_at_a_token_path() -> None:
    """A BPF file system that is named for libbpf to take a token from (since its 1.4): nothing is made there."""
    path = object_file("pinned")
    before = objects()

    def load_and_look() -> tuple[int, str, set[Path]]:
        os.environ["LIBBPF_BPF_TOKEN_PATH"] = str(MOUNTED)
        there = pins()
        code, _, err = load(path)
        return code, err, pins() - there

    code, err, left = call_in_bpffs(load_and_look)
    # A newer libbpf insists on the token, which the kernel gives only to those in another user namespace.
    assert (code, len(err.splitlines())) in {(ExitCode.OK, 0), (ExitCode.CANNOT_RUN, 2)}, err
    assert left == set()
    assert objects_since(before) == {}


def assert_confined_loaders_reach_nothing() -> None:
    """What loads the programs of others is refused what reaches further than its own maps, whatever asks for it."""

    def ask_confined() -> tuple[list[int | None], set[Path]]:
        there = pins()
        live = LiveJumps(used=False)
        live.pin()
        bpf.confine()
        lib = libbpf.library()
        lib.bpf_map_get_fd_by_id.argtypes = (ctypes.c_uint32,)
        directory = MOUNTED / "directory"
        errnos = [
            errno_of(lambda: check(lib.bpf_obj_pin(live.fd, bytes(MOUNTED / "again")))),
            errno_of(lambda: check(lib.bpf_obj_get(bytes(MOUNTED / NAME.decode())))),
            errno_of(lambda: check(lib.bpf_map_get_fd_by_id(1))),
            errno_of(directory.mkdir),
        ]
        live.contents()
        return errnos, pins() - there

    errnos, made = call_in_bpffs(ask_confined)
    assert errnos == [errno.EACCES] * 4
    assert made == {MOUNTED / NAME.decode()}


def errno_of(function: Callable[[], object]) -> int | None:
    """The errno that a function fails with; None where it does not fail."""
    try:
        function()
    except OSError as error:
        return error.errno
    return None


def assert_loading_leaves_pinned_maps_alone(*, used: bool) -> None:
    """The same where others have pinned a map at that path: no program of theirs is replaced, nor its type set."""
    path = object_file("pinned")
    before = objects()

    def load_and_look() -> tuple[int, Jumps, Jumps]:
        live = LiveJumps(used=used)
        live.pin()
        first = live.contents()
        code, _, _ = load(path)
        return code, first, live.contents()

    code, first, then = call_in_bpffs(load_and_look)
    assert (first.slot is not None) == (first.owner is not None) == used
    assert then == first
    assert code == ExitCode.OK
    assert objects_since(before) == {}


def assert_reloading_leaves_live_maps_alone() -> None:
    """A tail call through an array that has had no program yet is not loaded again: that would set its type."""
    before = objects()

    def reload_and_look() -> tuple[Jumps, Jumps, str]:
        live = LiveJumps(used=False)
        # r2 = map; r3 = 0; tail call; r0 = 0; exit
        insns = bytes.fromhex(f"1812 0000 {live.fd:02x}000000 0000000000000000 b703000000000000 850000000c000000")
        insns += RETURNS_0
        attr = bpf_attr_prog_load(prog_type=BPF_PROG_TYPE_SCHED_CLS, insn_cnt=len(insns) // 8)
        raw = verifier_watch.header(
            attr=attr, attr_read=1, ret=-errno.EPERM, insns=len(insns), license=b"GPL", ns_pid=os.getpid()
        )
        first = live.contents()
        with pytest.raises(Unable) as why:
            reload(Attempt(verifier_watch.load_of(raw), insns=insns))
        return first, live.contents(), str(why.value)

    first, then, why = call_in_child(reload_and_look)
    assert first == then == Jumps(None, None)
    assert "holds programs" in why
    assert objects_since(before) == {}


def assert_bcc_pins_nothing(declaration: str, directory: Path) -> None:
    """A C file with a pinned table is refused before anything is made of it."""
    path = directory / "pinned.c"
    path.write_text(declaration + BCC_PROGRAM)
    code, rows, err = load_and_leave_nothing(path)
    assert (code, rows) == (ExitCode.CANNOT_RUN, {})
    assert len(err.splitlines()) == 1
    assert f"{path}: line 1: " in err
    assert "pinned" in err


def assert_bcc_pins_nothing_unseen(declaration: str, directory: Path) -> None:
    """Where the declaration stands in another file, bcc tries, and gets no further than its own map."""
    header = directory / "pinned.h"
    header.write_text(declaration)
    path = directory / "innocent.c"
    path.write_text(f'#include "{header}"{BCC_PROGRAM}')
    code, rows, err = load_and_leave_nothing(path)
    assert (code, err) == (ExitCode.OK, "")
    assert rows["kprobe__fine"]["outcome"] == "accepted"


BCC_SHARED = {
    "exported": 'BPF_TABLE_PUBLIC("hash", u64, u64, exported, 8);',
    "shared": 'BPF_TABLE_SHARED("hash", u64, u64, shared, 8);',
}
"""Tables that one module of bcc lends to another: of the same process, which is a child that ends."""


def assert_bcc_shares_nothing(declaration: str, directory: Path) -> None:
    path = directory / "shared.c"
    path.write_text(declaration + BCC_PROGRAM)
    code, rows, err = load_and_leave_nothing(path)
    assert (code, err) == (ExitCode.OK, "")
    assert rows["kprobe__fine"]["outcome"] == "accepted"


def assert_bcc_borrows_nothing(directory: Path) -> None:
    """A table that another file lends: it is not to be had, and the file is told so."""
    path = directory / "extern.c"
    path.write_text('BPF_TABLE("extern", u64, u64, foreign, 8);' + BCC_PROGRAM)
    code, rows, err = load_and_leave_nothing(path)
    assert (code, rows) == (ExitCode.CANNOT_RUN, {})
    assert len(err.splitlines()) == 1
    assert "undefined table" in err


def load_and_leave_nothing(path: Path) -> tuple[int, dict[str, Any], str]:
    """What :func:`load` gives, once nothing is pinned by it and nothing of it is left."""
    before = objects()

    def load_and_look() -> tuple[tuple[int, dict[str, Any], str], set[Path]]:
        there = pins()
        return load(path), pins() - there

    answer, left = call_in_bpffs(load_and_look)
    assert left == set()
    assert objects_since(before) == {}
    return answer
