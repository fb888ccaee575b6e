# SPDX-License-Identifier: GPL-2.0-or-later
"""The oldest kernels of the corpus against what real ones said of it, and objects that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.probes.verifier.floor import judge, table
from kprobe_tool.probes.verifier.floor.judge import parse_release
from kprobe_tool.probes.verifier.floor.uses import Stage, Use
from tests.corpus.objects import object_file
from tests.corpus.programs import PROGRAMS, Program
from tests.floor.corpus import find_oldest
from tests.unit.corpus.test_corpus import RELEASES, index, log
from tests.unit.documents import OBJECT

CONFIGURED_WITHOUT = {("6.18.44", "kfunc-destructive")}
"""crash_kexec() belongs to CONFIG_KEXEC_CORE, which this kernel was built without."""

LACKING = (
    b"invalid func unknown#",
    b"unknown opcode",
    b"uses reserved fields",
    b"unrecognized bpf_ld_imm64 insn",
    b"number of funcs in func_info doesn't match",
)
"""How verifiers call what came after them."""


def release_of(program: Program) -> tuple[int, ...]:
    found = find_oldest(program).release
    return parse_release(found) if found is not None else (0,)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_kernels_agree_with_the_floor(program: Program) -> None:
    """Whoever took it is no older, and where something of it was not there the kernel is older."""
    needed = release_of(program)
    for release in RELEASES:
        record = index(release).get(program.name, {})
        if record.get("errno", "") is None:
            assert needed <= parse_release(release), f"{release} accepted it"
        absent = record.get("absent", "")
        if absent.startswith("no kfunc") and (release, program.name) not in CONFIGURED_WITHOUT:
            assert needed > parse_release(release), f"{release}: {absent}"
        if absent.startswith("libbpf:"):
            assert needed > parse_release(release), f"{release}: {absent}"


@pytest.mark.slow
def test_agreement_is_about_something() -> None:
    """What older kernels of the corpus do not have, and what all of them say of what came later."""
    older = [
        (program, release)
        for program in PROGRAMS
        for release in RELEASES
        if program.name in index(release) and release_of(program) > parse_release(release)
    ]
    absent = [pair for pair in older if "absent" in index(pair[1])[pair[0].name]]
    rejected = [pair for pair in older if index(pair[1])[pair[0].name].get("errno")]
    assert len(absent) >= 130
    assert len(rejected) >= 15
    assert len(absent) + len(rejected) == len(older)
    told = [pair for pair in rejected if any(words in log(pair[1], pair[0].name) for words in LACKING)]
    assert len(told) >= 15


def test_an_object_has_a_floor() -> None:
    found = judge.floor(str(OBJECT))
    assert found.load.release is not None
    assert found.load.exact
    assert [use.name for use in found.load.forced]
    assert {program.program.prog_type for program in found.programs} <= set(table.PROGRAM_TYPES)


def test_programs_of_an_object_have_floors_of_their_own() -> None:
    """Each alone, with all maps of the object, and the functions that it calls."""
    found = judge.floor(str(object_file("memory")))
    programs = {each.program.name: each for each in found.programs}
    assert programs["lookup_not_checked"].load.release == "5.8"
    assert [use.name for use in programs["lookup_not_checked"].load.forced] == ["BPF_MAP_TYPE_RINGBUF"]
    assert programs["index_of_callback"].load.release == "5.17"
    releases = [each.load.release for each in found.programs if each.load.release is not None]
    assert found.load.release == max(releases, key=parse_release)
    used = {use.name: use for use in programs["index_of_callback"].program.uses}
    assert used["callbacks"].since == ("5.13", "69c087ba6225", None)
    assert {"loops", "global variables"} <= {use.name for use in found.uses}
    assert "bpf_snprintf" in {use.name for use in found.licence.needs_gpl}
    assert "bpf_loop" not in {use.name for use in found.licence.needs_gpl}
    assert found.licence.compatible


def test_kfuncs_need_their_release_and_licence() -> None:
    found = judge.floor(str(object_file("res_locks")))
    assert found.load.release == "6.15"
    assert "bpf_res_spin_lock" in {use.name for use in found.load.forced}
    assert "bpf_res_spin_lock" in {use.name for use in found.licence.needs_gpl}


def use(name: str, since: tuple[str, str | None, str | None] | None, stage: Stage = Stage.LOAD) -> Use:
    return Use("helper", name, since, stage)


def test_the_newest_need_is_the_floor() -> None:
    uses = [
        use("a", ("5.9", "0" * 12, None)),
        use("b", ("5.10", "0" * 12, None)),
        use("c", ("6.1", "0" * 12, None), Stage.ATTACH),
        use("d", ("6.2", "0" * 12, None), Stage.OPTIONAL),
    ]
    assert (judge.oldest_to_load(uses).release, judge.oldest_to_attach(uses).release) == ("5.10", "6.1")
    assert judge.oldest_to_load(uses).exact
    assert [each.name for each in judge.oldest_to_load(uses).forced] == ["b"]
    assert judge.oldest_to_load([]).release is None


def test_what_is_not_known_is_said() -> None:
    unknown = judge.oldest_to_load([use("a", ("5.9", "0" * 12, None)), use("b", None)])
    assert (unknown.release, unknown.exact, [each.name for each in unknown.unknown]) == ("5.9", False, ["b"])
    bounded = judge.oldest_to_load([use("a", ("5.9", "0" * 12, None)), use("b", ("7.3", None, "6.12"))])
    assert (bounded.release, bounded.exact, [each.name for each in bounded.unknown]) == ("7.3", False, ["b"])
    # Where something else needs as much, it does not matter.
    harmless = judge.oldest_to_load([use("a", ("7.4", "0" * 12, None)), use("b", ("7.3", None, "6.12"))])
    assert (harmless.release, harmless.exact) == ("7.4", True)


def test_what_is_no_object_is_refused(tmp_path: Path) -> None:
    for name, data in {"empty": b"", "text": b"#!/bin/sh\n", "other": Path("/proc/self/exe").read_bytes()}.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(Error, match=name):
            judge.floor(str(path))


@pytest.mark.slow
def test_cut_and_broken_objects_are_refused_or_read(tmp_path: Path) -> None:
    """Whatever is wrong with the bytes is told as such."""
    whole = OBJECT.read_bytes()
    path = tmp_path / "object"
    told = 0
    for place in range(0, len(whole), 7):
        for data in (whole[:place], whole[:place] + bytes((whole[place] ^ 0xFF,)) + whole[place + 1 :]):
            path.write_bytes(data)
            try:
                judge.floor(str(path))
            except Error as error:
                assert error.subject == str(path)
                told += 1
    assert told > len(whole) // 7


def test_tables_hold_releases_and_commits() -> None:
    """Releases are releases, commits are commits, and nothing is both dated and not."""
    dated = [
        *table.KFUNCS.values(),
        *table.PROGRAM_TYPES.values(),
        *table.ATTACH_TYPES.values(),
        *(since for each in (table.HELPERS, table.MAP_TYPES, table.MAP_FLAGS) for _, since in each.values()),
    ]
    for release, commit, after in dated:
        assert (3, 18) <= parse_release(release) <= parse_release(table.NEWEST)
        assert (commit is None) or (len(commit) == 12 and int(commit, 16) >= 0)
        assert after is None or (commit is None and parse_release(after) < parse_release(release))
    assert len(table.HELPERS) >= 211
    assert len(table.KFUNCS) >= 300
    assert sum(commit is not None for _, commit, _ in dated) >= 0.8 * len(dated)
    names = {name for name, _ in table.HELPERS.values()}
    assert names >= table.GPL_ONLY
    assert {kind for _, kind, _, _ in table.SECTIONS} <= set(table.PROGRAM_TYPES)
    assert {attach for _, _, attach, _ in table.SECTIONS if attach} <= set(table.ATTACH_TYPES)
