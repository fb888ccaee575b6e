# SPDX-License-Identifier: GPL-2.0-or-later
"""sys/mman.h: how much memory this process may still have."""

from __future__ import annotations

import mmap


def has_room(space: int, data: int) -> bool:
    """Whether there is room for so many bytes of address space (RLIMIT_AS), and of writable memory (RLIMIT_DATA).

    The kernel is asked, by mappings that are given up at once (mm/mmap.c may_expand_vm(), security/commoncap.c
    cap_vm_enough_memory()): for libraries that end the process where they get no memory. No page is touched.
    """
    for size, protection in ((space, mmap.PROT_READ), (data, mmap.PROT_READ | mmap.PROT_WRITE)):
        try:
            mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=protection).close()
        except OSError:
            return False
    return True
