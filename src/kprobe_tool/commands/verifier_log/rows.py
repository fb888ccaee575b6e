# SPDX-License-Identifier: GPL-2.0-or-later
"""The statistics of the verifier as JSON objects and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kprobe_tool.report.document import Column, Row
from kprobe_tool.report.text import quantity

if TYPE_CHECKING:
    from kprobe_tool.probes.verifier.log.stats import HotLine, Stats

SUBPROGRAM_COLUMNS = (
    Column("FUNCTION", "function"),
    Column("KIND", "kind"),
    Column("INSNS", "insns_self", right=True),
    Column("WITH-CALLEES", "insns_total", right=True),
    Column("STACK", "stack", right=True),
)


def share_cell(row: Row) -> object:
    share = row["share"]
    return f"{100 * share:.1f}%" if isinstance(share, float) else None


def where_cell(row: Row) -> object:
    return None if row["file"] is None else f"{row['file']}:{row['line']}"


LINE_COLUMNS = (
    Column("INSNS", "insns", right=True),
    Column("SHARE", share_cell, right=True),
    Column("WHERE", where_cell),
    Column("SOURCE", "source", wrap=True),
)


def stats_row(stats: Stats) -> Row:
    """The JSON object of one log's statistics, without the lines."""
    return {
        "insns_processed": stats.insns_processed,
        "insns_limit": stats.insns_limit,
        "max_states_per_insn": stats.max_states_per_insn,
        "total_states": stats.total_states,
        "peak_states": stats.peak_states,
        "verification_time_us": stats.verification_time_us,
        "stack_depth": stats.stack_depth,
        "subprograms": [
            {
                "index": each.index,
                "name": each.name,
                "kind": each.kind,
                "insns_self": each.insns_self,
                "insns_total": each.insns_total,
                "stack": each.stack,
            }
            for each in stats.subprograms
        ],
    }


def subprogram_rows(stats: Stats) -> list[Row]:
    return [
        {
            "function": each.name or f"#{each.index}",
            "kind": each.kind,
            "insns_self": each.insns_self,
            "insns_total": each.insns_total,
            "stack": each.stack,
        }
        for each in stats.subprograms
    ]


def line_rows(stats: Stats, lines: Sequence[HotLine]) -> list[Row]:
    """The hottest lines; the share is that of all instructions that the log shows."""
    return [
        {
            "file": each.file,
            "line": each.line,
            "source": each.source,
            "insns": each.insns,
            "share": each.insns / stats.insns_shown,
        }
        for each in lines
    ]


def stats_line(stats: Stats) -> str:
    """The statistics in one line for people: ``338 instructions verified of 1000000, ...``."""
    parts = []
    if stats.insns_processed is not None:
        parts.append(f"{quantity(stats.insns_processed, 'instruction')} verified (the limit is {stats.insns_limit})")
    if stats.total_states is not None:
        parts.append(f"{quantity(stats.total_states, 'state')}, {stats.peak_states} at most at a time")
    if stats.stack_depth is not None:
        parts.append(f"stack of {stats.stack_depth} bytes")
    elif stats.subprograms:
        parts.append(f"stacks of {'+'.join(str(each.stack) for each in stats.subprograms)} bytes")
    if stats.verification_time_us is not None:
        parts.append(f"{stats.verification_time_us / 1000:.1f} ms")
    return ", ".join(parts)
