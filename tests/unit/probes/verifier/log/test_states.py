# SPDX-License-Identifier: GPL-2.0-or-later
"""Register states in the forms of Linux 5.10 to 7.3."""

import pytest

from kprobe_tool.probes.verifier.log.states import S64_MIN, U64_MAX, describe, parse_state, parse_value


@pytest.mark.parametrize(
    ("text", "frame", "values"),
    [
        ("R1=ctx() R10=fp0", 0, {"R1": "ctx()", "R10": "fp0"}),
        ("R1=ctx(id=0,off=0,imm=0) R10=fp0", 0, {"R1": "ctx(id=0,off=0,imm=0)", "R10": "fp0"}),
        ("frame1: R6_w=inv7 fp-8_w=mmmm????", 1, {"R6": "inv7", "fp-8": "mmmm????"}),
        (
            "R0=scalar(smax=15,var_off=(0x0; 0xf)) refs=2,4",
            0,
            {"R0": "scalar(smax=15,var_off=(0x0; 0xf))", "refs": "2,4"},
        ),
        ("", 0, {}),
        ("(((", 0, {}),
    ],
)
def test_states_are_parsed(text: str, frame: int, values: dict[str, str]) -> None:
    state = parse_state(text)
    assert (state.frame, dict(state.values)) == (frame, values)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("inv(id=0)", "an unknown number"),
        ("scalar()", "an unknown number"),
        ("Pscalar(id=3)", "an unknown number"),
        ("inv7", "the number 7"),
        ("7", "the number 7"),
        ("P-1", "the number -1"),
        ("0x20000000", "the number 536870912"),
        ("inv(id=0,umax_value=255,var_off=(0x0; 0xff))", "a number from 0 to 255"),
        ("scalar(smin=smin32=0,smax=umax=smax32=umax32=16,var_off=(0x0; 0x1f))", "a number from 0 to 16"),
        ("scalar(smin=0xffffffff80000000,smax=0x7fffffff)", "a number from -2147483648 to 2147483647"),
        ("scalar(smin=0xffffffff80000000,smax=smax32=7)", "a number from -2147483648 to 7"),
        ("scalar(smin=3)", "a number of at least 3"),
        ("scalar(umin=10)", f"an unsigned number from 10 to {U64_MAX}"),
        ("scalar(umax32=15)", "a number with a lower half from 0 to 15 and an unknown upper half"),
        ("map_value_or_null(id=1,ks=4,vs=8)", "a pointer to a map value, or NULL"),
        ("map_value(off=0,ks=4,vs=8,imm=0)", "a pointer to a map value"),
        ("pkt(off=14,r=14)", "a packet pointer with 14 bytes proved"),
        ("fp-16", "a stack pointer (fp-16)"),
        ("fp0", "a stack pointer"),
        ("trusted_ptr_task_struct()", "a pointer to struct task_struct"),
        ("ptr_or_null_sock(id=2)", "a pointer to struct sock, or NULL"),
        ("ctx()", "the context"),
    ],
)
def test_values_are_described(text: str, words: str) -> None:
    assert describe(text) == words


def test_values_have_ranges() -> None:
    assert parse_value("scalar()").signed[0] == S64_MIN
    assert parse_value("7").unsigned == (7, 7)
    assert parse_value("-1").unsigned == (U64_MAX, U64_MAX)
    assert parse_value("(((((").attributes == {}
