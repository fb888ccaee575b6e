# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts to reach with ssh: an sshd each on a loopback address, with a name, a home and users of its own.

They share this machine's kernel and files. Each sshd is in a mount and a UTS namespace, so that the name, the users
and what a host lacks are its own; nothing of it is left once it has ended.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..nobody import command_within_reach
from ..skips import skip
from . import tools

AUDITOR = 65533
"""A user without any privilege, who is on each host."""
PASSWD = """\
root:x:0:0:root:{home}/root:/bin/sh
auditor:x:{auditor}:{auditor}:auditor:{home}/auditor:/bin/sh
sshd:x:65532:65532:sshd:/run/sshd:/usr/sbin/nologin
"""
CONFIG = """\
Port {port}
ListenAddress {address}
HostKey {directory}/host-key
AuthorizedKeysFile {directory}/key.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
Subsystem sftp internal-sftp
"""
# /etc as a whole: a mount over /etc/passwd alone is gone once somebody adds a user to this machine meanwhile.
HOST = """\
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd /run/netns /run/etc /run/etc/upper /run/etc/work
cp {directory}/passwd /run/etc/upper/passwd
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work overlay /etc
{lacks}
hostname {name}
exec {sshd} -D -e -f {directory}/config
"""


@dataclass(frozen=True)
class Host:
    name: str
    address: str
    port: int
    directory: Path
    up: bool


def without_bcc() -> str:
    """A command that takes bcc from a host."""
    found = [place for place in Path("/usr/lib/python3/dist-packages").glob("bcc*") if place.is_dir()]
    return "\n".join(f"mount -t tmpfs tmpfs {shlex.quote(str(place))}" for place in found)


@contextlib.contextmanager
def hosts(directory: Path, number: int, *, down: Sequence[str], lacking_bcc: Sequence[str]) -> Iterator[list[Host]]:
    """``number`` hosts, of which those of ``down`` cannot be reached. ``directory`` is to be closed to nobody."""
    if os.geteuid() != 0:
        skip("hosts with users of their own need root")
    sshd = tools.find("sshd")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / "key"], check=True)
    found = [make(directory, index, down) for index in range(1, number + 1)]
    with contextlib.ExitStack() as stack:
        for host in found:
            if host.up:
                stack.enter_context(serving(host, sshd, without_bcc() if host.name in lacking_bcc else ""))
        for host in found:
            if host.up:
                tools.wait_until_listening(host.address, host.port, b"SSH-")
        yield found


def make(directory: Path, index: int, down: Sequence[str]) -> Host:
    """Keys, users and a configuration for a host."""
    address = f"127.0.2.{index}"
    with socket.socket() as probe:
        # The kernel hands ports out one after the other: nobody else gets this one soon.
        probe.bind((address, 0))
        port = probe.getsockname()[1]
    host = Host(f"host{index:02}", address, port, directory / f"host{index:02}", f"host{index:02}" not in down)
    for user, owner in (("root", 0), ("auditor", AUDITOR)):
        home = host.directory / user
        home.mkdir(parents=True)
        os.chown(home, owner, owner)
    (host.directory / "key.pub").write_bytes((directory / "key.pub").read_bytes())
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host.directory / "host-key"], check=True)
    (host.directory / "passwd").write_text(PASSWD.format(home=host.directory, auditor=AUDITOR))
    (host.directory / "config").write_text(CONFIG.format(address=address, port=port, directory=host.directory))
    return host


@contextlib.contextmanager
def serving(host: Host, sshd: str, lacks: str) -> Iterator[None]:
    script = HOST.format(
        directory=shlex.quote(str(host.directory)), lacks=lacks, name=host.name, sshd=shlex.quote(sshd)
    )
    with open(host.directory / "log", "wb") as log:
        server = subprocess.Popen(
            command_within_reach(["unshare", "--mount", "--uts", "sh", "-euc", script]),
            env=os.environ | {"LD_LIBRARY_PATH": tools.LIBRARIES},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        server.terminate()
        server.wait()


def inventory(hosts: Sequence[Host], key: Path, python: str, unprivileged: Sequence[str]) -> str:
    """An Ansible inventory of them."""
    lines = [
        f"{host.name} ansible_host={host.address} ansible_port={host.port} "
        f"ansible_user={'auditor' if host.name in unprivileged else 'root'}"
        for host in hosts
    ]
    return "\n".join(
        [
            "[fleet]",
            *lines,
            "[fleet:vars]",
            f"ansible_ssh_private_key_file={key}",
            f"ansible_python_interpreter={python}",
            "",
        ]
    )
