# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/seccomp.h: a filter on the system calls of this process and its children, which is there for good."""

from __future__ import annotations

import ctypes
import errno as errnos
import sys
from collections.abc import Collection

from kprobe_tool.native.bpf_insn import BPF_JMP, BPF_LD
from kprobe_tool.native.libc import libc, oserror
from kprobe_tool.native.syscall import SIZE_T_BITS, machine_name, number

# linux/audit.h
AUDIT_ARCH = {
    "x86_64": 0xC000003E,
    "aarch64": 0xC00000B7,
    "riscv64": 0xC00000F3,
    "loongarch64": 0xC0000102,
    "ppc64le": 0xC0000015,
    "s390x": 0x80000016,
}
# linux/bpf_common.h, linux/filter.h
BPF_W_ABS = 0x20
BPF_JEQ_K = 0x10
BPF_RET_K = 0x06
# linux/seccomp.h
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ERRNO = 0x00050000
# linux/prctl.h
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
# struct seccomp_data: nr, arch, instruction_pointer, args[6]
NR, ARCH = 0, 4
FIRST_ARGUMENT = 16 + (4 if sys.byteorder == "big" else 0)
"""The low half of the first argument."""


class sock_filter(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class sock_fprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.POINTER(sock_filter)))


def load(offset: int) -> sock_filter:
    """A word of struct seccomp_data."""
    return sock_filter(BPF_LD | BPF_W_ABS, 0, 0, offset)


def jump_unless(value: int, skip: int) -> sock_filter:
    """Skip this many instructions unless the word has this value."""
    return sock_filter(BPF_JMP | BPF_JEQ_K, 0, skip, value)


def answer(action: int) -> sock_filter:
    return sock_filter(BPF_RET_K, 0, 0, action)


def refuse(name: str, but: Collection[int] = ()) -> list[sock_filter]:
    """Instructions that answer EACCES to a system call, unless its first argument is one of ``but``."""
    nr = number(name)
    if nr is None:
        return []
    refused = answer(SECCOMP_RET_ERRNO | errnos.EACCES)
    inside = [load(FIRST_ARGUMENT)] if but else []
    for argument in but:
        inside += [jump_unless(argument, 1), answer(SECCOMP_RET_ALLOW)]
    inside.append(refused)
    return [load(NR), jump_unless(nr, len(inside)), *inside]


def install(*parts: list[sock_filter]) -> None:
    """Refuse this process and all that it starts the system calls that the parts name (see :func:`refuse`).

    No privilege is needed. Raises OSError: a kernel without seccomp filters, a machine whose numbers are not known
    here.
    """
    machine = machine_name()
    if machine not in AUDIT_ARCH or SIZE_T_BITS != 64:
        raise OSError(errnos.ENOSYS, f"no filter is known for programs on {machine}", "seccomp(2)")
    rules = [rule for part in parts for rule in part]
    # The numbers are those of one architecture. Calls of any other are let through: this process makes none.
    code = [load(ARCH), jump_unless(AUDIT_ARCH[machine], len(rules)), *rules, answer(SECCOMP_RET_ALLOW)]
    program = sock_fprog(len(code), (sock_filter * len(code))(*code))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        oserror("prctl(PR_SET_NO_NEW_PRIVS)")
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0):
        oserror("prctl(PR_SET_SECCOMP)")
