# SPDX-License-Identifier: GPL-2.0-or-later
"""/proc/kcore, and core files that no kernel would write."""

import struct
from pathlib import Path

import pytest

from kprobe_tool.native.elf import EHDR, EHDR_SIZE, PHDR, PHDR_SIZE, PT_LOAD
from kprobe_tool.native.kcore import Kcore

IDENT = b"\x7fELF\x02\x01\x01"
AWAY = 1 << 63


def core(phoff: int, offset: int) -> bytes:
    head = struct.pack(EHDR, IDENT, 4, 62, 1, 0, phoff, 0, 0, EHDR_SIZE, PHDR_SIZE, 1, 0, 0, 0)
    return head + struct.pack(PHDR, PT_LOAD, 0, offset, 0x1000, 0, 64, 64, 0) + bytes(64)


def test_memory_is_read_by_its_address(tmp_path: Path) -> None:
    path = tmp_path / "core"
    path.write_bytes(core(EHDR_SIZE, EHDR_SIZE))
    found = Kcore(str(path))
    assert found.number(0x1000, 4) == PT_LOAD
    found.close()


def test_headers_where_no_file_has_any_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "core"
    path.write_bytes(core(AWAY, 0))
    with pytest.raises(OSError, match="Invalid argument"):
        Kcore(str(path))


def test_memory_where_no_file_has_any_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "core"
    path.write_bytes(core(EHDR_SIZE, AWAY))
    found = Kcore(str(path))
    with pytest.raises(OSError, match="Invalid argument"):
        found.read(0x1000, 8)
    found.close()
