# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds, downloads and unpacks Debian's kernel packages, without touching the machine's own apt state.

apt does the work (mirror, proxy, signatures, checksums) with lists, cache and sources of its own under the kernel
cache. Nothing is installed: packages are unpacked next to each other, one directory per kernel release.
"""

import fcntl
import functools
import itertools
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from kprobe_tool.lab.roles import ROLES, SUITES, Role

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LISTS_MAX_AGE = 12 * 3600
#: Sooner, if some of them could not be had.
RETRY_AFTER = 3600
#: A kernel that serves no role any more is removed when it is this old.
KERNEL_MAX_AGE = 30 * 24 * 3600
#: apt retries by itself; this only bounds a mirror that accepts connections and then says nothing.
APT_TIMEOUT = 900
#: So many kernels are tried for a role before what is in the cache has to do.
DOWNLOADS = 2


class LabError(Exception):
    """The lab cannot run here; the text says why and, if possible, what would help."""


@dataclass(frozen=True)
class Source:
    """One line of the machine's apt sources: one URI and one suite."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str


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
    #: Set when it is not quite what a role asks for, or could not be had in the usual way.
    notes: tuple[str, ...] = ()

    @property
    def role(self) -> str:
        return self.roles[0]


# --- the machine's apt sources ---------------------------------------------------------------------------------


def parse_one_line(text: str) -> Iterator[Source]:
    """The sources of a .list file."""
    for line in text.splitlines():
        entry = line.partition("#")[0].strip()
        m = re.fullmatch(r"deb\s+(?:\[([^]]*)\]\s*)?(\S+)\s+(\S+)\s*(.*)", entry)
        if m is None:
            continue
        options = dict(o.partition("=")[::2] for o in (m[1] or "").split())
        signed_by = options.get("signed-by", "")
        yield Source(uri=m[2], suite=m[3], components=tuple(m[4].split()), signed_by=signed_by)


def parse_deb822(text: str) -> Iterator[Source]:
    """The sources of a .sources file."""
    # A comment may stand in the middle of a stanza and does not end it; only an empty line does.
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[name] = f"{fields.get(name, '')}\n{line.strip()}"
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split():
            continue
        if fields.get("enabled", "yes").lower() in ("no", "false", "without", "off", "disable", "0"):
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(
                    uri=uri,
                    suite=suite,
                    components=tuple(fields.get("components", "").split()),
                    signed_by=fields.get("signed-by", ""),
                )


def machine_sources(etc: Path = Path("/etc/apt")) -> list[Source]:
    sources: list[Source] = []
    for path in (etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))):
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".sources":
            sources += parse_deb822(text)
        elif path.suffix == ".list":
            sources += parse_one_line(text)
    return sources


@dataclass(frozen=True)
class Mirror:
    main: str
    security: str | None


_CODENAME = r"(?:bookworm|trixie|forky|duke|oldstable|stable|testing|unstable|sid)"


def derive_mirror(sources: Iterable[Source]) -> Mirror:
    """Where the machine gets Debian itself from.

    Third parties like to call their suite by Debian's codename and their component "main" as well. The keyring
    named, or else the last part of the path, tells them apart; if that was wrong, apt refuses the signature.
    """

    def is_debian(source: Source, path: str) -> bool:
        if not source.uri.startswith(("http://", "https://", "mirror+http", "file:", "copy:")):
            return False
        if "main" not in source.components:
            return False
        if source.signed_by.startswith("/"):
            return "debian-archive" in source.signed_by
        return urlsplit(source.uri).path.rstrip("/").endswith(path)

    main = security = None
    for s in sources:
        if re.fullmatch(rf"{_CODENAME}(?:-updates|-backports)?", s.suite) and is_debian(s, "/debian"):
            main = main or s.uri.rstrip("/")
        elif re.fullmatch(rf"{_CODENAME}(?:-security|/updates)", s.suite) and is_debian(s, "/debian-security"):
            security = security or s.uri.rstrip("/")
    if main is None:
        raise LabError("no Debian mirror among this machine's apt sources")
    if security is None and main.endswith("/debian"):
        # Where a mirror carries both, they are neighbours. If this one does not, its security suites stay empty.
        security = f"{main}-security"
    return Mirror(main, security)


def render_sources(mirror: Mirror, suites: Iterable[str] = SUITES) -> str:
    """A .sources file with all suites. Only their package lists are fetched (Targets), nothing else."""
    stanzas = []
    for suite in suites:
        uri = mirror.security if suite.endswith("-security") else mirror.main
        if uri is not None:
            stanzas.append(
                f"Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nArchitectures: amd64\n"
                f"Targets: Packages\nSigned-By: {KEYRING}\n"
            )
    return "\n".join(stanzas)


