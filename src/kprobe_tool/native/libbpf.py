# SPDX-License-Identifier: GPL-2.0-or-later
"""libbpf.so.1 through ctypes: programs of an ELF object, loaded one at a time and closed again.

libbpf does what the kernel leaves to loaders: maps, BTF, relocations against the kernel's types. Every host that has
bcc has it, as libbcc links against it.

What an object says of pinning is not done: libbpf would take the map that others have at that path instead of a new
one, put the object's programs into it, and pin a new one there.
"""

from __future__ import annotations

import ctypes
import errno as errnos
import mmap
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from kprobe_tool.errors import Error
from kprobe_tool.native import btf, host
from kprobe_tool.native.bpf import LOG_SIZE, LOG_SIZE_MAX, LoadAnswer
from kprobe_tool.native.libc import announce, libc, text

SONAME = "libbpf.so.1"
HINT = "install libbpf1 (Debian, Ubuntu) or libbpf (Fedora, openSUSE)"

MESSAGE_MAX = 1 << 16
"""Bytes of one message of libbpf's. Its own are short; those that hold a log are cut."""
MESSAGES_MAX = 1024

# enum libbpf_print_level
LIBBPF_DEBUG = 2

PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
"""libbpf_print_fn_t. A va_list argument arrives as a pointer on every 64-bit architecture that has BPF."""

FILLED_LAST = re.compile(r"failed to initialize slot \[\d+\] to prog '")
"""tools/lib/bpf/libbpf.c, init_prog_array_slots(). libbpf fills arrays of programs after the kernel has accepted
everything that was to be loaded. It fails there when a slot is for one of the other programs of the object, which
says nothing against the program that was asked about."""

POINTER = ctypes.c_void_p
PROTOTYPES = {
    "libbpf_set_print": (POINTER, (PRINT,)),
    "libbpf_version_string": (ctypes.c_char_p, ()),
    "bpf_object__open_file": (POINTER, (ctypes.c_char_p, POINTER)),
    "bpf_object__load": (ctypes.c_int, (POINTER,)),
    "bpf_object__close": (None, (POINTER,)),
    "bpf_object__next_program": (POINTER, (POINTER, POINTER)),
    "bpf_object__next_map": (POINTER, (POINTER, POINTER)),
    "bpf_map__set_pin_path": (ctypes.c_int, (POINTER, ctypes.c_char_p)),
    "bpf_program__name": (ctypes.c_char_p, (POINTER,)),
    "bpf_program__section_name": (ctypes.c_char_p, (POINTER,)),
    "bpf_program__type": (ctypes.c_int, (POINTER,)),
    "bpf_program__set_type": (ctypes.c_int, (POINTER, ctypes.c_int)),
    "bpf_program__insn_cnt": (ctypes.c_size_t, (POINTER,)),
    "bpf_program__set_autoload": (ctypes.c_int, (POINTER, ctypes.c_bool)),
    "bpf_program__set_log_buf": (ctypes.c_int, (POINTER, POINTER, ctypes.c_size_t)),
    "bpf_program__set_log_level": (ctypes.c_int, (POINTER, ctypes.c_uint32)),
}


@dataclass(frozen=True)
class ObjectProgram:
    """A program of an object: its function and section. ``prog_type`` is 0 where that name tells libbpf none."""

    name: str
    section: str
    prog_type: int
    insn_count: int


@dataclass(frozen=True)
class Loaded:
    """What became of one program.

    ``answer`` is the kernel's about the program, or None where libbpf failed before it came to that (a map, the
    BTF, a relocation), with ``errno``. ``messages`` are libbpf's own, a line each, without the log.
    """

    answer: LoadAnswer | None
    errno: int
    messages: tuple[str, ...]


libc.vsnprintf.argtypes = (POINTER, ctypes.c_size_t, POINTER, POINTER)


@cache
def library() -> ctypes.CDLL:
    """libbpf with its prototypes. Raises Error where there is none."""
    try:
        lib = ctypes.CDLL(SONAME, use_errno=True)
        for name, (restype, argtypes) in PROTOTYPES.items():
            function = getattr(lib, name)
            function.restype, function.argtypes = restype, argtypes
    except (OSError, AttributeError) as error:
        raise Error(SONAME, str(error), hint=HINT) from error
    return lib


def version() -> str:
    """Of the library, as it tells it: v1.1. Raises Error where there is none."""
    return text(library().libbpf_version_string())


TAKES_TOKENS = (1, 4)
"""libbpf's version that creates a token of the file system at /sys/fs/bpf by itself (bpf_object__load())."""


def token_hint() -> str | None:
    """What would let root of a user namespace load an object; None where it would not, or need not.

    A token (BPF_TOKEN_CREATE, kernel/bpf/token.c) is made of a bpf file system that has been mounted for that user
    namespace with options that only root of the host may set (kernel/bpf/inode.c, bpf_parse_param()).
    """
    if host.in_initial_user_namespace():
        return None
    try:
        commands = btf.vmlinux().enumerators("bpf_cmd").values()
    except OSError:
        return None
    if "BPF_TOKEN_CREATE" not in commands:
        return None
    options = "delegate_cmds, delegate_maps and delegate_progs"
    hint = f"a BPF token: /sys/fs/bpf mounted by the container's manager with {options}"
    found = re.match(r"v(\d+)\.(\d+)", version())
    if found is not None and (int(found[1]), int(found[2])) >= TAKES_TOKENS:
        return hint
    return f"{hint}, for libbpf 1.4 or newer (this is {version()})"


