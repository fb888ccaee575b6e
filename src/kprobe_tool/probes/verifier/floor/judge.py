# SPDX-License-Identifier: GPL-2.0-or-later
"""The oldest kernel that has everything an object uses."""

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
    """The first release that has all uses that the tables know; None where a kernel needs to have nothing.

    ``forced`` are the uses that no older release has. For those in ``unknown`` the tables have no release, or only
    one that has them and one that does not: the true answer may be newer, or older.
    """

    release: str | None
    forced: tuple[Use, ...]
    unknown: tuple[Use, ...]

    @property
    def exact(self) -> bool:
        return not self.unknown


@dataclass(frozen=True)
class Licence:
    """The licence that an object declares, and which of its uses need one that is compatible with the GPL."""

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


def parse_release(release: str) -> tuple[int, ...]:
    """The first two numbers of ``5.10`` or ``5.10.262-amd64``, to compare."""
    return tuple(int(part) for part in release.partition("-")[0].split(".")[:2])


def release_key(use: Use) -> tuple[int, ...]:
    """A key to sort by: a use that is not known counts as newest."""
    return (99,) if use.since is None else parse_release(use.since[0])


def oldest(uses: Iterable[Use], stages: Sequence[Stage]) -> Oldest:
    wanted = [use for use in uses if use.stage in stages]
    dated = [use for use in wanted if use.since is not None]
    newest = max(map(release_key, dated), default=None)
    forced = tuple(sorted((use for use in dated if release_key(use) == newest), key=lambda use: (use.kind, use.name)))
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
        tuple(sorted(uses, key=lambda use: (tuple(-part for part in release_key(use)), use.kind, use.name))),
    )
