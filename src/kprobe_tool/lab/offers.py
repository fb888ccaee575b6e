# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels that the archive offers, and which of them serves which role."""

import functools
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kprobe_tool.lab.roles import ROLES, Role


@dataclass(frozen=True)
class Offer:
    """A kernel that a suite of the archive has."""

    release: str
    version: str
    suite: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class Kernel:
    """A kernel, and what it was chosen for."""

    release: str
    version: str
    suite: str
    roles: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What is to be said where it is not quite what a role asks for, or could not be had in the usual way."""

    @property
    def role(self) -> str:
        return self.roles[0]


PACKAGE = re.compile(r"linux-(?:image|binary|modules)-(\d[0-9.]*(?:\+deb[0-9.]+)?(?:-\d+)?-(amd64|arm64|s390x))")

SOURCE_PACKAGE = re.compile(r"linux-source-\d+\.\d+")


def upstream(version: str) -> tuple[int, ...]:
    """6.12.43-1~bpo12+1 is (6, 12, 43); 7.3~rc7-1~exp1 is (7, 3)."""
    m = re.match(r"[0-9.]+", version)
    if m is None:
        raise ValueError(f"not a kernel package version: {version!r}")
    return tuple(int(part) for part in m[0].strip(".").split("."))


def is_candidate(version: str) -> bool:
    return "~rc" in version


def parse_madison(text: str) -> list[Offer]:
    """The kernels in the output of `apt-cache madison`, one per release and suite."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for line in text.splitlines():
        fields = [f.strip() for f in line.split("|")]
        if len(fields) != 3:
            continue
        m = PACKAGE.fullmatch(fields[0])
        where = fields[2].split()
        if m is None or len(where) < 2:
            continue
        release, version, suite = m[1], fields[1], where[1].partition("/")[0]
        # linux-image-6.12-amd64 of version 6.12.117 is an empty package that depends on the newest 6.12;
        # linux-image-7.3-amd64 of version 7.3~rc7 is a kernel.
        short = re.fullmatch(r"(\d+\.\d+)-(?:amd64|arm64|s390x)", release)
        if short is not None and upstream(version) != upstream(short[1]):
            continue
        found.setdefault((release, version, suite), set()).add(fields[0])
    # Up to 6.18 the image has it all. After that it is empty where there is a binary package, and binary and modules
    # are needed both; the archive keeps the binary of old releases for longer than their modules.
    return [
        Offer(release, version, suite, tuple(sorted(packages)))
        for (release, version, suite), packages in found.items()
        if {f"linux-{part}-{release}" for part in ("binary", "modules")} <= packages
        or packages == {f"linux-image-{release}"}
    ]


@functools.cache
def _is_less(a: str, b: str) -> bool:
    return subprocess.run(["dpkg", "--compare-versions", a, "lt", b], check=False).returncode == 0


def by_version(a: Offer, b: Offer) -> int:
    if a.version == b.version:
        return 0
    if upstream(a.version) != upstream(b.version):
        return -1 if upstream(a.version) < upstream(b.version) else 1
    # A release and its candidates, or a package that was built again.
    return -1 if _is_less(a.version, b.version) else 1


def newest_source(text: str) -> tuple[str, str] | None:
    """(package, version) of the newest source in the output of `apt-cache madison`, candidates included."""
    found = []
    for line in text.splitlines():
        fields = [f.strip() for f in line.split("|")]
        if len(fields) == 3 and SOURCE_PACKAGE.fullmatch(fields[0]):
            found.append(Offer(fields[0], fields[1], "", ()))
    newest = max(found, key=functools.cmp_to_key(by_version), default=None)
    return (newest.release, newest.version) if newest is not None else None


@dataclass(frozen=True)
class Choice:
    """What serves a role, and what is to be said about it where it is not what the role asks for."""

    offer: Offer
    note: str = ""
    exact: bool = True
    """Whether it is of the series that the role asks for."""


def series_between(release: tuple[int, ...], series: tuple[int, ...]) -> int:
    """How far a release is from a series, in series; as if every major version had a hundred of them."""
    return abs(sum((have - wanted) * unit for have, wanted, unit in zip(release, series, (100, 1), strict=False)))


def choose(role: Role, offers: Iterable[Offer], taken: Iterable[Offer] = ()) -> Choice | None:
    """What serves the role best. What other roles have ``taken`` serves it only if nothing else is left.

    After that, in this order: the pinned release; the role's series, or the nearest; its suites; for a role that asks
    for no series, one that is not taken; the newest (or oldest).
    """
    releases = {o.release for o in taken}
    series = {upstream(o.version)[:2] for o in taken}
    eligible = [o for o in offers if role.candidates or not is_candidate(o.version) or role.is_pinned(o.release)]
    if not eligible:
        return None

    def distance(offer: Offer) -> int:
        return series_between(upstream(offer.version), role.series)

    def rank(offer: Offer) -> tuple[bool, bool, int, bool, bool]:
        return (
            offer.release in releases,
            not role.is_pinned(offer.release),
            distance(offer),
            not role.series and upstream(offer.version)[:2] in series,
            bool(role.suites) and offer.suite not in role.suites,
        )

    best_rank = min(rank(o) for o in eligible)
    extreme = max if role.pick == "newest" else min
    best = extreme((o for o in eligible if rank(o) == best_rank), key=functools.cmp_to_key(by_version))
    shared, unpinned, _, _, in_other_suite = best_rank
    notes = []
    exact = distance(best) == 0
    if not exact:
        notes.append(f"no {'.'.join(map(str, role.series))} offered any more; this is the nearest")
    elif role.pin is not None and unpinned:
        notes.append(f"{role.pin} is gone, and this one may have fixes that it had not")
    if in_other_suite and exact:
        notes.append(f"nothing in {', '.join(role.suites)}; taken from {best.suite}")
    if shared:
        notes.append("nothing else is left, so that it shares this one")
    return Choice(best, "; ".join(notes), exact and not shared)


def choose_all(offers: Iterable[Offer], notes: tuple[str, ...] = (), roles: Sequence[Role] = ROLES) -> list[Kernel]:
    """One kernel per release, in the order of the roles. Roles share a release only where there are too few."""
    offers = list(offers)
    choices: dict[str, Choice] = {}
    # Who is content with the next best must not take from another role what only that one asks for.
    for exact in (True, False):
        for role in sorted(roles, key=lambda role: role.precedence):
            if role.name in choices:
                continue
            choice = choose(role, offers, [c.offer for c in choices.values()])
            if choice is not None and (choice.exact or not exact):
                choices[role.name] = choice
    kernels: dict[str, Kernel] = {}
    # A shared kernel is called after the role that asked for it.
    names = [role.name for role in roles if role.name in choices]
    for name in sorted(names, key=lambda name: not choices[name].exact):
        choice = choices[name]
        offer = choice.offer
        note = (f"{name}: {choice.note}",) if choice.note else ()
        old = kernels.get(offer.release)
        if old is None:
            kernels[offer.release] = Kernel(offer.release, offer.version, offer.suite, (name,), notes + note)
        else:
            kernels[offer.release] = replace(old, roles=(*old.roles, name), notes=old.notes + note)
    return list(kernels.values())
