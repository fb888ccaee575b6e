# SPDX-License-Identifier: GPL-2.0-or-later
"""``skmsg watch`` of a kernel that has told everything already. No unit test attaches anything to this one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

from kprobe_tool.probes.live import Feed, Limits
from kprobe_tool.probes.skmsg.watch import FUNCTIONS, AttachMethod, Hook, HookedFunction, MessageFilter

from .probes.test_live import Program

AFFECTED = Path(__file__).parent / "data" / "skmsg-watch" / "6.12.43+deb12-amd64.json"
CAPTURE = json.loads(AFFECTED.read_text(encoding="utf-8"))


class Fake:
    """A MessageWatch that has seen what is in the capture; ``unwatched`` functions cannot be attached to."""

    unwatched: ClassVar[dict[str, str]] = {}
    asked: ClassVar[list[tuple[MessageFilter, AttachMethod | None]]] = []

    def __init__(self, method: AttachMethod | None) -> None:
        self.wanted = method
        self.method = method or AttachMethod.KPROBE

    def hook(self, function: HookedFunction) -> Hook:
        return Hook(function.name, self.method, self.unwatched.get(function.name))

    def start(self, filters: MessageFilter) -> None:
        self.asked.append((filters, self.wanted))
        self.hooks = tuple(map(self.hook, FUNCTIONS))

    def feed(self, limits: Limits) -> Feed:
        records = [bytes.fromhex(record) for record in CAPTURE["records"]]
        total = len(records)
        return Feed(Program([records], seen=total + 2, emitted=total, dropped=2, filtered=7), limits)

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *exception: object) -> None:
        pass
