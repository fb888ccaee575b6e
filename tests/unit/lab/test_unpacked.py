# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels as distributions unpack them."""

from __future__ import annotations

import errno
import gzip
from pathlib import Path

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.lab import unpacked

RELEASE = "6.12.0-55.el10.x86_64"
IMAGE = bytes(0x202) + b"HdrS" + bytes(100)


ARM_IMAGE = b"MZ" + bytes(54) + b"ARM\x64" + bytes(100)


def make_files(directory: Path, image: str, modules: str = "lib/modules", content: bytes = IMAGE) -> Path:
    """Make the files of a kernel. Returns the directory of its modules."""
    tree = directory / modules / RELEASE
    (tree / "kernel").mkdir(parents=True)
    (tree / "kernel" / "x.ko").write_bytes(b"")
    for name in unpacked.INDEXES:
        (tree / name).write_bytes(b"")
    path = directory / image
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return tree


@pytest.mark.parametrize(
    ("image", "modules"),
    [
        (f"boot/vmlinuz-{RELEASE}", "lib/modules"),
        (f"lib/modules/{RELEASE}/vmlinuz", "lib/modules"),
        (f"usr/lib/modules/{RELEASE}/vmlinuz", "usr/lib/modules"),
        ("bzImage", "lib/modules"),
        ("arch/x86/boot/bzImage", "lib/modules"),
    ],
)
def test_the_kernel_below_a_directory_is_found(tmp_path: Path, image: str, modules: str) -> None:
    tree = make_files(tmp_path, image, modules)
    found = unpacked.find(tmp_path, "amd64")
    assert (found.release, found.image, found.modules) == (RELEASE, tmp_path / image, tree)


def test_what_is_no_kernel_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Error) as missing:
        unpacked.find(tmp_path / "nowhere")
    assert missing.value.errno == errno.ENOENT
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Error) as file:
        unpacked.find(tmp_path / "file")
    assert file.value.errno == errno.ENOTDIR
    with pytest.raises(Error, match="modules of 0 kernels"):
        unpacked.find(tmp_path)
    (tmp_path / "lib/modules" / RELEASE).mkdir(parents=True)
    with pytest.raises(Error, match=f"no image of {RELEASE}"):
        unpacked.find(tmp_path)
    (tmp_path / "lib/modules" / "6.1.0").mkdir()
    with pytest.raises(Error, match="modules of 2 kernels"):
        unpacked.find(tmp_path)


@pytest.mark.parametrize(
    ("image", "content"), [("arch/arm64/boot/Image", ARM_IMAGE), ("Image.gz", gzip.compress(ARM_IMAGE))]
)
def test_an_arm64_has_images_of_its_own(tmp_path: Path, image: str, content: bytes) -> None:
    make_files(tmp_path, image, content=content)
    assert unpacked.find(tmp_path, "arm64").image == tmp_path / image
    with pytest.raises(Error, match=f"no image of {RELEASE}"):
        unpacked.find(tmp_path, "amd64")


@pytest.mark.parametrize(
    ("architecture", "name", "content", "said"),
    [
        ("amd64", "bzImage", b"", "bzImage: is no kernel image for x86_64"),
        ("amd64", "bzImage", b"\x7fELF" + bytes(2000), "bzImage: is no kernel image for x86_64"),
        ("amd64", "vmlinuz", ARM_IMAGE, "vmlinuz: is no kernel image for x86_64"),
        ("arm64", "vmlinuz", IMAGE, "vmlinuz: is no kernel image for aarch64"),
        # A kernel that unpacks itself, which only newer emulators know.
        ("arm64", "vmlinuz", b"MZ\0\0zimg" + bytes(1000), "vmlinuz: is no kernel image for aarch64"),
    ],
)
def test_what_is_no_image_is_an_error(
    tmp_path: Path, architecture: str, name: str, content: bytes, said: str
) -> None:
    make_files(tmp_path, name, content=content)
    with pytest.raises(Error, match=said):
        unpacked.find(tmp_path, architecture)


def test_staging_leaves_the_original_alone(tmp_path: Path) -> None:
    source = tmp_path / "source"
    tree = make_files(source, "bzImage")
    before = sorted(source.rglob("*"))
    image = unpacked.stage(unpacked.find(source, "amd64"), tmp_path / "staged")
    assert image.vmlinuz.read_bytes() == IMAGE
    assert (image.modules / "kernel" / "x.ko").resolve() == tree / "kernel" / "x.ko"
    assert (image.modules / "modules.dep").exists()
    assert sorted(source.rglob("*")) == before
