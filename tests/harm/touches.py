# SPDX-License-Identifier: GPL-2.0-or-later
"""What a command does that could change something: python -m tests.harm.touches ARGUMENTS...

Made from a trace of the command and its children: each call that can change the state of a host and did not fail.
Left out is what cannot concern others: reading, memory, its own processes, descriptors and signals, and /dev/null.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from .invocations import TOOL
from .runs import RUNS

CHANGING = (
    *("bpf", "perf_event_open", "io_uring_setup", "io_uring_register", "socket", "ioctl", "kill", "tgkill", "tkill"),
    *("pidfd_send_signal", "ptrace", "process_vm_writev", "unshare", "setns", "clone", "clone3", "fork", "vfork"),
    *(
        "open",
        "openat",
        "openat2",
        "creat",
        "unlink",
        "unlinkat",
        "rename",
        "renameat",
        "renameat2",
        "link",
        "linkat",
    ),
    *("symlink", "symlinkat", "mkdir", "mkdirat", "rmdir", "mknod", "mknodat", "truncate", "chmod", "fchmod"),
    *("fchmodat", "chown", "fchown", "lchown", "fchownat", "setxattr", "lsetxattr", "fsetxattr", "removexattr"),
    *("utimensat", "mount", "umount2", "fsopen", "fsconfig", "fsmount", "move_mount", "open_tree", "mount_setattr"),
    *("pivot_root", "chroot", "init_module", "finit_module", "delete_module", "sethostname", "setdomainname"),
    *("settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "reboot", "swapon", "swapoff", "kexec_load"),
    *("syslog", "add_key", "keyctl", "request_key", "quotactl", "acct", "sched_setattr", "setpriority", "prlimit64"),
    *("setrlimit", "landlock_restrict_self", "fanotify_init", "inotify_add_watch", "userfaultfd", "iopl", "ioperm"),
    *("set_mempolicy", "migrate_pages", "setuid", "setgid", "setresuid", "setresgid", "setgroups", "capset"),
)
CALL = re.compile(r"^(\d+)\s+(\w+)\((.*?)\)?\s*=\s*(-?\d+|0x[0-9a-f]+)")
READING = frozenset({"TCGETS", "TIOCGWINSZ", "FIOCLEX", "FIONBIO", "FIONREAD", "TIOCGPGRP", "NS_GET_USERNS"})
"""ioctl(2) that tells, or is about a descriptor."""


def trace(arguments: Sequence[str], prefix: Sequence[str] = ()) -> Iterator[tuple[int, str, str, int]]:
    """Process, name, arguments and result of each such call that did not fail."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "trace")
        wanted = ",".join(f"?{name}" for name in CHANGING)
        argv = ["strace", "-f", "-qq", "-y", "-s", "200", "-e", f"trace={wanted}", "-e", "signal=none", "-z"]
        subprocess.run(
            [*argv, "-o", str(path), *prefix, *TOOL, *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        RUNS.append(tuple(arguments))
        for line in path.read_text(errors="replace").splitlines():
            if found := CALL.match(line):
                yield int(found[1]), found[2], found[3], int(found[4], 0)


def trace_touches(arguments: Sequence[str], prefix: Sequence[str] = ()) -> frozenset[str]:
    """Those calls, each as it is told in touches.toml."""
    found, own = set(), set()
    for pid, name, given, result in trace(arguments, prefix):
        own.add(str(pid))
        if name in {"clone", "clone3", "fork", "vfork"}:
            own.add(str(result))
        if name in CHANGING and (change := describe(name, given, own)):
            found.add(change)
    return frozenset(found)


def describe(name: str, given: str, own: set[str]) -> str | None:
    words = [word.strip() for word in given.split(",")]
    if name in {"clone", "clone3"}:
        flags = sorted(set(re.findall(r"CLONE_NEW\w+", given)))
        return f"{name} {' '.join(flags)}" if flags else None
    if name in {"fork", "vfork"} or (name in {"kill", "tgkill"} and words[0].partition("<")[0] in own):
        return None
    if name in {"open", "openat", "openat2", "creat"}:
        return describe_open(given)
    if name == "bpf":
        return f"bpf {words[0]}"
    if name == "ioctl":
        if made := re.search(r"_IOC\([^,]*, (0x\w+), (0x\w+)", given):
            return f"ioctl {made[1]} {made[2]}"
        return None if words[1] in READING else f"ioctl {words[1]}"
    if name == "socket":
        family = words[0] if words[0] != "AF_NETLINK" else f"AF_NETLINK {words[2]}"
        return f"socket {family}"
    if name in {"unshare", "setns"}:
        return f"{name} {' '.join(sorted(re.findall(r'CLONE_NEW[A-Z]+', given)))}".strip()
    if name == "prlimit64":
        return None if words[2] == "NULL" else f"prlimit64 {words[1]}"
    if name in {"unlink", "unlinkat", "rename", "renameat", "mkdir", "mkdirat", "rmdir", "linkat", "fchmod"}:
        return f"{name} {describe_path(given)}"
    return name


def describe_open(given: str) -> str | None:
    """A file that is opened to be written, or made."""
    if not re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC|TMPFILE)", given):
        return None
    where = describe_path(given)
    return None if where == "/dev/null" else f"write {where}"


def describe_path(given: str) -> str:
    """The path, without what is another number each time."""
    found = re.search(r'"([^"]*)"', given)
    path = found[1] if found else re.sub(r".*<([^>]*)>.*", r"\1", given)
    path = re.sub(r"(?<=/)[a-z0-9_]{8}$|(?<=kprobe-tool-)[0-9a-f]{16}|#\d+", "*", path)
    return re.sub(r"\d+", "N", path)


def main() -> None:
    for change in sorted(trace_touches(sys.argv[1:])):
        print(change)


if __name__ == "__main__":
    main()
