# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known beforehand (data), and what was found out (records)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from kprobe_tool.native.records import Place


class Reach(StrEnum):
    """Whether our calls reach the kernel's implementation."""

    YES = "yes"
    BLOCKED = "blocked"
    ABSENT = "absent"
    UNKNOWN = "unknown"


class Support(StrEnum):
    """Whether the kernel answers CHECK_FIELDS."""

    YES = "yes"
    NO = "no"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


class Taken(StrEnum):
    """What the kernel does with a bit: takes it, refuses it, lets it pass without a meaning."""

    YES = "yes"
    NO = "no"
    IGNORED = "ignored"
    UNKNOWN = "unknown"


class Method(StrEnum):
    """How an answer was reached."""

    CHECK_FIELDS = "check-fields"
    PROBE = "probe"
    SIZE = "size"
    SELF = "self-described"
    PROCFS = "procfs"
    E2BIG = "e2big"
    WRITE_BACK = "write-back"


@dataclass(frozen=True)
class Flag:
    """A named bit (or value) of a field, and the release that brought it.

    ``company`` are further bits of the same field to try it with: some are refused alone. ``never`` marks a bit that
    is in the mask of kernels which refuse it all the same.
    """

    name: str
    value: int
    since: str
    company: tuple[int, ...] = ()
    never: bool = False


@dataclass(frozen=True)
class Field:
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


def fields(layout: tuple[Place, ...], since: str, known: Mapping[str, Field | str]) -> tuple[Field, ...]:
    """The fields of a struct as declared in native/, with what ``known`` says of some of them.

    A string there is only the release that brought the field; a Field's offset and size are taken from ``layout``.
    Padding is no field.
    """
    result = []
    for place in layout:
        if place.name.startswith("__") or place.name.endswith("_pad"):
            continue
        fact = known.get(place.name, since)
        if isinstance(fact, str):
            result.append(Field(place.name, place.offset, place.size, fact))
        else:
            result.append(Field(place.name, place.offset, place.size, fact.since, fact.flags, fact.note))
    return tuple(result)


def known(since: str, flags: Mapping[str, int] | tuple[Flag, ...] = (), note: str | None = None) -> Field:
    """What is known of one field of a layout; a mapping of flags came in the same release as the field."""
    if isinstance(flags, Mapping):
        flags = tuple(Flag(name, value, since) for name, value in flags.items())
    return Field("", None, 0, since, flags, note)


@dataclass(frozen=True)
class Size:
    """sizeof the struct as the kernel has it, in bytes, and how that was found out; None where it was not."""

    value: int | None = None
    method: Method | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What one bit is worth. ``errno`` is the deciding answer's, None where no call decided."""

    accepted: Taken
    method: Method | None = None
    errno: int | None = None
    note: str | None = None
    in_mask: Taken = Taken.UNKNOWN


@dataclass(frozen=True)
class FlagReport:
    """One flag and its two answers; ``since`` is None for a bit without a name."""

    name: str
    value: int
    since: str | None
    verdict: Verdict
    never: bool = False


@dataclass(frozen=True)
class FieldReport:
    """One field: is it in the kernel's struct, which bits of it are good."""

    name: str
    offset: int | None
    size: int
    since: str | None
    present: Taken
    mask: int | None
    mask_method: Method | None
    note: str | None
    flags: tuple[FlagReport, ...] = ()


@dataclass(frozen=True)
class Report:
    """All that was found out about one system call."""

    syscall: str
    struct: str
    since: str
    reachable: Reach
    reachable_errno: int | None
    check_fields: Support
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
        said = [size for size in (self.size.value, self.size_check_fields, self.size_btf) if size is not None]
        return None if len(said) < 2 else len(set(said)) == 1
