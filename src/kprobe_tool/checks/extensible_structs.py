# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of system calls whose struct grows: what kernels have got wrong, and what filters hide."""

from kprobe_tool.checks import history
from kprobe_tool.checks.model import Check, Needs, Root, Severity

CHECKS: tuple[Check, ...] = (
    Check(
        id="openat2-usize-limit",
        title="Size limit of the struct of openat2(2)",
        severity=Severity.LOW,
        system="extensible-structs",
        needs=Needs(others=("openat2(2) not blocked by a seccomp filter",)),
        references=(
            'Linux kernel commit f92f0a1b0569 ("openat2: explicitly return -E2BIG for (usize > PAGE_SIZE)") '
            "(in v6.12)",
        ),
        meaning=(
            "A program that passes openat2(2) a struct of more than a page may be told EFAULT where it tests for "
            "E2BIG, and the kernel reads as much memory as the caller says. Other system calls of this kind refuse "
            "such a struct with E2BIG; openat2(2) went on to read all of it."
        ),
        look_for="errno is EFAULT where usize is two pages; a kernel with the fix answers E2BIG.",
        remedy=(
            f"Boot a kernel with the fix ({history.OPENAT2_LIMIT.releases}). Programs should not pass such a size."
        ),
        function="kprobe_tool.probes.extensible_structs.checks:check",
        default=False,
    ),
    Check(
        id="copy-struct-to-user",
        title="sched_getattr(2) into larger and smaller structs",
        severity=Severity.LOW,
        system="extensible-structs",
        needs=Needs(others=("sched_getattr(2) not blocked by a seccomp filter",)),
        references=(
            'Linux "sched_getattr: port to copy_struct_to_user" (in v6.13)',
            "Linux include/linux/uaccess.h, copy_struct_to_user()",
        ),
        meaning=(
            "A program built for a newer kernel passes a larger struct than this kernel knows. Where the kernel does "
            "not clear the rest, the program reads what was in its own memory before as fields of the answer; where "
            "the kernel wrote beyond a smaller struct, it would overwrite the program's memory."
        ),
        look_for="tail is 'untouched', or written_beyond_smaller is true.",
        remedy=(
            "Clear the struct before the call, and look at the size that the kernel wrote into it, or boot a kernel "
            f"with the fix ({history.SCHED_GETATTR.releases})."
        ),
        function="kprobe_tool.probes.extensible_structs.checks:check",
        default=False,
    ),
    Check(
        id="extensible-struct-reachability",
        title="Seccomp filters on extensible system calls",
        severity=Severity.LOW,
        system="extensible-structs",
        needs=Needs(Root.SOMETIMES, others=("/proc/kallsyms or BTF where a filter answers ENOSYS",)),
        references=("man:seccomp(2)", "man:kprobe-tool-check-fields(1)"),
        meaning=(
            "A seccomp filter of this process answers for the kernel, or kills who asks. Programs that take its "
            "EPERM or ENOSYS for the kernel's fall back to older system calls without need, or fail."
        ),
        look_for="reachable has 'blocked' for a system call, and seccomp is true.",
        remedy=(
            "Allow the system call in the container's or the unit's seccomp profile, or let the filter answer "
            "ENOSYS, which most programs have a fallback for."
        ),
        function="kprobe_tool.probes.extensible_structs.checks:check",
    ),
)
