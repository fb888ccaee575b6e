# SPDX-License-Identifier: GPL-2.0-or-later
"""What is seen in a file before anything of it is loaded."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.load import pinned_table

from ....bpffs import BCC_PINS


@pytest.mark.parametrize("declaration", BCC_PINS.values(), ids=BCC_PINS)
def test_a_pinned_table_is_found(declaration: str) -> None:
    assert pinned_table(f"/* two\nlines */ // and\n{declaration}\n") == 3


@pytest.mark.parametrize(
    "source",
    [
        'BPF_TABLE("hash", u64, u64, open, 8);',
        "BPF_HASH(open, u64, u64);",
        '// BPF_TABLE_PINNED("hash", u64, u64, pinned, 8, "/sys/fs/bpf/x");',
        '/* was:\n BPF_TABLE_PINNED("hash", u64, u64, pinned, 8, "/sys/fs/bpf/x");\n */',
        'bpf_trace_printk("BPF: //%d", 1);',
    ],
)
def test_other_tables_are_not_taken_for_pinned(source: str) -> None:
    assert pinned_table(source) is None


def test_a_string_begins_no_comment() -> None:
    assert pinned_table('char url[] = "http://"; BPF_TABLE("hash:/sys/fs/bpf/x", u64, u64, pinned, 8);') == 1
