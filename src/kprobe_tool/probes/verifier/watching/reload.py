# SPDX-License-Identifier: GPL-2.0-or-later
"""A program that was rejected without a log, loaded once more with one: never attached, and closed at once.

It is loaded with our privileges and not with its loader's, and without its BTF. Its maps are those of the loader, so
what a load alone would change in them is not done.
"""

from __future__ import annotations

import errno as errnos
import os
from collections.abc import Iterator
from contextlib import ExitStack

from kprobe_tool.errors import Error, errno_name
from kprobe_tool.native import bpf, pidfd
from kprobe_tool.native.bpf import bpf_attr_prog_load
from kprobe_tool.native.bpf_insn import (
    BPF_PSEUDO_BTF_ID,
    BPF_PSEUDO_FUNC,
    BPF_PSEUDO_KFUNC_CALL,
    BPF_PSEUDO_MAP_FD,
    BPF_PSEUDO_MAP_IDX,
    BPF_PSEUDO_MAP_IDX_VALUE,
    BPF_PSEUDO_MAP_VALUE,
    CALL,
    INSN_SIZE,
    LD_IMM64,
)
from kprobe_tool.probes.verifier.watching.attempts import Attempt


class Unable(Exception):
    """Why a program cannot be loaded once more, or why that would say nothing."""


def instructions(insns: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(byte offset, code, src_reg, off) of each instruction; of a load of 64 bits the first half only."""
    at = 0
    while at + INSN_SIZE <= len(insns):
        code, src = insns[at], insns[at + 1] >> 4
        yield at, code, src, int.from_bytes(insns[at + 2 : at + 4], "little", signed=True)
        at += INSN_SIZE * (2 if code == LD_IMM64 else 1)


def file_descriptors(insns: bytes) -> list[int]:
    """Where the descriptors of maps are in the instructions, as byte offsets. Raises Unable."""
    places = []
    for at, code, src, off in instructions(insns):
        if code == LD_IMM64 and src in {BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE}:
            places.append(at + 4)
        elif code == LD_IMM64 and src in {BPF_PSEUDO_MAP_IDX, BPF_PSEUDO_MAP_IDX_VALUE}:
            raise Unable("it names its maps by their place in an array of file descriptors")
        elif code == LD_IMM64 and src == BPF_PSEUDO_FUNC:
            raise Unable("it has callbacks, which need its BTF")
        elif (
            code == LD_IMM64
            and src == BPF_PSEUDO_BTF_ID
            and insns[at + INSN_SIZE + 4 : at + 2 * INSN_SIZE]
            not in {
                b"",
                bytes(4),
            }
        ):
            raise Unable("it refers to a module's BTF")
        elif code == CALL and src == BPF_PSEUDO_KFUNC_CALL and off:
            raise Unable("it calls kfuncs of a module")
    return places


def reload(attempt: Attempt) -> bytes:
    """The log of another try. Raises Unable."""
    load = attempt.load
    attr = bpf_attr_prog_load.from_buffer_copy(load.attr)
    if len(attempt.insns) != load.insn_cnt * INSN_SIZE or not attempt.insns:
        raise Unable("its instructions could not be copied")
    if attr.prog_ifindex or attr.fd_array:
        raise Unable("it is bound to a network device or an array of file descriptors")
    insns = bytearray(attempt.insns)
    places = file_descriptors(attempt.insns)
    wanted = {number_at(insns, at) for at in places} | ({attr.attach_prog_fd} if attr.attach_prog_fd else set())
    with ExitStack() as stack:
        fds = copy_descriptors(stack, load.ns_pid, wanted) if wanted else {}
        for at in places:
            insns[at : at + 4] = fds[number_at(insns, at)].to_bytes(4, "little")
        program = bpf.Program(
            insns=bytes(insns),
            prog_type=load.prog_type,
            license=load.license,
            prog_name=attr.prog_name,
            prog_flags=attr.prog_flags,
            expected_attach_type=load.expected_attach_type,
            attach_btf_id=attr.attach_btf_id,
            attach_prog_fd=fds.get(attr.attach_prog_fd, 0),
        )
        try:
            answer = bpf.load(program, bpf.BPF_LOG_LEVEL1)
        except (OSError, Error) as error:
            raise Unable(f"it could not be loaded again: {error}") from error
    if not answer.errno:
        raise Unable("the kernel accepts it from kprobe-tool, whose privileges are not the loader's")
    if answer.errno != load.errno:
        raise Unable(f"loaded by kprobe-tool it fails in another way ({errno_name(answer.errno)})")
    return answer.log


def number_at(insns: bytearray, at: int) -> int:
    return int.from_bytes(insns[at : at + 4], "little", signed=True)


def copy_descriptors(stack: ExitStack, pid: int | None, wanted: set[int]) -> dict[int, int]:
    """Copies of the loader's descriptors by its own numbers, until the stack unwinds. Raises Unable."""
    if pid is None:
        raise Unable("its loader is outside this pid namespace")
    fds = {}
    kinds = set()
    try:
        process = os.pidfd_open(pid)
        stack.callback(os.close, process)
        for number in wanted:
            fds[number] = pidfd.getfd(process, number)
            stack.callback(os.close, fds[number])
            kinds.add(bpf.map_type(fds[number]))
    except OSError as error:
        if error.errno == errnos.ESRCH:
            raise Unable("the loader is gone, and its maps with it") from error
        raise Unable(f"its maps could not be taken from the loader: {error.strerror}") from error
    if kinds & bpf.CONTAINS_PROGS:
        raise Unable("it uses a map that holds programs, and loading it here could change which ones the map takes")
    return fds
