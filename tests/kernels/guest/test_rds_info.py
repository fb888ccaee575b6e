# SPDX-License-Identifier: GPL-2.0-or-later
"""rds-info against real traffic: two namespaces over veth, RDS/TCP, queued messages of every kind, IPv6 too."""

import contextlib
import ctypes
import json
import os
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.lab.offers import Kernel
from kprobe_tool.native import btf, netns, rds, rds_info

from .conftest import Run
from .expected import Expected
from .rds_layouts import C_FORMATS, LAYOUTS, address_of, c_line, c_line_of_row
from .rds_traffic import (
    A4,
    A6,
    B4,
    B6,
    DEAD4,
    A,
    B,
    Traffic,
    document,
    in_netns,
    ip,
    raw_answer,
    rows_of,
    traffic_between_namespaces,
    wait_for,
)
from .tool import ARGV, as_nobody, injected, tool

pytestmark = pytest.mark.no_bpf


@pytest.fixture(scope="module")
def traffic(modprobe: Callable[..., None]) -> Iterator[Traffic]:
    with traffic_between_namespaces(modprobe) as made:
        yield made


def test_structures_are_the_kernel_s_own(traffic: Traffic) -> None:
    """Names, offsets and sizes, from the BTF of the modules that fill them in."""
    if not Path("/sys/kernel/btf/rds").exists():
        pytest.skip(f"Linux {os.uname().release} has no types of its modules")
    structs = {option.struct for option in rds_info.OPTIONS.values() if "rdma" not in option.struct.__name__}
    modules = [btf.module("rds"), btf.module("rds_tcp")]
    for declared in structs:
        name = declared.__name__
        found = next(kernels for types in modules if (kernels := types.struct(name)) is not None)
        assert found.size == ctypes.sizeof(declared), name
        ours = {field: getattr(declared, field).offset for field, *_ in declared._fields_}
        assert {member.name: member.offset for member in found.members} == ours, name


@pytest.mark.parametrize("source", LAYOUTS)
def test_rows_agree_with_the_raw_buffers(traffic: Traffic, kernel: Kernel, expected: Expected, source: str) -> None:
    """Field by field. An unfixed kernel tells both namespaces' rows to each, so there the whole host is compared."""
    optname, layout, fields = LAYOUTS[source]
    leaking = expected.affected("rds-info-netns-leak")
    readers = {A: traffic.sockets["a4"], B: traffic.sockets["b4"]}
    end = time.monotonic() + 30
    while True:
        # Sequence numbers and flags of a live connection move: read around the tool until nothing did.
        before = [raw_answer(sock, optname) for sock in readers.values()]
        args = ["--netns", A, "--netns", B, f"--{source}"]
        shown = document(*args)["results"]
        if [raw_answer(sock, optname) for sock in readers.values()] == before or time.monotonic() > end:
            break
    wanted = []
    for size, data in before[:1] if leaking else before:
        assert size == struct.calcsize(layout)
        wanted += [fields(*values) for values in struct.iter_unpack(layout, data)]
    assert wanted
    if leaking and source == "sockets":
        # This process is in neither namespace, and an unbound socket has no other witness than its process.
        wanted = [row for row in wanted if row["bound_port"] != 0]
    got = [{key: row[key] for key in wanted[0]} for row in shown]

    def key(row: dict[str, Any]) -> str:
        return json.dumps(row, sort_keys=True)

    assert sorted(got, key=key) == sorted(wanted, key=key)


@pytest.mark.parametrize("source", C_FORMATS)
def test_rows_agree_with_the_c_tool(traffic: Traffic, expected: Expected, source: str) -> None:
    optname, layout = C_FORMATS[source]
    name, sock = (B, traffic.sockets["b4"])
    for _ in range(20):
        size, data = raw_answer(sock, optname)
        spaces = ["--netns", A, "--netns", B] if expected.affected("rds-info-netns-leak") else ["--netns", name]
        shown = document(*spaces, f"--{source}")["results"]
        if raw_answer(sock, optname)[1] == data:
            break
    assert size == struct.calcsize(layout)
    lines = sorted(c_line(source, values) for values in struct.iter_unpack(layout, data))
    local = {"sockets": "bound_addr", "tcp": "local_addr"}.get(source, "laddr")
    mine = [row for row in shown if ":" not in row[local]]
    assert lines
    assert sorted(c_line_of_row(source, row) for row in mine) == lines


