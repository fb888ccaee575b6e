# SPDX-License-Identifier: GPL-2.0-or-later
"""What the programs and maps of a BPF object use, read from the file: nothing is loaded.

The bytes are anybody's: every offset is checked, and what is wrong with them is a ValueError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from struct import unpack

from kprobe_tool.native import bpf_insn as insn
from kprobe_tool.native import elf
from kprobe_tool.native.btf import Btf
from kprobe_tool.native.elf import Section, Symbol
from kprobe_tool.probes.verifier.floor import features, instructions, table
from kprobe_tool.probes.verifier.floor.features import Feature
from kprobe_tool.probes.verifier.floor.table import Since

TEXT = ".text"
"""The section of functions that programs call; programs have sections of their own."""
KCONFIG = ("LINUX_", "CONFIG_")
"""How external symbols begin whose values libbpf puts into a map of its own, .kconfig."""
STRUCT_OPS = 26
"""BPF_MAP_TYPE_STRUCT_OPS"""
BPF_F_LINK = 1 << 13
POINTER_SIZE = 8
"""Bytes of a pointer on the BPF machine."""
MAP_DEF_SIZE = 20
"""Bytes of struct bpf_map_def."""
OLD_INSNS_MAX = 4096
"""Instructions that a program could have before Linux v5.2."""


class Stage(StrEnum):
    """What a kernel refuses that does not have the thing used."""

    LOAD = "load"
    ATTACH = "attach"
    OPTIONAL = "optional"
    """Nothing: the program tests for it, or the loader uses something else instead."""


@dataclass(frozen=True)
class Use:
    """Something that programs use (no programs: the object itself does), and since which kernel it is there, or "
    "None."""

    kind: str
    name: str
    since: Since | None
    stage: Stage
    programs: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProgramUses:
    """A program as its section names it; ``prog_type`` is None where libbpf knows no such section."""

    name: str
    section: str
    prog_type: str | None
    uses: frozenset[Use]


@dataclass
class Function:
    """Instructions that a program is made of, what they use, and the functions that they call."""

    uses: set[Use] = field(default_factory=set)
    calls: set[tuple[int, int]] = field(default_factory=set)
    size: int = 0


def feature_use(kind: str, feature: Feature, stage: Stage = Stage.LOAD) -> Use:
    name, since = feature
    return Use(kind, name, since, stage)


def helper_use(number: int) -> Use:
    name, since = table.HELPERS.get(number, (f"#{number}", None))
    return Use("helper", name, since, Stage.LOAD)


def kfunc_use(name: str, stage: Stage) -> Use:
    """A kfunc; some have a suffix in the program that is not in the kernel (___FLAVOUR, as libbpf takes it)."""
    return Use("kfunc", name, table.KFUNCS.get(name.partition("___")[0]), stage)


def section_uses(section: str) -> tuple[str | None, list[Use]]:
    """(program type, uses) of a section: what its type and its way to attach need of a kernel."""
    bare = section.removeprefix("?")
    for prefix, kind, attach, flags in table.SECTIONS:
        stem = prefix.removesuffix("+")
        if bare == stem or (prefix.endswith("+") and bare.startswith(f"{stem}/")):
            uses = [Use("program type", kind, table.PROGRAM_TYPES.get(kind), Stage.LOAD)]
            uses += [
                feature_use("program flag", features.PROGRAM_FLAGS[flag])
                for flag in flags & features.PROGRAM_FLAGS.keys()
            ]
            if attach:
                uses.append(attach_type_use(kind, attach, optional="SEC_ATTACHABLE_OPT" in flags))
            return kind, uses
    return None, [Use("section", section, None, Stage.LOAD)]


def attach_type_use(prog_type: str, name: str, *, optional: bool = False) -> Use:
    """An attach type. With ``optional`` libbpf leaves it out of the load where the kernel does not know it."""
    if name in features.NOT_NEEDED:
        stage = Stage.OPTIONAL
    else:
        stage = Stage.LOAD if prog_type in features.CHECKED_AT_LOAD and not optional else Stage.ATTACH
    return Use("attach type", name, table.ATTACH_TYPES.get(name), stage)


def map_type_use(number: int) -> Use:
    name, since = table.MAP_TYPES.get(number, (f"#{number}", None))
    return Use("map type", name, since, Stage.LOAD)


def map_flag_uses(flags: int) -> Iterator[Use]:
    while flags:
        bit = flags & -flags
        flags ^= bit
        name, since = table.MAP_FLAGS.get(bit, (f"{bit:#x}", None))
        yield Use("map flag", name, since, Stage.LOAD)