# --- what the archive offers, and what serves a role ------------------------------------------------------------

# Not cloud, rt, dbg or unsigned: those have more words between the version and the architecture.
_PACKAGE = re.compile(r"linux-(?:image|binary|modules)-(\d[0-9.]*(?:\+deb[0-9.]+)?(?:-\d+)?-amd64)")


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
        m = _PACKAGE.fullmatch(fields[0])
        where = fields[2].split()
        if m is None or len(where) < 2:
            continue
        release, version, suite = m[1], fields[1], where[1].partition("/")[0]
        # linux-image-6.12-amd64 of version 6.12.117 is an empty package that depends on the newest 6.12;
        # linux-image-7.3-amd64 of version 7.3~rc7 is a kernel.
        short = re.fullmatch(r"(\d+\.\d+)-amd64", release)
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


@dataclass(frozen=True)
class Choice:
    """What serves a role, and what is to be said about it where it is not what the role asks for."""

    offer: Offer
    note: str = ""
    #: False: of another series than the role asks for.
    exact: bool = True


def choose(role: Role, offers: Iterable[Offer], taken: Iterable[Offer] = ()) -> Choice | None:
    """What serves the role best. What other roles have `taken` serves it only if nothing else is left.

    After that, in this order: the pinned release; the role's series, or the nearest; its suites; for a role that asks
    for no series, one that is not taken; the newest (or oldest).
    """
    releases = {o.release for o in taken}
    series = {upstream(o.version)[:2] for o in taken}
    eligible = [o for o in offers if role.candidates or not is_candidate(o.version) or o.release == role.pin]
    if not eligible:
        return None

    def distance(offer: Offer) -> list[int]:
        have = upstream(offer.version)
        return [abs(h - w) for h, w in zip(have, role.series, strict=False)]

    def rank(offer: Offer) -> tuple[bool, bool, list[int], bool, bool]:
        return (
            offer.release in releases,
            offer.release != role.pin,
            distance(offer),
            not role.series and upstream(offer.version)[:2] in series,
            bool(role.suites) and offer.suite not in role.suites,
        )

    best_rank = min(rank(o) for o in eligible)
    extreme = max if role.pick == "newest" else min
    best = extreme((o for o in eligible if rank(o) == best_rank), key=functools.cmp_to_key(by_version))
    shared, unpinned, _far, _series, elsewhere = best_rank
    notes = []
    exact = not any(distance(best))
    if not exact:
        notes.append(f"no {'.'.join(map(str, role.series))} offered any more; this is the nearest")
    elif role.pin is not None and unpinned:
        notes.append(f"{role.pin} is gone, and this one may have fixes that it had not")
    if elsewhere and exact:
        notes.append(f"nothing in {', '.join(role.suites)}; taken from {best.suite}")
    if shared:
        notes.append("nothing else is left, so that it shares this one")
    return Choice(best, "; ".join(notes), exact and not shared)


def choose_all(offers: Iterable[Offer], notes: tuple[str, ...] = ()) -> list[Kernel]:
    """One kernel per release, in the order of the roles. Roles share a release only where there are too few."""
    offers = list(offers)
    choices: dict[str, Choice] = {}
    # Who is content with the next best must not take from another role what only that one asks for.
    for exact in (True, False):
        for role in sorted(ROLES, key=lambda role: role.precedence):
            if role.name in choices:
                continue
            choice = choose(role, offers, [c.offer for c in choices.values()])
            if choice is not None and (choice.exact or not exact):
                choices[role.name] = choice
    kernels: dict[str, Kernel] = {}
    for role in ROLES:
        if (choice := choices.get(role.name)) is None:
            continue
        offer = choice.offer
        said = (f"{role.name}: {choice.note}",) if choice.note else ()
        old = kernels.get(offer.release)
        if old is None:
            kernels[offer.release] = Kernel(offer.release, offer.version, offer.suite, (role.name,), notes + said)
        else:
            kernels[offer.release] = replace(old, roles=(*old.roles, role.name), notes=old.notes + said)
    return list(kernels.values())


# --- the cache --------------------------------------------------------------------------------------------------


def cache_directory() -> Path:
    if override := os.environ.get("KPROBE_TOOL_KERNEL_CACHE"):
        return Path(override).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).resolve() / "kprobe-tool" / "kernels"


