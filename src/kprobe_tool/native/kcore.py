# SPDX-License-Identifier: GPL-2.0-or-later
"""/proc/kcore: the running kernel's memory as an ELF core file, read only (fs/proc/kcore.c).

Needs CAP_SYS_RAWIO, CONFIG_PROC_KCORE and no lockdown. The kernel copies with fault handling, so a stale pointer
gives an error or old bytes, never an oops; what was read is to be checked by the caller.
"""

from __future__ import annotations

import errno as errnos
import os
from sys import byteorder

from kprobe_tool.native import elf
from kprobe_tool.native.elf import Segment

PATH = "/proc/kcore"


class Kcore:
    """Kernel memory by virtual address. Raises OSError; ValueError where the file is no 64-bit ELF file."""

    def __init__(self, path: str = PATH) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.segments = self._segments()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        os.close(self.fd)

    def _segments(self) -> list[Segment]:
        head = elf.header(self._read(elf.EHDR_SIZE, 0))
        return list(elf.segments(self._read(elf.PHDR_SIZE * head.phnum, head.phoff)))

    def _read(self, size: int, offset: int) -> bytes:
        """What the file has there. Raises OSError; also for an offset that no file can have."""
        try:
            return os.pread(self.fd, size, offset)
        except OverflowError as error:
            raise OSError(errnos.EINVAL, os.strerror(errnos.EINVAL), f"{PATH} at offset {offset:#x}") from error

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes at an address. Raises OSError; EFAULT where the kernel has no such memory."""
        for segment in self.segments:
            within = address - segment.address
            if within >= 0 and within + size <= segment.size:
                data = self._read(size, segment.offset + within)
                if len(data) == size:
                    return data
        raise OSError(errnos.EFAULT, os.strerror(errnos.EFAULT), f"{PATH} at {address:#x}")

    def number(self, address: int, size: int) -> int:
        """An unsigned integer or a pointer, in the kernel's byte order, which is ours."""
        return int.from_bytes(self.read(address, size), byteorder)
