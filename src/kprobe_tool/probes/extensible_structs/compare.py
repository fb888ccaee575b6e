# SPDX-License-Identifier: GPL-2.0-or-later
"""What was found out, against the release, against what a script requires, and against another host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from kprobe_tool.probes.extensible_structs.model import FlagReport, ProbeMethod, Reachability, Support, SyscallReport

Version = tuple[int, ...]


def version(text: str) -> Version:
    """The numbers a release begins with: 6.12.43+deb12-amd64 is (6, 12, 43)."""
    match = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


class Level(NamedTuple):
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
            return "No flag tells how old this kernel's features are."
        sentences = []
        if self.beyond:
            sentences.append(f"This kernel {self.release} has features of Linux {self.level}.")
        if self.missing:
            sentences.append(f"This kernel lacks what Linux {self.release} has: {', '.join(self.missing)}.")
        return " ".join(sentences) or f"All flags asked about that Linux {self.release} has are there."


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
        elif flag.result.accepted is Support.NO and came[:2] <= own and not is_independent_of_release(flag):
            missing.append(name)
    return Level(".".join(map(str, own)), newest_name, tuple(beyond), tuple(missing))


def is_independent_of_release(flag: FlagReport) -> bool:
    """Whether a refusal says nothing about the kernel's age: a bit always refused, or one it knows and cannot do."""
    return flag.always_refused or flag.result.method is ProbeMethod.PROCFS or flag.result.in_mask is Support.YES


class Required(NamedTuple):
    """What became of one required name."""

    name: str
    support: Support
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


def combined_result(required: Sequence[Required]) -> Support:
    """The result on all of them: no where one is refused or ignored, else unknown where one is, else yes."""
    supports = {one.support for one in required}
    if supports & {Support.NO, Support.IGNORED}:
        return Support.NO
    return Support.UNKNOWN if Support.UNKNOWN in supports else Support.YES


Scalar = str | int | None


class Difference(NamedTuple):
    """One answer that two hosts give differently; None is no answer at all. ``settled`` is False where one of them
    does not know, so that it may be no difference."""

    syscall: str
    field: str | None
    flag: str | None
    what: str
    here: Scalar
    there: Scalar

    @property
    def settled(self) -> bool:
        return not UNSETTLED & {self.here, self.there}


UNSETTLED = frozenset({"unknown", "disabled", None})
"""What may be the caller's privileges and not the kernel: bpf(2) is disabled for one user and there for another."""

Facts = dict[tuple[str, str | None, str | None, str], Scalar]


def facts(rows: object) -> Facts:
    """All comparable answers of the ``results`` of a document. Raises ValueError when it is none of ours.

    A mask is comparable where the kernel tells it: one that was put together from single answers lacks the bits that
    this caller could not ask about, and those answers are compared one by one.
    """
    found: Facts = {}
    for row in objects(rows, "results"):
        syscall = text(row, "syscall")
        for what in ("reachable", "check_fields", "size"):
            found[syscall, None, None, what] = scalar(row, what)
        for field in objects(row.get("fields"), "fields"):
            name = text(field, "name")
            found[syscall, name, None, "present"] = scalar(field, "present")
            if scalar(field, "mask_method") == ProbeMethod.CHECK_FIELDS.value:
                found[syscall, name, None, "mask"] = scalar(field, "mask")
            for flag in objects(field.get("flags"), "flags"):
                for what in ("in_mask", "accepted"):
                    found[syscall, name, text(flag, "name"), what] = scalar(flag, what)
    return found


def objects(value: object, name: str) -> list[Mapping[str, object]]:
    """A list of JSON objects. Raises ValueError."""
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise ValueError(f"'{name}' is not a list of objects")
    return value


def text(row: Mapping[str, object], name: str) -> str:
    """A member that is a string. Raises ValueError."""
    value = row.get(name)
    if not isinstance(value, str):
        raise ValueError(f"'{name}' is not a string")
    return value


def scalar(row: Mapping[str, object], name: str) -> Scalar:
    """A member that is a string, a number, or null as it is where it is missing. Raises ValueError."""
    value = row.get(name)
    if not isinstance(value, Scalar):
        raise ValueError(f"'{name}' is neither a string nor a number")
    return value


def differences(here: Facts, there: Facts) -> list[Difference]:
    """Where two hosts' answers differ, in the order of ``here``; what only the other one tells comes last.

    A mask that only one of them has is none.
    """
    keys = [key for key in dict.fromkeys([*here, *there]) if key[3] != "mask" or (key in here and key in there)]
    return [Difference(*key, here.get(key), there.get(key)) for key in keys if here.get(key) != there.get(key)]
