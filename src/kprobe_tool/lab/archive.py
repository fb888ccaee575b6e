# SPDX-License-Identifier: GPL-2.0-or-later
"""Download and unpack Debian's kernel packages, without touching the machine's own apt state.

apt does the work (mirror, proxy, signatures, checksums) with lists, cache and sources of its own under the kernel
cache. Nothing is installed: packages are unpacked next to each other, one directory per kernel release.
"""

import errno
import fcntl
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from kprobe_tool.errors import Error
from kprobe_tool.lab.machines import OWN
from kprobe_tool.lab.mirror import KEYRING, derive_mirror, machine_sources, render_sources
from kprobe_tool.lab.offers import (
    PACKAGE,
    SOURCE_PACKAGE,
    Kernel,
    Offer,
    choose,
    choose_all,
    newest_source,
    parse_madison,
)
from kprobe_tool.lab.roles import SUITES, roles_of

LISTS_MAX_AGE = 12 * 3600
RETRY_AFTER = 3600
"""Seconds before the lists are fetched again where some of them could not be had."""
KERNEL_MAX_AGE = 30 * 24 * 3600
"""Seconds. A kernel that serves no role any more is removed when it is this old."""
APT_TIMEOUT = 900
"""Seconds. apt retries by itself; this only bounds a mirror that accepts connections and then says nothing."""
DOWNLOADS = 2
"""How many kernels are tried for a role before one that is in the cache is taken."""


def cache_directory() -> Path:
    if override := os.environ.get("KPROBE_TOOL_KERNEL_CACHE"):
        return Path(override).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).resolve() / "kprobe-tool" / "kernels"


