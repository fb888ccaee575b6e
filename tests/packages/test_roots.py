# SPDX-License-Identifier: GPL-2.0-or-later
"""Each way to install, on a clean Debian 12 and 13, as root and as a user; what is printed is the transcript."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool import __version__

from . import APT, PIPX, PYZ
from .conftest import ROOT
from .roots import Root

SMOKE = ROOT / "packages"
INSTALL = "apt-get install -q -y --no-install-recommends"
BCC_HINT = "python3-bpfcc"
USERS = ("root", "user")


def one(directory: Path, pattern: str) -> Path:
    (found,) = directory.glob(pattern)
    return found


def smoke(root: Root, user: str, tool: str, *options: str) -> str:
    return root.inside(
        f"python3 /packages/packages/smoke.py --version {__version__} {' '.join(options)} {tool}", user
    )


def audit(root: Root, tool: str, user: str = "root") -> dict[str, Any]:
    """The document of an audit, by check."""
    printed = root.inside(
        f"{tool} audit --all -o json --fail-on never > /tmp/audit-{user}.json; cat /tmp/audit*", user
    )
    document = json.loads(printed[printed.index("{\n") :])
    assert isinstance(document, dict)
    return {each["id"]: each for each in document["results"]}


def test_deb_works_and_leaves_nothing(root: Root, built: Path) -> None:
    deb = one(built, "*.deb")
    root.receive(deb, SMOKE)
    root.inside(f"cd /packages && {APT} -y --no-install-recommends")
    for user in USERS:
        smoke(root, user, "kprobe-tool", "--bcc")
    assert BCC_HINT not in json.dumps(audit(root, "kprobe-tool"))
    root.inside(f"{INSTALL} man-db bash-completion")
    smoke(root, "user", "kprobe-tool", "--bcc --man /usr --completions /usr")
    root.inside("apt-get purge -q -y kprobe-tool")
    left = root.inside("find / -xdev -name '*kprobe*tool*' -not -path '/packages/*' -not -path '/proc/*'")
    assert [line for line in left.splitlines() if line.startswith("/")] == []


def test_pipx_works_and_man_finds_the_page(root: Root, built: Path, wheels: Path) -> None:
    """As a user does it, from wheels on the host's own disk. Debian 12's pipx is too old to link manual pages."""
    root.receive(one(built, "*.whl"), SMOKE, wheels)
    root.inside(f"{INSTALL} pipx python3-venv man-db python3-bpfcc")
    root.inside(f"cd /packages && PIP_NO_INDEX=1 PIP_FIND_LINKS=/packages/{wheels.name} {PIPX}", "user")
    found = root.inside("find ~/.local -type f -path '*/man1/kprobe-tool.1'", "user")
    (page,) = re.findall(r"^/home/user/.*(?=/share/man/man1/kprobe-tool.1$)", found, re.MULTILINE)
    smoke(root, "user", "kprobe-tool", f"--bcc --completions {page}")
    root.inside("kprobe-tool audit || test $? = 3", "user")
    if root.suite == "bookworm":
        assert "KPROBE-TOOL(1)" in root.inside(f"man -P cat -M {page}/share/man kprobe-tool", "user")
    else:
        smoke(root, "user", "kprobe-tool", "--man /home/user/.local")


def test_pyz_works_where_there_is_only_python(root: Root, built: Path) -> None:
    root.receive(built / "kprobe-tool.pyz", SMOKE)
    root.inside(f"{INSTALL} python3")
    root.inside("! python3 -c 'import pip' && ! python3 -c 'import click' && ! python3 -c 'import bcc'")
    root.inside(f"cd /packages && {PYZ}")
    pyz = "/packages/kprobe-tool.pyz"
    for user in USERS:
        smoke(root, user, pyz)
    root.inside(f"echo > /tmp/x.c; {pyz} verifier-log matrix /tmp/x.c 2>&1 | grep 'install a package'; rm /tmp/x.c")
    left = root.inside("ls -A /tmp /root /home/user | grep -v -e '^audit' -e '^[.]\\(bash\\|profile\\)' || true")
    assert "kprobe" not in left
    assert BCC_HINT in json.dumps(audit(root, pyz))
    root.inside(f"{INSTALL} python3-bpfcc")
    for user in USERS:
        smoke(root, user, pyz, "--bcc")
    assert BCC_HINT not in json.dumps(audit(root, pyz))


def test_lintian_is_silent(root: Root, built: Path) -> None:
    deb = one(built, "*.deb")
    root.receive(deb)
    root.inside(f"{INSTALL} lintian")
    printed = root.inside(f"lintian --display-info --pedantic --fail-on warning /packages/{deb.name}", "user")
    assert re.findall(r"^[EWIPXN]: .*", printed, re.MULTILINE) == []


def test_piuparts_is_silent(root: Root, built: Path) -> None:
    """Installs, removes and purges it, and looks what is left."""
    # It copies the root, and mounts what it needs in the copy.
    printed = root.beside(
        f'piuparts --existing-chroot="$(readlink -f "$1/base")" --tmpdir="$1" --distribution={root.suite} '
        f"--keep-sources-list --no-eatmydata {one(built, '*.deb')}"
    )
    assert "PASS: All tests." in printed
    assert re.findall(r".*(?:WARN|ERROR|FAIL):.*", printed) == []


def test_autopkgtest_passes_as_user_and_as_root(root: Root, built: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "-xzf", one(built, "*.tar.gz"), "-C", tmp_path, "--no-same-owner"], check=True)
    source = one(tmp_path, "kprobe_tool-*")
    printed = root.beside(f'autopkgtest --user=user {one(built, "*.deb")} {source} -- chroot "$1/root"')
    for name in ("as-user", "as-root"):
        assert re.search(rf"^{name} +PASS", printed, re.MULTILINE)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip and pipx install besides, so that no root asks a package index."""
    directory = tmp_path_factory.mktemp("wheels")
    names = ["pip", "setuptools", "wheel", "-r", str(ROOT / "packages" / "pins.txt")]
    command = [sys.executable, "-m", "pip", "download", "-q", "--only-binary", ":all:", "-d", str(directory)]
    subprocess.run([*command, *names[:3]], check=True)
    subprocess.run([*command, "--no-deps", *names[3:]], check=True)
    directory.chmod(0o755)
    return directory
