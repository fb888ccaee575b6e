# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a command under seccomp: on a kernel that seems to have CHECK_FIELDS, or behind a filter.

    python supervise.py --emulate [--errno N] [--grow BYTES] [--partial] COMMAND...
    python supervise.py --filter openat2=EPERM --filter clone3@63=kill COMMAND...

The emulation is a supervisor (SECCOMP_RET_USER_NOTIF) that answers openat2, clone3 and mount_setattr with bit 63 in
their size by rewriting the caller's struct, as the CHECK_FIELDS proposal does; all other calls go to the kernel. A
filter answers an errno (by name or number) or kills; with @63, only where that bit is set. Only the standard library,
so that it runs anywhere; a program of its own, so that the filter is on the command and not on the tests.
"""

import argparse
import ctypes
import errno
import fcntl
import os
import platform
import select
import socket
import struct
import sys

PAGE = os.sysconf("SC_PAGE_SIZE")
CHECK_FIELDS = 1 << 63
EEXTSYS_NOOP = 134
MACHINE = platform.machine()

# linux/audit.h
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3, "s390x": 0x80000016}[MACHINE]
# asm/unistd.h, asm-generic/unistd.h
NR_SECCOMP, PRCTL, PRLIMIT64, RECVFROM, RT_SIGACTION, MMAP, IOCTL, BPF = {
    "x86_64": (317, 157, 302, 45, 13, 9, 16, 321),
    "s390x": (348, 172, 334, 371, 174, 90, 54, 351),
}.get(MACHINE, (277, 167, 261, 207, 134, 222, 29, 280))

# Name: number, index of the size among the arguments, index of the struct, size of its first version.
CALLS = {
    "openat2": (437, 3, 2, 24),
    "clone3": (435, 1, 0, 64),
    "mount_setattr": (442, 4, 3, 32),
    "landlock_create_ruleset": (444, 1, 0, 8),
    "statmount": (457, 2, 0, 24),
    # Not asked about: what a process needs to ask.
    "prctl": (PRCTL, 0, 0, 0),
    "prlimit64": (PRLIMIT64, 0, 0, 0),
    "recvfrom": (RECVFROM, 0, 0, 0),
    "rt_sigaction": (RT_SIGACTION, 0, 0, 0),
    "mmap": (MMAP, 0, 0, 0),
    "ioctl": (IOCTL, 0, 0, 0),
    "io_uring_register": (427, 0, 0, 0),
    "bpf": (BPF, 2, 1, 8),
}
ONES = 2**64 - 1
# What Linux v7.3 would say, from its own masks.
MASKS = {
    "openat2": (0x1047FFFC3, 0xFFF, 0x3F),
    "clone3": (0x3FFFFFFFFF, ONES, ONES, ONES, 0xFF, ONES, ONES, ONES, ONES, ONES, ONES),
    "mount_setattr": (0x3000FF, 0x3000FF, 0x1E0000, ONES),
}
AT_FLAGS = 0x9900
NEWER_FIELD = 0x1
"""The mask of the fields that --grow adds: one bit, to be the last one that is not zero."""

# linux/bpf_common.h, linux/seccomp.h, linux/prctl.h
BPF_LD_W_ABS = 0x20
BPF_JEQ_K = 0x15
BPF_JSET_K = 0x45
BPF_RET_K = 0x06
SECCOMP_RET_KILL_PROCESS = 0x80000000
SECCOMP_RET_USER_NOTIF = 0x7FC00000
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER = 1 << 3
SECCOMP_IOCTL_NOTIF_RECV = 0xC0502100
SECCOMP_IOCTL_NOTIF_SEND = 0xC0182101
SECCOMP_IOCTL_NOTIF_ID_VALID = 0x40082102
PR_SET_NO_NEW_PRIVS = 38

# struct seccomp_notif: id, pid, flags, then struct seccomp_data: nr, arch, instruction_pointer, args[6].
NOTIF = "=QIIiIQ6Q"
NOTIF_RESP = "=QqiI"

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

Rule = tuple[str, bool, int]
"""Which call, only with bit 63, and the SECCOMP_RET_* value."""


class sock_fprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def instruction(code: int, k: int, jt: int = 0, jf: int = 0) -> bytes:
    """A struct sock_filter."""
    return struct.pack("=HBBI", code, jt, jf, k)


def program(rules: list[Rule]) -> bytes:
    """The filter: each rule is jumped over where it does not match, and what no rule matches is allowed."""
    code = instruction(BPF_LD_W_ABS, 4)
    code += instruction(BPF_JEQ_K, AUDIT_ARCH, 1, 0)
    code += instruction(BPF_RET_K, SECCOMP_RET_ALLOW)
    for name, only_bit, action in rules:
        nr, size_arg, _, _ = CALLS[name]
        # Loads are 32 bits wide; the high half of an argument comes second on a little-endian machine.
        high = 16 + 8 * size_arg + (4 if sys.byteorder == "little" else 0)
        body = instruction(BPF_RET_K, action)
        if only_bit:
            body = instruction(BPF_LD_W_ABS, high) + instruction(BPF_JSET_K, 1 << 31, 0, 1) + body
        code += instruction(BPF_LD_W_ABS, 0) + instruction(BPF_JEQ_K, nr, 0, len(body) // 8) + body
    return code + instruction(BPF_RET_K, SECCOMP_RET_ALLOW)


def install(rules: list[Rule], flags: int) -> int:
    """Install a filter on this process. Returns the listener where ``flags`` ask for one."""
    code = program(rules)
    buffer = ctypes.create_string_buffer(code, len(code))
    prog = sock_fprog(len(code) // 8, ctypes.addressof(buffer))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
    fd = libc.syscall(
        ctypes.c_long(NR_SECCOMP),
        ctypes.c_long(SECCOMP_SET_MODE_FILTER),
        ctypes.c_long(flags),
        ctypes.byref(prog),
    )
    if fd < 0:
        raise OSError(ctypes.get_errno(), "seccomp(SECCOMP_SET_MODE_FILTER)")
    return int(fd)


def answered_masks(name: str, grow: int) -> bytes:
    """The struct as it is answered, with ``grow`` bytes of newer fields behind those that are known."""
    return b"".join(mask.to_bytes(8, sys.byteorder) for mask in (*MASKS[name], *[NEWER_FIELD] * (grow // 8)))


def answer(pid: int, name: str, args: tuple[int, ...], options: argparse.Namespace) -> int:
    """Answer an emulated system call: write the masks into the caller's struct. Returns an errno."""
    _, size_arg, struct_arg, first = CALLS[name]
    usize = args[size_arg] & ~CHECK_FIELDS
    if name == "mount_setattr" and args[2] & 0xFFFFFFFF & ~AT_FLAGS:
        return errno.EINVAL
    if usize < first:
        return errno.EINVAL
    if usize > PAGE:
        return errno.E2BIG
    data = answered_masks(name, options.grow)
    if not options.partial:
        data = data.ljust(usize, b"\0")
    try:
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(args[struct_arg])
            memory.write(data[:usize])
    except OSError:
        return errno.EFAULT
    return int(options.errno)


