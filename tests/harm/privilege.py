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
from collections.abc import Callable, Iterable, Sequence
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


def ask(arguments: Sequence[str], capabilities: Iterable[str] | None) -> PrivilegedAnswer:
    """The answer that nobody has with these capabilities; root's with None."""
    prefix = [] if capabilities is None else setpriv_command(capabilities)
    done = subprocess.run([*prefix, *TOOL, *arguments], check=False, capture_output=True, text=True, cwd="/")
    RUNS.append(tuple(arguments))
    return read_answer(done.returncode, done.stdout, done.stderr)


def read_answer(code: int, stdout: str, stderr: str) -> PrivilegedAnswer:
    if not stdout.strip():
        return PrivilegedAnswer(code, {}, frozenset(stderr.splitlines()))
    document = json.loads(stdout)
    missing = frozenset(f"{each['subject']}: {each['errno']}" for each in document["errors"])
    hooks = {str(hook) for hook in document.get("hooks", [])} | set(document["warnings"])
    return PrivilegedAnswer(code, dict(walk_claims(document, "")), missing | hooks)


Ask = Callable[[Sequence[str], Iterable[str] | None], PrivilegedAnswer]


def find_least(arguments: Sequence[str], ask: Ask) -> tuple[frozenset[str], bool]:
    """The capabilities, and whether nobody with all of them has the answer that root has."""
    root, kept = ask(arguments, None), own_capabilities()
    whole = ask(arguments, kept)
    if ask(arguments, ()) == whole:
        return frozenset(), whole == root
    if ask(arguments, kept & USUAL) == whole:
        kept &= USUAL
    # sys_admin first: it includes others, and without it those that are really needed are found.
    for name in ("sys_admin", *ALL):
        if name in kept and ask(arguments, kept - {name}) == whole:
            kept -= {name}
    return kept, whole == root


TABLE = re.compile(r"^\| Command \| Capabilities \|.*\n\|[- |]+\n((?:\|.*\n)+)", re.MULTILINE)
ROW = re.compile(r"^\| `(.*?)` \| (.*?) \|", re.MULTILINE)


def documented_capabilities() -> list[dict[str, frozenset[str]]]:
    """The capabilities that SECURITY.md gives each command, by table: of this kernel, and of one with all systems."""
    return [
        {
            command: frozenset(name.lower() for name in re.findall(r"CAP_(\w+)", cell))
            for command, cell in ROW.findall(rows)
        }
        for rows in TABLE.findall(SECURITY.read_text(encoding="utf-8"))
    ]


def check_row(command: str, needed: frozenset[str], ask: Ask) -> None:
    """With these capabilities the command answers as with all, and with one less not."""
    whole = ask(COMMANDS[command], own_capabilities())
    enough = ask(COMMANDS[command], needed)
    assert enough == whole, (enough.missing ^ whole.missing, set(enough.claims.items()) ^ set(whole.claims.items()))
    for name in sorted(needed):
        assert ask(COMMANDS[command], needed - {name}) != whole, name


def main() -> None:
    for command in sys.argv[1:] or COMMANDS:
        kept, like_root = find_least(COMMANDS[command], ask)
        shown = " ".join(f"CAP_{name.upper()}" for name in sorted(kept)) or "none"
        print(f"{command}: {shown}{'' if like_root else ' (not all that root sees)'}", flush=True)


if __name__ == "__main__":
    main()
