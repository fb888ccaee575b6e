# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels as distributions unpack them."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.lab import unpacked

RELEASE = "6.12.0-55.el10.x86_64"
IMAGE = bytes(0x202) + b"HdrS" + bytes(100)


def make_files(directory: Path, image: str, modules: str = "lib/modules") -> Path:
    """Make the files of a kernel. Returns the directory of its modules."""
    tree = directory / modules / RELEASE
    (tree / "kernel").mkdir(parents=True)
    (tree / "kernel" / "x.ko").write_bytes(b"")
    for name in unpacked.INDEXES:
        (tree / name).write_bytes(b"")
    path = directory / image
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(IMAGE)
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
    found = unpacked.find(tmp_path)
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


@pytest.mark.parametrize("content", [b"", b"\x7fELF" + bytes(2000)])
def test_what_is_no_image_is_an_error(tmp_path: Path, content: bytes) -> None:
    make_files(tmp_path, "bzImage")
    (tmp_path / "bzImage").write_bytes(content)
    with pytest.raises(Error, match="bzImage: is no x86 kernel image"):
        unpacked.find(tmp_path)


def test_staging_leaves_the_original_alone(tmp_path: Path) -> None:
    source = tmp_path / "source"
    tree = make_files(source, "bzImage")
    before = sorted(source.rglob("*"))
    image = unpacked.stage(unpacked.find(source), tmp_path / "staged")
    assert image.vmlinuz.read_bytes() == IMAGE
    assert (image.modules / "kernel" / "x.ko").resolve() == tree / "kernel" / "x.ko"
    assert (image.modules / "modules.dep").exists()
    assert sorted(source.rglob("*")) == before
