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

MODULES = ("lib/modules", "usr/lib/modules")
IMAGES = ("bzImage", "vmlinuz", "arch/x86/boot/bzImage")
RELEASE = re.compile(r"[0-9][0-9A-Za-z.+_~-]*")
INDEXES = ("modules.order", "modules.builtin", "modules.builtin.modinfo")
"""What depmod reads besides the modules."""
BOOT_MAGIC = (0x202, b"HdrS")
"""Where each image for x86 has which bytes (Documentation/arch/x86/boot.rst)."""


@dataclass(frozen=True)
class Unpacked:
    """A kernel as it was found."""

    release: str
    image: Path
    modules: Path


def find(directory: Path) -> Unpacked:
    """The one kernel of a directory. Raises Error."""
    subject = str(directory)
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
            hint="it wants one kernel: its image (bzImage or boot/vmlinuz-RELEASE) and lib/modules/RELEASE",
        )
    ((release, modules),) = releases.items()
    images = [directory / "boot" / f"vmlinuz-{release}", modules / "vmlinuz", *(directory / name for name in IMAGES)]
    for image in images:
        if image.is_file():
            check_image(image)
            return Unpacked(release, image.resolve(), modules.resolve())
    raise Error(subject, f"no image of {release}", hint=f"it is looked for as {', '.join(map(str, images))}")


def check_image(path: Path) -> None:
    """Raises Error where QEMU would start what is no kernel, and wait."""
    offset, magic = BOOT_MAGIC
    with open(path, "rb") as file:
        if file.read(offset + len(magic))[offset:] != magic:
            raise Error(str(path), "is no x86 kernel image", hint="it wants the bzImage, not vmlinux or its archive")


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