class ObjectUses:
    """What an object file uses. Raises ValueError, here and from every method, where it is none."""

    def __init__(self, data: bytes) -> None:
        if elf.header(data).machine != elf.EM_BPF:
            raise ValueError("an ELF file, but none of BPF")
        self.sections = elf.sections(data)
        self.symbols = list(elf.symbols(self.sections))
        self.code = {
            number: instructions.decode(section.data)
            for number, section in enumerate(self.sections)
            if section.flags & elf.SHF_EXECINSTR
        }
        self.functions = {
            (symbol.section, symbol.value // insn.INSN_SIZE): symbol
            for symbol in self.symbols
            if symbol.type == elf.STT_FUNC and symbol.section in self.code
        }

    def section_named(self, name: str) -> Section | None:
        return next((section for section in self.sections if section.name == name), None)

    @cached_property
    def btf(self) -> Btf | None:
        """Its types; None where it was compiled without -g."""
        section = self.section_named(".BTF")
        return None if section is None else Btf(section.data, pointer_size=POINTER_SIZE)

    @property
    def licence(self) -> str | None:
        section = self.section_named("license")
        return None if section is None else section.data.partition(b"\0")[0].decode(errors="backslashreplace")

    @cached_property
    def relocation_targets(self) -> dict[tuple[int, int], Symbol]:
        """The symbols that instructions refer to, by the section and the number of the instruction."""
        return {
            (section.info, each.offset // insn.INSN_SIZE): self.symbols[each.symbol]
            for section in self.sections
            if section.type == elf.SHT_REL and section.info in self.code
            for each in elf.relocations(section)
            if each.symbol < len(self.symbols)
        }

    @cached_property
    def addressed_symbols(self) -> frozenset[str]:
        """External symbols whose address a program takes: how it asks whether the kernel has them."""
        return frozenset(
            symbol.name
            for (number, place), symbol in self.relocation_targets.items()
            if symbol.section == elf.SHN_UNDEF
            and place < len(self.code[number])
            and self.code[number][place].code == insn.LD_IMM64
        )

    def stage_of(self, symbol: Symbol) -> Stage:
        """LOAD, or OPTIONAL for a weak symbol whose address the program takes, to test whether it is there."""
        return Stage.OPTIONAL if symbol.bind == elf.STB_WEAK and symbol.name in self.addressed_symbols else Stage.LOAD

    def function_at(self, section: int, insn_number: int) -> tuple[int, int]:
        """The function that an instruction is in: the last one that begins before."""
        starts = [start for number, start in self.functions if number == section and start <= insn_number]
        return section, max(starts, default=0)

    def read_function(self, key: tuple[int, int]) -> Function:
        """A function, with what its own instructions use, and not the functions that it calls."""
        section, start = key
        code = self.code[section]
        symbol = self.functions.get(key)
        end = start + symbol.size // insn.INSN_SIZE if symbol is not None else len(code)
        body = code[start:end]
        found = Function(size=len(body))
        if instructions.has_loop(body):
            found.uses.add(feature_use("instruction", features.LOOPS))
        skip = False
        for offset, each in enumerate(body):
            if skip:
                skip = False
                continue
            skip = each.code == insn.LD_IMM64
            found.uses.update(feature_use("instruction", feature) for feature in instructions.features_of(each))
            if each.code == insn.CALL:
                self.add_call(section, start + offset, each, found)
            elif skip:
                self.add_load(section, start + offset, each, found)
        return found

    def add_call(self, section: int, place: int, each: instructions.DecodedInsn, found: Function) -> None:
        symbol = self.relocation_targets.get((section, place))
        if symbol is not None and symbol.section == elf.SHN_UNDEF:
            stage = self.stage_of(symbol)
            found.uses.add(feature_use("instruction", features.KFUNCS, stage))
            found.uses.add(kfunc_use(symbol.name, stage))
        elif symbol is not None or each.src == insn.BPF_PSEUDO_CALL:
            where, base = (
                (section, place + 1) if symbol is None else (symbol.section, symbol.value // insn.INSN_SIZE + 1)
            )
            found.uses.add(feature_use("instruction", features.FUNCTIONS))
            if where in self.code:
                found.calls.add(self.function_at(where, base + 1 + each.imm))
        elif each.src == insn.BPF_PSEUDO_KFUNC_CALL:
            found.uses.add(feature_use("instruction", features.KFUNCS))
        else:
            found.uses.add(helper_use(each.imm))

    def add_load(self, section: int, place: int, each: instructions.DecodedInsn, found: Function) -> None:
        """Add what a 64-bit load needs: it loads the address of a map, a function or a variable."""
        symbol = self.relocation_targets.get((section, place))
        if symbol is None:
            feature = {
                insn.BPF_PSEUDO_BTF_ID: features.KERNEL_VARIABLES,
                insn.BPF_PSEUDO_MAP_VALUE: features.GLOBAL_DATA,
                insn.BPF_PSEUDO_FUNC: features.CALLBACKS,
            }.get(each.src)
            if feature is not None:
                found.uses.add(feature_use("instruction", feature))
        elif symbol.section == elf.SHN_UNDEF:
            if symbol.name.startswith(KCONFIG):
                found.uses.add(feature_use("instruction", features.GLOBAL_DATA))
            elif self.is_typed(symbol.name):
                found.uses.add(feature_use("instruction", features.KERNEL_VARIABLES, self.stage_of(symbol)))
        elif symbol.section in self.code:
            found.uses.add(feature_use("instruction", features.CALLBACKS))
            at = (symbol.value + each.imm) // insn.INSN_SIZE
            found.calls.add(self.function_at(symbol.section, at))
        elif symbol.section < len(self.sections) and self.sections[symbol.section].name not in {".maps", "maps"}:
            found.uses.add(feature_use("instruction", features.GLOBAL_DATA))

    def is_typed(self, name: str) -> bool:
        """Whether a kernel symbol is declared with a type here; libbpf looks up the others, in /proc/kallsyms."""
        if self.btf is None:
            return False
        return any(
            found == name and self.btf.size_of(kind) is not None for found, kind in self.btf.variables(".ksyms")
        )

    def programs(self) -> Iterator[ProgramUses]:
        """Each program with all that its functions use."""
        read: dict[tuple[int, int], Function] = {}
        for key, symbol in sorted(self.functions.items()):
            section = self.sections[symbol.section].name
            if section == TEXT:
                continue
            prog_type, typed = section_uses(section)
            uses = {feature_use("program", features.BPF_PROG_LOAD), *typed}
            waiting, seen = [key], set[tuple[int, int]]()
            size = 0
            while waiting:
                one = waiting.pop()
                if one in seen:
                    continue
                seen.add(one)
                if one not in read:
                    read[one] = self.read_function(one)
                uses |= read[one].uses
                size += read[one].size
                waiting += read[one].calls
            if size > OLD_INSNS_MAX:
                uses.add(feature_use("instruction", features.LARGE))
            yield ProgramUses(symbol.name, section, prog_type, frozenset(uses))

    def maps(self) -> Iterator[Use]:
        """What the maps of the object need: a loader creates all of them, whichever program is loaded."""
        yield from self.declared_maps()
        section = self.section_named("maps")
        if section is not None:
            yield from self.old_maps(section)
        names = {section.name for section in self.sections if section.size}
        if names & {".struct_ops", ".struct_ops.link", "?.struct_ops", "?.struct_ops.link"}:
            yield map_type_use(STRUCT_OPS)
        if names & {".struct_ops.link", "?.struct_ops.link"}:
            yield from map_flag_uses(BPF_F_LINK)

    def declared_maps(self) -> Iterator[Use]:
        """Maps of the section .maps, whose BTF types say what they are."""
        if self.btf is None:
            return
        for _, kind in self.btf.variables(".maps"):
            members = {member.name: member.type_id for member in self.btf.struct_of(kind).members}
            numbers = {
                name: self.btf.count_behind(members[name]) or 0 for name in ("type", "map_flags") if name in members
            }
            if "type" in numbers:
                yield map_type_use(numbers["type"])
            yield from map_flag_uses(numbers.get("map_flags", 0))

    def old_maps(self, section: Section) -> Iterator[Use]:
        """Maps of the older section ``maps``: the five numbers of struct bpf_map_def that libbpf reads."""
        number = self.sections.index(section)
        for symbol in self.symbols:
            if symbol.section == number and symbol.name:
                data = section.data[symbol.value : symbol.value + MAP_DEF_SIZE]
                if len(data) == MAP_DEF_SIZE:
                    kind, _, _, _, flags = unpack("=5I", data)
                    yield map_type_use(kind)
                    yield from map_flag_uses(flags)

    def types(self) -> Iterator[Use]:
        """Kinds of BTF; for older kernels libbpf replaces those that they do not know."""
        for kind in sorted(self.btf.kinds() if self.btf is not None else ()):
            name = features.BTF_NAMES.get(kind, f"#{kind}")
            yield Use("BTF kind", name, features.BTF_KINDS.get(kind), Stage.OPTIONAL)


def gather(programs: Sequence[ProgramUses], others: Sequence[Use]) -> list[Use]:
    """Each use once, with the names of the programs that have it."""
    users: dict[Use, list[str]] = {use: [] for use in others}
    for program in programs:
        for use in program.uses:
            users.setdefault(use, []).append(program.name)
    return [Use(use.kind, use.name, use.since, use.stage, tuple(names)) for use, names in users.items()]
