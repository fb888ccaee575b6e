# SPDX-License-Identifier: GPL-2.0-or-later
"""Where this machine gets Debian from: its own apt sources, and what apt is given for the kernels' suites."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kprobe_tool.errors import Error
from kprobe_tool.lab.machines import OWN
from kprobe_tool.lab.roles import SUITES

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class AptSource:
    """One line of the machine's apt sources: one URI and one suite."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str


def parse_one_line(text: str) -> Iterator[AptSource]:
    """The sources of a .list file."""
    for line in text.splitlines():
        entry = line.partition("#")[0].strip()
        m = re.fullmatch(r"deb\s+(?:\[([^]]*)\]\s*)?(\S+)\s+(\S+)\s*(.*)", entry)
        if m is None:
            continue
        options = dict(o.partition("=")[::2] for o in (m[1] or "").split())
        signed_by = options.get("signed-by", "")
        yield AptSource(uri=m[2], suite=m[3], components=tuple(m[4].split()), signed_by=signed_by)


def parse_deb822(text: str) -> Iterator[AptSource]:
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
                yield AptSource(
                    uri=uri,
                    suite=suite,
                    components=tuple(fields.get("components", "").split()),
                    signed_by=fields.get("signed-by", ""),
                )


def machine_sources(etc: Path = Path("/etc/apt")) -> list[AptSource]:
    sources: list[AptSource] = []
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


_CODENAME = r"(?:bullseye|bookworm|trixie|forky|duke|(?:old){0,2}stable|testing|unstable|sid)"


def derive_mirror(sources: Iterable[AptSource]) -> Mirror:
    """Where the machine gets Debian itself from.

    Third parties like to call their suite by Debian's codename and their component "main" as well. The keyring
    named, or else the last part of the path, tells them apart; if that was wrong, apt refuses the signature.
    """

    def is_debian(source: AptSource, path: str) -> bool:
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
        raise Error("Debian's kernels", "no Debian mirror among this machine's apt sources")
    if security is None and main.endswith("/debian"):
        # Where a mirror carries both, they are neighbours. If this one does not, its security suites stay empty.
        security = f"{main}-security"
    return Mirror(main, security)


def render_sources(mirror: Mirror, suites: Iterable[str] = SUITES, architecture: str = OWN) -> str:
    """A .sources file with all suites. Only their package lists are fetched (Targets), nothing else."""
    stanzas = []
    for suite in suites:
        uri = mirror.security if suite.endswith("-security") else mirror.main
        if uri is not None:
            stanzas.append(
                f"Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nArchitectures: {architecture}\n"
                f"Targets: Packages\nSigned-By: {KEYRING}\n"
            )
    return "\n".join(stanzas)
