"""Runs the tool with system calls refused: python refuse.py NAME=ERRNO... -- ARGUMENTS...

The filter comes once the command line is imported, so that what is refused is the tool's work and not the start of
the interpreter; it holds for all children. Names are the kernel's, numbers come from the C library's headers.
"""

import ctypes
import errno
import os
import re
import struct
import subprocess
import sys
from collections.abc import Sequence

# linux/audit.h
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[os.uname().machine]
# linux/bpf_common.h, linux/seccomp.h, linux/prctl.h
BPF_LD_W_ABS, BPF_JEQ_K, BPF_RET_K = 0x20, 0x15, 0x06
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS = 0x50000, 0x7FFF0000, 0x80000000
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2


def numbers() -> dict[str, int]:
    """The numbers of all system calls that the C library's headers know."""
    source = "#include <sys/syscall.h>\n"
    done = subprocess.run(["gcc", "-E", "-dM", "-"], input=source, capture_output=True, text=True, check=True)
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)$", done.stdout, re.MULTILINE)}


def program(rules: Sequence[tuple[int, int]]) -> bytes:
    """A classic BPF program from (number of a system call, SECCOMP_RET_* value)."""

    def instruction(code: int, k: int, jt: int = 0, jf: int = 0) -> bytes:
        return struct.pack("=HBBI", code, jt, jf, k)

    code = instruction(BPF_LD_W_ABS, 4) + instruction(BPF_JEQ_K, AUDIT_ARCH, 1, 0)
    code += instruction(BPF_RET_K, SECCOMP_RET_ALLOW) + instruction(BPF_LD_W_ABS, 0)
    for number, action in rules:
        code += instruction(BPF_JEQ_K, number, 0, 1) + instruction(BPF_RET_K, action)
    return code + instruction(BPF_RET_K, SECCOMP_RET_ALLOW)


def install(code: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog
    fprog = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog, 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")


def main() -> None:
    split = sys.argv.index("--")
    wanted = [rule.partition("=")[::2] for rule in sys.argv[1:split]]
    known = {name: int(number) for name, number in (each.split(":") for each in os.environ["HARM_NUMBERS"].split())}
    actions = [
        (known[name], SECCOMP_RET_KILL_PROCESS if answer == "kill" else SECCOMP_RET_ERRNO | getattr(errno, answer))
        for name, answer in wanted
    ]
    sys.argv[1:] = sys.argv[split + 1 :]
    from kprobe_tool import cli

    install(program(actions))
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
