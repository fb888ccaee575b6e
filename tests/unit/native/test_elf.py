# SPDX-License-Identifier: GPL-2.0-or-later
"""ELF files: those that compilers make, and those that are made to be read wrongly."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from kprobe_tool.native import elf
from tests.corpus import objects

HEADER = (b"\x7fELF\x02\x01\x01", 1, elf.EM_BPF, 1, 0, 0, 64, 0, 64, 56, 0, 64)


def header(shnum: int, shstrndx: int) -> bytes:
    return struct.pack(elf.EHDR, *HEADER, shnum, shstrndx)


def section(name: int, kind: int, offset: int, size: int, link: int = 0) -> bytes:
    return struct.pack(elf.SHDR, name, kind, 0, 0, offset, size, link, 0, 0, 0)


def test_the_own_interpreter_is_of_this_machine() -> None:
    start = Path(sys.executable).read_bytes()[: elf.EHDR_SIZE]
    assert elf.machine(start) == elf.header(start).machine
    assert elf.machine(start) != elf.EM_BPF


def test_an_object_of_clang_is_read_as_readelf_does() -> None:
    if shutil.which("readelf") is None:
        pytest.skip("no readelf")
    path = objects.object_file("accepted")
    data = path.read_bytes()
    assert elf.machine(data) == elf.EM_BPF
    found = elf.sections(data)
    printed = subprocess.run(["readelf", "-SW", str(path)], capture_output=True, text=True, check=True).stdout
    assert [each.name for each in found[1:]] == re.findall(r"^ +\[ *[1-9]\d*\] (\S+)", printed, re.MULTILINE)
    functions = {symbol.name for symbol in elf.symbols(found) if symbol.type == elf.STT_FUNC}
    printed = subprocess.run(["readelf", "-sW", str(path)], capture_output=True, text=True, check=True).stdout
    assert functions == {line.split()[-1] for line in printed.splitlines() if " FUNC " in line} != set()


def test_only_the_machine_is_read_in_another_byte_order() -> None:
    big = b"\x7fELF\x01\x02" + bytes(10) + struct.pack(">HH", 1, elf.EM_BPF)
    assert elf.machine(big) == elf.EM_BPF
    with pytest.raises(ValueError, match="byte order"):
        elf.header(big.ljust(64, b"\0"))


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"MZ".ljust(64, b"\0")])
def test_what_is_no_elf_file_is_refused(data: bytes) -> None:
    assert elf.machine(data) is None
    with pytest.raises(ValueError, match="no ELF file"):
        elf.sections(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(header(3, 0), "not in the file"), (header(0, 0), "no section headers"), (header(1, 1), "no section")],
)
def test_section_headers_that_are_not_there_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        elf.sections(data)


def test_section_headers_where_no_file_has_any_are_refused() -> None:
    """e_shoff of 64 bits. Found by fuzzing."""
    data = bytearray(header(1, 0))
    data[40:48] = b"\xff" * 8
    with pytest.raises(ValueError, match="not in the file"):
        elf.sections(bytes(data))


def test_sections_beyond_the_file_are_empty() -> None:
    """A table of symbols whose names are nowhere has no symbols."""
    data = header(2, 0) + section(0, 3, 1 << 60, 1 << 60) + section(1 << 31, elf.SHT_SYMTAB, 0, 1 << 63, link=9)
    found = elf.sections(data)
    assert [each.name for each in found] == ["", ""]
    assert found[0].data == b""
    assert list(elf.symbols(found)) == []


def test_overlapping_sections_take_no_memory() -> None:
    """60,000 sections of 64 MiB, which all have the same bytes."""
    room = 64 << 20
    data = header(60_000, 0) + section(0, 1, 0, room) * 60_000
    found = elf.sections(data + bytes(room))
    assert len(found) == 60_000
    assert len(found[-1].data) == room


def test_segments_cut_short_are_left_out() -> None:
    load = struct.pack(elf.PHDR, elf.PT_LOAD, 7, 4096, 1 << 40, 0, 100, 100, 4096)
    note = struct.pack(elf.PHDR, 4, 0, 0, 0, 0, 1, 0, 0)
    assert list(elf.segments(note + load + load[:-1])) == [elf.Segment(1 << 40, 100, 4096)]
