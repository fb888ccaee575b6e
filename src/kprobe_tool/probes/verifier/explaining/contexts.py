# SPDX-License-Identifier: GPL-2.0-or-later
"""Accesses to the context that a program is called with."""

from __future__ import annotations

import re
from collections.abc import Mapping

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.explaining.cause import Cause, Rejection
from kprobe_tool.probes.verifier.explaining.origins import origin_of

IP6 = 4
"""Words of an IPv6 address."""
FIELDS: Mapping[str, tuple[str, ...]] = {
    "__sk_buff": (
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
    ),
    "xdp_md": ("data", "data_end", "data_meta", "ingress_ifindex", "rx_queue_index", "egress_ifindex"),
    "bpf_sock_ops": (
        "op",
        *(f"args[{number}]" for number in range(4)),
        "family",
        "remote_ip4",
        "local_ip4",
        *(f"remote_ip6[{number}]" for number in range(IP6)),
        *(f"local_ip6[{number}]" for number in range(IP6)),
        "remote_port",
        "local_port",
        "is_fullsock",
        "snd_cwnd",
        "srtt_us",
        "bpf_sock_ops_cb_flags",
        "state",
        "rtt_min",
        "snd_ssthresh",
        "rcv_nxt",
        "snd_nxt",
        "snd_una",
        "mss_cache",
    ),
    "bpf_sock_addr": (
        "user_family",
        "user_ip4",
        *(f"user_ip6[{number}]" for number in range(IP6)),
        "user_port",
        "family",
        "type",
        "protocol",
        "msg_src_ip4",
        *(f"msg_src_ip6[{number}]" for number in range(IP6)),
    ),
}
"""Structures of include/uapi/linux/bpf.h: their fields of 4 bytes, in order."""
WORD = 4
NOT_A_STRUCT = re.compile(r"func '(\S{1,128})' arg(\d{1,2}) (?:type (\w{1,32}) is not a struct|has .{1,80})")


def explain_context_access(rejection: Rejection) -> Cause | None:
    argument = next((each for text in rejection.details if (each := NOT_A_STRUCT.match(text))), None)
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
    return explain_field_access(rejection)


def explain_field_access(rejection: Rejection) -> Cause | None:
    """An access to a place in the context, with the field that is there, as far as it is known."""
    off, size = int(rejection.match.fields.get("off", -1)), int(rejection.match.fields.get("size", 0))
    writes = rejection.text.startswith(("*(", "lock *("))
    verb = "writes" if writes else "reads"
    known = structure_of(rejection, off)
    twice = size == WORD * 2 and off % WORD == 0 and (known is not None or off % size != 0)
    if off % WORD or size not in {WORD, 2 * WORD}:
        return None
    if twice:
        named = "" if known is None else f" ({known[1]} of struct {known[0]}, and the one behind it)"
        return Cause(
            f"The program {verb} {size} bytes at offset {off} of its context at once, and the fields there have "
            f"{WORD} bytes{named}. Where the source accesses one at a time, the compiler has made one access of two.",
            "Access each field on its own such that the compiler keeps them apart: through volatile, or with "
            'asm volatile("" ::: "memory"); between them.',
            CauseClass.COMPILER,
            f"{size} bytes at offset {off} are two fields",
        )
    if known is not None:
        name, field = known
        return Cause(
            f"Offset {off} of struct {name} is {field}, and programs of this type may not "
            f"{'write it' if writes else 'access it like this'}.",
            "Socket filters read the packet with bpf_skb_load_bytes(), not through data and data_end. Else use the "
            "program type whose context has the field (cls/act for most of them)."
            if name == "__sk_buff" and field in {"data", "data_end", "data_meta"}
            else "Most fields of a context may only be read: keep what is to be passed on in a map, or in a field "
            "that this type may write. Else use the program type that may."
            if writes
            else "Use the program type whose context has the field, or do without it.",
            CauseClass.ENVIRONMENT,
            f"the context is a struct {name}, in which offset {off} is {field}",
        )
    fields = {name: names[off // WORD] for name, names in FIELDS.items() if 0 <= off < WORD * len(names)}
    if not fields:
        return None
    which = ", ".join(f"{field} of struct {name}" for name, field in fields.items())
    each = f", each of {WORD} bytes" if size != WORD else ""
    return Cause(
        f"The program {verb} {size} bytes at offset {off} of its context, and programs of this type may not. What is "
        f"there depends on the type: {which}{each}.",
        (
            "Where two fields are meant, read them through volatile, or the compiler reads them at once. "
            if each
            else ""
        )
        + ("Most fields may only be read: keep what is to be passed on in a map. " if writes else "")
        + (
            "Socket filters read the packet with bpf_skb_load_bytes(), not through data and data_end. "
            if "data" in fields["__sk_buff"]
            else ""
        )
        + "Use the program type whose context has the field; the section's name decides about the type.",
    )


def structure_of(rejection: Rejection, off: int) -> tuple[str, str] | None:
    """(structure, field) of an offset into the context, where the lines of source in the log show the structure."""
    lines = [each.source.text for each in rejection.path.visits[-64:] if each.source is not None]
    source = " ".join(dict.fromkeys(lines))
    here = lines[-1] if lines else ""
    for name, names in FIELDS.items():
        if not 0 <= off < WORD * len(names) or off % WORD:
            continue
        field = names[off // WORD]
        # A member's name at its own offset in the line that is compiled is as good as the type.
        if f"struct {name} " in source or re.search(rf"->{re.escape(field.partition('[')[0])}\b", here):
            return name, field
    return None


def explain_modified_context(rejection: Rejection) -> Cause | None:
    """The context with a register added to it: nobody writes that in C, so it is the compiler's doing."""
    register, path = rejection.register, rejection.path
    if register is None or not path.visits or rejection.match.fields.get("type") != "ctx":
        return None
    origin = origin_of(path, register, len(path.visits) - 1)
    added = [path.visits[number] for number in origin.changed if path.visits[number].instruction.reads is not None]
    if not added:
        return None
    return Cause(
        f"{rejection.match.reason()} Instruction {added[0].insn} ({added[0].text}) has added a register to it: "
        "where the source reads a field of the context in each of several branches, the compiler has made one read "
        "of them, with an offset that depends on the branch.",
        "Keep the reads apart: through volatile, with barrier_var() between the branch and the read, or read the "
        "fields before the branches. Offsets into the context must be constants of the instruction that reads.",
        CauseClass.COMPILER,
        f"instruction {added[0].insn} adds a register to the context",
    )
