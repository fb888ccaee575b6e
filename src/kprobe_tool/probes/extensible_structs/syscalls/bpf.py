# SPDX-License-Identifier: GPL-2.0-or-later
"""bpf(2): only the size of ``union bpf_attr``; which fields count depends on the command."""

from __future__ import annotations

from kprobe_tool.native.prober import Answer, Call, Memory, Prober
from kprobe_tool.probes.extensible_structs.recipe import Entry, Recipe, page

NO_COMMAND = 0x6000
"""No bpf command, and without BPF_COMMON_ATTRS (1 << 16), which makes newer kernels read two more arguments."""


class Bpf(Recipe):
    """bpf(NO_COMMAND, &attr, size): the command is looked at after the tail of the union."""

    first_size = 8
    sizes = (144, 152, 168)

    def ask_reach(self, prober: Prober) -> Answer:
        return prober.ask(Call("bpf", (NO_COMMAND, Memory(page(0)), 0), opens=True))

    def oversized_call(self, place: int) -> Call:
        data = page(place)
        return Call("bpf", (NO_COMMAND, Memory(data), len(data)), opens=True)


ENTRY = Entry(name="bpf", struct="bpf_attr", since="3.18", fields=(), recipe=Bpf())
