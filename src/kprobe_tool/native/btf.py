# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/btf.h: what the running kernel says about its own types, read without any library.

The kernel's BTF is /sys/kernel/btf/vmlinux, that of a module /sys/kernel/btf/MODULE and only readable on top of it:
its type ids and string offsets go on where the kernel's end. The bytes are taken for what they are, bytes from
outside: every offset is checked before it is followed, every chain of types has an end.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from functools import cache, cached_property
from struct import iter_unpack, unpack_from
from sys import byteorder
from typing import NamedTuple

from kprobe_tool.native.libc import text

DIRECTORY = "/sys/kernel/btf"

BTF_MAGIC = 0xEB9F
# struct btf_header: magic, version, flags, hdr_len, type_off, type_len, str_off, str_len; since Linux v7.1 also
# layout_off, layout_len.
HEADER = "=HBBIIIII"
HEADER_SIZE = 24
LAYOUT_HEADER_SIZE = 32

# btf_type.info: 24 bits of vlen, 7 of kind, one kind_flag. Up to Linux v7.0 vlen had 16 bits and kind 5, and the
# bits between them were zero, so one reading serves both.
VLEN_MASK = 0xFFFFFF
KIND_MASK = 0x7F

BTF_KIND_INT = 1
BTF_KIND_PTR = 2
BTF_KIND_ARRAY = 3
BTF_KIND_STRUCT = 4
BTF_KIND_UNION = 5
BTF_KIND_ENUM = 6
BTF_KIND_FWD = 7
BTF_KIND_TYPEDEF = 8
BTF_KIND_VOLATILE = 9
BTF_KIND_CONST = 10
BTF_KIND_RESTRICT = 11
BTF_KIND_FUNC = 12
BTF_KIND_FUNC_PROTO = 13
BTF_KIND_VAR = 14
BTF_KIND_DATASEC = 15
BTF_KIND_FLOAT = 16
BTF_KIND_DECL_TAG = 17
BTF_KIND_TYPE_TAG = 18
BTF_KIND_ENUM64 = 19

AGGREGATES = frozenset({BTF_KIND_STRUCT, BTF_KIND_UNION})
SIZED = frozenset({BTF_KIND_INT, BTF_KIND_FLOAT, BTF_KIND_ENUM, BTF_KIND_ENUM64}) | AGGREGATES
ALIASES = frozenset(
    {BTF_KIND_TYPEDEF, BTF_KIND_VOLATILE, BTF_KIND_CONST, BTF_KIND_RESTRICT, BTF_KIND_VAR, BTF_KIND_TYPE_TAG}
)

TYPE_WORDS = 3
"""struct btf_type in 32-bit words: name_off, info, and size or type. What follows it depends on the kind."""

# Words after struct btf_type: (fixed, per element counted by vlen).
TRAILERS: dict[int, tuple[int, int]] = {
    **dict.fromkeys(ALIASES | {BTF_KIND_PTR, BTF_KIND_FWD, BTF_KIND_FUNC, BTF_KIND_FLOAT}, (0, 0)),
    **dict.fromkeys(AGGREGATES | {BTF_KIND_DATASEC, BTF_KIND_ENUM64}, (0, 3)),
    BTF_KIND_INT: (1, 0),
    BTF_KIND_ARRAY: (3, 0),
    BTF_KIND_ENUM: (0, 2),
    BTF_KIND_FUNC_PROTO: (0, 2),
    BTF_KIND_VAR: (1, 0),
    BTF_KIND_DECL_TAG: (1, 0),
}

WALK = 1024
"""Types that are walked at a time."""
DEPTH_MAX = 32
"""Types refer to types; the kernel's own verifier of BTF allows as many levels (MAX_RESOLVE_DEPTH)."""


class Member(NamedTuple):
    """One member of a struct or union, those of anonymous structs and unions included.

    ``offset`` is in bytes from the start of the outermost struct, ``size`` in bytes (None for an incomplete type);
    a bitfield has ``bits`` > 0 and begins ``bit`` bits after ``offset``, counted as the kernel's compiler does.
    """

    name: str
    offset: int
    size: int | None
    bit: int
    bits: int
    type_id: int


class Struct(NamedTuple):
    """A struct or union: ``size`` in bytes, members in the order of declaration."""

    name: str
    size: int
    members: tuple[Member, ...]

    def member(self, name: str) -> Member | None:
        return next((member for member in self.members if member.name == name), None)


