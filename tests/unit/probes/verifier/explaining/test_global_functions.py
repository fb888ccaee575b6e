# SPDX-License-Identifier: GPL-2.0-or-later
"""Global functions, which are checked once and for every argument that their declaration allows."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
from tests.unit.corpus.test_corpus import log

from .logs import START, check, explain_lines


@pytest.mark.parametrize(
    ("name", "function"), [("global-argument-unbounded", "table_at"), ("global-argument-may-be-null", "global_reads")]
)
def test_an_argument_of_a_global_function_is_checked_alone(name: str, function: str) -> None:
    diagnosis = explain_bytes(log("6.18.44", name), "EACCES")
    check(diagnosis, CauseClass.SOURCE, f"argument 1 of {function}(), a global function", "make the function static")


def test_what_a_global_function_has_made_itself_is_no_argument() -> None:
    diagnosis = explain_lines(
        "Validating f() func#1...",
        START,
        "0: (b7) r2 = 0                        ; R2=0",
        "1: (79) r0 = *(u64 *)(r2 +0)",
        "R2 invalid mem access 'scalar'",
    )
    assert "global function" not in diagnosis.reason
