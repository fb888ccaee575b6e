# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels that are functions, and a prober that asks them."""

from __future__ import annotations

import errno as errnos
import signal
import struct
import time
from collections.abc import Callable

from kprobe_tool.native.prober import Call, CallAnswer, Memory, Prober
from kprobe_tool.native.syscall import BADPTR, PAGE_SIZE

Kernel = Callable[[Call], CallAnswer]


class FakeProber(Prober):
    """A prober that keeps its calls, and makes none."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(time.monotonic() + 60)
        self.kernel = kernel
        self.asked_calls: list[Call] = []

    def ask(self, call: Call) -> CallAnswer:
        self.calls += 1
        self.asked_calls.append(call)
        return self.kernel(call)


def answer_with(errno: int, call: Call, *memory: bytes) -> CallAnswer:
    """The answer with an errno; the caller's memory is untouched unless it is given."""
    kept = tuple(arg.data for arg in call.args if isinstance(arg, Memory))
    return CallAnswer(errno, -1 if errno else 0, memory or kept)


def kill_caller(call: Call, by: int = signal.SIGSYS) -> CallAnswer:
    return CallAnswer(0, 0, tuple(arg.data for arg in call.args if isinstance(arg, Memory)), signal=by)


class Openat2Kernel:
    """openat2() of a kernel with some struct size and masks, in the order in which Linux judges."""

    def __init__(
        self,
        *,
        size: int = 24,
        flags: int = 0x7FFFC3,
        stripped: int = 0,
        check_fields: bytes | None = None,
        check_fields_errno: int = 134,
        limit: bool = True,
    ) -> None:
        self.size = size
        self.flags = flags
        self.stripped = stripped
        self.check_fields = check_fields
        self.check_fields_errno = check_fields_errno
        self.limit = limit

    def __call__(self, call: Call) -> CallAnswer:
        assert call.name == "openat2"
        dfd, path, how, usize = call.args
        assert dfd == -1, "a directory is a reason not to fail"
        assert isinstance(how, Memory)
        assert isinstance(usize, int)
        if usize >> 63 and self.check_fields is not None:
            return answer_with(self.check_fields_errno, call, self.check_fields.ljust(PAGE_SIZE, b"\0"))
        if usize < 24:
            return answer_with(errnos.EINVAL, call)
        if usize > PAGE_SIZE and self.limit:
            return answer_with(errnos.E2BIG, call)
        if any(how.data[self.size : usize]):
            return answer_with(errnos.E2BIG, call)
        flags, mode, resolve = struct.unpack_from("=QQQ", how.data)
        return answer_with(self.judge(flags & ~self.stripped, mode, resolve) or self.path(flags, path), call)

    def judge(self, flags: int, mode: int, resolve: int) -> int:
        if flags & ~self.flags or resolve & ~0x3F or resolve & 0x18 == 0x18:
            return errnos.EINVAL
        if mode and (not flags & 0o100 or mode & ~0o7777):
            return errnos.EINVAL
        if flags & 0x400000 and not (flags & 0o200000 and flags & 0o3):
            return errnos.EINVAL
        return 0

    def path(self, flags: int, path: int | Memory) -> int:
        if path == BADPTR:
            return errnos.EFAULT
        assert isinstance(path, Memory)
        assert path.data == b"\0", "a name is a reason not to fail"
        return errnos.EBADF if flags & self.flags & 1 << 26 else errnos.ENOENT