def layout(data: bytes, hdr_len: int) -> dict[int, tuple[int, int]]:
    """The blob's own word on how long the records of each kind are (struct btf_layout), for kinds newer than this."""
    if hdr_len < LAYOUT_HEADER_SIZE or len(data) < LAYOUT_HEADER_SIZE:
        return {}
    layout_off, layout_len = unpack_from("=II", data, HEADER_SIZE)
    section = data[hdr_len + layout_off : hdr_len + layout_off + layout_len]
    if len(section) != layout_len or layout_len % 4:
        raise ValueError("BTF: the layout section lies outside of the data")
    sizes = {kind: (fixed, each) for kind, (fixed, each, _) in enumerate(iter_unpack("=BBH", section))}
    if any(fixed % 4 or each % 4 for fixed, each in sizes.values()):
        raise ValueError("BTF: a layout that is no multiple of 4")
    return {kind: (fixed // 4, each // 4) for kind, (fixed, each) in sizes.items() if kind not in TRAILERS}


class Btf:
    """The types of one BTF blob, on top of ``base`` where it is a module's.

    Pointers are as long as they are in the kernel that the types are of, which need not be those of this process:
    its ``unsigned long`` tells, where the size is not given.

    Raises ValueError, here and from every method, when the blob is no BTF, is cut short or contradicts itself. Types
    are walked as far as they are asked for: there are 100,000 of them, and what is wanted is often among the first.
    """

    def __init__(self, data: bytes, base: Btf | None = None, *, pointer_size: int | None = None) -> None:
        if len(data) < HEADER_SIZE:
            raise ValueError("BTF: shorter than its header")
        magic, _, _, hdr_len, type_off, type_len, str_off, str_len = unpack_from(HEADER, data)
        if magic != BTF_MAGIC:
            raise ValueError(f"BTF: magic {magic:#x}")
        types = data[hdr_len + type_off : hdr_len + type_off + type_len]
        strings = data[hdr_len + str_off : hdr_len + str_off + str_len]
        if hdr_len < HEADER_SIZE or len(types) != type_len or type_len % 4 or len(strings) != str_len:
            raise ValueError("BTF: a section lies outside of the data")
        self._base = base
        self._pointer_size = pointer_size
        self._strings = strings
        self._first_string: int = base._end_string if base else 0
        self._end_string: int = self._first_string + str_len
        # Id 0 is void and has no record.
        self._first_id: int = base._end_id if base else 1
        self._types = types
        self._words = memoryview(types).cast("I")
        self._trailers = TRAILERS | layout(data, hdr_len)
        self._lengths: dict[int, int] = {}
        self._places = array("I")
        self._unwalked = 0
        self._found: dict[tuple[str, frozenset[int]], int | None] = {}

    def _walk(self) -> bool:
        """Note where the records of some more types begin, in words; False where there are none."""
        words, end, lengths = self._words, len(self._words), self._lengths
        place = self._unwalked
        if place == end:
            return False
        places = array("I")
        for _ in range(WALK):
            if place + TYPE_WORDS > end:
                break
            places.append(place)
            info = words[place + 1]
            # There are only a few hundred different lengths for 100,000 types.
            if info not in lengths:
                trailer = self._trailers.get(info >> 24 & KIND_MASK)
                if trailer is None:
                    raise ValueError(f"BTF: unknown kind {info >> 24 & KIND_MASK}")
                lengths[info] = TYPE_WORDS + trailer[0] + trailer[1] * (info & VLEN_MASK)
            place += lengths[info]
        if place > end or end - TYPE_WORDS < place < end:
            raise ValueError("BTF: the last type is cut short")
        self._places += places
        self._unwalked = place
        return True

    def _all_places(self) -> Iterator[int]:
        """Where the record of each type begins, in words."""
        done = 0
        while done < len(self._places) or self._walk():
            yield from self._places[done:]
            done = len(self._places)

    @property
    def _end_id(self) -> int:
        while self._walk():
            pass
        return self._first_id + len(self._places)

    def _record(self, type_id: int) -> tuple[Btf, int]:
        """The blob that has a type, and the record's place in its words."""
        if self._base is not None and type_id < self._first_id:
            return self._base._record(type_id)
        number = type_id - self._first_id
        while number >= len(self._places) and self._walk():
            pass
        if not 0 <= number < len(self._places):
            raise ValueError(f"BTF: no type {type_id}")
        return self, self._places[number]

    def _string(self, offset: int) -> str:
        if self._base is not None and offset < self._first_string:
            return self._base._string(offset)
        start = offset - self._first_string
        end = self._strings.find(b"\0", start)
        if not 0 <= start < len(self._strings) or end < 0:
            raise ValueError(f"BTF: no string at {offset}")
        return text(self._strings[start:end])

    def string(self, offset: int) -> str:
        """A string by its offset, as the records of .BTF.ext refer to it."""
        return self._string(offset)

    def _string_offset(self, name: str) -> Iterator[int]:
        """Offsets of a string: once in each blob that has it."""
        if self._base is not None:
            yield from self._base._string_offset(name)
        wanted = b"\0" + name.encode() + b"\0"
        place = self._strings.find(wanted)
        if place >= 0:
            yield self._first_string + place + 1

    def find(self, name: str, kinds: frozenset[int]) -> int | None:
        """The id of the first type of this name and one of these kinds; a module's own come before the kernel's."""
        asked = (name, kinds)
        if asked not in self._found:
            self._found[asked] = self._search(name, kinds)
        return self._found[asked]

    def _search(self, name: str, kinds: frozenset[int]) -> int | None:
        numbers = [self._first_named(offset, kinds) for offset in self._string_offset(name)]
        own = [number for number in numbers if number is not None]
        if own:
            return self._first_id + min(own)
        return self._base.find(name, kinds) if self._base else None

    def _first_named(self, name_off: int, kinds: frozenset[int]) -> int | None:
        """The first type with a name and one of these kinds, as a number within this blob.

        Bytes are searched for, as looking at each of 100,000 names takes longer. Where a record begins tells what is
        a name from what only looks like one.
        """
        wanted = name_off.to_bytes(4, byteorder)
        at = self._types.find(wanted)
        while at >= 0:
            place = at // 4
            if at % 4 == 0:
                while self._unwalked <= place and self._walk():
                    pass
                number = bisect_left(self._places, place)
                if (
                    number < len(self._places)
                    and self._places[number] == place
                    and self._words[place + 1] >> 24 & KIND_MASK in kinds
                ):
                    return number
            at = self._types.find(wanted, at + 1)
        return None

    def struct(self, name: str, kinds: frozenset[int] = AGGREGATES) -> Struct | None:
        """A struct or union by name (``open_how``, without the keyword), or None where the kernel has none."""
        type_id = self.find(name, kinds)
        return None if type_id is None else self.struct_of(type_id)

    def struct_of(self, type_id: int) -> Struct:
        """A struct or union by id, reached through typedefs and qualifiers, as a member's ``type_id`` is."""
        owner, place = self._record(self._resolve(type_id))
        kind = owner._words[place + 1] >> 24 & KIND_MASK
        if kind not in AGGREGATES:
            raise ValueError(f"BTF: type {type_id} is no struct")
        members = tuple(self._members(owner, place, 0, 0))
        return Struct(self._string(owner._words[place]), owner._words[place + 2], members)

    def returns_void(self, function: str) -> bool | None:
        """Whether a function returns nothing; None where there is none of this name."""
        type_id = self.find(function, frozenset({BTF_KIND_FUNC}))
        if type_id is None:
            return None
        owner, place = self._record(type_id)
        owner, place = self._record(owner._words[place + 2])
        if owner._words[place + 1] >> 24 & KIND_MASK != BTF_KIND_FUNC_PROTO:
            raise ValueError(f"BTF: {function} has no prototype")
        return owner._words[place + 2] == 0

    def enumerators(self, name: str) -> dict[int, str]:
        """The names of an enum's values, the first of each; empty where the kernel has no such enum."""
        type_id = self.find(name, frozenset({BTF_KIND_ENUM}))
        names: dict[int, str] = {}
        if type_id is not None:
            owner, place = self._record(type_id)
            words = owner._words
            for index in range(words[place + 1] & VLEN_MASK):
                at = place + TYPE_WORDS + 2 * index
                names.setdefault(words[at + 1], self._string(words[at]))
        return names

    def kinds(self) -> frozenset[int]:
        """Which kinds of types (BTF_KIND_*) there are."""
        return frozenset(self._words[place + 1] >> 24 & KIND_MASK for place in self._all_places())

    def variables(self, section: str) -> Iterator[tuple[str, int]]:
        """Name and type of what is declared in a section; a function's is the function itself."""
        type_id = self.find(section, frozenset({BTF_KIND_DATASEC}))
        if type_id is None:
            return
        owner, place = self._record(type_id)
        for index in range(owner._words[place + 1] & VLEN_MASK):
            variable = owner._words[place + TYPE_WORDS + 3 * index]
            holder, at = self._record(variable)
            yield self._string(holder._words[at]), variable

    def count_behind(self, type_id: int) -> int | None:
        """How many elements the array has to which a pointer points: how maps are declared in numbers."""
        owner, place = self._record(self._resolve(type_id))
        if owner._words[place + 1] >> 24 & KIND_MASK != BTF_KIND_PTR:
            return None
        owner, place = self._record(self._resolve(owner._words[place + 2]))
        is_array = owner._words[place + 1] >> 24 & KIND_MASK == BTF_KIND_ARRAY
        return owner._words[place + 5] if is_array else None

    def place_of(self, path: str) -> tuple[int, int | None] | None:
        """Offset and size in bytes of ``struct.member.member``, or None where the kernel has no such member.

        The offset is that from the start of the struct, which alone is at 0 and has its own size; members that are
        pointers have no members here.
        """
        name, *parts = path.split(".")
        type_id = self.find(name, AGGREGATES)
        if type_id is None:
            return None
        offset, size = 0, self.size_of(type_id)
        for part in parts:
            member = self._member_of(type_id, part)
            if member is None:
                return None
            type_id, offset, size = member.type_id, offset + member.offset, member.size
        return offset, size

    def _member_of(self, type_id: int, name: str) -> Member | None:
        owner, place = self._record(self._resolve(type_id))
        if owner._words[place + 1] >> 24 & KIND_MASK not in AGGREGATES:
            return None
        return next((member for member in owner._members(owner, place, 0, 0) if member.name == name), None)

    def _members(self, owner: Btf, place: int, base: int, depth: int) -> Iterator[Member]:
        if depth > DEPTH_MAX:
            raise ValueError("BTF: structs nested too deep")
        words = owner._words
        info = words[place + 1]
        for index in range(info & VLEN_MASK):
            name_off, type_id, where = words[place + 3 + 3 * index : place + 6 + 3 * index]
            # With kind_flag the upper 8 bits are a bitfield's width.
            bits, bit_offset = (where >> 24, where & 0xFFFFFF) if info >> 31 else (0, where)
            name = self._string(name_off)
            if not name and not bits:
                inner = self._resolve(type_id)
                inner_owner, inner_place = self._record(inner)
                if inner_owner._words[inner_place + 1] >> 24 & KIND_MASK in AGGREGATES:
                    yield from self._members(inner_owner, inner_place, base + bit_offset, depth + 1)
                    continue
            offset = base + bit_offset
            yield Member(name, offset // 8, self.size_of(type_id), offset % 8, bits, type_id)

    def _resolve(self, type_id: int) -> int:
        """Through typedefs and qualifiers to the type that they stand for."""
        for _ in range(DEPTH_MAX):
            if type_id == 0:
                return 0
            owner, place = self._record(type_id)
            if owner._words[place + 1] >> 24 & KIND_MASK not in ALIASES:
                return type_id
            type_id = owner._words[place + 2]
        raise ValueError("BTF: a chain of typedefs without an end")

    @cached_property
    def pointer_size(self) -> int:
        if self._pointer_size is not None:
            return self._pointer_size
        type_id = self.find("long unsigned int", frozenset({BTF_KIND_INT})) or self.find(
            "unsigned long", frozenset({BTF_KIND_INT})
        )
        if type_id is None:
            raise ValueError("BTF: no unsigned long, so pointers have no size")
        owner, place = self._record(type_id)
        return owner._words[place + 2]

    def size_of(self, type_id: int) -> int | None:
        """sizeof a type in bytes, or None where it has no size (void, a function, a forward declaration)."""
        count = 1
        for _ in range(DEPTH_MAX):
            type_id = self._resolve(type_id)
            if type_id == 0:
                return None
            owner, place = self._record(type_id)
            words = owner._words
            kind = words[place + 1] >> 24 & KIND_MASK
            if kind in SIZED:
                return count * words[place + 2]
            if kind == BTF_KIND_PTR:
                return count * self.pointer_size
            if kind != BTF_KIND_ARRAY:
                return None
            # struct btf_array: type, index_type, nelems
            type_id = words[place + 3]
            count *= words[place + 5]
        raise ValueError("BTF: arrays nested too deep")


def read(name: str) -> bytes:
    """The BTF of the kernel, ``vmlinux``, or of a module. Raises OSError."""
    with open(f"{DIRECTORY}/{name}", "rb") as file:
        return file.read()


@cache
def vmlinux() -> Btf:
    """The running kernel's own types, readable by every user. Raises OSError, ValueError."""
    return Btf(read("vmlinux"))


@cache
def module(name: str) -> Btf:
    """The types of a loaded module, the kernel's below them. Raises OSError, ValueError."""
    return Btf(read(name), vmlinux())