def test_queued_messages_have_their_addresses(traffic: Traffic) -> None:
    """What was queued is there, with real addresses in send and retransmit rows, IPv4 and IPv6."""
    recv = rows_of(B, "recv")
    ends = {(row["laddr"], row["lport"], row["faddr"], row["len"]) for row in recv}
    b4, b6 = traffic.ports["b4"], traffic.ports["b6"]
    assert {(B4, b4, A4, 5), (B4, b4, A4, 23), (B6, b6, A6, 5), (B6, b6, A6, 23)} <= ends
    a4 = traffic.ports["a4"]
    assert (A4, a4, DEAD4, 4001, 7) in {message_key(row) for row in rows_of(A, "send")}
    assert (A4, a4, B4, b4, 11) in {message_key(row) for row in rows_of(A, "retrans")}
    everything = document("--all-netns", "--send", "--retrans")["results"]
    assert all("0.0.0.0" not in (row["laddr"], row["faddr"]) for row in everything)


def message_key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["laddr"], row["lport"], row["faddr"], row["fport"], row["len"]


def test_the_kernel_bug_is_still_hidden(traffic: Traffic) -> None:
    """The IPv4 options give 0.0.0.0 for these rows on every kernel so far. One that does not is worth knowing."""
    for optname in (10003, 10004):
        _, data = raw_answer(traffic.sockets["a4"], optname)
        rows = list(struct.iter_unpack("=QI4s4s2s2sBB", data))
        assert rows
        assert {(values[2], values[3]) for values in rows} == {(bytes(4), bytes(4))}


def test_sockets_have_their_namespace(traffic: Traffic) -> None:
    found = document("--all-netns", "--sockets")["results"]
    by_inode = {row["inum"]: row for row in found}
    for name, sock in traffic.sockets.items():
        row = by_inode[os.fstat(sock.fileno()).st_ino]
        # This process holds them all, so on a leaking kernel the bound address has to tell.
        if name != "unbound" or row["netns"] is not None:
            assert row["pid"] == os.getpid()
    bound = {row["bound_addr"]: row["netns"] for row in found if row["bound_addr"] in (A4, B4, A6, B6)}
    assert {address: space and space["name"] for address, space in bound.items()} == {A4: A, A6: A, B4: B, B6: B}


def test_tcp_has_eight_paths(traffic: Traffic) -> None:
    def peers() -> int:
        return sum(row["peer_addr"] == B4 and row["local_addr"] == A4 for row in rows_of(A, "tcp"))

    # One that broke is tried again after a while.
    wait_for(lambda: peers() == 8)


def test_connections_have_their_state(traffic: Traffic) -> None:
    def connections() -> dict[tuple[str, str], dict[str, Any]]:
        return {(row["laddr"], row["faddr"]): row for row in rows_of(A, "connections")}

    found = connections()
    assert found[A4, B4]["transport"] == found[A6, B6]["transport"] == "tcp"
    # One that cannot be is down for seconds, after the two minutes in which TCP tries; one that broke comes back.
    wait_for(lambda: connections()[A4, DEAD4]["state"] == "connecting")
    wait_for(lambda: connections()[A4, B4]["state"] == "connected")
    assert found[A4, B4]["tos"] == 0
    assert found[A6, B6]["tos"] is None


def test_namespaces_are_told_apart(traffic: Traffic, expected: Expected) -> None:
    answer = document("--netns", A)
    assert answer["leaking"] == expected.affected("rds-info-netns-leak")
    assert bool(answer["warnings"]) == answer["leaking"]
    local = {row[key] for row in answer["results"] for key in ("bound_addr", "laddr", "local_addr") if key in row}
    assert A4 in local
    assert B4 not in local and B6 not in local


