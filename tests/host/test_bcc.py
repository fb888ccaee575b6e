# SPDX-License-Identifier: GPL-2.0-or-later
"""BPF through bcc on this host, without kernel headers."""

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.native import bcc, bpf, btf, host, kprobe, ringbuf
from kprobe_tool.native.field_macros import field_macros

from ..nobody import command_as_nobody
from ..skips import skip

SOURCES = Path(__file__).parent / "bpf"
PACKAGE = Path(bcc.__file__).parents[1]
OUT_OF_ZIP = """
import os
from pathlib import Path
from kprobe_tool.native import bcc

def seen():
    return sorted(os.listdir("/proc/self/fd")), Path("/proc/self/mountinfo").read_text(), os.getcwd()

bcc.load()
before = seen()
with bcc.sources() as directory:
    assert Path("/proc/self/mountinfo").read_text() == before[1], "mounted"
    assert (directory / "include" / "asm" / "page.h").stat().st_size
with bcc.Object("doctor.c") as made:
    print(bcc.SOURCES, "on_message" in made.functions())
assert seen() == before, seen()
"""
OURS = {"on_enter", "on_message"}
FIELDS = {"TASK_TGID": ("task_struct.no_such_field", "task_struct.tgid")}


def programs() -> set[int]:
    """The ids of all BPF programs of ours in the kernel; others come and go on a host that is in use."""
    done = subprocess.run(["bpftool", "-j", "prog", "show"], check=True, capture_output=True, text=True)
    return {program["id"] for program in json.loads(done.stdout) if program.get("name") in OURS}


def new_programs(before: set[int]) -> set[int]:
    """Programs that came since and stay; one that was let go is freed after a grace period.

    Only those that every look finds: another run of these tests may have some of these names meanwhile.
    """
    deadline = time.monotonic() + 10
    left = programs() - before
    while left and time.monotonic() < deadline:
        time.sleep(0.1)
        left &= programs()
    return left


@pytest.fixture(autouse=True)
def require_bpf() -> None:
    if not host.effective_capabilities() & {"CAP_BPF", "CAP_SYS_ADMIN"}:
        skip("BPF needs root")
    if not host.readable("/sys/kernel/btf/vmlinux"):
        skip("this kernel has no BTF")


@pytest.fixture
def defines() -> dict[str, int]:
    return field_macros(FIELDS, btf.vmlinux()) | {"PID": os.getpid()}


@pytest.fixture
def counting(defines: dict[str, int]) -> Iterator[bcc.Object]:
    with bcc.Object(str(SOURCES / "count.c"), defines) as made:
        yield made


def test_a_program_sees_what_a_process_does(counting: bcc.Object) -> None:
    ring = counting.ring_buffer("events")
    counting.attach_raw_tracepoint(counting.load("on_enter", bpf.BPF_PROG_TYPE_RAW_TRACEPOINT), "sys_enter")
    for _ in range(7):
        os.getppid()
    counting.close_programs()
    records = ring.read(1)
    ring.close()
    events = [struct.unpack("QQ", record) for record in records]
    assert [number for number, _ in events].count(110 if os.uname().machine == "x86_64" else 173) == 7
    assert {pid for _, pid in events} == {os.getpid()}
    (seen,) = struct.unpack("Q", counting.lookup("seen", struct.pack("I", 0), 8))
    assert seen == len(events)


def test_an_empty_ring_is_waited_for(counting: bcc.Object) -> None:
    ring = counting.ring_buffer("events")
    start = time.monotonic()
    assert ring.read(0.2) == []
    assert time.monotonic() - start >= 0.19
    ring.close()


def test_a_full_ring_counts_what_it_drops(counting: bcc.Object) -> None:
    ring = counting.ring_buffer("events")
    counting.attach_raw_tracepoint(counting.load("on_enter", bpf.BPF_PROG_TYPE_RAW_TRACEPOINT), "sys_enter")
    for _ in range(5003):
        os.getppid()
    counting.close_programs()
    kept = [ring.read(0) for _ in range(3)]
    ring.close()
    assert len(kept[0]) == len(kept[0][: ringbuf.BATCH_MAX])
    # 64 KiB hold 2730 records of 16 bytes and their headers of 8.
    assert 2700 < sum(map(len, kept)) < 2740


