# SPDX-License-Identifier: GPL-2.0-or-later
"""The command lines that ask a kernel or read a file: each command, and each option that asks something more."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1]
DATA = TESTS / "unit/data"
LOG = TESTS / "corpus/logs/6.12.43/index-off-by-one.txt"
OBJECT = DATA / "verifier/null-check.o"
INSTRUCTIONS = DATA / "verifier/exit.hex"
SOURCE = Path(__file__).with_name("unchecked.c")
RDS_CAPTURE = DATA / "rds/6.12.43+deb12-amd64.json"
REPORTS = DATA / "fleet"

TOOL = (sys.executable, "-m", "kprobe_tool")


@dataclass(frozen=True)
class Invocation:
    """A command line. ``endless``: it runs until a signal or its --duration. ``bpf``: it loads programs."""

    arguments: tuple[str, ...]
    endless: bool = False
    bpf: bool = False

    def __str__(self) -> str:
        return " ".join(Path(word).name if word.startswith("/") else word for word in self.arguments)

    @property
    def command(self) -> str:
        return " ".join(self.arguments[: 2 if self.arguments[0] in {"skmsg", "verifier-log"} else 1])


INVOCATIONS = (
    Invocation(("--help",)),
    Invocation(("audit", "-o", "json"), bpf=True),
    Invocation(("audit", "--list", "-o", "json")),
    Invocation(("check-fields", "openat2", "-o", "json")),
    Invocation(("check-fields", "--all", "-o", "json")),
    Invocation(("check-fields", "openat2", "--exhaustive", "-o", "json")),
    Invocation(("check-fields", "openat2", "--require", "RESOLVE_CACHED")),
    Invocation(("rds-info", "-o", "json")),
    Invocation(("rds-info", "--all-netns", "-o", "json")),
    Invocation(("rds-info", "--leak-check", "-o", "json")),
    Invocation(("rds-info", "--from", str(RDS_CAPTURE), "-o", "json")),
    Invocation(("rds-info", "--watch", "0.1", "-o", "jsonl"), endless=True),
    Invocation(("nvme-queues", "-o", "json")),
    Invocation(("nvme-queues", "--query-controller", "-o", "json")),
    Invocation(("nvme-queues", "--simulate", "io=8", "-o", "json")),
    Invocation(("skmsg", "check", "-o", "json"), bpf=True),
    Invocation(("skmsg", "watch", "-o", "jsonl"), endless=True, bpf=True),
    Invocation(("verifier-log", "explain", str(LOG), "-o", "json")),
    Invocation(("verifier-log", "stats", str(LOG), "-o", "json")),
    Invocation(("verifier-log", "floor", str(OBJECT), "-o", "json")),
    Invocation(("verifier-log", "load", str(OBJECT), "-o", "json"), bpf=True),
    Invocation(("verifier-log", "load", str(SOURCE), "--type", "kprobe", "-o", "json"), bpf=True),
    Invocation(("verifier-log", "load", str(INSTRUCTIONS), "--raw", "--type", "xdp", "-o", "json"), bpf=True),
    Invocation(("verifier-log", "matrix", str(OBJECT), "--here", "-o", "json"), bpf=True),
    Invocation(("verifier-log", "watch", "-o", "jsonl"), endless=True, bpf=True),
    Invocation(("explain", "rds-bind-netns", "-o", "json")),
    Invocation(("bugreport", "-o", "json"), bpf=True),
    Invocation(("doctor", "-o", "json"), bpf=True),
    Invocation(("fleet", str(REPORTS), "-o", "json")),
    Invocation(("schema", "audit")),
)
