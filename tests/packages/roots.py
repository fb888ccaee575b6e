# SPDX-License-Identifier: GPL-2.0-or-later
"""Clean roots of Debian releases, each test's own, from the mirror that this machine uses.

A root is an overlay over what debootstrap made. It is mounted anew for each command, in a mount namespace of that
command's own, and so is everything in it: mounts and processes end with the command, however that ends.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kprobe_tool.lab.mirror import KEYRING, derive_mirror, machine_sources

SUITES = ("bookworm", "trixie")
TIME_LIMIT = 1800
FAKE_DEVICES = "null zero full random urandom tty"

MOUNT = f"""
mount -t overlay overlay -o lowerdir="$1/base,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount -t sysfs -o ro sysfs "$1/root/sys"
mount -t tmpfs -o mode=755 tmpfs "$1/root/dev"
for device in {FAKE_DEVICES}; do
    touch "$1/root/dev/$device"
    mount --bind "/dev/$device" "$1/root/dev/$device"
done
ln -s /proc/self/fd "$1/root/dev/fd"
mkdir "$1/root/dev/shm" "$1/root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$1/root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/root/dev/pts"
ln -s pts/ptmx "$1/root/dev/ptmx"
"""
NAMESPACES = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--ipc")


def bootstrap(suite: str, directory: Path) -> None:
    """What a minimal installation of a suite has, able to install more."""
    mirror = derive_mirror(machine_sources())
    command = [
        *NAMESPACES,
        "debootstrap",
        "--variant=minbase",
        f"--keyring={KEYRING}",
        suite,
        str(directory),
        mirror.main,
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIME_LIMIT)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    apt = directory / "etc" / "apt"
    suites = [(mirror.main, suite), (mirror.main, f"{suite}-updates")]
    suites += [(mirror.security, f"{suite}-security")] if mirror.security else []
    lines = [f"deb {uri} {name} main\n" for uri, name in suites]
    (apt / "sources.list").write_text("".join(lines), encoding="utf-8")
    # A proxy, or a clock that is not today's.
    settings = subprocess.run(["apt-config", "dump", "Acquire"], check=True, capture_output=True, text=True).stdout
    kept = re.findall(r'^Acquire::(?!IndexTargets)\S+ "[^"]+";\n', settings, re.MULTILINE)
    (apt / "apt.conf.d" / "machine").write_text("".join(kept), encoding="utf-8")
    shutil.copyfile("/etc/resolv.conf", directory / "etc" / "resolv.conf")
    command = [*NAMESPACES, "chroot", str(directory), "apt-get", "-q", "update"]
    subprocess.run(command, check=True, capture_output=True, timeout=TIME_LIMIT)


@dataclass(frozen=True)
class Root:
    """A clean root, below a directory with ``base`` in it."""

    suite: str
    directory: Path

    def beside(self, script: str) -> str:
        """What a shell script on this machine prints, for which the root is mounted at $1/root; it must succeed."""
        command = [*NAMESPACES, "sh", "-euc", MOUNT + script, "sh", str(self.directory)]
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIME_LIMIT,
        )
        print(f"--- {self.suite}: {script.strip()}\n{done.stdout}")
        assert done.returncode == 0, f"exit code {done.returncode}: {script}\n{done.stdout[-3000:]}"
        return done.stdout

    def inside(self, script: str, user: str = "root") -> str:
        """What a shell script in the root prints; it must succeed."""
        file = self.directory / "upper" / "script.sh"
        file.write_text(f"set -eux\n{script}\n", encoding="utf-8")
        file.chmod(0o755)
        home = "/root" if user == "root" else "/home/user"
        path = f"{home}/.local/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        shell = f"env -i HOME={home} PATH={path} LC_ALL=C.UTF-8 TERM=dumb DEBIAN_FRONTEND=noninteractive"
        return self.beside(f'chroot "$1/root" {shell} runuser -u {user} -- sh /script.sh')

    def receive(self, *files: Path) -> None:
        """Copies of files, in the root's /packages."""
        into = self.directory / "upper" / "packages"
        into.mkdir(exist_ok=True)
        into.chmod(0o755)
        for file in files:
            copy = shutil.copytree if file.is_dir() else shutil.copy
            copy(file, into / file.name)


def new_root(suite: str, base: Path, directory: Path) -> Root:
    for name in ("upper", "work", "root"):
        (directory / name).mkdir()
    # overlayfs takes the mode of the root directory from the upper one.
    (directory / "upper").chmod(0o755)
    (directory / "base").symlink_to(base)
    root = Root(suite, directory)
    root.inside("useradd --create-home user")
    return root
