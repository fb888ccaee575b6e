# SPDX-License-Identifier: GPL-2.0-or-later
"""Loads that failed with nothing in the log: what the errno can mean (bpf_prog_load() in kernel/bpf/syscall.c)."""

from __future__ import annotations

import re
from dataclasses import replace

from kprobe_tool.errors import Error
from kprobe_tool.probes.verifier.diagnosis import Category, Diagnosis, LogOutcome, LostPart, Truncation

EMPTY_LOG = {
    "EPERM": (
        Category.PRIVILEGE,
        "Not permitted",
        "The loader may not load programs of this type: it has no CAP_BPF (and CAP_PERFMON or CAP_NET_ADMIN, as the "
        "type needs), or unprivileged BPF is off (kernel.unprivileged_bpf_disabled), or a security module or seccomp "
        "filter forbids it. On kernels before 5.11 a low RLIMIT_MEMLOCK says the same.",
        "Load as root or with these capabilities; in a container, from the host or with a BPF token.",
    ),
    "EACCES": (
        Category.PRIVILEGE,
        "Rejected without a log",
        "The verifier rejected the program, or a security module did, and no log was asked for.",
        "Load again with a log buffer and log level 1 (libbpf: kernel_log_level).",
    ),
    "E2BIG": (
        Category.LIMIT,
        "Too large",
        "Something about the program is too much for the kernel, and the error alone does not say what: more "
        "instructions than this loader may load (4096 without CAP_BPF, a million with it) or more on all paths "
        "together than the verifier walks (a million: then the log says so), more than 64 maps, or attributes that "
        "this kernel does not know.",
        "Load with a log (libbpf: kernel_log_level = 1) and as root; where that says nothing, count the maps that "
        "the program uses, and have fewer of them.",
    ),
    "EINVAL": (
        Category.MALFORMED,
        "Bad attributes",
        "The kernel refused the attributes before it looked at a single instruction: an unknown program or attach "
        "type, unknown flags, a log level or log buffer that it does not take, or on kernels before v5.0 a "
        "kern_version that is not the running kernel's.",
        "Compare the attributes with what this kernel knows ('bpftool feature probe'); without a log buffer the log "
        "level must be 0 before Linux v6.4; for kprobes before v5.0 kern_version must be LINUX_VERSION_CODE of the "
        "running kernel, which loaders take from the section 'version' or from uname.",
    ),
    "ENOSPC": (
        Category.LIMIT,
        "Log buffer too small",
        "The log did not fit into the buffer; this error hides the verifier's own.",
        "Load with a larger log buffer.",
    ),
    "EBADF": (
        Category.MALFORMED,
        "Bad file descriptor",
        "One of the file descriptors in the attributes (BTF, attach target, token, array of descriptors) is not "
        "open, or is of another kind.",
        "Check that nothing was closed before the load.",
    ),
    "EFAULT": (
        Category.MALFORMED,
        "Bad attributes",
        "A pointer in the attributes does not point to readable memory, or the log buffer to writable memory; or the "
        "verifier has stopped over a bug of its own, which it reports with this error too.",
        "Look into the kernel's own log (dmesg) for 'verifier bug' or a WARNING: if there is one, load with a log "
        "buffer that is large from the beginning (cilium/ebpf: LogSizeStart), and report it to bpf@vger.kernel.org. "
        "Else check the pointers and the lengths that go with them.",
    ),
    "ENOMEM": (
        Category.LIMIT,
        "Out of memory",
        "The kernel had no memory for the program or for checking it, or the cgroup's limit was reached.",
        "Free memory, or raise the limit.",
    ),
    "ENOTSUPP": (
        Category.MALFORMED,
        "Bad attributes",
        "What the attributes ask for is not supported, such as a struct_ops program for a structure that takes none.",
        "Check the program type and its attach_btf_id.",
    ),
    "EAGAIN": (
        Category.LIMIT,
        "Interrupted",
        "Checking was interrupted by a signal.",
        "Load again. Loaders do so by themselves, as libbpf does.",
    ),
}
"""errno: (category, problem, reason, suggestion) for an empty log."""


TOO_LARGE = re.compile(r"Program\s{1,4}too large \((\d{1,9}) insns\), at most (\d{1,9}) insns")
"""What libbpf makes of E2BIG (libbpf_prog_load_xattr() up to v0.8, and bcc)."""
AFTER_VERIFIER = {
    "ENOTSUPP": "the JIT compiler refused it, and the kernel was built or told not to interpret programs "
    "(CONFIG_BPF_JIT_ALWAYS_ON) or cannot interpret this one",
    "ENOMEM": "there was no memory for the translated program; net.core.bpf_jit_limit is one of the limits",
    "EPERM": "a security module, or the lack of a capability, forbids it",
    "E2BIG": "the translated program is too large",
}
"""errno: what refuses a program after the verifier has accepted it."""


def diagnose_late_refusal(errno: str | None) -> Diagnosis:
    """A load that failed although the verifier found nothing wrong: bpf_prog_load() has more to do after it."""
    name = "ENOTSUPP" if errno in {"ENOTSUP", "EOPNOTSUPP"} else str(errno)
    why = AFTER_VERIFIER.get(name)
    return Diagnosis(
        outcome=LogOutcome.REJECTED,
        native=False,
        recognised=why is not None,
        category=Category.LIMIT,
        problem="Refused after verification",
        message=None,
        reason=f"The verifier finished and found nothing wrong; the load failed after that, with {name}: "
        + (why or "the log does not say by what"),
        suggestion=(
            "Look at net.core.bpf_jit_enable and bpf_jit_harden (2 makes programs larger for all, 1 for unprivileged "
            "ones), try it with them at 1 and 0, and at a shorter program; the kernel's own log (dmesg) may say more."
            if name == "ENOTSUPP"
            else "Look into the kernel's own log (dmesg) for what refused it."
        ),
        errno=errno,
    )


def explain_too_large(loader: str, diagnosis: Diagnosis) -> Diagnosis:
    """E2BIG without a log: the loader's own line says how many instructions there are, and rules out one meaning."""
    found = next(reversed([*TOO_LARGE.finditer(loader)]), None)
    if found is None or diagnosis.errno != "E2BIG" or int(found[1]) > int(found[2]):
        return diagnosis
    return replace(
        diagnosis,
        problem="Too many instructions",
        reason=f"The program has {found[1]} instructions, so they are not more than {found[2]}, whatever the loader "
        "says: the verifier has walked more than it may on all paths together (a million; 131072 before v5.2), "
        "because of loops and branches, or the program uses more than 64 maps.",
        suggestion="Have fewer paths: bound loops lower, use bpf_loop() or an open-coded iterator, move code into "
        "functions of their own. With a log the verifier says which of it is so (libbpf: kernel_log_level = 1; bcc: "
        "debug=DEBUG_BPF).",
    )


def explain_errno(errno: str | None) -> Diagnosis:
    """An empty log. Raises Error where not even an errno is known."""
    if errno is None:
        raise Error("log", "it is empty", hint="--errno NAME says what the load ended with")
    category, problem, reason, suggestion = EMPTY_LOG.get(
        errno, (None, None, f"The load ended with {errno} and the kernel wrote no log.", None)
    )
    return Diagnosis(
        outcome=LogOutcome.REJECTED,
        native=False,
        recognised=category is not None,
        category=category,
        problem=problem,
        message=None,
        reason=reason,
        suggestion=suggestion,
        errno=errno,
        truncated=Truncation(LostPart.TAIL, 0, None, "Load with a larger log buffer.") if errno == "ENOSPC" else None,
        notes=("there is no log: this is what the error alone says",),
    )
