# SPDX-License-Identifier: GPL-2.0-or-later
"""What the programs of the corpus use: those in C from their objects, the others from their instructions."""

from __future__ import annotations

from collections.abc import Iterator

from kprobe_tool.native import bpf_insn as insn
from kprobe_tool.probes.verifier.floor import features, instructions, judge, table
from kprobe_tool.probes.verifier.floor.judge import Oldest
from kprobe_tool.probes.verifier.floor.uses import (
    Stage,
    Use,
    attach_type_use,
    feature_use,
    helper_use,
    kfunc_use,
    map_flag_uses,
    map_type_use,
)

from ..corpus.asm import assemble
from ..corpus.kernel import MAPS
from ..corpus.objects import object_file
from ..corpus.programs import SLEEPABLE, Program

LOADS = {
    insn.BPF_PSEUDO_BTF_ID: features.KERNEL_VARIABLES,
    insn.BPF_PSEUDO_MAP_VALUE: features.GLOBAL_DATA,
    insn.BPF_PSEUDO_FUNC: features.CALLBACKS,
}
CALLS = {insn.BPF_PSEUDO_CALL: features.FUNCTIONS, insn.BPF_PSEUDO_KFUNC_CALL: features.KFUNCS}


def find_oldest(program: Program) -> Oldest:
    """The oldest kernel that can load a program of the corpus."""
    if program.text:
        return judge.oldest_to_load(set(uses_of_text(program)))
    floor = judge.floor(str(object_file(program.source)))
    (found,) = [each for each in floor.programs if each.program.name == program.name.replace("-", "_")]
    return found.load


def uses_of_text(program: Program) -> Iterator[Use]:
    """What a program in the language of tests.corpus.asm uses: kfuncs and maps by their names, then instructions."""
    named: list[Use] = []

    def resolve(kind: str, name: str) -> int:
        if kind == "kfunc":
            named.append(kfunc_use(name, Stage.LOAD))
        elif kind == "map":
            map_type, _, _, _, flags = MAPS[name]
            named.extend([map_type_use(map_type), *map_flag_uses(flags)])
        return 1

    code = instructions.decode(assemble(program.text, resolve))
    yield from named
    if program.prog_type in table.PROGRAM_TYPES:
        yield Use("program type", program.prog_type, table.PROGRAM_TYPES[program.prog_type], Stage.LOAD)
    if program.expected_attach_type in range(1, len(table.ATTACH_TYPES)):
        # The table is in the order of their numbers.
        yield attach_type_use(program.prog_type, list(table.ATTACH_TYPES)[program.expected_attach_type])
    if program.prog_flags & SLEEPABLE:
        yield feature_use("program flag", features.PROGRAM_FLAGS["SEC_SLEEPABLE"])
    if instructions.has_loop(code):
        yield feature_use("instruction", features.LOOPS)
    for each in code:
        for feature in instructions.features_of(each):
            yield feature_use("instruction", feature)
        if each.code == insn.CALL:
            yield feature_use("instruction", CALLS[each.src]) if each.src in CALLS else helper_use(each.imm)
        elif each.code == insn.LD_IMM64 and each.src in LOADS:
            yield feature_use("instruction", LOADS[each.src])
