# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian 13's libbpf and all that it needs, unpacked into a directory: python -m tests.libbpf.fetch DIRECTORY."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from kprobe_tool.lab.mirror import derive_mirror, machine_sources, render_sources

SUITE = "trixie"
PACKAGES = ("libbpf1", "libc6", "libelf1t64", "libzstd1", "zlib1g")


def fetch(directory: Path, apt: Path) -> None:
    sources = apt / "debian.sources"
    sources.write_text(render_sources(derive_mirror(machine_sources()), [SUITE]), encoding="utf-8")
    places = {"Etc::SourceList": sources, "Etc::SourceParts": "-", "State::Lists": apt / "lists", "Cache": apt}
    options = [f"-oDir::{name}={path}" for name, path in places.items()]
    for name in ("lists/partial", "archives/partial"):
        (apt / name).mkdir(parents=True)
    # What is installed here does not matter.
    options += ["-oDir::State::status=/dev/null", "-oAPT::Sandbox::User=", "-oAcquire::Languages=none"]
    for arguments in (["update"], ["download", *PACKAGES]):
        subprocess.run(["apt-get", "-q", *options, *arguments], check=True, cwd=apt)
    for package in apt.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, directory], check=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as apt:
        fetch(Path(sys.argv[1]), Path(apt))


if __name__ == "__main__":
    main()
