# SPDX-License-Identifier: GPL-2.0-or-later
"""What was found out, against the release, against what a script requires, and against another host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kprobe_tool.probes.extensible_structs.model import FlagReport, ProbeMethod, Reachability, Support, SyscallReport

T = TypeVar("T")
Version = tuple[int, ...]


def version(text: str) -> Version:
    """The numbers a release begins with: 6.12.43+deb12-amd64 is (6, 12, 43)."""
    match = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


@dataclass(frozen=True)
class Level:
    """The newest release that one of the accepted flags came with, and how that fits what uname(2) says.

    ``beyond`` are accepted flags of later releases, ``missing`` those of this or earlier ones that are refused though
    nothing in the kernel's configuration explains it. Both are ``SYSCALL.FIELD.FLAG``.
    """

    release: str
    level: str | None
    beyond: tuple[str, ...]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        if self.level is None:
            return f"{self.release}, and no flag tells its level"
        if self.beyond:
            return f"{self.release} with features up to {self.level}: backports"
        if self.missing:
            return f"{self.release} without some of its features: {', '.join(self.missing)}"
        return f"{self.release} with features up to {self.level}"


def named_flags(reports: Sequence[SyscallReport]) -> Iterator[tuple[str, FlagReport, str]]:
    """(SYSCALL.FIELD.FLAG, its report, its release) of each flag that has a name and could be asked for."""
    for report in reports:
        if report.reachable is not Reachability.YES:
            continue
        for field in report.fields:
            for flag in field.flags:
                if flag.since is not None:
                    yield f"{report.syscall}.{field.name}.{flag.name}", flag, flag.since


def level(reports: Sequence[SyscallReport], release: str) -> Level:
    """The feature level of the kernel that gave these reports and calls itself ``release``."""
    own = version(release)[:2]
    newest: Version = ()
    newest_name = None
    beyond, missing = [], []
    for name, flag, since in named_flags(reports):
        came = version(since)
        if flag.result.accepted is Support.YES:
            if came > newest:
                newest, newest_name = came, since
            if came[:2] > own:
                beyond.append(name)
        elif flag.result.accepted is Support.NO and came[:2] <= own and not not_a_matter_of_age(flag):
            missing.append(name)
    return Level(".".join(map(str, own)), newest_name, tuple(beyond), tuple(missing))


def not_a_matter_of_age(flag: FlagReport) -> bool:
    """Whether a refusal says nothing about the kernel's age: a bit always refused, or one it knows and cannot do."""
    return flag.always_refused or flag.result.method is ProbeMethod.PROCFS or flag.result.in_mask is Support.YES


@dataclass(frozen=True)
class Required:
    """What became of one required name."""

    name: str
    taken: Support
    reason: str | None = None


def names(report: SyscallReport) -> Iterator[str]:
    """All that can be required of a system call: fields, flags, and FIELD.FLAG for flags of several fields."""
    for field in report.fields:
        yield field.name
        for flag in field.flags:
            yield flag.name
            yield f"{field.name}.{flag.name}"


def require(report: SyscallReport, name: str) -> Required:
    """Whether the kernel takes a flag or has a field. Raises KeyError for a name that is neither.

    A flag of several fields is looked up in the first of them. Where no probe could tell, a bit of the kernel's own
    mask counts, except for those that are in masks and refused all the same.
    """
    flag = find_flag(report, name)
    present = next((field.present for field in report.fields if field.name == name), None)
    if flag is None and present is None:
        raise KeyError(name)
    if report.reachable in {Reachability.BLOCKED, Reachability.UNKNOWN}:
        return Required(name, Support.UNKNOWN, "; ".join(report.reasons) or report.reachable.value)
    if flag is None:
        return Required(name, present or Support.UNKNOWN)
    result = flag.result
    if result.accepted is not Support.UNKNOWN:
        return Required(name, result.accepted, result.note)
    if result.in_mask is Support.NO:
        return Required(name, Support.NO, "not in the kernel's mask")
    if result.in_mask is Support.YES and not flag.always_refused:
        return Required(name, Support.YES, "by the kernel's mask")
    return Required(name, Support.UNKNOWN, result.note or "; ".join(report.reasons) or None)


def find_flag(report: SyscallReport, name: str) -> FlagReport | None:
    for field in report.fields:
        for flag in field.flags:
            if name in {flag.name, f"{field.name}.{flag.name}"}:
                return flag
    return None


def overall(required: Sequence[Required]) -> Support:
    """The result on all of them: no where one is refused or ignored, else unknown where one is, else yes."""
    taken = {one.taken for one in required}
    if taken & {Support.NO, Support.IGNORED}:
        return Support.NO
    return Support.UNKNOWN if Support.UNKNOWN in taken else Support.YES


@dataclass(frozen=True)
class Difference:
    """One answer that two hosts give differently; None is no answer at all. ``settled`` is False where one of them
    does not know, so that it may be no difference."""

    syscall: str
    field: str | None
    flag: str | None
    what: str
    here: object
    there: object

    @property
    def settled(self) -> bool:
        return not {"unknown", None} & {self.here, self.there}


Facts = dict[tuple[str, str | None, str | None, str], object]


def facts(rows: Sequence[Mapping[str, object]]) -> Facts:
    """All comparable answers of the ``results`` of a document. Raises ValueError when it is none of ours."""
    found: Facts = {}
    for row in rows:
        syscall = member(row, "syscall", str)
        for what in ("reachable", "check_fields", "size"):
            found[syscall, None, None, what] = row.get(what)
        for field in member(row, "fields", list):
            name = member(field, "name", str)
            for what in ("present", "mask"):
                found[syscall, name, None, what] = field.get(what)
            for flag in member(field, "flags", list):
                for what in ("in_mask", "accepted"):
                    found[syscall, name, member(flag, "name", str), what] = flag.get(what)
    return found


def member(row: object, name: str, kind: type[T]) -> T:
    """A member of a JSON object, of the type that it must have."""
    value = row.get(name) if isinstance(row, Mapping) else None
    if not isinstance(value, kind):
        raise ValueError(f"'{name}' is missing")
    return value


def differences(here: Facts, there: Facts) -> list[Difference]:
    """Where two hosts' answers differ, in the order of ``here``; what only the other one tells comes last."""
    keys = dict.fromkeys([*here, *there])
    return [Difference(*key, here.get(key), there.get(key)) for key in keys if here.get(key) != there.get(key)]