@contextmanager
def messages() -> Iterator[list[str]]:
    """What libbpf prints meanwhile; warnings and what it informs of, no debug. Raises MemoryError for a lost one."""
    lib = library()
    lines: list[str] = []
    lost = False

    def take(level: int, template: int, arguments: int) -> int:
        nonlocal lost
        try:
            buffer = ctypes.create_string_buffer(MESSAGE_MAX)
            libc.vsnprintf(buffer, MESSAGE_MAX, template, arguments)
            if level < LIBBPF_DEBUG and len(lines) < MESSAGES_MAX:
                lines.extend(text(buffer.value).splitlines())
        except MemoryError:
            # Whoever calls a callback gets no exception.
            lost = True
        return 0

    callback = PRINT(take)
    previous = lib.libbpf_set_print(callback)
    try:
        yield lines
    finally:
        lib.libbpf_set_print(PRINT(previous or 0))
        if lost:
            raise MemoryError


@contextmanager
def open_object(path: str) -> Iterator[int]:
    """struct bpf_object of a file. Raises OSError."""
    lib = library()
    handle = lib.bpf_object__open_file(os.fsencode(path), None)
    if not handle:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    try:
        yield handle
    finally:
        lib.bpf_object__close(handle)


def each_program(handle: int) -> Iterator[int]:
    """struct bpf_program of every program."""
    lib = library()
    program = lib.bpf_object__next_program(handle, None)
    while program:
        yield program
        program = lib.bpf_object__next_program(handle, program)


def forget_pins(handle: int) -> None:
    """Make every map of an object one of its own, without a name in any BPF file system. Raises OSError."""
    lib = library()
    member = lib.bpf_object__next_map(handle, None)
    while member:
        error = -lib.bpf_map__set_pin_path(member, None)
        if error:
            raise OSError(error, os.strerror(error), "bpf_map__set_pin_path()")
        member = lib.bpf_object__next_map(handle, member)


def describe(program: int) -> ObjectProgram:
    lib = library()
    return ObjectProgram(
        text(lib.bpf_program__name(program)),
        text(lib.bpf_program__section_name(program)),
        lib.bpf_program__type(program),
        lib.bpf_program__insn_cnt(program),
    )


def programs(path: str) -> tuple[ObjectProgram, ...]:
    """The programs of an object file. Raises OSError with libbpf's own words, Error."""
    with messages() as printed:
        try:
            with open_object(path) as handle:
                return tuple(describe(program) for program in each_program(handle))
        except OSError as error:
            words = printed[-1].removeprefix("libbpf: ") if printed else error.strerror
            raise OSError(error.errno, words, path) from error


def attempt(path: str, name: str, level: int, size: int, prog_type: int | None) -> Loaded:
    """Load one program of an object with a log of this size."""
    lib = library()
    with messages() as printed, mmap.mmap(-1, size) as memory:
        with open_object(path) as handle:
            forget_pins(handle)
            for program in each_program(handle):
                wanted = text(lib.bpf_program__name(program)) == name
                lib.bpf_program__set_autoload(program, wanted)
                if not wanted:
                    continue
                if prog_type is not None:
                    lib.bpf_program__set_type(program, prog_type)
                start = ctypes.c_char.from_buffer(memory)
                lib.bpf_program__set_log_buf(program, ctypes.addressof(start), size)
                # mmap cannot be closed while something points into it.
                del start
                lib.bpf_program__set_log_level(program, level)
            announce("bpf(BPF_PROG_LOAD) of %s, by libbpf", name)
            errno = -lib.bpf_object__load(handle)
            if any(FILLED_LAST.search(line) for line in printed):
                errno = 0
        end = memory.find(b"\0")
        log = memory[: end if end >= 0 else size]
    reached_kernel = not errno or any(f"prog '{name}': BPF program load failed" in line for line in printed)
    # libbpf 1.1 does not ask for log_true_size; what reaches the end of the buffer may have been cut.
    complete = len(log) + 1 < size and errno != errnos.ENOSPC
    return Loaded(LoadAnswer(errno, log, complete, None) if reached_kernel else None, errno, tuple(printed))


def load(path: str, name: str, level: int, prog_type: int | None = None) -> Loaded:
    """Load one program of an object file and close it; the buffer grows until the log fits.

    ``prog_type`` overrides what libbpf makes of the section's name. Raises OSError where the file is no object,
    Error without libbpf.
    """
    size = LOG_SIZE
    while True:
        loaded = attempt(path, name, level, size, prog_type)
        if loaded.answer is None or loaded.answer.complete or size == LOG_SIZE_MAX:
            return loaded
        size = min(size * 16, LOG_SIZE_MAX)
