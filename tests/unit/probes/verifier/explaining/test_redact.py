# SPDX-License-Identifier: GPL-2.0-or-later
"""Diagnoses without the kernel's addresses."""

from __future__ import annotations

from kprobe_tool.probes.verifier.diagnosis import LogOutcome
from kprobe_tool.probes.verifier.explaining.redact import HIDDEN, redact

from .test_explain import TRAILER, explain_lines


def test_addresses_are_left_out() -> None:
    diagnosis = explain_lines(
        "3: (18) r1 = 0xff340bac03de8c00       ; R1=map_ptr(ks=8,vs=16)",
        "4: (bf) r2 = r0              ; R2=scalar(umax=0xffffffff80000000,var_off=(0x0; 0xffffffffffffff00))",
        "5: (71) r0 = *(u8 *)(r2 +0)",
        "R2 invalid mem access 'scalar'",
        TRAILER,
    )
    text = repr(redact(diagnosis))
    assert "0xff340bac03de8c00" in repr(diagnosis)
    assert "ff340bac03de8c00" not in text
    assert HIDDEN in text
    assert redact(diagnosis).outcome is LogOutcome.REJECTED