def test_a_zip_file_is_compiled_from_and_nothing_is_left(tmp_path: Path) -> None:
    """As in kprobe-tool.pyz. What libbcc reads is in no mount namespace."""
    if "CAP_SYS_ADMIN" not in host.effective_capabilities():
        skip("fsopen needs CAP_SYS_ADMIN")
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", PACKAGE.parent, PACKAGE.name)
    environment = {**os.environ, "PYTHONPATH": archive, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_ZIP], cwd="/", env=environment, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{archive}/kprobe_tool/bpf True\n"
    assert [each.name for each in tmp_path.iterdir()] == ["packed.zip"]


def test_a_program_that_does_not_compile_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Error, match="use of undeclared identifier 'no_such_name'"):
        bcc.Object(str(SOURCES / "broken.c"))
    assert capfd.readouterr() == ("", "")


def test_a_field_of_another_size_does_not_compile(defines: dict[str, int]) -> None:
    with pytest.raises(Error, match="TASK_TGID has another size in this kernel"):
        bcc.Object(str(SOURCES / "narrow.c"), defines)


def test_a_program_that_is_refused_is_an_error(counting: bcc.Object, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Error, match="refused: R0 !read_ok"):
        counting.load("refused", bpf.BPF_PROG_TYPE_RAW_TRACEPOINT)
    assert capfd.readouterr() == ("", "")


def test_a_missing_tracepoint_is_an_error(counting: bcc.Object) -> None:
    program = counting.load("on_enter", bpf.BPF_PROG_TYPE_RAW_TRACEPOINT)
    with pytest.raises(FileNotFoundError):
        counting.attach_raw_tracepoint(program, "no_such_tracepoint")


def test_a_field_that_no_kernel_has_is_an_error() -> None:
    with pytest.raises(Error, match=r"no task_struct\.a or task_struct\.b\.c in this kernel"):
        field_macros({"X": ("task_struct.a", "task_struct.b.c")}, btf.vmlinux())


def test_kprobes_are_there_or_said_not_to_be(counting: bcc.Object) -> None:
    if kprobe.available():
        skip("this kernel has kprobes; the lab attaches them")
    with pytest.raises(Error, match="this kernel has none"):
        kprobe.attach(0, "do_exit")


def test_nothing_is_left_behind(defines: dict[str, int]) -> None:
    before = programs()
    with bcc.Object(str(SOURCES / "count.c"), defines) as made:
        made.attach_raw_tracepoint(made.load("on_enter", bpf.BPF_PROG_TYPE_RAW_TRACEPOINT), "sys_enter")
        assert programs() - before
    assert not new_programs(before)


def test_nothing_is_left_behind_by_a_kill(defines: dict[str, int]) -> None:
    before = programs()
    child = os.fork()
    if child == 0:
        try:
            made = bcc.Object(str(SOURCES / "count.c"), defines)
            made.attach_raw_tracepoint(made.load("on_enter", bpf.BPF_PROG_TYPE_RAW_TRACEPOINT), "sys_enter")
            signal.pause()
        finally:
            os._exit(1)
    deadline = time.monotonic() + 60
    while not programs() - before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert programs() - before
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not new_programs(before)


def test_nobody_is_told_of_cap_bpf() -> None:
    code = "from kprobe_tool.native import bcc\nbcc.Object('x.c')"
    done = subprocess.run(
        command_as_nobody([sys.executable, "-c", code]), check=False, capture_output=True, text=True
    )
    assert "BPF program x.c: Operation not permitted (EPERM); needs CAP_BPF" in done.stderr


def test_the_end_by_llvm_is_one_line_and_no_finding() -> None:
    code = f"from kprobe_tool.native import bcc\nbcc.Object({str(SOURCES / 'stack.c')!r})"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == ExitCode.CANNOT_TELL, done.stderr
    assert re.fullmatch(r"kprobe-tool: BPF program \S+/stack\.c: .*stack.*\n", done.stderr), done.stderr
