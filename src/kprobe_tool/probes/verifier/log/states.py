# SPDX-License-Identifier: GPL-2.0-or-later
"""Register states as text, in every form from 5.x on, and what they mean.

``R1_w=inv(id=0,umax_value=255,var_off=(0x0; 0xff))``, ``R1=scalar(smin=smin32=0,smax=umax=255)``, ``R1=255``,
``R0=map_value_or_null(id=1,ks=8,vs=16)``, ``fp-8=mmmm????``; ``refs=2,4`` are the references that are held.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

S64_MIN, S64_MAX, U64_MAX, U32_MAX = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1, (1 << 32) - 1

NAME = re.compile(r"(R\d{1,2}|fp-\d{1,4}|refs)(?:_\w{1,4})?=(.*)", re.DOTALL)
FRAME = re.compile(r"frame(\d{1,2}):")
VALUE = re.compile(r"P?([a-z_]\w{0,80})?(?:\((.*)\)|([-+]?\w{1,20}))?", re.DOTALL)
NUMBER = re.compile(r"-?(?:0x[0-9a-f]{1,16}|\d{1,20})")

OLD_NAMES = {
    "s32_min_value": "smin32",
    "s32_max_value": "smax32",
    "u32_min_value": "umin32",
    "u32_max_value": "umax32",
}

POINTERS = {
    "ctx": "the context",
    "fp": "a stack pointer",
    "map_ptr": "a map",
    "map_value": "a pointer to a map value",
    "map_key": "a pointer to a map key",
    "pkt": "a packet pointer",
    "pkt_meta": "a pointer to packet metadata",
    "pkt_end": "the end of the packet",
    "flow_keys": "a pointer to flow keys",
    "sock": "a socket",
    "sock_common": "a socket",
    "tcp_sock": "a TCP socket",
    "mem": "a pointer to memory",
    "ringbuf_mem": "a pointer to a ring buffer record",
    "alloc_mem": "a pointer to a ring buffer record",
    "buf": "a pointer to a buffer",
    "rdonly_buf": "a pointer to a read-only buffer",
    "func": "a function",
}


class State(NamedTuple):
    """The registers and stack slots that one state lists, as text; ``frame`` is the depth of its function."""

    frame: int
    values: Mapping[str, str]


def split_state(text: str) -> Iterator[str]:
    """The parts of a state, separated by blanks outside of parentheses."""
    depth, begin = 0, 0
    for end, char in enumerate(text):
        if char in "([":
            depth += 1
        elif char in ")]":
            depth = max(0, depth - 1)
        elif char == " " and depth == 0:
            if end > begin:
                yield text[begin:end]
            begin = end + 1
    if begin < len(text):
        yield text[begin:]


@lru_cache(maxsize=256)
def parse_state(text: str) -> State:
    """``frame1: R1=ctx() refs=2`` as data."""
    frame = 0
    values: dict[str, str] = {}
    for word in split_state(text):
        found = NAME.fullmatch(word)
        if found is not None:
            values[found[1]] = found[2]
            continue
        named = FRAME.fullmatch(word)
        if named is not None:
            frame = int(named[1])
    return State(frame, values)


def parse_number(text: str) -> int | None:
    if not NUMBER.fullmatch(text):
        return None
    return int(text, 0) if not re.fullmatch(r"-?0\d+", text) else None


class Value(NamedTuple):
    """What one register holds: ``type`` as newer kernels name it (``scalar``, also for the ``inv`` of old ones)."""

    type: str
    constant: int | None
    attributes: Mapping[str, str]

    @property
    def scalar(self) -> bool:
        return self.type == "scalar"

    @property
    def nullable(self) -> bool:
        return "or_null" in self.type

    def bound(self, name: str) -> int | None:
        """smin, smax, umin, umax or their 32-bit forms, where the state gives them."""
        text = self.attributes.get(name)
        found = None if text is None else parse_number(text)
        width = 32 if name.endswith("32") else 64
        # Large negative numbers are printed in hexadecimal and without a sign.
        return found - (1 << width) if found is not None and name[0] == "s" and found >> (width - 1) == 1 else found

    @property
    def unsigned(self) -> tuple[int, int]:
        """(lowest, highest) as an unsigned number."""
        if self.constant is not None:
            return self.constant & U64_MAX, self.constant & U64_MAX
        smin, smax = self.bound("smin"), self.bound("smax")
        low, high = self.bound("umin"), self.bound("umax")
        nonnegative = smin is not None and smin >= 0
        return (
            low if low is not None else smin if nonnegative and smin is not None else 0,
            high if high is not None else smax if nonnegative and smax is not None else U64_MAX,
        )

    @property
    def signed(self) -> tuple[int, int]:
        """(lowest, highest) as a signed number."""
        if self.constant is not None:
            return self.constant, self.constant
        low, high = self.unsigned
        smin, smax = self.bound("smin"), self.bound("smax")
        small = high <= S64_MAX
        return (
            smin if smin is not None else low if small else S64_MIN,
            smax if smax is not None else high if small else S64_MAX,
        )


def parse_value(text: str) -> Value:
    """One register's text as data; text of no known form becomes the type."""
    found = VALUE.fullmatch(text)
    if found is None:
        return Value(text[:80], None, {})
    name, inside, tail = found[1] or "", found[2], found[3]
    if inside is not None and NUMBER.fullmatch(inside):
        tail, inside = inside, None
    plain = text.lstrip("P")
    if NUMBER.fullmatch(plain):
        return Value("scalar", parse_number(plain), {})
    if re.fullmatch(r"inv-?\d{1,20}", plain):
        return Value("scalar", int(plain[3:]), {})
    if re.fullmatch(r"fp-?\d{1,9}", plain):
        return Value("fp", None, {"off": plain[2:]})
    if name in {"scalar", "inv"}:
        constant = parse_number(tail) if tail is not None else None
        return Value("scalar", constant, parse_attributes(inside or ""))
    return Value(name or plain[:80], None, parse_attributes(inside or ""))


