# SPDX-License-Identifier: GPL-2.0-or-later
"""Loads programs to hear what the verifier says about them: nothing is attached, pinned or kept.

ELF objects go through libbpf, C through bcc, bare instructions straight to bpf(2). Whichever way, the buffer grows
until the log is whole, so that the errno is the verifier's own.
"""

from __future__ import annotations

import errno as errnos
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from kprobe_tool import files
from kprobe_tool.errors import Error, FileError, errno_name
from kprobe_tool.names import did_you_mean
from kprobe_tool.native import bcc, bounded, bpf, elf
from kprobe_tool.native.libc import text
from kprobe_tool.native.noise import noise_file, read_noise
from kprobe_tool.probes.verifier.diagnosis import Diagnosis
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
from kprobe_tool.probes.verifier.explaining.rewritten import restore_lines
from kprobe_tool.probes.verifier.log.stats import Stats, parse_stats
from kprobe_tool.probes.verifier.prog_types import TYPES

T = TypeVar("T")

COMPILE_SECONDS = LOAD_SECONDS = 3600.0
"""For a C file and all of its programs, or one of an object, which nobody should wait for longer."""

FILE_MAX = 256 << 20
"""Bytes of an object; of bare instructions a million, which is all that any kernel verifies, take 8 MiB."""


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
class LoadRequest:
    """A program that was loaded: ``name`` of its function, or of the file where there are only instructions."""

    name: str
    section: str | None
    prog_type: int
    insn_count: int


@dataclass(frozen=True)
class LoadResult:
    """What the kernel said about one program.

    ``errno`` is the verifier's own, None where it accepted. ``log`` is empty where the kernel refused before it
    looked at the program. ``messages`` are what the loader said besides.
    """

    request: LoadRequest
    errno: str | None
    log: bytes
    complete: bool
    stats: Stats
    diagnosis: Diagnosis | None
    messages: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.errno is None


def log_level(level: int) -> int:
    """The level that the kernel gets: statistics come with every log, and level 0 is no log at all."""
    return level | bpf.BPF_LOG_STATS if level else 0


def refusal_error(subject: str, number: int, token: str | None = None) -> Error:
    """A load that the kernel refused before it looked at the program, for want of privilege.

    ``token`` is what libbpf.token_hint() says, for what libbpf loads: nothing else uses tokens.
    """
    hint = bpf.refusal_hint("CAP_BPF, and CAP_PERFMON or CAP_NET_ADMIN by its type", token)
    return Error(subject, errno=number, hint=hint)


def interpret(
    request: LoadRequest, answer: bpf.LoadAnswer, messages: Sequence[str] = (), token: str | None = None
) -> LoadResult | Error:
    """What an answer means; an Error where it was not the verifier that refused."""
    if answer.errno in {errnos.EPERM, errnos.ENOSYS} and not answer.log:
        return refusal_error(request.name, answer.errno, token)
    errno = errno_name(answer.errno) if answer.errno else None
    return LoadResult(
        request,
        errno,
        answer.log,
        answer.complete,
        parse_stats(answer.log, lines=False),
        None if errno is None else explain_bytes(answer.log, errno),
        tuple(line.removeprefix("libbpf: ") for line in messages if not NOISE.match(line)),
    )


