# SPDX-License-Identifier: GPL-2.0-or-later
"""The reader of BTF, on blobs that are built here, whole and broken."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobe_tool.native import btf
from kprobe_tool.native.btf import Btf


class Builder:
    """A BTF blob, type by type; ids count from ``first``."""

    def __init__(self, first: int = 1, first_string: int = 0) -> None:
        self.types = b""
        self.strings = b"\0" if first_string == 0 else b""
        self.first_string = first_string
        self.next = first

    def string(self, text: str) -> int:
        if not text:
            return 0
        self.strings += text.encode() + b"\0"
        return self.first_string + len(self.strings) - len(text) - 1

    def add(self, name: str, kind: int, size: int, trailer: bytes = b"", *, vlen: int = 0, flag: int = 0) -> int:
        self.types += pack("=III", self.string(name), flag << 31 | kind << 24 | vlen, size) + trailer
        self.next += 1
        return self.next - 1

    def integer(self, name: str, size: int) -> int:
        return self.add(name, btf.BTF_KIND_INT, size, pack("=I", size * 8))

    def struct(
        self, name: str, size: int, *members: tuple[str, int, int], flag: int = 0, kind: int = btf.BTF_KIND_STRUCT
    ) -> int:
        trailer = b"".join(pack("=III", self.string(one), type_id, offset) for one, type_id, offset in members)
        return self.add(name, kind, size, trailer, vlen=len(members), flag=flag)

    def blob(self, layout: bytes = b"") -> bytes:
        header_len = 32 if layout else 24
        header = pack("=HBBIIIII", 0xEB9F, 1, 0, header_len, 0, len(self.types), len(self.types), len(self.strings))
        if layout:
            header += pack("=II", len(self.types) + len(self.strings), len(layout))
        return header + self.types + self.strings + layout


def example() -> Builder:
    """struct outer { u64 a; union { u32 b; u16 c; }; u32 bits:3, more:5; u64 list[4]; void *p; inner_t in; }"""
    made = Builder()
    u64 = made.integer("long unsigned int", 8)
    u32 = made.integer("unsigned int", 4)
    u16 = made.integer("short unsigned int", 2)
    alias = made.add("u64", btf.BTF_KIND_TYPEDEF, u64)
    union = made.struct("", 4, ("b", u32, 0), ("c", u16, 0), kind=btf.BTF_KIND_UNION)
    array = made.add("", btf.BTF_KIND_ARRAY, 0, pack("=III", alias, u32, 4))
    pointer = made.add("", btf.BTF_KIND_PTR, 0)
    inner = made.struct("inner", 8, ("x", u32, 0), ("y", u32, 32))
    inner_t = made.add("inner_t", btf.BTF_KIND_TYPEDEF, inner)
    constant = made.add("", btf.BTF_KIND_CONST, inner_t)
    made.struct(
        "outer",
        72,
        ("a", alias, 0),
        ("", union, 64),
        ("bits", u32, 3 << 24 | 96),
        ("more", u32, 5 << 24 | 99),
        ("list", array, 128),
        ("p", pointer, 384),
        ("in", constant, 448),
        flag=1,
    )
    return made


def test_members_of_structs_inside_are_found() -> None:
    types = Btf(example().blob())
    outer = types.struct("outer")
    assert outer is not None
    assert outer.size == 72
    assert [(one.name, one.offset, one.size, one.bit, one.bits) for one in outer.members] == [
        ("a", 0, 8, 0, 0),
        ("b", 8, 4, 0, 0),
        ("c", 8, 2, 0, 0),
        ("bits", 12, 4, 0, 3),
        ("more", 12, 4, 3, 5),
        ("list", 16, 32, 0, 0),
        ("p", 48, 8, 0, 0),
        ("in", 56, 8, 0, 0),
    ]
    within = outer.member("in")
    assert within is not None
    assert [(one.name, one.offset) for one in types.struct_of(within.type_id).members] == [("x", 0), ("y", 4)]
    assert outer.member("nonsense") is None


def test_functions_that_return_void_are_known() -> None:
    builder = example()
    integer = builder.integer("bool", 1)
    for name, returned in (("rds_tcp_tune", integer), ("rds_tcp_exit", 0)):
        builder.add(name, btf.BTF_KIND_FUNC, builder.add("", btf.BTF_KIND_FUNC_PROTO, returned))
    builder.add("odd", btf.BTF_KIND_FUNC, integer)
    types = Btf(builder.blob())
    assert [types.returns_void(name) for name in ("rds_tcp_tune", "rds_tcp_exit", "absent")] == [False, True, None]
    with pytest.raises(ValueError, match="no prototype"):
        types.returns_void("odd")


def test_a_name_is_found_among_its_kind_only() -> None:
    types = Btf(example().blob())
    assert types.struct("nonsense") is None
    assert types.struct("inner_t") is None, "a typedef is no struct"
    assert types.struct("inne") is None, "nor is a part of a name"
    assert types.find("inner_t", frozenset({btf.BTF_KIND_TYPEDEF})) is not None


def test_types_and_strings_of_a_module_refer_to_the_kernel_s() -> None:
    """A module's types refer to the kernel's and to its own, and so do their names."""
    base_blob = example()
    base = Btf(base_blob.blob())
    module = Builder(first=base_blob.next, first_string=len(base_blob.strings))
    kernel_u32 = 2
    own = module.struct("own", 8, ("x", kernel_u32, 0), ("y", kernel_u32, 32))
    module.struct("inner", 16, ("again", own, 64))
    types = Btf(module.blob(), base)
    found = types.struct("own")
    assert found is not None
    assert [one.name for one in found.members] == ["x", "y"]
    inner = types.struct("inner")
    assert inner is not None
    assert inner.size == 16, "the module's own struct comes first"
    outer = types.struct("outer")
    assert outer is not None
    assert outer.size == 72, "the kernel's structs are there too"


def test_a_newer_kind_is_skipped_by_its_layout() -> None:
    made = example()
    made.add("future", 25, 0, bytes(8))
    after = made.struct("after", 4)
    layout = b"".join(pack("=BBH", 8 if kind == 25 else 0, 0, 0) for kind in range(26))
    with pytest.raises(ValueError, match="unknown kind 25"):
        Btf(made.blob()).kinds()
    types = Btf(made.blob(layout))
    assert types.find("after", btf.AGGREGATES) == after


def test_more_members_than_16_bits_count_are_skipped() -> None:
    made = Builder()
    u32 = made.integer("unsigned int", 4)
    made.struct("large", 4 * 70000, *[("", u32, 0)] * 70000)
    last = made.integer("last", 8)
    assert Btf(made.blob()).find("last", frozenset({btf.BTF_KIND_INT})) == last


def break_blob(change: str) -> bytes:
    whole = example().blob()
    return {
        "empty": b"",
        "short": whole[:20],
        "magic": b"\0\0" + whole[2:],
        "cut": whole[:-1],
        "type_len": whole[:12] + pack("=I", 3) + whole[16:],
        "hdr_len": whole[:4] + pack("=I", 2**31) + whole[8:],
        "str_off": whole[:16] + pack("=I", 2**32 - 1) + whole[20:],
        "kind": whole[:28] + pack("=I", 99 << 24) + whole[32:],
        "vlen": whole[:28] + pack("=I", 4 << 24 | 0xFFFFFF) + whole[32:],
    }[change]


@pytest.mark.parametrize(
    "change", ["empty", "short", "magic", "cut", "type_len", "hdr_len", "str_off", "kind", "vlen"]
)
def test_broken_btf_is_refused(change: str) -> None:
    with pytest.raises(ValueError, match="BTF: "):
        Btf(break_blob(change)).kinds()


def test_types_that_go_in_circles_are_refused() -> None:
    made = Builder()
    made.add("one", btf.BTF_KIND_TYPEDEF, 2)
    made.add("two", btf.BTF_KIND_TYPEDEF, 1)
    made.add("", btf.BTF_KIND_ARRAY, 0, pack("=III", 3, 3, 2**31))
    made.struct("self", 8, ("", 4, 0))
    made.struct("typedef", 8, ("x", 1, 0))
    made.struct("array", 8, ("x", 3, 0))
    made.struct("nowhere", 8, ("x", 999, 0))
    types = Btf(made.blob())
    for name in ("self", "typedef", "array", "nowhere"):
        with pytest.raises(ValueError, match="BTF: "):
            types.struct(name)


@settings(max_examples=300, deadline=None, database=None)
@given(st.integers(0, len(example().blob()) - 1), st.binary(min_size=1, max_size=8))
def test_any_damage_is_a_value_error_or_an_answer(place: int, damage: bytes) -> None:
    whole = example().blob()
    data = whole[:place] + damage + whole[place + len(damage) :]
    try:
        types = Btf(data)
        outer = types.struct("outer")
    except ValueError:
        return
    assert outer is None or outer.name == "outer"


def test_what_only_looks_like_a_name_is_no_type() -> None:
    """The bytes of a name's offset stand in sizes, in members and across two words, too."""
    made = Builder()
    offset = len(made.strings)
    u32 = made.integer("unsigned int", 4)
    made.struct("misled", offset, ("", u32, offset), ("", offset, 0))
    made.add("", btf.BTF_KIND_FWD, offset << 8)
    found = made.struct("wanted", 4, ("unsigned int", u32, 0))
    blob = made.blob()
    types = Btf(blob)
    assert types.find("unsigned int", frozenset({btf.BTF_KIND_INT})) == u32
    assert types.find("unsigned int", btf.AGGREGATES) is None
    assert types.find("wanted", btf.AGGREGATES) == found


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=30))
def test_the_first_of_several_types_is_found(structs: list[tuple[str, int]]) -> None:
    made = Builder()
    for name in "abc":
        made.string(name)
    names = [made.struct(f"{name}{size % 3}", size, ("a", size, size)) for name, size in structs]
    types = Btf(made.blob())
    for wanted in {f"{name}{size % 3}" for name, size in structs}:
        first = next(
            number for number, (name, size) in zip(names, structs, strict=True) if f"{name}{size % 3}" == wanted
        )
        assert types.find(wanted, btf.AGGREGATES) == first
