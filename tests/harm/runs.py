# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs of the tool in a room (see ``room``), and how the host was before and after."""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kprobe_tool.native.libc import libc

from .invocations import TESTS, TOOL

ROOM = Path(__file__).with_name("room.py")
TIMEOUT = 600

# linux/bpf.h, linux/unistd.h
BPF_GET_NEXT_ID = {"programs": 11, "maps": 12, "btf": 23, "links": 31}
NR_BPF = {"x86_64": 321, "aarch64": 280}
GONE_AFTER = 60.0
"""Seconds: the kernel frees what belonged to a dead process in its own time."""
OTHERS = 180.0
"""Seconds that others may take with theirs."""

RUNS: list[tuple[str, ...]] = []
"""The command lines that were run, for the counts."""

TRACEFS = ("kprobe_events", "uprobe_events", "synthetic_events", "dynamic_events", "set_event", "instances")
VOLATILE = (
    "/proc/sys/kernel/random/",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/kernel/pty/nr",
    "/proc/sys/kernel/keys/",
    "/proc/sys/kernel/perf_event_max_sample_rate",
    "/proc/sys/fs/",
    "/proc/sys/net/netfilter/",
    "/proc/sys/net/ipv4/route/",
    "/proc/sys/net/ipv6/route/",
)
"""Counters among the sysctls, what the kernel lowers by itself when interrupts take long, and files that act when
they are read."""


@dataclass(frozen=True)
class Run:
    """What became of a command line: its exit status (negative for a signal), what it printed and what it left."""

    code: int
    seconds: float
    late: bool
    stdout: str
    stderr: str
    left: tuple[str, ...]


