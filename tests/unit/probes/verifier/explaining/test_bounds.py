# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparisons that were meant to bound a number and do not."""

from __future__ import annotations

import pytest

from .logs import START, explain_lines

LOAD = (START, "0: (61) r6 = *(u32 *)(r1 +8)          ; R1=ctx() R6=scalar(umax=0xffffffff)")
USE = ("9: (0f) r0 += r6                       ; R0=map_value(ks=4,vs=8)",)
UNBOUNDED = (
    "10: (71) r0 = *(u8 *)(r0 +0)",
    "R0 unbounded memory access, make sure to bounds check any such access",
)


@pytest.mark.parametrize(
    ("lines", "at", "told"),
    [
        # A copy is made, the copy is cut and compared, the original is used.
        (
            (
                "1: (bf) r2 = r6                       ; R2=scalar(id=1)",
                "2: (57) r2 &= 255                     ; R2=scalar(umax=255)",
                "3: (25) if r2 > 0x7 goto pc+9         ; R2=scalar(umax=7)",
            ),
            3,
            "after instruction 2 has changed it",
        ),
        # 32 bits are compared, 64 are used.
        (("1: (26) if w6 > 0x7 goto pc+9         ; R6=scalar(umax32=7)",), 1, "lower 32 bits"),
        # A signed comparison has no lower bound.
        (("1: (65) if r6 s> 0x7 goto pc+9        ; R6=scalar(smax=7)",), 1, "signed"),
        # The value is read again after it was compared.
        (
            (
                "1: (25) if r6 > 0x7 goto pc+9         ; R6=scalar(umax=7)",
                "2: (61) r6 = *(u32 *)(r1 +8)          ; R6=scalar(umax=0xffffffff)",
            ),
            1,
            "instruction 2 reads the same place again (r6 = *(u32 *)(r1 +8))",
        ),
    ],
    ids=["copy", "half", "signed", "again"],
)
def test_a_lost_bound_is_on_the_path(lines: tuple[str, ...], at: int, told: str) -> None:
    diagnosis = explain_lines(*LOAD, *lines, *USE, *UNBOUNDED)
    lost = [step for step in diagnosis.path if step.kind == "lost-bound"]
    assert [step.place.insn for step in lost] == [at]
    assert told in lost[0].message


def test_a_bound_that_holds_is_not_lost() -> None:
    diagnosis = explain_lines(*LOAD, "1: (25) if r6 > 0x63 goto pc+9        ; R6=scalar(umax=99)", *USE, *UNBOUNDED)
    assert not [step for step in diagnosis.path if step.kind == "lost-bound"]