@pytest.mark.parametrize(
    ("args", "keep"),
    [
        (["--laddr", "10.77.0.0/31", "--laddr", "fd00:77::1"], lambda row: row.get("laddr") in (A4, A6)),
        (["--faddr", DEAD4, "-n"], lambda row: row["faddr"] == DEAD4),
        (["--transport", "tcp", "-n"], lambda row: row["transport"] == "tcp"),
        (["--fport", "4001", "-s"], lambda row: row["fport"] == 4001),
        (["--tos", "0", "-n"], lambda row: row["tos"] == 0),
        (["--counter", "conn_*", "-c"], lambda row: row["name"].startswith("conn_")),
        (["--pid", "self", "-k"], lambda row: os.getpid() in row["holders"]),
    ],
)
def test_filters_choose_among_the_rows(
    traffic: Traffic, args: list[str], keep: Callable[[dict[str, Any]], bool], tmp_path: Path
) -> None:
    """All rows are those of one answer of the kernel, since connections break and come back meanwhile."""
    args = [str(os.getpid()) if word == "self" else word for word in args]
    kinds = [word for word in args if word in ("-n", "-s", "-c", "-k")]
    saved = str(tmp_path / "saved")
    everything = document("--netns", A, *kinds, "--save", saved)["results"]
    found = document("--from", saved, *args)["results"]
    assert found
    addresses = {"bound_addr", "local_addr", "src_addr"}

    def matches(row: dict[str, Any]) -> bool:
        local = next((row[name] for name in addresses if name in row), None)
        if args[0] == "--laddr" and local is not None:
            return local in (A4, A6)
        return keep(row)

    assert len(found) == len([row for row in everything if matches(row)])
    assert all(matches(row) for row in found)


def test_connections_are_chosen_by_state(traffic: Traffic, tmp_path: Path) -> None:
    """All states are those of one answer of the kernel, since connections break and come back meanwhile."""
    saved = str(tmp_path / "saved")
    everything = document("--netns", A, "-n", "--save", saved)["results"]
    assert everything
    for state in {row["state"] for row in everything}:
        found = document("--from", saved, "-n", "--state", state)["results"]
        assert found == [row for row in everything if row["state"] == state]


def test_every_counter_is_there(traffic: Traffic, kernel: Kernel) -> None:
    names = [row["name"] for row in document("-c")["results"]]
    _, data = raw_answer(traffic.sockets["a4"], 10000)
    assert len(names) == len(data) // 40 == len(set(names))
    assert {"conn_reset", "s_recv_delivered"} <= set(names) or "recv_delivered" in names


def test_watch_shows_deltas(traffic: Traffic) -> None:
    answer = tool("rds-info", "-c", "--watch", "0.1", "--count", "2", "-o", "jsonl")
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert [line["type"] for line in lines].count("header") == 2
    deltas = [line["delta"] for line in lines if line["type"] == "result"]
    half = len(deltas) // 2
    assert set(deltas[:half]) == {None}
    assert all(isinstance(delta, int) for delta in deltas[half:])