def run(
    arguments: Sequence[str],
    *,
    signal: int = 0,
    after: float = 0,
    tool: Sequence[str] = TOOL,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Run the tool, or what stands for it, in a room, with a signal after so many seconds."""
    reader, writer = os.pipe()
    keep = [f"--keep={path}" for path in sorted({str(TESTS.parent), sys.prefix, sys.base_prefix})]
    options = [f"--report={writer}", f"--signal={signal}", f"--after={after:.6f}", *keep]
    process = subprocess.Popen(
        [sys.executable, "-I", str(ROOM), *options, "--", *prefix, *tool, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(writer,),
        env=None if environment is None else {**os.environ, **environment},
        text=True,
        errors="backslashreplace",
    )
    os.close(writer)
    try:
        stdout, stderr = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    with open(reader, encoding="utf-8") as file:
        report = file.read()
    assert report, stderr
    RUNS.append(tuple(arguments))
    answer = json.loads(report)
    left = (*(f"process: {line}" for line in answer["processes"]), *(f"file: {path}" for path in answer["files"]))
    return Run(answer["code"], answer["seconds"], answer["late"], stdout, stderr, left)


def bpf_ids(command: int) -> frozenset[int]:
    """The ids of all BPF objects of a kind; empty where we may not ask."""
    attr = (ctypes.c_uint32 * 16)()
    found: set[int] = set()
    while (
        libc.syscall(ctypes.c_long(NR_BPF[os.uname().machine]), command, ctypes.byref(attr), ctypes.sizeof(attr)) == 0
    ):
        attr[0] = attr[1]
        found.add(attr[1])
    return frozenset(found)


def read_sysctls() -> Mapping[str, str]:
    found = {}
    for name in walk("/proc/sys"):
        if name.startswith(VOLATILE) or not os.access(name, os.R_OK) or not os.path.isfile(name):
            continue
        try:
            found[name] = Path(name).read_text(errors="replace")
        except OSError:
            # Some answer nothing, or only on some machines.
            continue
    return found


def read_lines(path: str) -> frozenset[str]:
    return frozenset(read_lines_in_order(path))


def read_lines_in_order(path: str) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return []


def list_names(path: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(path))
    except OSError:
        return frozenset()


def list_tree(path: str) -> frozenset[str]:
    return frozenset(walk(path))


def walk(path: str) -> Iterator[str]:
    """All that is below a directory; what goes meanwhile is left out, which Path.rglob() fails at."""
    for directory, directories, files in os.walk(path):
        yield from (os.path.join(directory, name) for name in (*directories, *files))


SOCKETS = ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "unix", "netlink")
"""Files of /proc/net with a column of inodes."""
ALARM = re.compile(r"WARNING:|BUG:|Oops|general protection|UBSAN|KASAN|KFENCE|RCU stall|hung_task|blocked for more")


def orphaned_sockets() -> frozenset[str]:
    """Sockets with an inode that no process has open: the kernel's own, or left behind."""
    open_ = set()
    for _, target in process_links("fd"):
        open_.add(target)
    found = set()
    for name in SOCKETS:
        rows = [line.split() for line in read_lines_in_order(f"/proc/net/{name}")]
        # Those of IP have their inode at a fixed place, under a heading of fewer words than a line has.
        at = next((row.index("Inode") for row in rows[:1] if "Inode" in row), 9)
        inodes = {row[at] for row in rows[1:] if len(row) > at}
        # 0 is the end of a connection, which the kernel keeps for a while.
        found |= {f"{name} {inode}" for inode in inodes - {"0"} if f"socket:[{inode}]" not in open_}
    return frozenset(found)


def list_namespaces() -> frozenset[str]:
    """All that this process and what descends from it are in or hold open.

    Of the tool nothing else can be left in one: the room takes in its orphans, and names them. What other processes
    are in is theirs.
    """
    found = set()
    ours = own_processes()
    for pid, target in (*process_links("ns"), *process_links("fd")):
        if pid in ours and re.fullmatch(r"\w+:\[\d+\]", target) and not target.startswith(("socket", "pipe")):
            found.add(target)
    return frozenset(found)


def own_processes() -> frozenset[str]:
    """This process and its descendants."""
    parents = {}
    for pid in filter(str.isdigit, list_names("/proc")):
        # Processes come and go meanwhile.
        for line in read_lines_in_order(f"/proc/{pid}/stat")[:1]:
            parents[pid] = line.rpartition(")")[2].split()[1]
    found = {str(os.getpid())}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return frozenset(found)


def process_links(directory: str) -> Iterator[tuple[str, str]]:
    """(process, target) of each link in that directory of every process; processes come and go meanwhile."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in list_names(f"/proc/{pid}/{directory}"):
            with suppress(OSError):
                yield pid, os.readlink(f"/proc/{pid}/{directory}/{name}")


def kernel_alarms() -> frozenset[str]:
    """What the kernel complains of; empty where we may not read its log."""
    done = subprocess.run(["dmesg"], check=False, capture_output=True, text=True, errors="replace")
    return frozenset(line for line in done.stdout.splitlines() if ALARM.search(line))


@dataclass(frozen=True)
class Snapshot:
    """The state of the host that outlives processes. ``growing`` must not have got more, ``same`` must be equal."""

    growing: Mapping[str, frozenset[object]]
    same: Mapping[str, object]

    def changes_since(self, earlier: Snapshot) -> set[str]:
        """What was not there earlier, or is not as it was."""
        more = {f"{name}: {new}" for name, now in self.growing.items() for new in now - earlier.growing[name]}
        return more | {f"{name} changed" for name, now in self.same.items() if now != earlier.same[name]}


def snapshot() -> Snapshot:
    tracing = next((path for path in ("/sys/kernel/tracing", "/sys/kernel/debug/tracing") if list_names(path)), None)
    growing: dict[str, frozenset[object]] = {
        f"bpf {name}": frozenset(bpf_ids(n)) for name, n in BPF_GET_NEXT_ID.items()
    }
    growing["pins"] = list_tree("/sys/fs/bpf")
    growing["netns names"] = frozenset(list_names("/run/netns"))
    growing["cgroups"] = list_tree("/sys/fs/cgroup")
    growing["namespaces"] = list_namespaces()
    growing["sockets of nobody"] = orphaned_sockets()
    growing["kernel log"] = kernel_alarms()
    growing["mounts"] = frozenset(read_lines("/proc/self/mountinfo"))
    same: dict[str, object] = {
        # Without the counts of users, which come and go.
        "modules": frozenset(line.split()[0] for line in read_lines("/proc/modules")),
        "module directories": list_names("/sys/module"),
        "protocols": frozenset(line.split()[0] for line in read_lines("/proc/net/protocols")),
        "ciphers": frozenset(line for line in read_lines("/proc/crypto") if line.startswith(("name", "driver"))),
        "links": frozenset(line.split(":")[0] for line in read_lines("/proc/net/dev")),
        "routes": (read_lines("/proc/net/route"), read_lines("/proc/net/ipv6_route")),
        "addresses": (read_lines("/proc/net/fib_trie"), read_lines("/proc/net/if_inet6")),
        "sysctls": read_sysctls(),
    }
    if tracing is not None:
        for name in TRACEFS:
            path = f"{tracing}/{name}"
            same[f"tracefs {name}"] = list_names(path) if os.path.isdir(path) else read_lines(path)
    return Snapshot(growing, same)


def assert_unchanged(before: Snapshot) -> None:
    """The host is as it was, at the latest when the kernel has cleaned up after dead processes.

    Something is left only if every look finds it: what comes and goes meanwhile is somebody else's.
    """
    left = snapshot().changes_since(before)
    patience = Patience(time.monotonic())
    while left:
        # Nothing of ours runs any more. Where processes hold BPF objects they are somebody else's, who may take
        # longer.
        assert patience.lasts(time.monotonic(), bool(holders_of_bpf())), sorted(left)
        time.sleep(0.2)
        left &= snapshot().changes_since(before)


@dataclass
class Patience:
    """How long to wait for what is left: GONE_AFTER since others were last at work, who have OTHERS for it.

    They may end between the look at what is left and the look at them, and the kernel takes its time after that.
    """

    begin: float
    others_seen: float = 0.0

    def lasts(self, now: float, others: bool) -> bool:
        if others:
            self.others_seen = now
        last = min(max(self.begin, self.others_seen), self.begin + OTHERS)
        return now < last + GONE_AFTER


def holders_of_bpf() -> set[str]:
    """The processes with BPF objects open."""
    return {pid for pid, target in process_links("fd") if re.match(r"anon_inode:(bpf|btf|\[perf)", target)}
