# SPDX-License-Identifier: GPL-2.0-or-later
"""/proc/kcore: the running kernel's memory as an ELF core file, read only (fs/proc/kcore.c).

Needs CAP_SYS_RAWIO, CONFIG_PROC_KCORE and no lockdown. The kernel copies with fault handling, so a stale pointer
gives an error or old bytes, never an oops; what was read is to be checked by the caller.
"""

from __future__ import annotations

import errno as errnos
import os
from struct import unpack_from
from sys import byteorder

PATH = "/proc/kcore"

# linux/elf.h
EHDR = "=16sHHIQQQIHHHHHH"
EHDR_SIZE = 64
PHDR = "=IIQQQQQQ"
PHDR_SIZE = 56
PT_LOAD = 1


class Kcore:
    """Kernel memory by virtual address. Raises OSError; ValueError where the file is no 64-bit ELF core."""

    def __init__(self, path: str = PATH) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.segments = self._segments()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        os.close(self.fd)

    def _segments(self) -> list[tuple[int, int, int]]:
        """(address, size, offset in the file) of each PT_LOAD."""
        header = os.pread(self.fd, EHDR_SIZE, 0)
        if len(header) < EHDR_SIZE or header[:5] != b"\x7fELF\x02":
            raise ValueError(f"{PATH} is no 64-bit ELF file")
        e_phoff, e_phnum = unpack_from(EHDR, header)[5], unpack_from(EHDR, header)[10]
        table = os.pread(self.fd, PHDR_SIZE * e_phnum, e_phoff)
        found = []
        for place in range(0, len(table) - PHDR_SIZE + 1, PHDR_SIZE):
            p_type, _, p_offset, p_vaddr, _, p_filesz, _, _ = unpack_from(PHDR, table, place)
            if p_type == PT_LOAD:
                found.append((p_vaddr, p_filesz, p_offset))
        return found

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes at an address. Raises OSError; EFAULT where the kernel has no such memory."""
        for start, length, offset in self.segments:
            if start <= address and address + size <= start + length:
                data = os.pread(self.fd, size, offset + address - start)
                if len(data) == size:
                    return data
        raise OSError(errnos.EFAULT, os.strerror(errnos.EFAULT), f"{PATH} at {address:#x}")

    def number(self, address: int, size: int) -> int:
        """An unsigned integer or a pointer, in the kernel's byte order, which is ours."""
        return int.from_bytes(self.read(address, size), byteorder)


def address_of(symbol: str) -> int:
    """Where the kernel has a symbol, from /proc/kallsyms.

    Raises OSError; LookupError where the kernel has no such symbol or hides its address (kptr_restrict).
    """
    with open("/proc/kallsyms", encoding="utf-8", errors="backslashreplace") as file:
        for line in file:
            words = line.split()
            if len(words) >= 3 and words[2] == symbol:
                address = int(words[0], 16)
                if address:
                    return address
                raise LookupError(f"the kernel hides the address of {symbol} (kptr_restrict)")
    raise LookupError(f"/proc/kallsyms has no {symbol}")
