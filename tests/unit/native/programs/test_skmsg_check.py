# SPDX-License-Identifier: GPL-2.0-or-later
"""The plans that bpf/skmsg_check.c reads, and the records that it writes."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.native import sk_msg
from kprobe_tool.native.programs import skmsg_check
from kprobe_tool.native.programs.skmsg_check import Plan, Step, StepKind
from kprobe_tool.probes.skmsg.cases import CASES

CAPTURE = Path(__file__).parents[2] / "data" / "skmsg" / "6.1.0-56-amd64.json"


def test_a_plan_is_packed_as_the_program_reads_it() -> None:
    call = Plan((Step(StepKind.PUSH, 0, 8), Step(StepKind.PULL, 8, 1)), skmsg_check.SK_PASS)
    assert struct.unpack("=7I", call.packed()) == (1, 1, 0, 8, 3, 8, 1)
    assert struct.unpack("=7I", Plan().packed()) == (0,) * 7


def test_the_plans_of_all_cases_fit() -> None:
    for case in CASES:
        assert len(case.plans) <= skmsg_check.CALLS
        assert all(len(plan.steps) <= skmsg_check.STEPS for plan in case.plans)


def test_a_record_that_is_cut_short_is_refused() -> None:
    raw: Any = json.loads(CAPTURE.read_text(encoding="utf-8"))["runs"][0]["records"][0]
    whole = bytes.fromhex(raw)
    assert skmsg_check.decode(whole).sg.elements[0].kind is sk_msg.PageKind.CACHE
    with pytest.raises(ValueError, match="too small"):
        skmsg_check.decode(whole[:-1])
