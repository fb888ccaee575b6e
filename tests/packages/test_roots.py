# SPDX-License-Identifier: GPL-2.0-or-later
"""Each way to install, on a clean Debian 12 and 13, as root and as a user; what is printed is the transcript."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool import __version__

from . import APT, BASH_COMPLETION, MAN_OF_OLD_PIPX, MAN_OF_UV, PIPX, PYZ, UV
from .conftest import ROOT
from .roots import Root

SMOKE = ROOT / "packages"
INSTALL = "apt-get install -q -y --no-install-recommends"
BCC_HINT = "python3-bpfcc"
USERS = ("root", "user")
NO_PAGE = "if man -w kprobe-tool; then exit 1; fi"
COMPLETES = "complete -o nosort -F _kprobe_tool_completion kprobe-tool\n"
LOAD_COMPLETION = """\
. /usr/share/bash-completion/bash_completion
_comp_load kprobe-tool 2>/dev/null || _completion_loader kprobe-tool || test $? = 124"""
"""As bash-completion does it at the first Tab, in Debian 13 and 12."""


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
    """As a user does it, from wheels on the host's own disk, with Debian's pipx, which links no completions yet.

    Debian 12's is too old to link manual pages as well.
    """
    root.receive(one(built, "*.whl"), SMOKE, wheels)
    root.inside(f"{INSTALL} pipx python3-venv man-db python3-bpfcc")
    root.inside(f"cd /packages && PIP_NO_INDEX=1 PIP_FIND_LINKS=/packages/{wheels.name} {PIPX}", "user")
    found = root.inside("find ~/.local -type f -path '*/man1/kprobe-tool.1'", "user")
    (page,) = re.findall(r"^/home/user/.*(?=/share/man/man1/kprobe-tool.1$)", found, re.MULTILINE)
    smoke(root, "user", "kprobe-tool", f"--bcc --completions {page}")
    root.inside("kprobe-tool audit || test $? = 3", "user")
    if root.suite == "bookworm":
        root.inside(f"{NO_PAGE}; {MAN_OF_OLD_PIPX}; man -w kprobe-tool; man -w ls", "user")
    else:
        smoke(root, "user", "kprobe-tool", "--man /home/user/.local")
    assert COMPLETES in root.inside(f"bash -c {shlex.quote(f'{BASH_COMPLETION}; complete -p kprobe-tool')}", "user")


def test_newest_pipx_links_pages_and_completions(root: Root, built: Path, wheels: Path, tools: Path) -> None:
    root.receive(one(built, "*.whl"), SMOKE, wheels, tools)
    root.inside(f"{INSTALL} python3-venv man-db python3-bpfcc bash-completion")
    root.inside(f"python3 -m venv /opt/pipx && /opt/pipx/bin/pip install --no-index -f /packages/{tools.name} pipx")
    options = f"PATH=/opt/pipx/bin:$PATH PIP_NO_INDEX=1 PIP_FIND_LINKS=/packages/{wheels.name}"
    root.inside(f"cd /packages && {options} {PIPX}", "user")
    smoke(root, "user", "kprobe-tool", "--bcc --man /home/user/.local --completions /home/user/.local")
    assert COMPLETES in root.inside(f"bash -c {shlex.quote(f'{LOAD_COMPLETION}; complete -p kprobe-tool')}", "user")
    left = root.inside(
        "/opt/pipx/bin/pipx uninstall kprobe-tool; find ~/.local -name '*kprobe*tool*' -not -name '.*'", "user"
    )
    assert [line for line in left.splitlines() if line.startswith("/")] == []


def test_uv_works_and_says_where_its_pages_are(root: Root, built: Path, wheels: Path, tools: Path) -> None:
    root.receive(one(built, "*.whl"), SMOKE, wheels, tools)
    root.inside(f"{INSTALL} python3-venv man-db")
    root.inside(f"python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-index -f /packages/{tools.name} uv")
    path = "export PATH=/opt/uv/bin:$PATH"
    options = f"UV_OFFLINE=1 UV_NO_INDEX=1 UV_FIND_LINKS=/packages/{wheels.name} UV_PYTHON=/usr/bin/python3"
    root.inside(f"{path}; cd /packages && {options} {UV}", "user")
    smoke(root, "user", "kprobe-tool")
    root.inside(f"{path}; {NO_PAGE}; {MAN_OF_UV}; man -w kprobe-tool; man -w ls", "user")
    assert COMPLETES in root.inside(f"bash -c {shlex.quote(f'{BASH_COMPLETION}; complete -p kprobe-tool')}", "user")


@pytest.mark.parametrize(
    ("pattern", "tool"), [("*.deb", "/usr/bin/kprobe-tool"), ("*.pyz", "/usr/local/bin/kprobe-tool")]
)
def test_ansible_role_installs_a_package(root: Root, built: Path, pattern: str, tool: str) -> None:
    """By Ansible in the root itself, once for real and again, when there is nothing left to change."""
    package = one(built, pattern)
    root.receive(package, SMOKE, ROOT / "contrib" / "ansible_collections")
    root.inside(f"{INSTALL} ansible-core")
    play = [{"hosts": "all", "gather_facts": False, "roles": ["kprobe_tool.host.audit"]}]
    (root.directory / "upper" / "packages" / "play.yml").write_text(json.dumps(play), encoding="utf-8")
    command = f"""\
cd /packages
export ANSIBLE_COLLECTIONS_PATH=/packages ANSIBLE_NOCOLOR=1
for round in 1 2; do
    ansible-playbook -i localhost, -c local -e ansible_python_interpreter=/usr/bin/python3 \
        -e audit_package=/packages/{package.name} play.yml
done
"""
    changes = [
        int(number) for number in re.findall(r"^localhost .* changed=(\d+) .* failed=0 ", root.inside(command), re.M)
    ]
    assert changes[0] > 0 and changes[1:] == [0]
    smoke(root, "user", tool)
    report = json.loads((root.directory / "upper" / "packages" / "audits" / "localhost.json").read_text())
    assert report["document"] == "audit"


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
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The newest pipx and uv, with what they need."""
    directory = tmp_path_factory.mktemp("tools")
    command = [sys.executable, "-m", "pip", "download", "-q", "--only-binary", ":all:", "-d", str(directory)]
    subprocess.run([*command, "pipx", "uv"], check=True)
    directory.chmod(0o755)
    return directory


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
