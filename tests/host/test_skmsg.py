# SPDX-License-Identifier: GPL-2.0-or-later
"""skmsg check on this host: plain TCP, and kTLS where that is loaded."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.errors import Error, ExitCode
from kprobe_tool.native import bcc, bpf, btf, host, link, sk_msg, tls
from kprobe_tool.native.programs import skmsg_check
from kprobe_tool.native.programs.skmsg_check import Plan, Step, StepKind
from kprobe_tool.probes import doctor
from kprobe_tool.probes.skmsg import experiment

from ..nobody import command_as_nobody
from ..skips import skip
from .test_bcc import new_programs, programs

ARGV = [sys.executable, "-m", "kprobe_tool", "skmsg", "check"]
TCP = {"push+pop", "push+pull", "pop_middle+pull", "push_middle+pull", "pull_stale", "alloc_stale"}


@pytest.fixture(scope="module", autouse=True)
def needs_bpf() -> None:
    if not host.effective_capabilities() & {"CAP_BPF", "CAP_SYS_ADMIN"}:
        skip("BPF needs root")
    if not host.readable("/sys/kernel/btf/vmlinux"):
        skip("this kernel has no BTF")


def network_namespaces() -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            found.add(path.stat().st_ino)
        except (FileNotFoundError, PermissionError):
            # It has ended, or is none that a check could have left behind.
            continue
    return found


@pytest.fixture(scope="module")
def checked() -> Any:
    """The document of a run in a process of its own, made once for all tests here."""
    before, spaces = programs(), network_namespaces()
    done = subprocess.run([*ARGV, "-o", "json"], check=False, capture_output=True, text=True)
    assert done.returncode in {ExitCode.OK, ExitCode.FOUND, ExitCode.CANNOT_TELL}, done.stderr
    assert not new_programs(before)
    assert network_namespaces() == spaces
    return json.loads(done.stdout)


def test_every_case_of_plain_tcp_has_an_outcome(checked: Any) -> None:
    rows = {row["test"]: row for row in checked["results"] if row["socket"] == "tcp"}
    assert set(rows) == TCP
    for name, row in rows.items():
        assert row["outcome"] != "unknown", f"{name}: {row['reason']}"
        assert row["evidence"]["content_unchanged"] is True
        assert all(record["errno"] is None for record in row["evidence"]["records"])


def test_the_program_does_what_it_is_told(checked: Any) -> None:
    """Sizes as the helpers change them, whatever the kernel does to copy bits."""
    sizes = {
        row["test"]: [record["size"] for record in row["evidence"]["records"]]
        for row in checked["results"]
        if row["socket"] == "tcp"
    }
    assert sizes["push+pop"] == [1000, 1008, 1000]
    assert sizes["push+pull"] == [1000, 1008, 1008]
    assert sizes["pop_middle+pull"] == [1000, 992, 992]
    assert sizes["push_middle+pull"] == [1000, 1008, 1008]
    assert sizes["pull_stale"] == [1000, 1000, 1008]
    assert sizes["alloc_stale"] == [100, 100, 200, 100, 100, 200, 200, 200, 100]


def test_the_elements_add_up_to_the_size(checked: Any) -> None:
    records = [record for row in checked["results"] for record in row["evidence"]["records"]]
    assert records
    for record in records:
        assert sum(element["length"] for element in record["elements"]) == record["size"]
        for element in record["elements"]:
            assert element["copy"] == bool(int(record["copy"], 16) >> element["index"] & 1)


def test_ktls_is_not_loaded(checked: Any) -> None:
    if tls.is_ulp_registered():
        skip("tls is loaded here; the lab tries it both ways")
    rows = [row for row in checked["results"] if row["socket"] == "ktls"]
    assert {row["outcome"] for row in rows} == {"not-applicable"}
    assert all("not loaded" in row["reason"] for row in rows)
    assert not tls.is_ulp_registered()


def test_the_ring_is_one_less_than_the_array() -> None:
    """NR_MSG_FRAG_IDS and MAX_SKB_FRAGS + 2, which is a choice of the configuration since Linux v6.4."""
    fields = sk_msg.fields()
    assert fields["SG_DATA_SIZE"] % fields["SG_ENTRY_SIZE"] == 0
    entries = fields["SG_DATA_SIZE"] // fields["SG_ENTRY_SIZE"]
    assert 17 + 2 <= entries <= 45 + 2
    assert fields["SG_COPY_SIZE"] * 8 >= entries


@pytest.fixture
def program() -> Iterator[skmsg_check.CheckProgram]:
    with skmsg_check.CheckProgram() as made:
        yield made


def test_a_socket_that_is_not_connected_is_refused(program: skmsg_check.CheckProgram) -> None:
    with socket.socket() as sock, pytest.raises(OSError, match="BPF map sockets") as refused:
        program.take(sock)
    assert refused.value.errno is not None


def test_what_is_pushed_comes_first(program: skmsg_check.CheckProgram) -> None:
    program.begin([Plan((Step(StepKind.PUSH, 0, 8),), skmsg_check.SK_DROP)])
    with experiment.connection() as sock:
        program.take(sock)
        with pytest.raises(PermissionError):
            sock.send(bytes(100))
    before, after = (skmsg_check.decode(raw) for raw in program.records())
    assert [element.length for element in before.sg.elements] == [100]
    assert [element.length for element in after.sg.elements] == [8, 100]
    assert (after.size, after.length) == (108, 8)


def test_a_sockmap_that_takes_no_program_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpf, "BPF_SK_MSG_VERDICT", 255)
    with pytest.raises(Error, match=r"sockmap: attaching a verdict program: .*; a kernel with CONFIG_NET_SOCK_MSG=y"):
        experiment.gather(time.monotonic() + 60)
    rows = {item.name: item for item in doctor.program_items()}
    assert rows["bpf-compile"].available is True
    assert rows["sockmap"].available is False


def test_doctor_tries_what_programs_need() -> None:
    before = programs()
    begin = time.monotonic()
    found = {item.name: item for item in doctor.program_items()}
    assert found["bpf-compile"].available and found["sockmap"].available
    # Not every kernel allows these.
    for name in ("raw-tracepoints", "kprobes", "fentry"):
        assert found[name].available or found[name].detail
    assert time.monotonic() - begin < 60
    assert not new_programs(before)


def test_a_missing_bcc_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bcc, "import_bcc", lambda: None)
    monkeypatch.setattr(bcc, "from_distribution", lambda: None)
    with pytest.raises(Error, match=r"bcc: not importable by .*; install python3-bpfcc"):
        experiment.gather(time.monotonic() + 60)
    rows = {item.name: item for item in doctor.program_items()}
    assert rows["bpf-compile"].available is False
    assert rows["sockmap"].available is None


def test_missing_and_broken_btf_are_errors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(btf, "DIRECTORY", str(tmp_path))
    btf.vmlinux.cache_clear()
    try:
        with pytest.raises(Error, match="BTF: this kernel has none; a kernel with CONFIG_DEBUG_INFO_BTF=y"):
            skmsg_check.CheckProgram()
        (tmp_path / "vmlinux").write_bytes(b"nothing")
        with pytest.raises(Error, match="BTF: shorter than its header"):
            skmsg_check.CheckProgram()
    finally:
        btf.vmlinux.cache_clear()


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("probes.skmsg.experiment.sched.unshare", PermissionError(1, "Operation not permitted")),
        ("probes.skmsg.experiment.sched.unshare", OSError(28, "No space left on device")),
        ("probes.skmsg.experiment.sched.unshare", OSError(22, "Invalid argument")),
        (None, None),
    ],
    ids=["refused", "limited", "without namespaces", "with one"],
)
def test_without_namespaces_the_host_s_loopback_is_used(
    place: str | None, error: OSError | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without CAP_SYS_ADMIN none can be made; with it, the experiment has one of its own."""

    def refuse(flags: int) -> None:
        assert error is not None
        raise error

    if place is not None:
        monkeypatch.setattr(f"kprobe_tool.{place}", refuse)
    seen = experiment.gather(time.monotonic() + 60)
    assert seen["own_netns"] is (place is None)
    assert {run["test"] for run in seen["runs"] if run["failure"] is None} >= TCP


