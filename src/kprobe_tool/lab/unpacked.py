# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels of other origin than Debian's archive: a directory with an image and its modules, as packages unpack."""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kprobe_tool.errors import Error
from kprobe_tool.lab import boot
from kprobe_tool.lab.machines import MACHINES, OWN, Machine

MODULES = ("lib/modules", "usr/lib/modules")
RELEASE = re.compile(r"[0-9][0-9A-Za-z.+_~-]*")
INDEXES = ("modules.order", "modules.builtin", "modules.builtin.modinfo")
"""What depmod reads besides the modules."""
MAGIC_END = 0x300
"""Bytes of an image that are looked at."""


@dataclass(frozen=True)
class Unpacked:
    """A kernel as it was found."""

    release: str
    image: Path
    modules: Path


def find(directory: Path, architecture: str = OWN) -> Unpacked:
    """The one kernel of a directory. Raises Error."""
    subject = str(directory)
    machine = MACHINES[architecture]
    if not directory.is_dir():
        raise Error(subject, errno=errno.ENOTDIR if directory.exists() else errno.ENOENT)
    releases = {
        path.name: path
        for place in MODULES
        for path in sorted((directory / place).glob("*"))
        if path.is_dir() and RELEASE.fullmatch(path.name)
    }
    if len(releases) != 1:
        raise Error(
            subject,
            f"modules of {len(releases)} kernels below lib/modules"
            + (f": {', '.join(releases)}" if releases else ""),
            hint=f"it wants one kernel: its image ({machine.images[0]} or boot/vmlinuz-RELEASE) and "
            "lib/modules/RELEASE",
        )
    ((release, modules),) = releases.items()
    built = [directory / name for name in machine.images]
    images = [directory / "boot" / f"vmlinuz-{release}", modules / "vmlinuz", *built]
    for image in images:
        if image.is_file():
            check_image(image, machine)
            return Unpacked(release, image.resolve(), modules.resolve())
    raise Error(subject, f"no image of {release}", hint=f"it is looked for as {', '.join(map(str, images))}")


def check_image(path: Path, machine: Machine) -> None:
    """Raises Error where QEMU would start what is no kernel of a machine, and wait."""
    with open(path, "rb") as file:
        start = file.read(MAGIC_END)
    if not any(start.startswith(magic, offset) for offset, magic in machine.magic):
        raise Error(str(path), f"is no kernel image for {machine.name}", hint=f"it wants {machine.wanted}")


def stage(found: Unpacked, directory: Path) -> boot.Image:
    """The same in the lab's own layout, and no change where it is: modules are linked. Raises Error, OSError."""
    image = boot.Image(found.release, directory)
    image.vmlinuz.parent.mkdir(parents=True)
    image.modules.mkdir(parents=True)
    shutil.copyfile(found.image, image.vmlinuz)
    for path in found.modules.iterdir():
        if path.is_dir() or path.name in INDEXES:
            (image.modules / path.name).symlink_to(path)
    argv = ["depmod", "-b", str(directory), found.release]
    done = subprocess.run(argv, env=boot.environment(), capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise Error("depmod", lines[-1])
    return image
