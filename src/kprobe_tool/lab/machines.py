# SPDX-License-Identifier: GPL-2.0-or-later
"""The machines that kernels are for, and what Debian, Linux and QEMU call them."""

import platform
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    name: str
    """As uname(2) has it, and virtme-ng."""
    emulator: str
    package: str
    """Of the emulator, in Debian."""
    kvm: tuple[str, ...] = ()
    """What the emulator must be told to use KVM, beside the accelerator."""
    images: tuple[str, ...] = ()
    """Where a build leaves its image, and what else those who copy one call it."""
    magic: tuple[tuple[int, bytes], ...] = ()
    """Where an image that the emulator boots has which bytes: one of these."""
    wanted: str = ""
    """Such an image, in words."""


MACHINES = {
    "amd64": Machine(
        "x86_64",
        "qemu-system-x86_64",
        "qemu-system-x86",
        images=("bzImage", "vmlinuz", "arch/x86/boot/bzImage"),
        # Documentation/arch/x86/boot.rst
        magic=((0x202, b"HdrS"),),
        wanted="the bzImage, not vmlinux or its archive",
    ),
    "arm64": Machine(
        "aarch64",
        "qemu-system-aarch64",
        "qemu-system-arm",
        kvm=("-machine", "virt,gic-version=host"),
        images=("Image", "Image.gz", "vmlinuz", "arch/arm64/boot/Image", "arch/arm64/boot/Image.gz"),
        # Documentation/arch/arm64/booting.rst; RFC 1952, which QEMU takes for an image and unpacks.
        magic=((56, b"ARM\x64"), (0, b"\x1f\x8b")),
        wanted="the Image or Image.gz, not vmlinux or vmlinuz.efi",
    ),
    "s390x": Machine("s390x", "qemu-system-s390x", "qemu-system-misc"),
}
"""By Debian's name."""

BOOTING = ("amd64", "arm64")
"""Those that boot guests of their own kind, and so have kernels of all roles."""


def find_own(name: str) -> str:
    """Debian's name of a machine by uname(2)'s: of one that we know of, and else the same."""
    return next((debian for debian, machine in MACHINES.items() if machine.name == name), name)


OWN = find_own(platform.machine())
"""Debian's name of this machine."""


def architecture_of(release: str) -> str:
    """Debian's name of the machine that a kernel is for, by its release; this machine where it says none."""
    name = release.rpartition("-")[2]
    return name if name in MACHINES else OWN