def test_a_program_that_does_not_compile_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "include").symlink_to(bcc.SOURCES / "include")
    (tmp_path / "skmsg_check.c").write_text("#include <kprobe_tool.h>\nint on_message(void *m) { return nothing; }\n")
    monkeypatch.setattr(bcc, "SOURCES", tmp_path)
    with pytest.raises(Error, match=r"skmsg_check\.c: .*use of undeclared identifier 'nothing'") as error:
        experiment.gather(time.monotonic() + 60)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_a_child_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    before = programs()
    monkeypatch.setattr(experiment, "DEADLINE", 0.2)
    monkeypatch.setattr(link, "loopback_up", lambda: time.sleep(60))
    experiment.attempt.cache_clear()
    try:
        with pytest.raises(Error, match=r"no answer within 0 s \(ETIMEDOUT\)"):
            experiment.run_experiment()
    finally:
        experiment.attempt.cache_clear()
    assert not new_programs(before)


def test_a_child_that_dies_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """bcc is a compiler in this process, and has crashed before."""

    def crash(self: skmsg_check.CheckProgram, calls: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    before = programs()
    monkeypatch.setattr(skmsg_check.CheckProgram, "begin", crash)
    experiment.attempt.cache_clear()
    try:
        with pytest.raises(Error, match=r"^BPF on sockets: the child process died of signal 9$"):
            experiment.run_experiment()
    finally:
        experiment.attempt.cache_clear()
    assert not new_programs(before)


KILLS = 20
"""How often a kill is tried while programs are loaded: on a busy machine this process may not run meanwhile."""


def kill_with_programs(before: set[int]) -> bool:
    """Kill the command while it has programs loaded. Returns whether it had not ended before."""
    process = subprocess.Popen(ARGV, stdout=subprocess.DEVNULL)
    while not programs() - before and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    return process.wait() == -signal.SIGKILL


def test_nothing_is_left_after_a_kill() -> None:
    before, spaces = programs(), network_namespaces()
    assert any(kill_with_programs(before) for _ in range(KILLS)), "it ended before it could be killed, each time"
    assert not new_programs(before)
    end = time.monotonic() + 10
    while network_namespaces() != spaces and time.monotonic() < end:
        time.sleep(0.05)
    assert network_namespaces() == spaces


def test_nobody_gets_one_line() -> None:
    done = subprocess.run(command_as_nobody(ARGV), check=False, capture_output=True, text=True)
    assert done.returncode == ExitCode.CANNOT_TELL
    assert done.stdout == ""
    assert done.stderr.startswith(
        "kprobe-tool: skmsg check: BPF on sockets: Operation not permitted (EPERM); needs CAP_BPF"
    )
    assert done.stderr.count("\n") == 1


def test_root_of_a_user_namespace_gets_one_line() -> None:
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", *ARGV], check=False, capture_output=True, text=True
    )
    if "unshare" in done.stderr.split(":")[0]:
        skip(f"no user namespaces: {done.stderr}")
    assert done.returncode == ExitCode.CANNOT_TELL
    assert "EPERM" in done.stderr
    assert "needs root of the host, not of a user namespace" in done.stderr
    assert done.stderr.count("\n") == 1