class Archive:
    """The Debian archive as this machine's mirror has it, and the kernels already fetched from it.

    cache/RELEASE/boot/vmlinuz-RELEASE, cache/RELEASE/lib/modules/RELEASE and cache/RELEASE/offer.json for each
    kernel; cache/apt/ for apt.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self.cache = cache or cache_directory()
        self.apt = self.cache / "apt"
        self.problems: list[str] = []

    def kernels(self) -> list[Kernel]:
        """One kernel per role, the roles' order. Empty if neither archive nor cache have any."""
        with self._locked():
            archived = bool(self._offers())
        return choose_all(self.offers(), () if archived else ("chosen among the cached kernels only",))

    def offers(self) -> list[Offer]:
        """All that can be had, from the archive or the cache, where a kernel outlives its package."""
        with self._locked():
            offers = self._offers()
        return offers + [o for o in self.cached() if o not in offers]

    def cached(self) -> list[Offer]:
        offers = []
        for path in sorted(self.cache.glob("*/offer.json")):
            data = json.loads(path.read_text(encoding="utf-8"))
            offers.append(Offer(**{**data, "packages": tuple(data["packages"])}))
        return offers

    def directory(self, kernel: Kernel) -> Path:
        return self.cache / kernel.release

    def image(self, kernel: Kernel) -> Path:
        return self.directory(kernel) / "boot" / f"vmlinuz-{kernel.release}"

    def is_cached(self, kernel: Kernel) -> bool:
        try:
            data = json.loads((self.directory(kernel) / "offer.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return False
        # The same release may be built again under a new package version.
        return bool(data["version"] == kernel.version)

    def fetch(self, kernel: Kernel) -> None:
        """Downloads and unpacks the kernel unless it is there already."""
        with self._locked():
            if self.is_cached(kernel):
                return
            offer = next(
                (o for o in self._offers() if (o.release, o.version) == (kernel.release, kernel.version)), None
            )
            if offer is None:
                raise LabError(f"neither the archive nor the cache has {kernel.release} ({kernel.version})")
            self._prune()
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=self.cache) as tmp:
                try:
                    self._unpack(offer, Path(tmp))
                except LabError:
                    # Perhaps a newer package has taken its place: look again next time.
                    os.utime(self.apt / "offers.json", (0, 0))
                    raise
                target = self.directory(kernel)
                if target.exists():
                    shutil.rmtree(target)
                (Path(tmp) / "kernel").rename(target)

    def fetch_best(self, kernel: Kernel, taken: Iterable[str] = ()) -> Kernel:
        """Fetches the kernel, or the next best for its role where the mirror lists it and does not have it.

        Not one of the releases that are `taken`. Raises LabError if there is no other.
        """
        (role,) = (role for role in ROLES if role.name == kernel.role)
        wanted, tried = kernel, set(taken)
        for attempt in itertools.count(1):
            try:
                self.fetch(kernel)
            except LabError as e:
                tried.add(kernel.release)
                # A mirror that is not there at all is not asked for kernel after kernel.
                among = self.offers() if attempt < DOWNLOADS else self.cached()
                choice = choose(role, [o for o in among if o.release not in tried])
                if choice is None:
                    raise
                offer = choice.offer
                note = f"{kernel.release} could not be had ({e}); this is the next best"
                kernel = Kernel(offer.release, offer.version, offer.suite, wanted.roles, (*kernel.notes, note))
            else:
                break
        return kernel

    def _prune(self) -> None:
        wanted = {k.release for k in choose_all(self._offers())} | {role.pin for role in ROLES}
        for path in self.cache.glob("*/offer.json"):
            if path.parent.name not in wanted and time.time() - path.stat().st_mtime > KERNEL_MAX_AGE:
                shutil.rmtree(path.parent)

    def _unpack(self, offer: Offer, tmp: Path) -> None:
        self._apt_get("download", *(f"{p}={offer.version}" for p in offer.packages), cwd=tmp)
        unpacked = tmp / "unpacked"
        for deb in sorted(tmp.glob("*.deb")):
            _run(["dpkg-deb", "-x", str(deb), str(unpacked)])
        modules = _first(unpacked / "lib/modules" / offer.release, unpacked / "usr/lib/modules" / offer.release)
        image = _first(unpacked / "boot" / f"vmlinuz-{offer.release}", modules / "vmlinuz")

        kernel = tmp / "kernel"
        (kernel / "boot").mkdir(parents=True)
        (kernel / "lib/modules").mkdir(parents=True)
        # The image first: it may lie among the modules.
        image.rename(kernel / "boot" / f"vmlinuz-{offer.release}")
        modules.rename(kernel / "lib/modules" / offer.release)
        # depmod warns about missing modules.builtin and modules.order, which the newest packages do not have.
        _run([_tool("depmod"), "-b", str(kernel), offer.release])
        (kernel / "offer.json").write_text(json.dumps(asdict(offer)), encoding="utf-8")

    def _offers(self) -> list[Offer]:
        """What the archive offers; asked for at most once in LISTS_MAX_AGE."""
        path = self.apt / "offers.json"
        try:
            fresh = time.time() - path.stat().st_mtime < LISTS_MAX_AGE
        except FileNotFoundError:
            fresh = False
        if not fresh and not self.problems:
            try:
                self._refresh(path)
            except LabError as e:
                self.problems.append(str(e))
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        return [Offer(**{**o, "packages": tuple(o["packages"])}) for o in data]

    def _refresh(self, path: Path) -> None:
        if not KEYRING.exists():
            raise LabError(f"no {KEYRING} (package debian-archive-keyring)")
        for tool in ("apt-get", "apt-cache", "dpkg", "dpkg-deb"):
            _tool(tool)
        (self.apt / "lists/partial").mkdir(parents=True, exist_ok=True)
        (self.apt / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
        (self.apt / "sources.list.d").mkdir(exist_ok=True)
        mirror = derive_mirror(machine_sources())
        (self.apt / "kernels.sources").write_text(render_sources(mirror), encoding="utf-8")
        try:
            # A list that could not be had is an error, not a warning.
            self._apt_get("update", "-q", "-oAPT::Update::Error-Mode=any")
        except LabError as e:
            # One suite that fails (a mirror without security, a suite moved to the attic) costs only its kernels.
            self.problems.append(str(e))
        names = self._apt_cache("pkgnames", "linux-").split()
        kernels = sorted(n for n in names if _PACKAGE.fullmatch(n))
        offers = parse_madison(self._apt_cache("madison", *kernels)) if kernels else []
        if not offers:
            raise LabError("the mirror's package lists have no kernel")
        # Half an answer does not replace a whole one.
        if not (self.problems and path.exists()):
            new = path.with_suffix(".new")
            new.write_text(json.dumps([asdict(o) for o in offers], indent=1), encoding="utf-8")
            new.rename(path)
        if self.problems:
            then = time.time() - LISTS_MAX_AGE + RETRY_AFTER
            os.utime(path, (then, then))

    def _apt_options(self) -> list[str]:
        options = {
            "Dir::Etc::SourceList": self.apt / "kernels.sources",
            "Dir::Etc::SourceParts": self.apt / "sources.list.d",
            "Dir::State::Lists": self.apt / "lists",
            "Dir::Cache": self.apt / "cache",
            # What is installed here does not matter, and need not be Debian's.
            "Dir::State::status": "/dev/null",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
            "Acquire::http::Timeout": "30",
            "Acquire::https::Timeout": "30",
            # The cache is below a home directory, which apt's own user usually cannot enter.
            "APT::Sandbox::User": "",
        }
        return [f"-o{name}={value}" for name, value in options.items()]

    def _apt_get(self, *args: str, cwd: Path | None = None) -> str:
        return _run(["apt-get", *self._apt_options(), *args], cwd=cwd)

    def _apt_cache(self, *args: str) -> str:
        return _run(["apt-cache", *self._apt_options(), *args])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.cache.mkdir(parents=True, exist_ok=True)
        with open(self.cache / "lock", "w") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            yield


def _first(*paths: Path) -> Path:
    for path in paths:
        if path.exists():
            return path
    raise LabError(f"the package has no {' nor '.join(p.name for p in paths)}")


def _tool(name: str) -> str:
    # The sbin directories are not on everybody's PATH.
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is None:
        raise LabError(f"{name} is not installed")
    return path


def _run(argv: list[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            check=True,
            capture_output=True,
            text=True,
            timeout=APT_TIMEOUT,
            env=dict(os.environ, LC_ALL="C.UTF-8"),
            stdin=subprocess.DEVNULL,
        )
    except subprocess.CalledProcessError as e:
        lines = e.stderr.strip().splitlines() or [f"exit status {e.returncode}"]
        # The last line of apt only says that something went wrong.
        what = next((line for line in lines if line.startswith("E:")), lines[-1])
        raise LabError(f"{Path(argv[0]).name}: {what.removeprefix('E: ')}") from e
    except subprocess.TimeoutExpired as e:
        raise LabError(f"{Path(argv[0]).name}: no answer within {APT_TIMEOUT} s") from e
    except FileNotFoundError as e:
        raise LabError(f"{argv[0]} is not installed") from e
    return done.stdout
