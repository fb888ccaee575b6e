# SPDX-License-Identifier: GPL-2.0-or-later
"""Loads programs to hear what the verifier says about them: nothing is attached, pinned or kept.

ELF objects go through libbpf, C through bcc, bare instructions straight to bpf(2). Whichever way, the buffer grows
until the log is whole, so that the errno is the verifier's own.
"""

from __future__ import annotations

import errno as errnos
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kprobe_tool.errors import Error, errno_name
from kprobe_tool.names import did_you_mean
from kprobe_tool.native import bpf, elf, host
from kprobe_tool.native.libc import text
from kprobe_tool.probes.verifier.diagnosis import Diagnosis
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
from kprobe_tool.probes.verifier.log.stats import Stats, stats

FILE_MAX = 256 << 20
"""Bytes of an object; of bare instructions a million, which is all that any kernel verifies, take 8 MiB."""


# What else people call a type: sections of libbpf, and names of bpftool.
ALIASES = {"tc": "sched_cls", "classifier": "sched_cls", "action": "sched_act", "socket": "socket_filter"}
ALIASES |= {"fentry": "tracing", "raw_tp": "raw_tracepoint", "tp": "tracepoint", "uprobe": "kprobe"}
TYPES = {name: number for number, name in enumerate(bpf.PROG_TYPES) if number}

# bcc's prefixes of functions that it attaches by itself.
PREFIXES = {
    "kprobe__": "kprobe",
    "kretprobe__": "kprobe",
    "tracepoint__": "tracepoint",
    "raw_tracepoint__": "raw_tracepoint",
    "xdp": "xdp",
}

NOISE = re.compile(
    r"libbpf: (?:prog '[^']*': )?(?:-- (?:BEGIN|END)|failed to load|BPF program load failed)"
    r"|libbpf: map '[^']*': failed to initialize slot \[\d+\] to prog '"
)
"""What libbpf says of every load that failed, and of every program that is named elsewhere and not loaded with it."""

COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*', re.DOTALL)
"""In C; strings match as well, since what begins a comment does not in them."""
PINNED = re.compile(r'\bBPF_\w+_PINNED\w*\s*\(|\bBPF_\w+\s*\(\s*"[^"\n]*:|"maps/[^"\n]*:')
"""A map that bcc takes from a path of a BPF file system, or pins there: "TYPE:PATH" is what its macros come to."""


@dataclass(frozen=True)
class Asked:
    """A program that was loaded: ``name`` of its function, or of the file where there are only instructions."""

    name: str
    section: str | None
    prog_type: int
    insn_count: int


@dataclass(frozen=True)
class Verdict:
    """What the kernel said about one program.

    ``errno`` is the verifier's own, None where it accepted. ``log`` is empty where the kernel refused before it
    looked at the program. ``messages`` are what the loader said besides.
    """

    asked: Asked
    errno: str | None
    log: bytes
    complete: bool
    stats: Stats
    diagnosis: Diagnosis | None
    messages: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.errno is None


def type_number(name: str) -> int:
    """The number of a program type by name. Raises Error, with the nearest one."""
    known = ALIASES.get(name, name)
    if known not in TYPES:
        hint = did_you_mean(name, [*TYPES, *ALIASES]) or f"there are {', '.join(TYPES)}"
        raise Error(f"program type '{name}'", "is not known", hint=hint)
    return TYPES[known]


def type_name(number: int) -> str | None:
    return bpf.PROG_TYPES[number] if 0 < number < len(bpf.PROG_TYPES) else None


def log_level(level: int) -> int:
    """The level that the kernel gets: statistics come with every log, and level 0 is no log at all."""
    return level | bpf.BPF_LOG_STATS if level else 0


def refused(subject: str, number: int) -> Error:
    """A load that the kernel refused before it looked at the program, for want of privilege."""
    if host.lockdown() == "confidentiality":
        hint = "the kernel is locked down (confidentiality)"
    elif not host.effective_capabilities() & {"CAP_BPF", "CAP_SYS_ADMIN"}:
        disabled = host.read_line("/proc/sys/kernel/unprivileged_bpf_disabled")
        hint = "needs CAP_BPF, and CAP_PERFMON or CAP_NET_ADMIN by its type: run as root"
        if disabled not in {None, "0"}:
            hint += f" (kernel.unprivileged_bpf_disabled is {disabled})"
    elif not host.in_initial_user_namespace():
        hint = "needs root of the host, not of a user namespace"
    else:
        hint = "a seccomp filter or an LSM may refuse it, or this kernel does not allow this type of program"
    return Error(subject, errno=number, hint=hint)


def judged(asked: Asked, answer: bpf.Answer, messages: Sequence[str] = ()) -> Verdict | Error:
    """What an answer means; an Error where it was not the verifier that refused."""
    if answer.errno in {errnos.EPERM, errnos.ENOSYS} and not answer.log:
        return refused(asked.name, answer.errno)
    errno = errno_name(answer.errno) if answer.errno else None
    return Verdict(
        asked,
        errno,
        answer.log,
        answer.complete,
        stats(answer.log, lines=False),
        None if errno is None else explain_bytes(answer.log, errno),
        tuple(line.removeprefix("libbpf: ") for line in messages if not NOISE.match(line)),
    )


