# SPDX-License-Identifier: GPL-2.0-or-later
"""BPF ring buffers, read through libbcc: what programs write with bpf_ringbuf_output()."""

from __future__ import annotations

import ctypes
import errno as errnos
import os
from collections.abc import Sequence
from typing import Any

BATCH_MAX = 4096
BATCH_BYTES = 4 << 20
"""Records, and bytes of them, after which one read of a ring buffer ends, so that a flood cannot fill the memory."""


class RingBuffer:
    """A reader of the records of BPF ring buffers. Raises OSError, and MemoryError for records that are lost so."""

    def __init__(self, lib: Any, callback_type: Any, fds: Sequence[int]) -> None:
        self._lib = lib
        self._records: list[bytes] = []
        self._bytes = 0
        self._lost = False
        # Kept here, since the library keeps only its address.
        self._callback = callback_type(self._take)
        ctypes.set_errno(0)
        self._manager = lib.bpf_new_ringbuf(fds[0], self._callback, None)
        if not self._manager:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "BPF ring buffer")
        for fd in fds[1:]:
            done = lib.bpf_add_ringbuf(self._manager, fd, self._callback, None)
            if done < 0:
                self.close()
                raise OSError(-done, os.strerror(-done), "BPF ring buffer")

    def _take(self, context: object, data: int, size: int) -> int:
        try:
            self._records.append(ctypes.string_at(data, size))
            self._bytes += size
        except MemoryError:
            # Whoever calls a callback gets no exception.
            self._lost = True
            return -1
        return -errnos.ENOBUFS if len(self._records) >= BATCH_MAX or self._bytes >= BATCH_BYTES else 0

    def read(self, timeout: float) -> list[bytes]:
        """What has come, at most about BATCH_BYTES; waits up to ``timeout`` seconds for the first."""
        self._records, self._bytes = [], 0
        done = self._lib.bpf_consume_ringbuf(self._manager)
        if not self._records and done >= 0:
            done = self._lib.bpf_poll_ringbuf(self._manager, int(timeout * 1000))
        if self._lost:
            raise MemoryError
        if done < 0 and done not in {-errnos.EINTR, -errnos.ENOBUFS}:
            raise OSError(-done, os.strerror(-done), "BPF ring buffer")
        return self._records

    def close(self) -> None:
        if self._manager:
            self._lib.bpf_free_ringbuf(self._manager)
            self._manager = None
