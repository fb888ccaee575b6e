# SPDX-License-Identifier: GPL-2.0-or-later
"""A BPF object file: its functions, and the source lines of their instructions (.BTF.ext, linux/btf.h).

The bytes are anybody's: every offset is checked, and what is wrong with them is a ValueError.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import error as struct_error
from struct import unpack_from

from kprobe_tool.native import elf
from kprobe_tool.native.bpf_insn import INSN_SIZE
from kprobe_tool.native.btf import BTF_MAGIC, Btf
from kprobe_tool.native.elf import Section

OBJECT_MAX = 1 << 28
# struct btf_ext_header: magic, version, flags, hdr_len, func_info_off, func_info_len, line_info_off, line_info_len
EXT_HEADER = "=HBBIIIII"
LINE_INFO_SIZE = 16


@dataclass(frozen=True)
class BpfFunction:
    """A function: where it begins in its section, and how many instructions it has."""

    name: str
    section: str
    insn: int
    count: int


@dataclass(frozen=True)
class SourceLine:
    """What an instruction was made from: the record for it and those up to the next one."""

    section: str
    insn: int
    file: str
    line: int
    column: int
    text: str


@dataclass(frozen=True)
class BpfObject:
    """What is known of the instructions of an object file."""

    functions: tuple[BpfFunction, ...]
    lines: tuple[SourceLine, ...]


def parse(data: bytes) -> BpfObject:
    """What an object file holds. Raises ValueError for what is no BPF object file."""
    if elf.header(data).machine != elf.EM_BPF:
        raise ValueError("an ELF file, but none of BPF")
    try:
        sections = elf.sections(data)
        return BpfObject(tuple(functions(sections)), tuple(line_info(sections)))
    except struct_error as error:
        raise ValueError(f"the file is cut short ({error})") from error


def functions(sections: list[Section]) -> Iterator[BpfFunction]:
    """The functions that the symbol table names."""
    for symbol in elf.symbols(sections):
        if symbol.type == elf.STT_FUNC and symbol.section < len(sections):
            yield BpfFunction(
                symbol.name, sections[symbol.section].name, symbol.value // INSN_SIZE, symbol.size // INSN_SIZE
            )


def line_info(sections: list[Section]) -> Iterator[SourceLine]:
    """The records of .BTF.ext about lines; none where the file was compiled without -g."""
    named = {section.name: section for section in sections}
    if not {".BTF.ext", ".BTF"} <= named.keys():
        return
    ext, types = named[".BTF.ext"].data, named[".BTF"].data
    magic, _, _, hdr_len, _, _, off, length = unpack_from(EXT_HEADER, ext)
    if magic != BTF_MAGIC:
        raise ValueError(f".BTF.ext: magic {magic:#x}")
    btf = Btf(types)
    place = hdr_len + off
    end = min(place + length, len(ext))
    (size,) = unpack_from("=I", ext, place)
    if size < LINE_INFO_SIZE:
        raise ValueError(f".BTF.ext: line records of {size} bytes")
    place += 4
    while place < end:
        name, count = unpack_from("=II", ext, place)
        place += 8
        if count > (end - place) // size:
            raise ValueError(".BTF.ext: more records than the section has room for")
        section = btf.string(name)
        for number in range(count):
            insn_off, file, line, line_col = unpack_from("=IIII", ext, place + number * size)
            # BPF_LINE_INFO_LINE_NUM, BPF_LINE_INFO_LINE_COL
            yield SourceLine(
                section, insn_off // INSN_SIZE, btf.string(file), line_col >> 10, line_col & 0x3FF, btf.string(line)
            )
        place += count * size
