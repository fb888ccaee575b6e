# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of sk_msg, the messages that BPF programs on sockets see."""

from kprobe_tool.checks import history
from kprobe_tool.checks.model import Check, Needs, Root, Severity

NEEDS = Needs(Root.ALWAYS, modules=("tls",), others=("the cipher gcm(aes)", "bcc", "BTF"))
REFERENCES = (
    "CVE-2026-63830",
    'Linux kernel commit 406e8a651a7b ("net: skmsg: preserve sg.copy across SG transforms") (in v7.2)',
)
EXCLUSION = 'Linux kernel commit 460e6486617c ("tls: reject the combination of TLS and sockmap") (in v7.2)'
REMEDY = (
    f"Boot a kernel with the fix ({history.SG_COPY.releases}). Until then run no SK_MSG program that writes to "
    "messages on sockets whose senders use sendfile or splice."
)
LOOK_FOR = (
    "In results, outcome 'affected' and the test. The records of 'kprobe-tool skmsg check -o json' show it: an "
    "element with of_file true and copy false, and a length that is not 0."
)

CHECKS: tuple[Check, ...] = (
    Check(
        id="skmsg-tls-split-copy",
        title="Protection of cached file pages when kernel TLS splits a record",
        severity=Severity.HIGH,
        system="skmsg",
        needs=NEEDS,
        references=(*REFERENCES, EXCLUSION, "net/tls/tls_sw.c tls_split_open_record()"),
        meaning=(
            "A BPF program on a kernel TLS socket can overwrite the cached pages of a file that is being sent, also "
            "of one that the sender may only read: the change is there for everybody. Where the program passes a "
            "part of a record (bpf_msg_apply_bytes), the rest is given to it again without the copy bit that "
            "protects it."
        ),
        look_for=LOOK_FOR,
        remedy=REMEDY,
        function="kprobe_tool.probes.skmsg.checks:check",
    ),
    Check(
        id="skmsg-push-pop-copy",
        title="Protection of cached file pages when BPF socket programs move message data",
        severity=Severity.HIGH,
        system="skmsg",
        needs=NEEDS,
        references=(*REFERENCES, "net/core/filter.c sk_msg_shift_left(), sk_msg_shift_right()"),
        meaning=(
            "A BPF program on a socket can overwrite the cached pages of a file that is being sent. The helpers that "
            "insert and remove data (bpf_msg_push_data, bpf_msg_pop_data) move or split the elements of a message "
            "and leave the copy bits, which protect them, where they were."
        ),
        look_for=LOOK_FOR,
        remedy=REMEDY,
        function="kprobe_tool.probes.skmsg.checks:check",
    ),
    Check(
        id="skmsg-stale-copy",
        title="What BPF socket programs see after a page of a message was replaced",
        severity=Severity.LOW,
        system="skmsg",
        needs=NEEDS,
        references=(*REFERENCES, "net/core/skmsg.c sk_msg_alloc(), sk_msg_free_elem()"),
        meaning=(
            "A BPF program that filters messages is kept from data that it should see, and passes what it should "
            "drop, or the other way round: after bpf_msg_pull_data() or bpf_msg_pop_data() a page of the message's "
            "own is still marked as one to be copied."
        ),
        look_for="In results, outcome 'affected': an element with of_file false and copy true, and a length of 0.",
        remedy=REMEDY,
        function="kprobe_tool.probes.skmsg.checks:check",
    ),
)