def choose_programs(path: str, names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The wanted ones of the programs of a file, all without any. Raises Error, with the nearest name."""
    for name in wanted:
        if name not in names:
            hint = did_you_mean(name, names) or f"there are {', '.join(names) or 'none'}"
            raise Error(path, f"has no program '{name}'", hint=hint)
    if not names:
        raise Error(path, "holds no BPF program")
    return [name for name in names if not wanted or name in wanted]


def load_object(path: str, wanted: Sequence[str], prog_type: int | None, level: int) -> Iterator[LoadResult | Error]:
    """Each program of an ELF object, loaded alone. Raises Error."""
    from kprobe_tool.native import libbpf

    programs = {program.name: program for program in call_in_child(path, libbpf.programs)}
    for name in choose_programs(path, list(programs), wanted):
        program = programs[name]
        kind = program.prog_type if prog_type is None else prog_type
        if not kind:
            yield Error(
                f"{path}: {name}",
                f"the section '{program.section}' does not tell the type of program",
                hint="give it with --type",
            )
            continue
        try:
            loaded = call_in_child(path, partial(libbpf.load, name=name, level=log_level(level), prog_type=prog_type))
        except Error as error:
            yield error
            continue
        # The errno of an answer is libbpf's as well.
        token = libbpf.token_hint() if loaded.errno == errnos.EPERM else None
        if loaded.answer is None:
            yield libbpf_error(f"{path}: {name}", loaded.errno, loaded.messages, token)
        else:
            request = LoadRequest(name, program.section, kind, program.insn_count)
            yield interpret(request, loaded.answer, loaded.messages, token)


def call_in_child(path: str, function: Callable[[str], T]) -> T:
    """What libbpf makes of a file in a process of its own, which some files end by SIGSEGV. Raises Error."""
    ((_, answer),) = bounded.run_each([path], partial(call_or_error, function), LOAD_SECONDS)
    if isinstance(answer, ChildProcessError | TimeoutError):
        raise Error(path, f"libbpf does not finish with it: {answer}", hint="is it a whole object, as clang made it?")
    if isinstance(answer, OSError):
        raise Error.from_os(path, answer) from answer
    if isinstance(answer, Error):
        raise answer
    return answer


def call_or_error(function: Callable[[str], T], path: str) -> T | Error:
    """The same by this process."""
    try:
        bpf.confine()
        return function(path)
    except OSError as error:
        return Error.from_os(path, error)
    except Error as error:
        return error


def libbpf_error(subject: str, number: int, messages: Sequence[str], token: str | None = None) -> Error:
    """libbpf failed before the kernel saw the program: a map, the BTF, a relocation."""
    causes = [line.removeprefix("libbpf: ") for line in messages if not NOISE.match(line)]
    if number == errnos.EPERM:
        return refusal_error(subject, number, token)
    return Error(
        subject,
        causes[-1] if causes else os.strerror(number),
        errno=number,
        hint="libbpf gave up before the kernel saw the program",
    )


def load_source(path: str, wanted: Sequence[str], prog_type: int | None, level: int) -> Sequence[LoadResult | Error]:
    """Each function of a C file for bcc, loaded alone, in a process that LLVM may end. Raises Error."""
    source = text(files.read(path, FILE_MAX))
    line = pinned_table(source)
    if line is not None:
        raise Error(
            path,
            f"line {line}: a pinned table, which bcc would take from others or make on this host",
            hint="nothing is pinned here: declare it as BPF_TABLE, without a path",
        )
    noise = noise_file()
    try:
        function = partial(compile_and_load, wanted=wanted, prog_type=prog_type, level=level, noise=noise)
        ((_, answer),) = bounded.run_each([path], function, COMPILE_SECONDS)
        output = read_noise(noise)
    finally:
        os.close(noise)
    if isinstance(answer, OSError):
        raise compiler_gave_up(path, answer, output)
    if isinstance(answer, Error):
        raise answer
    return [restore_lines_of(each, path, source) for each in answer]


def restore_lines_of(result: LoadResult | Error, path: str, source: str) -> LoadResult | Error:
    """The result with the lines of the file, in place of those of the text that bcc has made of it."""
    if isinstance(result, Error) or result.diagnosis is None:
        return result
    return replace(result, diagnosis=restore_lines(result.diagnosis, path, source, result.log))


def compile_and_load(
    path: str, *, wanted: Sequence[str], prog_type: int | None, level: int, noise: int
) -> list[LoadResult | Error] | Error:
    """The same by this process; the Error is that of the file."""
    try:
        bpf.confine()
        with bcc.Object(os.path.abspath(path), noise=noise) as module:
            names = choose_programs(path, module.functions(), wanted)
            return [load_function(path, module, name, prog_type, level) for name in names]
    except Error as error:
        return compile_error(path, error)


def load_function(path: str, module: bcc.Object, name: str, prog_type: int | None, level: int) -> LoadResult | Error:
    prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
    kind = prog_type if prog_type is not None else TYPES[PREFIXES[prefix]] if prefix else None
    if kind is None:
        return Error(f"{path}: {name}", "its name does not tell the type of program", hint="give it with --type")
    answer, insn_count = module.ask(name, kind, log_level(level))
    return interpret(LoadRequest(name, None, kind, insn_count), answer)


def compiler_gave_up(path: str, error: OSError, noise: str) -> Error:
    """Why the process that compiles gave no answer."""
    if re.search(r"bad_alloc|out of memory", noise):
        return Error(path, errno=errnos.ENOMEM, hint="compiling takes some 300 MiB of memory")
    if noise.strip():
        return compile_error(path, bcc.failure(path, 0, noise))
    return Error.from_os(path, error)


def pinned_table(source: str) -> int | None:
    """The line of a C file for bcc that declares a pinned table; None without any."""
    bare = COMMENT.sub(lambda found: found[0] if found[0][0] == '"' else "\n" * found[0].count("\n"), source)
    found = PINNED.search(bare)
    return None if found is None else bare.count("\n", 0, found.start()) + 1


def compile_error(path: str, error: Error) -> Error:
    """clang calls what bcc gives it /virtual/main.c. What has its own headers is no program for bcc."""
    match = re.fullmatch(r"(?:error: )?/virtual/main\.c:(\d+):\d+: (?:fatal )?(?:error: )?(.*)", error.reason)
    if match is None:
        return error
    if behind := re.fullmatch(r"in function (\S+) .*?: (.*)", match[2]):
        # LLVM's own, with a line of what bcc has made of the source.
        return Error(path, f"function {behind[1]}: {behind[2]}")
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


def load_instructions(path: str, prog_type: int, level: int, licence: str) -> LoadResult | Error:
    """Bare instructions. Raises Error."""
    insns = instructions(path, files.read(path, FILE_MAX))
    try:
        answer = bpf.load(bpf.Program(insns, prog_type, license=os.fsencode(licence)), log_level(level))
    except OSError as error:
        raise Error.from_os(path, error) from error
    return interpret(LoadRequest(os.path.basename(path), None, prog_type, len(insns) // 8), answer)


def is_object(path: str) -> bool:
    """Whether a file is an ELF object for BPF. Raises Error for an ELF file of another machine, FileError."""
    with files.open_input(path) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise FileError(path, "not a regular file", hint="libbpf and bcc read it by its name, more than once")
        head = file.read(elf.IDENT_SIZE)
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
