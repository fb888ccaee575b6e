# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known beforehand (data), and what was found out (records)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from kprobe_tool.native.records import StructField


class Reachability(StrEnum):
    """Whether our calls reach the kernel's implementation."""

    YES = "yes"
    BLOCKED = "blocked"
    ABSENT = "absent"
    DISABLED = "disabled"
    """The kernel has it, and is set up to refuse it: at boot, or to this user."""
    UNKNOWN = "unknown"


class CheckFields(StrEnum):
    """Whether the kernel answers CHECK_FIELDS."""

    YES = "yes"
    NO = "no"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


class Support(StrEnum):
    """What the kernel does with a bit: takes it, refuses it, lets it pass without a meaning."""

    YES = "yes"
    NO = "no"
    IGNORED = "ignored"
    UNKNOWN = "unknown"


class ProbeMethod(StrEnum):
    """How an answer was reached."""

    CHECK_FIELDS = "check-fields"
    PROBE = "probe"
    SIZE = "size"
    SELF = "self-described"
    PROCFS = "procfs"
    E2BIG = "e2big"
    WRITE_BACK = "write-back"


class Flag(NamedTuple):
    """A named bit (or value) of a field, and the release that brought it.

    ``tried_with`` are further bits of the same field to try it with where the kernel refuses it alone.
    ``always_refused`` marks a bit that is in the mask of kernels which refuse it all the same.
    """

    name: str
    value: int
    since: str
    tried_with: tuple[int, ...] = ()
    always_refused: bool = False


class Field(NamedTuple):
    """A field of the struct, or an argument beside it (``offset`` None). ``flags`` are empty where it is no mask."""

    name: str
    offset: int | None
    size: int
    since: str
    flags: tuple[Flag, ...] = ()
    note: str | None = None

    @property
    def end(self) -> int:
        """Where the field ends in the struct; 0 for what is not in it."""
        return 0 if self.offset is None else self.offset + self.size

    @property
    def bits(self) -> int:
        return 8 * self.size


class FieldFacts(NamedTuple):
    """What a declared structure does not say of one of its fields."""

    since: str
    flags: tuple[Flag, ...] = ()
    note: str | None = None


def fields(layout: tuple[StructField, ...], since: str, facts: Mapping[str, FieldFacts | str]) -> tuple[Field, ...]:
    """The fields of a struct as declared in native/, padding left out.

    ``facts`` are by field name; a string is only the release that brought the field. A field that is not among them
    came with ``since``.
    """
    result = []
    for place in layout:
        if place.name.startswith("__") or place.name.endswith("_pad"):
            continue
        fact = facts.get(place.name, since)
        if isinstance(fact, str):
            fact = FieldFacts(fact)
        result.append(Field(place.name, place.offset, place.size, fact.since, fact.flags, fact.note))
    return tuple(result)


def flags_since(since: str, values: Mapping[str, int]) -> tuple[Flag, ...]:
    """Flags by name that came with one release."""
    return tuple(Flag(name, value, since) for name, value in values.items())


class Size(NamedTuple):
    """sizeof the struct as the kernel has it, in bytes, and how that was found out; None where it was not."""

    value: int | None = None
    method: ProbeMethod | None = None
    reason: str | None = None


class FlagResult(NamedTuple):
    """What one bit is worth. ``errno`` is the deciding answer's, None where no call decided."""

    accepted: Support
    method: ProbeMethod | None = None
    errno: int | None = None
    note: str | None = None
    in_mask: Support = Support.UNKNOWN


class FlagReport(NamedTuple):
    """One flag and its two answers; ``since`` is None for a bit without a name."""

    name: str
    value: int
    since: str | None
    result: FlagResult
    always_refused: bool = False


class FieldReport(NamedTuple):
    """One field: is it in the kernel's struct, which bits of it are good."""

    name: str
    offset: int | None
    size: int
    since: str | None
    present: Support
    mask: int | None
    mask_method: ProbeMethod | None
    note: str | None
    flags: tuple[FlagReport, ...] = ()


class SyscallReport(NamedTuple):
    """All that was found out about one system call."""

    syscall: str
    struct: str
    since: str
    reachable: Reachability
    reachable_errno: int | None
    check_fields: CheckFields
    check_fields_errno: int | None
    size: Size
    size_check_fields: int | None
    size_btf: int | None
    calls: int
    fields: tuple[FieldReport, ...]
    reasons: tuple[str, ...] = ()

    @property
    def sizes_agree(self) -> bool | None:
        """Whether all witnesses of the size say the same; None with fewer than two of them."""
        sizes = [size for size in (self.size.value, self.size_check_fields, self.size_btf) if size is not None]
        return None if len(sizes) < 2 else len(set(sizes)) == 1
