# SPDX-License-Identifier: GPL-2.0-or-later
"""sys/mman.h: how much memory this process may still have."""

from __future__ import annotations

import mmap


def room(space: int, data: int) -> bool:
    """Whether there could be so many more bytes of address space (RLIMIT_AS), and of them to write (RLIMIT_DATA).

    Said by the kernel, mm/mmap.c may_expand_vm() and security/commoncap.c cap_vm_enough_memory(): for those who end
    the process where they get none. Nothing is touched, so it costs no memory.
    """
    for size, protection in ((space, mmap.PROT_READ), (data, mmap.PROT_READ | mmap.PROT_WRITE)):
        try:
            mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=protection).close()
        except OSError:
            return False
    return True
