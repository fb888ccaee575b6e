# SPDX-License-Identifier: GPL-2.0-or-later
"""What BPF programs and Python share is the same in both, as clang lays the structures out."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path

import pytest

from kprobe_tool.native import elf, sk_msg
from kprobe_tool.native.bcc import SOURCES
from kprobe_tool.native.bpf import bpf_attr_prog_load
from kprobe_tool.native.btf import Btf
from kprobe_tool.native.programs import doctor, live, skmsg_check, skmsg_watch, verifier_watch

from ....skips import skip

INCLUDED = {
    "skmsg_check": ("sk_msg.h",),
    "skmsg_watch": ("live.h", "sk_msg.h"),
    "verifier_watch": ("live.h",),
    "doctor": (),
}
"""By program: the headers of bpf/include that it includes and that have structures or numbers."""

# What the compiler's command line defines and an enum may need: as on Linux v6.12.
DEFINES = {"SG_DATA_SIZE": 608, "SG_ENTRY_SIZE": 32, "MAX_LOG": 1 << 20}

TYPES = """
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
typedef signed int s32; typedef signed long long s64;
"""

STRUCTS: tuple[tuple[str, type[ctypes.Structure], str], ...] = (
    ("skmsg_check", sk_msg.sg_element, "sg_element"),
    ("skmsg_check", sk_msg.sg_list, "sg_list"),
    ("skmsg_check", skmsg_check.step, "step"),
    ("skmsg_check", skmsg_check.plan, "plan"),
    ("skmsg_check", skmsg_check.record, "record"),
    ("skmsg_watch", skmsg_watch.settings, "settings"),
    ("skmsg_watch", skmsg_watch.event, "event"),
    ("verifier_watch", verifier_watch.settings, "settings"),
    ("verifier_watch", verifier_watch.key, "key"),
    ("verifier_watch", verifier_watch.header, "header"),
    ("verifier_watch", verifier_watch.message, "message"),
    ("verifier_watch", bpf_attr_prog_load, "attr"),
)

LAST_ARRAY = {"sg_list": "element", "record": "list", "event": "list"}
"""The member that Python takes from what follows the structure, since its length varies."""


def members(enum: type[IntEnum]) -> list[str]:
    return [member.name for member in enum]


ENUMS: tuple[tuple[str, str, Sequence[str]], ...] = (
    ("skmsg_check", "page_kind", [f"PAGE_{name}" for name in members(sk_msg.PageKind)]),
    ("skmsg_check", "step_kind", ["STEP_NONE", *(f"STEP_{name}" for name in members(skmsg_check.StepKind))]),
    ("skmsg_watch", "hook", [*skmsg_watch.HOOKS, "HOOKS"]),
    ("skmsg_watch", "counter", [*(name.upper() for name in live.COUNTERS), "COUNTERS"]),
    ("verifier_watch", "counter", [*(name.upper() for name in live.COUNTERS), "COUNTERS"]),
    ("verifier_watch", "kind", ["KIND_LOAD", "KIND_TAIL", "KIND_LOG", "KIND_INSNS", "KIND_MESSAGE"]),
    ("verifier_watch", "missing", [f"MISSING_{(name or 'nothing').upper()}" for name in verifier_watch.MISSING]),
)

NUMBERS: tuple[tuple[str, str, int], ...] = (
    ("skmsg_check", "CALLS", skmsg_check.CALLS),
    ("skmsg_check", "STEPS", skmsg_check.STEPS),
    ("verifier_watch", "STRING", verifier_watch.STRING),
    ("verifier_watch", "FORMAT", verifier_watch.FORMAT),
    ("verifier_watch", "ARGS", verifier_watch.ARGS),
)

DEFINITION = re.compile(
    r"^#define [A-Z_]+ [^\\\n]+$|^(?:struct|enum) \w+ \{(?:[^\n]+\};$|\n.*?^\};$)", re.MULTILINE | re.DOTALL
)
"""The numbers, structs and enums of a source file, whose functions only bcc's compiler understands."""


@pytest.fixture(scope="module")
def types_by_program(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Btf]:
    """The types that clang makes of each program's definitions."""
    if shutil.which("clang") is None:
        skip("clang is not installed")
    directory = tmp_path_factory.mktemp("layout")
    made = {}
    for name, headers in INCLUDED.items():
        sources = [*(SOURCES / "include" / header for header in headers), SOURCES / f"{name}.c"]
        code = [*(f"#define {key} {value}" for key, value in DEFINES.items()), TYPES]
        code += [text for path in sources for text in DEFINITION.findall(path.read_text())]
        names = re.findall(r"^(struct|enum) (\w+) \{", "\n".join(code), re.MULTILINE)
        code += [f"{kind} {each} {kind}_{each};" for kind, each in names]
        for index, (program, text, _) in enumerate(NUMBERS):
            if program == name:
                code.append(f"struct number_{index} {{ char room[{text}]; }} number_{index};")
        code += ["int something;"]
        source, target = directory / f"{name}.c", directory / f"{name}.o"
        source.write_text("\n".join(code))
        subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-c", source, "-o", target], check=True)
        data = next(section.data for section in elf.sections(target.read_bytes()) if section.name == ".BTF")
        made[name] = Btf(data)
    return made


@pytest.mark.parametrize(("program", "struct", "name"), STRUCTS, ids=str)
def test_structs_are_those_of_the_c_file(
    types_by_program: dict[str, Btf], program: str, struct: type[ctypes.Structure], name: str
) -> None:
    seen = types_by_program[program].struct(name)
    assert seen is not None
    there = {member.name: (member.offset, member.size) for member in seen.members}
    last = there.pop(LAST_ARRAY.get(name, ""), None)
    declared = [(field[0], getattr(struct, field[0])) for field in struct._fields_]
    assert {name: (place.offset, place.size) for name, place in declared} == there
    assert ctypes.sizeof(struct) == (seen.size if last is None else last[0])


@pytest.mark.parametrize(("program", "name", "names"), ENUMS)
def test_enums_are_those_of_the_c_file(
    types_by_program: dict[str, Btf], program: str, name: str, names: Sequence[str]
) -> None:
    assert types_by_program[program].enumerators(name) == dict(enumerate(names))


@pytest.mark.parametrize(("program", "text", "value"), NUMBERS)
def test_numbers_are_those_of_the_c_file(
    types_by_program: dict[str, Btf], program: str, text: str, value: int
) -> None:
    index = NUMBERS.index((program, text, value))
    assert types_by_program[program].place_of(f"number_{index}") == (0, value)


def test_every_program_has_a_file_of_its_name() -> None:
    programs = {path.stem for path in SOURCES.glob("*.c")}
    files = {path.stem for path in Path(doctor.__file__).parent.glob("*.py")} - {"__init__", "live"}
    assert files == programs == set(INCLUDED)


def test_every_structure_of_python_is_compared() -> None:
    declared = {
        (module.__name__.rsplit(".", 1)[1], name)
        for module in (skmsg_check, skmsg_watch, verifier_watch)
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, ctypes.Structure) and value.__module__ == module.__name__
    }
    assert declared <= {(program, name) for program, _, name in STRUCTS}