def parse_attributes(text: str) -> dict[str, str]:
    """``smin=smin32=0,smax=8,var_off=(0x0; 0xf)`` as a dictionary."""
    found: dict[str, str] = {}
    depth, begin = 0, 0
    for end, char in enumerate(text + ","):
        if char == "(":
            depth += 1
        elif char == ")":
            depth = max(0, depth - 1)
        elif char == "," and depth == 0:
            *names, content = text[begin:end].split("=")
            # Flags such as non_own_ref have no value.
            for each in names or [content]:
                found[OLD_NAMES.get(each, each.removesuffix("_value"))] = content
            begin = end + 1
    return found


def describe(text: str) -> str:
    """One register's text in words."""
    register = parse_value(text)
    if register.scalar:
        return describe_number(register)
    base = register.type.replace("_or_null", "")
    name = POINTERS.get(base)
    if name is None:
        bare = base.removeprefix("trusted_").removeprefix("untrusted_").removeprefix("rcu_")
        name = f"a pointer to struct {bare[4:]}" if bare.startswith("ptr_") and bare[4:] else base or text[:80]
    if base == "fp" and register.attributes.get("off") not in {None, "0"}:
        name += f" (fp{register.attributes['off']})"
    if base == "pkt" and "r" in register.attributes:
        name += f" with {register.attributes['r']} bytes proved"
    return f"{name}, or NULL" if register.nullable else name


def describe_number(register: Value) -> str:
    """A number, and what is known of it."""
    if register.constant is not None:
        return f"the number {register.constant}"
    low, high = register.unsigned
    smin, smax = register.signed
    if high < U64_MAX and high <= S64_MAX and smin >= 0:
        return f"a number from {low} to {high}"
    if smin > S64_MIN or smax < S64_MAX:
        if smin > S64_MIN and smax < S64_MAX:
            return f"a number from {smin} to {smax}"
        return f"a number of at least {smin}" if smin > S64_MIN else f"a number of at most {smax}, perhaps negative"
    if high < U64_MAX or low > 0:
        return f"an unsigned number from {low} to {high}"
    half = register.bound("umax32")
    if half is not None and half < U32_MAX:
        return f"a number with a lower half from {register.bound('umin32') or 0} to {half} and an unknown upper half"
    return "an unknown number"
