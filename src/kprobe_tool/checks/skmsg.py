# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of sk_msg, the messages that BPF programs on sockets see."""

from kprobe_tool.checks.model import Check, Needs, Root, Severity

NEEDS = Needs(Root.ALWAYS, modules=("tls",), others=("the cipher gcm(aes)", "bcc", "BTF"))
REFERENCES = (
    "CVE-2026-63830",
    'Linux kernel commit 406e8a651a7b ("net: skmsg: preserve sg.copy across SG transforms") (in v7.2)',
)
EXCLUSION = 'Linux kernel commit 460e6486617c ("tls: reject the combination of TLS and sockmap") (in v7.2)'
REMEDY = (
    "Boot a kernel with the fix (v7.2; stable kernels from 5.10.261, 5.15.212, 6.1.177, 6.6.144, 6.12.95, 6.18.38 "
    "and 7.1.3 on). Until then run no SK_MSG program that writes to messages on sockets whose senders use sendfile "
    "or splice."
)
LOOK_FOR = (
    "In results, outcome 'affected' and the test. The records of 'kprobe-tool skmsg check -o json' show it: an "
    "element with of_file true and copy false, and a length that is not 0."
)

CHECKS: tuple[Check, ...] = (
    Check(
        id="skmsg-tls-split-copy",
        title="A kTLS record that is split loses the copy bit of its page-cache pages",
        severity=Severity.HIGH,
        system="skmsg",
        needs=NEEDS,
        references=(*REFERENCES, EXCLUSION, "net/tls/tls_sw.c tls_split_open_record()"),
        meaning=(
            "Where a BPF program passes a part of a kTLS record (bpf_msg_apply_bytes), the rest is given to it again "
            "without its copy bit. What the program writes there goes to the page cache of the file that was sent, "
            "which the sender may only be allowed to read."
        ),
        look_for=LOOK_FOR,
        remedy=REMEDY,
        function="kprobe_tool.probes.skmsg.checks:check",
    ),
    Check(
        id="skmsg-push-pop-copy",
        title="bpf_msg_push_data() and bpf_msg_pop_data() lose copy bits",
        severity=Severity.HIGH,
        system="skmsg",
        needs=NEEDS,
        references=(*REFERENCES, "net/core/filter.c sk_msg_shift_left(), sk_msg_shift_right()"),
        meaning=(
            "These helpers move or split the elements of a message and leave the copy bits where they were. A "
            "program that then writes to the message writes to the page cache of the file that was sent."
        ),
        look_for=LOOK_FOR,
        remedy=REMEDY,
        function="kprobe_tool.probes.skmsg.checks:check",
    ),
    Check(
        id="skmsg-stale-copy",
        title="The copy bit of an sk_msg element stays when its page is replaced",
        severity=Severity.LOW,
        system="skmsg",
        needs=NEEDS,
        references=(*REFERENCES, "net/core/skmsg.c sk_msg_alloc(), sk_msg_free_elem()"),
        meaning=(
            "After bpf_msg_pull_data() or bpf_msg_pop_data() a page of the message's own is still marked as one to "
            "be copied. A program cannot see this data without pulling it again, and filters that look at it pass "
            "what they should not, or drop what they should pass."
        ),
        look_for="In results, outcome 'affected': an element with of_file false and copy true, and a length of 0.",
        remedy=REMEDY,
        function="kprobe_tool.probes.skmsg.checks:check",
    ),
)
