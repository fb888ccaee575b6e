# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/elf.h: what ELF files say of themselves, and the sections, symbols and segments of 64-bit ones.

The bytes are anybody's: every offset is checked, and what is wrong with them is a ValueError.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import error as struct_error
from struct import unpack_from
from sys import byteorder
from typing import NamedTuple

from kprobe_tool.native.libc import text

MAGIC = b"\x7fELF"
ELFCLASS64 = 2
ELFDATA2LSB, ELFDATA2MSB = 1, 2
EM_BPF = 247
PT_LOAD = 1
SHT_SYMTAB = 2
SHT_REL = 9
SHF_EXECINSTR = 4
SHN_UNDEF = 0
STB_WEAK = 2
STT_FUNC = 2

# Elf64_Ehdr, Elf64_Phdr, Elf64_Shdr, Elf64_Sym, Elf64_Rel
EHDR, EHDR_SIZE = "=16sHHIQQQIHHHHHH", 64
PHDR, PHDR_SIZE = "=IIQQQQQQ", 56
SHDR, SHDR_SIZE = "=IIQQQQIIQQ", 64
SYM, SYM_SIZE = "=IBBHQQ", 24
REL, REL_SIZE = "=QII", 16

IDENT_SIZE = 20
"""Bytes of a file that machine() wants: e_ident, e_type and e_machine, the same for 32 and 64 bits."""

NAME_MAX = 256


class Header(NamedTuple):
    """Elf64_Ehdr: where the tables are, in bytes of the file, and how many entries of which size they have."""

    machine: int
    phoff: int
    phentsize: int
    phnum: int
    shoff: int
    shentsize: int
    shnum: int
    shstrndx: int


class Segment(NamedTuple):
    """A PT_LOAD: ``size`` bytes of the file from ``offset`` on are at ``address`` of the memory."""

    address: int
    size: int
    offset: int


@dataclass(frozen=True)
class Section:
    """One section; ``link`` is the number of another one, for a symbol table that of its names.

    ``info`` is for relocations the number of the section that they are for.
    """

    name: str
    type: int
    flags: int
    link: int
    info: int
    offset: int
    size: int
    file: bytes = field(repr=False)

    @property
    def data(self) -> bytes:
        """A copy, made when it is asked for: sections may overlap, thousands of them in a file made for that."""
        return self.file[self.offset : self.offset + self.size]


class Symbol(NamedTuple):
    """``value`` and ``size`` are bytes in the section with the number ``section``."""

    name: str
    bind: int
    type: int
    section: int
    value: int
    size: int


class Relocation(NamedTuple):
    """At ``offset`` bytes of the section that it is for, something of the symbol with the number ``symbol``."""

    offset: int
    type: int
    symbol: int


def machine(start: bytes) -> int | None:
    """e_machine of a file that begins so, of any class and byte order; None where it is no ELF file."""
    if not start.startswith(MAGIC) or len(start) < IDENT_SIZE:
        return None
    return int(unpack_from(">H" if start[5] == ELFDATA2MSB else "<H", start, 18)[0])


def header(start: bytes) -> Header:
    """The header of a 64-bit file of this machine's byte order. Raises ValueError."""
    order = ELFDATA2LSB if byteorder == "little" else ELFDATA2MSB
    if len(start) < EHDR_SIZE or not start.startswith(MAGIC):
        raise ValueError("no ELF file")
    if (start[4], start[5]) != (ELFCLASS64, order):
        raise ValueError("no 64-bit ELF file of this machine's byte order")
    _, _, number, _, _, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, shstrndx = unpack_from(EHDR, start)
    return Header(number, phoff, phentsize, phnum, shoff, shentsize, shnum, shstrndx)


def segments(table: bytes) -> Iterator[Segment]:
    """The PT_LOAD segments of a table of program headers; a last one that is cut short is left out."""
    for place in range(0, len(table) - PHDR_SIZE + 1, PHDR_SIZE):
        kind, _, offset, address, _, size, _, _ = unpack_from(PHDR, table, place)
        if kind == PT_LOAD:
            yield Segment(address, size, offset)


def sections(data: bytes) -> list[Section]:
    """All sections of a file. Raises ValueError."""
    head = header(data)
    if head.shentsize != SHDR_SIZE or head.shstrndx >= head.shnum:
        raise ValueError("no section headers")
    try:
        headers = [unpack_from(SHDR, data, head.shoff + number * SHDR_SIZE) for number in range(head.shnum)]
    except (struct_error, OverflowError) as error:
        raise ValueError("the section headers are not in the file") from error
    begin, size = headers[head.shstrndx][4:6]
    names = data[begin : begin + size]
    return [
        Section(text(names[name : name + NAME_MAX]), kind, flags, link, info, begin, size, data)
        for name, kind, flags, _, begin, size, link, info, _, _ in headers
    ]


def symbols(found: list[Section]) -> Iterator[Symbol]:
    """What the symbol table names; an object file has one."""
    table = next((section for section in found if section.type == SHT_SYMTAB), None)
    if table is None or table.link >= len(found):
        return
    names, data = found[table.link].data, table.data
    for place in range(0, len(data) - SYM_SIZE + 1, SYM_SIZE):
        name, info, _, section, value, size = unpack_from(SYM, data, place)
        yield Symbol(text(names[name : name + NAME_MAX]), info >> 4, info & 0xF, section, value, size)


def relocations(table: Section) -> Iterator[Relocation]:
    """Those of a section of the type SHT_REL; a last one that is cut short is left out."""
    data = table.data
    for place in range(0, len(data) - REL_SIZE + 1, REL_SIZE):
        offset, kind, symbol = unpack_from(REL, data, place)
        yield Relocation(offset, kind, symbol)