def chosen(path: str, names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The wanted ones of the programs of a file, all without any. Raises Error, with the nearest name."""
    for name in wanted:
        if name not in names:
            hint = did_you_mean(name, names) or f"there are {', '.join(names) or 'none'}"
            raise Error(path, f"has no program '{name}'", hint=hint)
    if not names:
        raise Error(path, "holds no BPF program")
    return [name for name in names if not wanted or name in wanted]


def of_object(path: str, wanted: Sequence[str], prog_type: int | None, level: int) -> Iterator[Verdict | Error]:
    """Each program of an ELF object, loaded alone. Raises Error."""
    from kprobe_tool.native import libbpf

    try:
        programs = {program.name: program for program in libbpf.programs(path)}
    except OSError as error:
        raise Error.from_os(path, error) from error
    for name in chosen(path, list(programs), wanted):
        program = programs[name]
        kind = program.prog_type if prog_type is None else prog_type
        if not kind:
            yield Error(
                f"{path}: {name}",
                f"the section '{program.section}' does not tell the type of program",
                hint="give it with --type",
            )
            continue
        loaded = libbpf.load(path, name, log_level(level), prog_type)
        if loaded.answer is None:
            yield not_asked(f"{path}: {name}", loaded.errno, loaded.messages)
        else:
            asked = Asked(name, program.section, kind, program.insn_count)
            yield judged(asked, loaded.answer, loaded.messages)


def not_asked(subject: str, number: int, messages: Sequence[str]) -> Error:
    """libbpf failed before the kernel saw the program: a map, the BTF, a relocation."""
    told = [line.removeprefix("libbpf: ") for line in messages if not NOISE.match(line)]
    if number == errnos.EPERM:
        return refused(subject, number)
    return Error(
        subject, told[-1] if told else os.strerror(number), errno=number, hint="libbpf did not get to load it"
    )


def of_source(path: str, wanted: Sequence[str], prog_type: int | None, level: int) -> Iterator[Verdict | Error]:
    """Each function of a C file for bcc, loaded alone. Raises Error."""
    from kprobe_tool.native.bcc import Object

    line = pinned_table(text(read(path)))
    if line is not None:
        raise Error(
            path,
            f"line {line}: a pinned table, which bcc would take from others or make on this host",
            hint="nothing is pinned here: declare it as BPF_TABLE, without a path",
        )
    try:
        module = Object(os.path.abspath(path))
    except Error as error:
        raise not_compiled(path, error) from error
    with module:
        for name in chosen(path, module.functions(), wanted):
            prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
            kind = prog_type if prog_type is not None else TYPES[PREFIXES[prefix]] if prefix else None
            if kind is None:
                yield Error(
                    f"{path}: {name}", "its name does not tell the type of program", hint="give it with --type"
                )
                continue
            answer, insn_count = module.ask(name, kind, log_level(level))
            yield judged(Asked(name, None, kind, insn_count), answer)


def pinned_table(source: str) -> int | None:
    """The line of a C file for bcc that declares a pinned table; None without any."""
    bare = COMMENT.sub(lambda found: found[0] if found[0][0] == '"' else "\n" * found[0].count("\n"), source)
    found = PINNED.search(bare)
    return None if found is None else bare.count("\n", 0, found.start()) + 1


def not_compiled(path: str, error: Error) -> Error:
    """clang calls what bcc gives it /virtual/main.c. What has its own headers is no program for bcc."""
    match = re.fullmatch(r"/virtual/main\.c:(\d+):\d+: (?:fatal )?(?:error: )?(.*)", error.reason)
    if match is None:
        return error
    hint = (
        "a program for libbpf needs 'clang -g -O2 -target bpf -c' first: give the object"
        if "file not found" in match[2]
        else None
    )
    return Error(path, f"line {match[1]}: {match[2]}", hint=hint)


def instructions(path: str, data: bytes) -> bytes:
    """Instructions from a file: the bytes themselves, or the same as hexadecimal text. Raises Error."""
    if re.fullmatch(rb"[0-9a-fA-FxX\s,]*", data):
        digits = re.sub(rb"0[xX]|[\s,]", b"", data).decode()
        if len(digits) % 16:
            raise Error(path, f"{len(digits)} hexadecimal digits", hint="an instruction has 16")
        return bytes.fromhex(digits)
    if len(data) % 8:
        raise Error(path, f"{len(data)} bytes", hint="an instruction has 8, or 16 hexadecimal digits")
    return data


def of_instructions(path: str, prog_type: int, level: int, licence: str) -> Verdict | Error:
    """Bare instructions. Raises Error."""
    insns = instructions(path, read(path))
    try:
        answer = bpf.load(bpf.Program(insns, prog_type, license=licence.encode()), log_level(level))
    except OSError as error:
        raise Error.from_os(path, error) from error
    return judged(Asked(os.path.basename(path), None, prog_type, len(insns) // 8), answer)


def read(path: str, size: int = FILE_MAX) -> bytes:
    """A file, or its first bytes. Raises Error."""
    try:
        with open(path, "rb") as file:
            data = file.read(size + 1)
    except OSError as error:
        raise Error.from_os(path, error) from error
    if len(data) > size == FILE_MAX:
        raise Error(path, f"has more than {FILE_MAX >> 20} MiB", hint="that is no BPF program")
    return data[:size]


def is_object(path: str) -> bool:
    """Whether a file is an ELF object for BPF. Raises Error for an ELF file of another machine."""
    head = read(path, elf.IDENT_SIZE)
    if not head:
        raise Error(path, "is empty")
    machine = elf.machine(head)
    if machine is None:
        return False
    if machine != elf.EM_BPF:
        raise Error(
            path,
            f"is for machine {machine}, and BPF is {elf.EM_BPF}",
            hint="compile it with 'clang -g -O2 -target bpf -c'",
        )
    return True