def supervise(listener: int, child: int, options: argparse.Namespace) -> None:
    """Answer until the command is gone.

    Some kernels hang up only when the last task with the filter is reaped, which is our own zombie: a pidfd tells.
    """
    pidfd = os.pidfd_open(child)
    names = {nr: name for name, (nr, *_) in CALLS.items()}
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(pidfd, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if ready.get(listener, 0) & select.POLLIN:
            notif = bytearray(struct.calcsize(NOTIF))
            try:
                fcntl.ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, notif)
            except FileNotFoundError:
                continue
            ident, pid, _, nr, _, _, *args = struct.unpack(NOTIF, notif)
            number = answer(pid, names[nr], tuple(args), options)
            try:
                # The pid may be someone else's by now.
                fcntl.ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, struct.pack("=Q", ident))
                fcntl.ioctl(
                    listener, SECCOMP_IOCTL_NOTIF_SEND, bytearray(struct.pack(NOTIF_RESP, ident, 0, -number, 0))
                )
            except FileNotFoundError:
                continue
        elif pidfd in ready or ready.get(listener, 0) & select.POLLHUP:
            return


def parse_rule(text: str) -> Rule:
    """Parse the argument of --filter: NAME[@63]=ACTION."""
    left, _, action = text.partition("=")
    name, _, only_bit = left.partition("@")
    if action == "kill":
        return name, bool(only_bit), SECCOMP_RET_KILL_PROCESS
    number = int(action) if action.isdigit() else getattr(errno, action)
    return name, bool(only_bit), SECCOMP_RET_ERRNO | number


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--emulate", action="store_true")
    parser.add_argument("--errno", type=int, default=EEXTSYS_NOOP)
    parser.add_argument("--grow", type=int, default=0)
    parser.add_argument("--partial", action="store_true")
    parser.add_argument("--filter", type=parse_rule, action="append", default=[])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()

    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        if options.filter:
            install(options.filter, 0)
        if options.emulate:
            listener = install(
                [(name, True, SECCOMP_RET_USER_NOTIF) for name in MASKS], SECCOMP_FILTER_FLAG_NEW_LISTENER
            )
            socket.send_fds(theirs, [b"."], [listener])
            os.close(listener)
        theirs.close()
        os.execvp(options.command[0], options.command)
    theirs.close()
    if options.emulate:
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
        if fds:
            supervise(fds[0], child, options)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
