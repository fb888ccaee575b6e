# SPDX-License-Identifier: GPL-2.0-or-later
"""Load programs of the corpus on the running kernel: maps, BTF ids and the privileges that each needs."""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from kprobe_tool.native import bpf, btf, libbpf

from ..nobody import become_nobody
from .asm import assemble
from .objects import object_file
from .programs import BPF_ONLY, NOBODY, PERFMON, ROOT, Program

BPF_MAP_CREATE = 0

CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF = 12, 38, 39

CAPABILITIES = {BPF_ONLY: (CAP_BPF, CAP_NET_ADMIN), PERFMON: (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON)}

# Name: enum bpf_map_type, key size, value size, entries, flags
MAPS = {
    "array": (2, 4, 16, 1, 0),
    "hash": (1, 8, 16, 1, 0),
    "readonly": (2, 4, 16, 1, 1 << 7),
    "writeonly": (2, 4, 16, 1, 1 << 8),
    "progs": (3, 4, 4, 1, 0),
    "perf": (4, 4, 4, 1, 0),
    "ringbuf": (27, 0, 0, 4096, 0),
    "user_ringbuf": (31, 0, 0, 4096, 0),
}


class bpf_attr_map_create(ctypes.Structure):
    """linux/bpf.h, union bpf_attr: the first part of BPF_MAP_CREATE."""

    _fields_ = tuple(
        (name, ctypes.c_uint32) for name in ("map_type", "key_size", "value_size", "max_entries", "map_flags")
    )


class Absent(Exception):
    """This kernel has no such function, type or map, so the program cannot be built for it."""


class Symbols:
    """What programs refer to on the running kernel; maps are made when first asked for."""

    def __init__(self) -> None:
        self.maps: dict[str, int] = {}

    def resolve(self, kind: str, name: str) -> int:
        if kind == "map":
            return self.map(name)
        kinds = {
            "kfunc": btf.BTF_KIND_FUNC,
            "ksym": btf.BTF_KIND_VAR,
            "typeid": btf.BTF_KIND_STRUCT,
            "typedef": btf.BTF_KIND_TYPEDEF,
            "func": btf.BTF_KIND_FUNC,
        }
        found = btf.vmlinux().find(name, frozenset({kinds[kind]}))
        if found is None:
            raise Absent(f"no {kind} {name} in the kernel's BTF")
        return found

    def map(self, name: str) -> int:
        if name not in self.maps:
            attr = bpf_attr_map_create(*MAPS[name])
            try:
                self.maps[name] = bpf.bpf(BPF_MAP_CREATE, attr)
            except OSError as error:
                raise Absent(f"map {name}: {error}") from error
        return self.maps[name]

    def close(self) -> None:
        for fd in self.maps.values():
            os.close(fd)
        self.maps.clear()


@contextmanager
def symbols() -> Iterator[Symbols]:
    """For programs and maps of any size: before Linux v5.11 they count against RLIMIT_MEMLOCK (EPERM).

    What may not be raised (as nobody) stays as it is.
    """
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    made = Symbols()
    try:
        yield made
    finally:
        made.close()
        resource.setrlimit(resource.RLIMIT_MEMLOCK, before)


def build(program: Program, kernel_symbols: Symbols) -> bpf.Program:
    """A row with a text as what BPF_PROG_LOAD takes. Raises Absent."""
    types = {name: number for number, name in enumerate(bpf.PROG_TYPES)}
    return bpf.Program(
        insns=assemble(program.text, kernel_symbols.resolve),
        prog_type=types[program.prog_type] if program.prog_type in types else int(program.prog_type),
        license=program.license.encode(),
        prog_name=program.name.replace("-", "_").encode()[: bpf.BPF_OBJ_NAME_LEN - 1],
        prog_flags=program.prog_flags,
        expected_attach_type=program.expected_attach_type,
        attach_btf_id=kernel_symbols.resolve(*program.btf) if program.btf else 0,
    )


@dataclass(frozen=True)
class KernelAnswer:
    """The kernel's answer about one program, and how many instructions that has."""

    answer: bpf.LoadAnswer
    insn_count: int


def load(program: Program, kernel_symbols: Symbols, level: int) -> KernelAnswer:
    """What the running kernel says about a program. Raises Absent where it cannot be built for it."""
    if program.text:
        raw = build(program, kernel_symbols)
        return KernelAnswer(call_as_user(program.who, lambda: bpf.load(raw, level)), len(raw.insns) // 8)
    for kfunc in program.kfuncs:
        kernel_symbols.resolve("kfunc", kfunc)
    path, name = str(object_file(program.source)), program.name.replace("-", "_")
    loaded = libbpf.load(path, name, level)
    if loaded.answer is None:
        raise Absent(f"libbpf: {loaded.messages[-1] if loaded.messages else loaded.errno}")
    counts = {each.name: each.insn_count for each in libbpf.programs(path)}
    return KernelAnswer(loaded.answer, counts[name])


def call_as_user(who: str, function: Callable[[], Any]) -> Any:
    """What a function returns to a process without privilege; maps are made before, by root."""
    if who == ROOT:
        return function()
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        # Whatever happens, this process must not go on with the rest.
        try:
            become_nobody(CAPABILITIES.get(who, ()))
            with open(theirs, "wb") as file:
                file.write(pickle.dumps(function()))
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as file:
        data = file.read()
    os.waitpid(child, 0)
    return pickle.loads(data)


def may_load(who: str) -> bool:
    """Whether this host lets such a user load anything."""
    with open("/proc/sys/kernel/unprivileged_bpf_disabled", encoding="ascii") as file:
        return who != NOBODY or file.read().strip() == "0"
