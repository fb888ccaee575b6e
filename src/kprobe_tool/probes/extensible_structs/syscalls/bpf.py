# SPDX-License-Identifier: GPL-2.0-or-later
"""bpf(2): only the size of ``union bpf_attr``; which fields count depends on the command."""

from __future__ import annotations

import errno as errnos
from collections.abc import Mapping
from typing import ClassVar

from kprobe_tool.native import host
from kprobe_tool.native.prober import Call, CallAnswer, Memory, Prober
from kprobe_tool.native.syscall import PAGE_SIZE
from kprobe_tool.probes.extensible_structs.recipe import Recipe, SyscallEntry, page

NO_COMMAND = 0x6000
"""No bpf command, and without BPF_COMMON_ATTRS (1 << 16), which makes newer kernels read two more arguments."""


class Bpf(Recipe):
    """bpf(NO_COMMAND, &attr, size): the command is looked at after the tail of the union."""

    first_size = 8
    sizes = (144, 152, 168)
    disabled_errnos: ClassVar[Mapping[int, str]] = {
        errnos.EPERM: "kernel.unprivileged_bpf_disabled keeps bpf(2) from users without CAP_BPF"
    }

    def ask_reach(self, prober: Prober) -> CallAnswer:
        return prober.ask(Call("bpf", (NO_COMMAND, Memory(page(0)), 0), opens=True))

    def is_disabled(self) -> bool | None:
        """False where sysctl or capabilities allow bpf(2), else None: nothing tells then.

        Linux v5.8 to v5.18 checks them before anything else. Later kernels check them after the command and its size,
        which are all that is asked here, so their answer does not depend on them.
        """
        sysctl = host.read_line("/proc/sys/kernel/unprivileged_bpf_disabled")
        able = host.in_initial_user_namespace() and host.effective_capabilities() & {"CAP_BPF", "CAP_SYS_ADMIN"}
        return False if able or sysctl == "0" else None

    def second_call(self) -> Call:
        return Call("bpf", (NO_COMMAND, Memory(page(0)), 2 * PAGE_SIZE), opens=True)

    def oversized_call(self, place: int) -> Call:
        data = page(place)
        return Call("bpf", (NO_COMMAND, Memory(data), len(data)), opens=True)


ENTRY = SyscallEntry(name="bpf", struct="bpf_attr", since="3.18", fields=(), recipe=Bpf())
