# SPDX-License-Identifier: GPL-2.0-or-later
"""Accesses to the context that a program is called with."""

from __future__ import annotations

import re

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.explaining.cause import Cause, Found

SK_BUFF = (
    "len",
    "pkt_type",
    "mark",
    "queue_mapping",
    "protocol",
    "vlan_present",
    "vlan_tci",
    "vlan_proto",
    "priority",
    "ingress_ifindex",
    "ifindex",
    "tc_index",
    "cb[0]",
    "cb[1]",
    "cb[2]",
    "cb[3]",
    "cb[4]",
    "hash",
    "tc_classid",
    "data",
    "data_end",
    "napi_id",
    "family",
    "remote_ip4",
    "local_ip4",
    "remote_ip6[0]",
    "remote_ip6[1]",
    "remote_ip6[2]",
    "remote_ip6[3]",
    "local_ip6[0]",
    "local_ip6[1]",
    "local_ip6[2]",
    "local_ip6[3]",
    "remote_port",
    "local_port",
    "data_meta",
)
"""struct __sk_buff of include/uapi/linux/bpf.h: its fields of 4 bytes, in order."""
NOT_A_STRUCT = re.compile(r"func '(\S{1,128})' arg(\d{1,2}) (?:type (\w{1,32}) is not a struct|has .{1,80})")


def context(found: Found) -> Cause | None:
    argument = next((each for text in found.details if (each := NOT_A_STRUCT.match(text))), None)
    if argument is not None:
        return Cause(
            f"Argument {int(argument[2]) + 1} of {argument[1]}() (arg{argument[2]}) is no pointer to a structure "
            f"({argument[3] or 'of a type the verifier does not take'}), and this kernel lets programs read none but "
            "those, and numbers.",
            "Read it with bpf_get_func_arg() (from v5.17 on), or attach a kprobe and take PT_REGS_PARMn(); "
            "newer kernels pass pointers to pointers on as numbers.",
            CauseClass.ENVIRONMENT,
            argument.string,
        )
    off, size = int(found.match.fields.get("off", -1)), found.match.fields.get("size")
    source = " ".join(filter(None, (each.source.text for each in found.path.visits[:64] if each.source is not None)))
    if "__sk_buff" in source and off % 4 == 0 and 0 <= off < 4 * len(SK_BUFF) and size in {"4", "8"}:
        return Cause(
            f"Offset {off} of struct __sk_buff is {SK_BUFF[off // 4]}, and programs of this type may not "
            "access it like this.",
            "Socket filters read the packet with bpf_skb_load_bytes(), not through data and data_end. Else use the "
            "program type whose context has the field (cls/act for most of them)."
            if SK_BUFF[off // 4] in {"data", "data_end", "data_meta"}
            else "Use the program type whose context has the field, or do without it.",
            CauseClass.ENVIRONMENT,
            f"the context is a struct __sk_buff, in which offset {off} is {SK_BUFF[off // 4]}",
        )
    return None