def test_save_and_load_show_the_same(
    traffic: Traffic, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    path = tmp_path / "saved.json"
    for _ in range(10):
        live = document("--all-netns", "--save", str(path))
        again = document("--all-netns")
        if live["results"] == again["results"]:
            break
    loaded = document("--from", str(path))
    assert loaded["results"] == live["results"]
    assert loaded["host"] == live["host"]
    assert path.stat().st_mode & 0o777 == 0o600
    # tests/unit/data/rds is made of these (see the README there).
    record_property("capture", path.read_text())


def test_nobody_sees_only_its_own_namespace(traffic: Traffic) -> None:
    done = as_nobody("rds-info", "--all-netns", "-o", "json")
    answer = done.json
    assert {row["netns"]["inode"] for row in answer["results"] if row["netns"]} <= {netns.current().inode}
    assert any("processes of other users" in error["subject"] for error in answer["errors"]), answer["errors"]
    assert any(error["errno"] == "EPERM" for error in answer["errors"])
    assert done.code == 3
    refused = as_nobody("rds-info", "--netns", A)
    assert refused.code == 3
    assert refused.err.startswith(f"kprobe-tool: rds-info: netns '{A}': Operation not permitted")
    assert len(refused.err.splitlines()) == 1


def test_rows_are_nobodys_where_a_leak_cannot_be_excluded(
    traffic: Traffic, expected: Expected, run_as_nobody: Run
) -> None:
    """Where no second namespace may be made nobody knows whether the kernel leaks: no row is taken for ours."""
    limit = Path("/proc/sys/user/max_user_namespaces")
    before = limit.read_text()
    limit.write_text("0")
    try:
        # A fork would hold the sockets of this process, which are then its own.
        done = run_as_nobody([*ARGV, "rds-info", "-o", "json"])
    finally:
        limit.write_text(before)
    answer = json.loads(done.stdout)
    assert answer["leaking"] is None
    assert ["could not be found out" in warning for warning in answer["warnings"]] == [True]
    assert {str(row["netns"]) for row in answer["results"]} <= {"None"}
    foreign = {A4, B4, A6, B6} & {row.get("bound_addr") for row in answer["results"]}
    assert foreign == ({A4, B4, A6, B6} if expected.affected("rds-info-netns-leak") else set())


def test_a_namespace_has_many_names(traffic: Traffic) -> None:
    inode = os.stat(f"/run/netns/{A}").st_ino
    child = in_netns(A, lambda: subprocess.Popen(["sleep", "600"]))
    try:
        wanted = document("--netns", A, "-k")["results"]
        for spec in (f"/run/netns/{A}", str(inode), f"net:[{inode}]", str(child.pid), f"/proc/{child.pid}/ns/net"):
            found = document("--netns", spec, "-k")["results"]
            assert [row["inum"] for row in found] == [row["inum"] for row in wanted], spec
    finally:
        child.kill()
        child.wait()


def test_a_namespace_behind_an_open_file_only_is_found(traffic: Traffic, kernel: Kernel) -> None:
    """No name, no process, no mount: found through the file that keeps it."""
    name = "kt-hidden"
    ip("netns", "add", name)
    fd = os.open(f"/run/netns/{name}", os.O_RDONLY)
    inode = os.fstat(fd).st_ino
    ip("netns", "del", name)
    try:
        spaces = list(netns.list_by_open_file())
        assert inode in {space.inode for space in spaces}
        assert document("--netns", str(inode))["errors"] == []
        # listns(2) finds it as well, where the kernel has that.
        listed = {space.inode for space in netns.list_by_listns()}
        assert (inode in listed) == bool(listed)
        assert bool(listed) == ("_sys_listns\n" in Path("/proc/kallsyms").read_text())
    finally:
        os.close(fd)


def test_a_misspelt_name_is_refused_and_not_created(traffic: Traffic) -> None:
    answer = tool("rds-info", "--netns", "kt-aa")
    assert answer.code == 2
    assert answer.err == (
        "kprobe-tool: rds-info: netns 'kt-aa': No such file or directory (ENOENT); 'ip netns list' shows the names\n"
    )
    assert not Path("/run/netns/kt-aa").exists()


INJECTIONS = [
    # What strace makes of the system call, words of the one line about it, the exit code.
    ("socket:error=EPERM:when=1+", ["socket(AF_RDS)", "EPERM", "seccomp"], 3),
    ("socket:error=EAFNOSUPPORT:when=1+", ["socket(AF_RDS)", "EAFNOSUPPORT", "seccomp"], 3),
    ("getsockopt:error=ENOSPC", ["RDS6_INFO_SOCKETS", "ENOSPC", "outgrew"], 3),
    ("getsockopt:retval=0", ["RDS6_INFO_SOCKETS", "EPROTO", "records of 0 bytes"], 3),
    ("getsockopt:retval=1", ["RDS6_INFO_SOCKETS", "EPROTO", "records of 1 bytes"], 3),
    ("getsockopt:retval=65536", ["RDS6_INFO_SOCKETS", "EPROTO", "records of 65536 bytes"], 3),
    ("getsockopt:error=EFAULT", ["RDS6_INFO_SOCKETS", "EFAULT"], 3),
]


@pytest.mark.parametrize(("inject", "words", "code"), INJECTIONS, ids=[row[0] for row in INJECTIONS])
def test_a_kernel_that_answers_nonsense_is_one_line(
    traffic: Traffic, inject: str, words: list[str], code: int
) -> None:
    """No kernel does this by itself, so strace does it to a real process on a real kernel."""
    answer = injected(inject, "rds-info", "-k")
    assert answer.code == code, answer.err
    assert "Traceback" not in answer.err
    lines = answer.err.splitlines()
    assert all(line.startswith("kprobe-tool: rds-info: ") for line in lines)
    # A kernel that answers nonsense cannot be asked whether it leaks either, and a warning says so.
    assert any(all(word in line for word in words) for line in lines), lines


def test_a_full_disk_and_a_closed_pipe_end_the_output(traffic: Traffic) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*ARGV, "rds-info", "-o", "json"], check=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == b"kprobe-tool: rds-info: standard output: No space left on device (ENOSPC)\n"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*ARGV, "rds-info", "-o", "json"], check=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_an_infiniband_connection_is_shown(
    traffic: Traffic, expected: Expected, modprobe: Callable[..., None]
) -> None:
    """The connection never comes up: its row has addresses and tos, the rest is zero."""
    modprobe("rdma_rxe", "rds_rdma", "dummy")
    ip("link", "add", "kt-ib", "type", "dummy")
    ip("addr", "add", "10.78.0.1/24", "dev", "kt-ib")
    ip("link", "set", "kt-ib", "up")
    subprocess.run(["rdma", "link", "add", "kt-rxe", "type", "rxe", "netdev", "kt-ib"], check=True)
    try:
        with rds.open_socket() as sock:
            sock.setsockopt(rds.SOL_RDS, 8, struct.pack("i", 0))  # SO_RDS_TRANSPORT = RDS_TRANS_IB
            rds.bind(sock.fileno(), "10.78.0.1", 0)
            # Refused or queued, there is a connection now.
            with contextlib.suppress(BlockingIOError):
                rds.sendto(sock.fileno(), b"x", "10.78.0.2", 4000)
            rows = document("-I")["results"]
            size, data = raw_answer(sock, 10017)
        assert size == 92
        wanted = struct.unpack("=16s16s16s16sIIIIIBB2xI", data)
        (row,) = rows
        assert (
            (row["src_addr"], row["dst_addr"])
            == (address_of(wanted[0]), address_of(wanted[1]))
            == ("10.78.0.1", "10.78.0.2")
        )
        assert (row["tos"], row["sl"], row["max_send_wr"]) == (wanted[9], wanted[10], wanted[4])
        connection = next(row for row in document("-n")["results"] if row["faddr"] == "10.78.0.2")
        assert connection["transport"] == "infiniband"
        # Such connections are in the initial namespace only: the caller's own are what another one must not see.
        found = tool("rds-info", "--leak-check", "-o", "json").json["results"]
        outcomes = {row["optname"]: row["outcome"] for row in found if "IB_CONNECTIONS" in row["optname"]}
        assert set(outcomes.values()) == {"leaks" if expected.affected("rds-info-netns-leak") else "isolated"}
    finally:
        subprocess.run(["rdma", "link", "delete", "kt-rxe"], check=True)
        ip("link", "del", "kt-ib")
        subprocess.run(["modprobe", "-r", "rds_rdma"], check=False)
