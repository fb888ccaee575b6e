# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the tool with system calls refused: python refuse.py NAME=ERRNO... -- ARGUMENTS...

Or any command with all refused but those of a container's profile: python refuse.py FILE.json -- COMMAND...

The filter comes once the command line is imported, so that what is refused is the tool's work and not the start of
the interpreter; it holds for all children. Names are the kernel's, numbers come from the C library's headers.
"""

import ctypes
import errno
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Sequence

# linux/audit.h
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[os.uname().machine]
# linux/bpf_common.h, linux/seccomp.h, linux/prctl.h
BPF_LD_W_ABS, BPF_JEQ_K, BPF_JGT_K, BPF_JSET_K, BPF_RET_K = 0x20, 0x15, 0x25, 0x45, 0x06
SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS = 0x50000, 0x7FFF0000, 0x80000000
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2


def numbers() -> dict[str, int]:
    """The numbers of all system calls that the C library's headers know."""
    source = "#include <sys/syscall.h>\n"
    done = subprocess.run(["gcc", "-E", "-dM", "-"], input=source, capture_output=True, text=True, check=True)
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)$", done.stdout, re.MULTILINE)}


NAMESPACES = 0x7E020000
"""linux/sched.h: CLONE_NEWNS, CLONE_NEWCGROUP and so on to CLONE_NEWNET."""
AF_ALG, AF_VSOCK = 38, 40


def instruction(code: int, k: int, jt: int = 0, jf: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jt, jf, k)


def program(rules: Sequence[tuple[int, int]]) -> bytes:
    """A classic BPF program from (number of a system call, SECCOMP_RET_* value)."""
    code = instruction(BPF_LD_W_ABS, 4) + instruction(BPF_JEQ_K, AUDIT_ARCH, 1, 0)
    code += instruction(BPF_RET_K, SECCOMP_RET_ALLOW) + instruction(BPF_LD_W_ABS, 0)
    for number, action in rules:
        code += instruction(BPF_JEQ_K, number, 0, 1) + instruction(BPF_RET_K, action)
    return code + instruction(BPF_RET_K, SECCOMP_RET_ALLOW)


def container_program(allowed: Sequence[str], known: dict[str, int]) -> bytes:
    """The program of a container's profile: EPERM for what it does not allow, ENOSYS for what it cannot know.

    Of clone(2) the flags are looked at, of socket(2) the family; clone3(2) has its flags in memory and is absent.
    """
    refused, absent = SECCOMP_RET_ERRNO | errno.EPERM, SECCOMP_RET_ERRNO | errno.ENOSYS
    numbers = sorted(known[name] for name in allowed if name in known)
    code = instruction(BPF_LD_W_ABS, 0)
    for number in numbers:
        code += instruction(BPF_JEQ_K, number, 0, 1) + instruction(BPF_RET_K, SECCOMP_RET_ALLOW)
    code += instruction(BPF_JEQ_K, known["clone"], 0, 4) + instruction(BPF_LD_W_ABS, 16)
    code += instruction(BPF_JSET_K, NAMESPACES, 0, 1) + instruction(BPF_RET_K, refused)
    code += instruction(BPF_RET_K, SECCOMP_RET_ALLOW)
    code += instruction(BPF_JEQ_K, known["socket"], 0, 5) + instruction(BPF_LD_W_ABS, 16)
    for family in (AF_ALG, AF_VSOCK):
        code += instruction(BPF_JEQ_K, family, 2 if family == AF_ALG else 1, 0)
    code += instruction(BPF_RET_K, SECCOMP_RET_ALLOW) + instruction(BPF_RET_K, refused)
    code += instruction(BPF_JEQ_K, known["clone3"], 0, 1) + instruction(BPF_RET_K, absent)
    code += instruction(BPF_JGT_K, numbers[-1], 0, 1) + instruction(BPF_RET_K, absent)
    return code + instruction(BPF_RET_K, refused)


def install(code: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog
    fprog = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog, 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")


def table() -> str:
    """The numbers as HARM_NUMBERS hands them over."""
    return " ".join(f"{name}:{number}" for name, number in numbers().items())


def main() -> None:
    split = sys.argv.index("--")
    known = {name: int(number) for name, number in (each.split(":") for each in os.environ["HARM_NUMBERS"].split())}
    if sys.argv[1].endswith(".json"):
        with open(sys.argv[1], encoding="utf-8") as file:
            allowed = json.load(file)["allowed"]
        install(container_program(allowed, known))
        os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])
    wanted = [rule.partition("=")[::2] for rule in sys.argv[1:split]]
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
