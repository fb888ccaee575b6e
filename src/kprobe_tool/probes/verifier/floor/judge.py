# SPDX-License-Identifier: GPL-2.0-or-later
"""The oldest kernel that has all of it, from what an object uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kprobe_tool import files
from kprobe_tool.errors import Error
from kprobe_tool.probes.verifier.floor import features, table
from kprobe_tool.probes.verifier.floor.uses import ObjectUses, ProgramUses, Stage, Use, gather

FILE_MAX = 256 << 20


@dataclass(frozen=True)
class Oldest:
    """The first release that has all that the tables know of; None where nothing is asked of a kernel.

    ``forced`` are the uses that no older one has. Of those in ``unknown`` the tables do not know when they came, or
    only by which release: then the true one may be newer, or older.
    """

    release: str | None
    forced: tuple[Use, ...]
    unknown: tuple[Use, ...]

    @property
    def exact(self) -> bool:
        return not self.unknown


@dataclass(frozen=True)
class Licence:
    """What an object declares, and what of it only a licence that is compatible with the GPL may use."""

    declared: str | None
    needs_gpl: tuple[Use, ...]

    @property
    def compatible(self) -> bool:
        return self.declared in features.GPL_COMPATIBLE


@dataclass(frozen=True)
class ProgramFloor:
    """One program: the oldest kernel that can load it alone, with the maps of its object, and attach it."""

    program: ProgramUses
    load: Oldest
    attach: Oldest


@dataclass(frozen=True)
class Floor:
    """An object: what it uses, newest first, and the oldest kernel for all of its programs."""

    path: str
    load: Oldest
    attach: Oldest
    licence: Licence
    programs: tuple[ProgramFloor, ...]
    uses: tuple[Use, ...]


def number(release: str) -> tuple[int, ...]:
    """Of ``5.10`` or ``5.10.262-amd64``, to compare: the first two parts."""
    return tuple(int(part) for part in release.partition("-")[0].split(".")[:2])


def age(use: Use) -> tuple[int, ...]:
    """A key to sort by: what is not known counts as newest."""
    return (99,) if use.since is None else number(use.since[0])


def oldest(uses: Iterable[Use], stages: Sequence[Stage]) -> Oldest:
    wanted = [use for use in uses if use.stage in stages]
    dated = [use for use in wanted if use.since is not None]
    newest = max(map(age, dated), default=None)
    forced = tuple(sorted((use for use in dated if age(use) == newest), key=lambda use: (use.kind, use.name)))
    release = None if not forced or forced[0].since is None else forced[0].since[0]
    unknown = [use for use in wanted if use.since is None or (use.since[2] is not None and use in forced)]
    return Oldest(release, forced, tuple(sorted(unknown, key=lambda use: (use.kind, use.name))))


def oldest_to_load(uses: Iterable[Use]) -> Oldest:
    return oldest(uses, (Stage.LOAD,))


def oldest_to_attach(uses: Iterable[Use]) -> Oldest:
    return oldest(uses, (Stage.LOAD, Stage.ATTACH))


def needs_gpl(use: Use) -> bool:
    return (
        (use.kind == "helper" and use.name in table.GPL_ONLY)
        or (use.kind == "kfunc" and use.stage is Stage.LOAD)
        or (use.kind == "program type" and use.name in features.GPL_TYPES)
    )


def floor(path: str) -> Floor:
    """What an object file needs. Raises FileError, and Error for what is no BPF object."""
    data = files.read(path, FILE_MAX)
    if not data:
        raise Error(path, "is empty")
    try:
        found = ObjectUses(data)
        programs = tuple(found.programs())
        maps = list(found.maps())
        uses = gather(programs, [*maps, *found.types()])
        licence = found.licence
    except ValueError as error:
        raise Error(path, str(error), hint="an object is what 'clang -g -O2 -target bpf -c' makes") from error
    if not programs:
        raise Error(path, "holds no BPF program")
    return Floor(
        path,
        oldest_to_load(uses),
        oldest_to_attach(uses),
        Licence(licence, tuple(sorted(filter(needs_gpl, uses), key=lambda use: (use.kind, use.name)))),
        tuple(
            ProgramFloor(program, oldest_to_load([*program.uses, *maps]), oldest_to_attach([*program.uses, *maps]))
            for program in programs
        ),
        tuple(sorted(uses, key=lambda use: (tuple(-part for part in age(use)), use.kind, use.name))),
    )
