# SPDX-License-Identifier: GPL-2.0-or-later
"""The least privilege with which a command answers as it does for root: python -m tests.harm.privilege [COMMAND...].

Found by trying: as nobody with all capabilities (ambient, inheritable and bounding set), then without one after the
other for as long as the answer stays the same.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kprobe_tool.native.host import status_field

from ..nobody import NOBODY, command_within_reach
from .answers import Claims, walk_claims
from .invocations import OBJECT, TOOL
from .runs import RUNS

ALL = (
    *("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap"),
    *("linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner"),
    *("sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice"),
    *("sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap"),
    *("mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf"),
    "checkpoint_restore",
)
"""linux/capability.h, in that order."""


def own_capabilities() -> frozenset[str]:
    """Those that root has here."""
    mask = int(status_field("CapEff") or "0", 16)
    return frozenset(name for bit, name in enumerate(ALL) if mask >> bit & 1)


USUAL = {
    "bpf",
    "perfmon",
    "net_admin",
    "net_raw",
    "sys_admin",
    "sys_ptrace",
    "sys_rawio",
    "syslog",
    "dac_read_search",
}
"""If these are enough, only they are tried one by one; otherwise every capability is."""

SECURITY = Path(__file__).parents[2] / "SECURITY.md"

COMMANDS = {
    "audit": ("audit", "-o", "json"),
    "check-fields": ("check-fields", "--all", "-o", "json"),
    "rds-info": ("rds-info", "-o", "json"),
    "rds-info --all-netns": ("rds-info", "--all-netns", "-o", "json"),
    "rds-info --leak-check": ("rds-info", "--leak-check", "-o", "json"),
    "nvme-queues": ("nvme-queues", "-o", "json"),
    "nvme-queues --query-controller": ("nvme-queues", "--query-controller", "-o", "json"),
    "skmsg check": ("skmsg", "check", "-o", "json"),
    "skmsg watch": ("skmsg", "watch", "--duration", "0.2", "-o", "json"),
    "verifier-log explain": ("verifier-log", "explain", str(OBJECT.with_name("null-check-6.18.txt")), "-o", "json"),
    "verifier-log load": ("verifier-log", "load", str(OBJECT), "-o", "json"),
    "verifier-log watch": ("verifier-log", "watch", "--duration", "0.2", "-o", "json"),
}


@dataclass(frozen=True)
class PrivilegedAnswer:
    """What is compared: the exit status, the claims, what is missing and why."""

    code: int
    claims: Claims
    missing: frozenset[str]


def setpriv_command(capabilities: Iterable[str]) -> list[str]:
    """Nobody with these capabilities and without any way to others."""
    kept = ",".join(["-all", *(f"+{name}" for name in sorted(capabilities))])
    sets = [f"--inh-caps={kept}", f"--ambient-caps={kept}", f"--bounding-set={kept}"]
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return command_within_reach(["setpriv", *user, "--no-new-privs", *sets])


def ask(arguments: Sequence[str], prefix: Sequence[str]) -> PrivilegedAnswer:
    done = subprocess.run([*prefix, *TOOL, *arguments], check=False, capture_output=True, text=True, cwd="/")
    RUNS.append(tuple(arguments))
    if not done.stdout.strip():
        return PrivilegedAnswer(done.returncode, {}, frozenset(done.stderr.splitlines()))
    document = json.loads(done.stdout)
    missing = frozenset(f"{each['subject']}: {each['errno']}" for each in document["errors"])
    hooks = {str(hook) for hook in document.get("hooks", [])} | set(document["warnings"])
    return PrivilegedAnswer(done.returncode, dict(walk_claims(document, "")), missing | hooks)


def find_least(arguments: Sequence[str]) -> tuple[frozenset[str], bool]:
    """The capabilities, and whether nobody with all of them has the answer that root has."""
    root, kept = ask(arguments, ()), own_capabilities()
    whole = ask(arguments, setpriv_command(kept))
    if ask(arguments, setpriv_command(())) == whole:
        return frozenset(), whole == root
    if ask(arguments, setpriv_command(kept & USUAL)) == whole:
        kept &= USUAL
    # sys_admin first: it includes others, and without it those that are really needed are found.
    for name in ("sys_admin", *ALL):
        if name in kept and ask(arguments, setpriv_command(kept - {name})) == whole:
            kept -= {name}
    return kept, whole == root


def documented_capabilities(command: str) -> frozenset[str]:
    """The capabilities that SECURITY.md gives a command."""
    (row,) = re.findall(rf"^\| `{command}` \| (.*?) \|", SECURITY.read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(name.lower() for name in re.findall(r"CAP_(\w+)", row))


def main() -> None:
    for command in sys.argv[1:] or COMMANDS:
        kept, like_root = find_least(COMMANDS[command])
        shown = " ".join(f"CAP_{name.upper()}" for name in sorted(kept)) or "none"
        print(f"{command}: {shown}{'' if like_root else ' (not all that root sees)'}", flush=True)


if __name__ == "__main__":
    main()