class Archive:
    """The Debian archive as this machine's mirror has it, and the kernels already fetched from it.

    cache/RELEASE/boot/vmlinuz-RELEASE, cache/RELEASE/lib/modules/RELEASE and cache/RELEASE/offer.json for each
    kernel; cache/apt-*/ for apt.
    """

    def __init__(self, cache: Path | None = None, architecture: str = OWN) -> None:
        self.cache = cache or cache_directory()
        self.architecture = architecture
        self.roles = roles_of(architecture)
        # Checkouts that read other suites share the kernels and not the lists.
        lists = " ".join([*SUITES, *([] if architecture == "amd64" else [architecture])])
        self.apt = self.cache / f"apt-{zlib.crc32(lists.encode()):08x}"
        self.problems: list[str] = []
        self._partial: Path | None = None

    def kernels(self) -> list[Kernel]:
        """One kernel per role, the roles' order. Empty if neither archive nor cache have any."""
        with self.locked():
            archived = bool(self._offers())
        notes = () if archived else ("chosen among the cached kernels only",)
        return choose_all(self.offers(), notes, self.roles)

    def find(self, name: str) -> Kernel:
        """The kernel that serves a role, or of a release that the archive or the cache has. Raises Error."""
        kernels = self.kernels()
        for kernel in kernels:
            if name == kernel.release or name in kernel.roles:
                return kernel
        for offer in self.offers():
            if name == offer.release:
                return Kernel(offer.release, offer.version, offer.suite, ("none",))
        there_are = ", ".join([*(role.name for role in self.roles), *(kernel.release for kernel in kernels)])
        raise Error(name, "the lab has no such kernel", hint=f"there are {there_are}")

    def offers(self) -> list[Offer]:
        """All that can be had, from the archive or the cache, where a kernel outlives its package."""
        with self.locked():
            offers = self._offers()
        return offers + [o for o in self.cached_offers() if o not in offers]

    def cached_offers(self) -> list[Offer]:
        offers = []
        for path in sorted(self.cache.glob(f"*-{self.architecture}/offer.json")):
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
        """Download and unpack the kernel unless it is there already."""
        with self.locked():
            if self.is_cached(kernel):
                return
            offer = next(
                (o for o in self._offers() if (o.release, o.version) == (kernel.release, kernel.version)), None
            )
            if offer is None:
                raise Error(kernel.release, f"neither the archive nor the cache has {kernel.version}")
            with self.partial_directory() as tmp:
                try:
                    self._unpack(offer, tmp)
                except Error:
                    # Perhaps a newer package has taken its place: look again next time.
                    os.utime(self.apt / "offers.json", (0, 0))
                    raise
                target = self.directory(kernel)
                if target.exists():
                    shutil.rmtree(target)
                (tmp / "kernel").rename(target)
            # Only now: where no new kernel can be had, the old ones still serve.
            self._prune()

    def fetch_source(self) -> tuple[str, Path]:
        """(version, directory) of the newest kernel source, downloaded and unpacked unless it is there already.

        The directory holds what the package linux-source-X.Y has. Older sources are removed.
        """
        with self.locked():
            self._offers()
            names = [n for n in self._apt_cache("pkgnames", "linux-source-").split() if SOURCE_PACKAGE.fullmatch(n)]
            newest = newest_source(self._apt_cache("madison", *names)) if names else None
            if newest is None:
                raise Error("the kernel's source", "; ".join(["no package has it", *self.problems]))
            package, version = newest
            target = self.cache / "sources" / version
            if not target.exists():
                shutil.rmtree(target.parent, ignore_errors=True)
                target.parent.mkdir(parents=True)
                with self.partial_directory() as tmp:
                    self._apt_get("download", f"{package}={version}", cwd=tmp)
                    (deb,) = tmp.glob("*.deb")
                    self.unpack(deb, tmp / "unpacked")
                    (tmp / "unpacked").rename(target)
            return version, target

    def abandon(self) -> None:
        """Remove what a download in another thread has written so far: the process is about to end."""
        if self._partial is not None:
            shutil.rmtree(self._partial, ignore_errors=True)

    def fetch_best(self, kernel: Kernel, taken: Iterable[str] = ()) -> Kernel:
        """Fetch the kernel, or the next best of its series where the mirror lists a kernel that it does not have.

        Not one of the releases that are ``taken``. Raises Error if there is no other.
        """
        (role,) = (role for role in self.roles if role.name == kernel.role)
        wanted, tried = kernel, set(taken)
        for attempt in itertools.count(1):
            try:
                self.fetch(kernel)
            except Error as e:
                tried.add(kernel.release)
                # A mirror that is not there at all is not asked for kernel after kernel.
                among = self.offers() if attempt < DOWNLOADS else self.cached_offers()
                choice = choose(role, [o for o in among if o.release not in tried])
                if choice is None or not choice.exact:
                    raise
                offer = choice.offer
                note = f"{kernel.release} could not be had ({e}); this is the next best"
                kernel = Kernel(offer.release, offer.version, offer.suite, wanted.roles, (*kernel.notes, note))
            else:
                break
        return kernel

    def _prune(self) -> None:
        chosen = choose_all(self._offers(), roles=self.roles)
        wanted = {k.release for k in chosen}
        for path in self.cache.glob(f"*-{self.architecture}/offer.json"):
            release = path.parent.name
            is_wanted = release in wanted or any(role.is_pinned(release) for role in self.roles)
            if not is_wanted and time.time() - path.stat().st_mtime > KERNEL_MAX_AGE:
                shutil.rmtree(path.parent)

    def _unpack(self, offer: Offer, tmp: Path) -> None:
        self._apt_get("download", *(f"{p}={offer.version}" for p in offer.packages), cwd=tmp)
        unpacked = tmp / "unpacked"
        for deb in sorted(tmp.glob("*.deb")):
            self.unpack(deb, unpacked)
        modules = _first_path(unpacked / "lib/modules" / offer.release, unpacked / "usr/lib/modules" / offer.release)
        image = _first_path(unpacked / "boot" / f"vmlinuz-{offer.release}", modules / "vmlinuz")

        kernel = tmp / "kernel"
        (kernel / "boot").mkdir(parents=True)
        (kernel / "lib/modules").mkdir(parents=True)
        # The image first: it may be in the directory of the modules, which is moved next.
        image.rename(kernel / "boot" / f"vmlinuz-{offer.release}")
        modules.rename(kernel / "lib/modules" / offer.release)
        # depmod warns about missing modules.builtin and modules.order, which the newest packages do not have.
        _run([_tool("depmod"), "-b", str(kernel), offer.release])
        (kernel / "offer.json").write_text(json.dumps(asdict(offer)), encoding="utf-8")

    def unpack(self, package: Path, directory: Path) -> None:
        _run(["dpkg-deb", "-x", str(package), str(directory)])

    def download_with_dependencies(self, suite: str, packages: Iterable[str]) -> list[Path]:
        """Packages of a suite and what they depend on, whatever is installed here. To be called while locked."""
        self._offers()
        archives = self.apt / "cache/archives"
        for stale in archives.glob("*.deb"):
            stale.unlink()
        options = ["-y", "--download-only", "--no-install-recommends", f"-oAPT::Default-Release={suite}"]
        self._apt_get("install", *options, "?essential", *packages)
        return sorted(archives.glob("*.deb"))

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
            except Error as e:
                self.problems.append(str(e))
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        return [Offer(**{**o, "packages": tuple(o["packages"])}) for o in data]

    def _refresh(self, path: Path) -> None:
        if not KEYRING.exists():
            raise Error(str(KEYRING), errno=errno.ENOENT, hint="install debian-archive-keyring")
        for tool in ("apt-get", "apt-cache", "dpkg", "dpkg-deb"):
            _tool(tool)
        (self.apt / "lists/partial").mkdir(parents=True, exist_ok=True)
        (self.apt / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
        (self.apt / "sources.list.d").mkdir(exist_ok=True)
        mirror = derive_mirror(machine_sources())
        (self.apt / "kernels.sources").write_text(
            render_sources(mirror, architecture=self.architecture), encoding="utf-8"
        )
        try:
            # A list that could not be had is an error, not a warning.
            self._apt_get("update", "-q", "-oAPT::Update::Error-Mode=any")
        except Error as e:
            # One suite that fails (a mirror without security, a suite moved to the attic) costs only its kernels.
            self.problems.append(str(e))
        names = self._apt_cache("pkgnames", "linux-").split()
        kernels = sorted(n for n in names if (m := PACKAGE.fullmatch(n)) and m[2] == self.architecture)
        offers = parse_madison(self._apt_cache("madison", *kernels)) if kernels else []
        if not offers:
            raise Error("the mirror's package lists", "no kernel in them")
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
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
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
    def partial_directory(self) -> Iterator[Path]:
        """A directory for one download, removed at the end, as are those that killed processes left behind.

        The caller holds the lock, so nobody else downloads at the same time.
        """
        for stale in self.cache.glob(".fetch-*"):
            shutil.rmtree(stale, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=self.cache, ignore_cleanup_errors=True) as name:
            self._partial = Path(name)
            try:
                yield self._partial
            finally:
                self._partial = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        self.cache.mkdir(parents=True, exist_ok=True)
        with open(self.cache / "lock", "w") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            yield


def _first_path(*paths: Path) -> Path:
    for path in paths:
        if path.exists():
            return path
    raise Error("the package", f"no {' nor '.join(p.name for p in paths)} in it")


def _tool(name: str) -> str:
    # The sbin directories are not on everybody's PATH.
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if path is None:
        raise Error(name, "not installed")
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
        raise Error(Path(argv[0]).name, what.removeprefix("E: ")) from e
    except subprocess.TimeoutExpired as e:
        raise Error(Path(argv[0]).name, f"no answer within {APT_TIMEOUT} s") from e
    except FileNotFoundError as e:
        raise Error(argv[0], "not installed") from e
    return done.stdout
