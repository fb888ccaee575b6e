# SPDX-License-Identifier: GPL-2.0-or-later
"""Every parser of what others write: how it is fed, and what it may raise.

What a target returns is shown to nobody; what it raises beyond ``refuses`` is a finding, and so is a line that a
terminal would obey. Where a parser opens a path itself, the path leads to the input: ``Files`` puts it there.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from kprobe_tool.commands.audit import baseline, waivers
from kprobe_tool.commands.rds_info import command as rds_info_command
from kprobe_tool.commands.rds_info.command import SOURCES, Selection
from kprobe_tool.commands.verifier_log.html import render_page
from kprobe_tool.commands.verifier_log.picture import diagnosis_rows, picture
from kprobe_tool.commands.verifier_log.rows import stats_row
from kprobe_tool.errors import Error
from kprobe_tool.native import bpf_object, cgroup, elf, host, kallsyms, kmod, procfs, sysfs, tls
from kprobe_tool.native.btf import Btf
from kprobe_tool.native.kcore import Kcore
from kprobe_tool.native.rds import InfoAnswer
from kprobe_tool.native.rds_info import OPTIONS
from kprobe_tool.native.sysfs import Tree
from kprobe_tool.probes.extensible_structs import compare
from kprobe_tool.probes.nvme import configuration, simulate, sosreport
from kprobe_tool.probes.nvme.attributes import ATTRIBUTES, ControllerReader, read_cpus, read_parameters
from kprobe_tool.probes.rds import savefile
from kprobe_tool.probes.rds.filter import InfoFilter
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
from kprobe_tool.probes.verifier.explaining.redact import redact
from kprobe_tool.probes.verifier.log.stats import read_log
from kprobe_tool.report.document import Column, Document, Span, Table
from kprobe_tool.report.output import COMMON, Output, render
from kprobe_tool.report.text import escape

TESTS = Path(__file__).parents[1]
DATA = TESTS / "unit/data"
CORPUS = Path(__file__).with_name("corpus")
STYLE = "\x1b["


class Files:
    """Where inputs lie for parsers that open a path: ``path`` in a directory that is in memory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "input"

    def put(self, data: bytes) -> str:
        self.path.write_bytes(data)
        return str(self.path)


@dataclass(frozen=True)
class Target:
    """A parser. ``weight``: how many inputs it takes in 2 ms, so that all have the same share of the time."""

    name: str
    feed: Callable[[bytes, Files], object]
    seeds: Sequence[bytes]
    refuses: tuple[type[Exception], ...]
    weight: int


class Raw(AssertionError):
    """Something that a terminal obeys."""


def check_plain(lines: Iterable[str]) -> None:
    """Raises Raw for a line with anything but text and the tool's own colours."""
    for line in lines:
        plain = line
        while STYLE in plain:
            before, _, rest = plain.partition(STYLE)
            style, _, after = rest.partition("m")
            if not all(char in "0123456789;" for char in style):
                raise Raw(ascii(line[:500]))
            plain = before + after
        if any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for char in plain):
            raise Raw(ascii(line[:500]))


def files_in(directory: Path, pattern: str, count: int) -> list[bytes]:
    """Seeds: recorded from kernels, see where they lie."""
    found = sorted(directory.glob(pattern))
    return [path.read_bytes() for path in found[:: max(1, len(found) // count)]][:count]


SELECTION = Selection((), False, (), SOURCES, InfoFilter())


def rds_records(data: bytes, files: Files) -> None:
    """What getsockopt(2) gives: an option, the size of a record, and records."""
    option = list(OPTIONS.values())[data[0] % len(OPTIONS)] if data else OPTIONS["RDS_INFO_SOCKETS"]
    size = int.from_bytes(data[1:3], "little")
    option.check_record_size(size)
    rows = [record._asdict() for record in InfoAnswer(option, size, data[3:]).records()]
    table = Table([Column(name, name) for name in rows[0]] if rows else [], rows)
    for output in COMMON:
        check_plain(render(Document("rds-info", {}, [table]), output))


def rds_capture(data: bytes, files: Files) -> None:
    capture, identity = savefile.load(files.put(data))
    document = rds_info_command.document_of(capture, identity, SELECTION, {})
    check_plain(map(escape, document.warnings))
    for output in COMMON:
        check_plain(render(document, output))


def btf(data: bytes, files: Files) -> None:
    types = Btf(data)
    questions: list[Callable[[], object]] = [lambda: types.pointer_size]
    for name in ("u32", "xdp_md", "pinned", "long unsigned int", ""):
        questions += [partial(types.struct, name), partial(types.enumerators, name)]
        questions.append(partial(types.place_of, f"{name}.data.x"))
    questions += [partial(ask, number) for number in range(8) for ask in (types.size_of, types.struct_of)]
    for question in questions:
        with suppress(ValueError):
            question()


def kcore_file(data: bytes, files: Files) -> None:
    core = Kcore(files.put(data))
    try:
        for segment in core.segments[:4]:
            core.read(segment.address, 8)
        core.number(0xFFFFFFFF81000000, 8)
    finally:
        core.close()


def elf_object(data: bytes, files: Files) -> None:
    elf.machine(data)
    found = bpf_object.parse(data)
    check_plain(escape(str(line)) for line in (*found.functions[:100], *found.lines[:100]))


def verifier_log(data: bytes, files: Files) -> None:
    errno = ("EACCES", "ENOSPC", None)[len(data) % 3]
    diagnosis = redact(explain_bytes(data, errno))
    rows = diagnosis_rows(diagnosis)
    render_page(diagnosis, {"hostname": "h", "release": "r", "time": "t"})
    document = Document("verifier-log", {}, [Table((), rows)])
    for output in (Output.JSON, Output.JSONL):
        check_plain(render(document, output))
    check_plain(render(document._replace(tables=[], picture=list(picture(diagnosis))), Output.TABLE))


def verifier_stats(data: bytes, files: Files) -> None:
    check_plain(
        render(Document("verifier-log-stats", {}, [Table((), [stats_row(read_log(data, "x"))])]), Output.JSON)
    )


def cpu_lists(data: bytes, files: Files) -> None:
    value = data.decode("utf-8", "backslashreplace").rstrip()
    with suppress(ValueError):
        sysfs.cpu_ranges(value)
    sysfs.cpu_list(value)


class Sysfs:
    """A captured tree of one kernel, in which each input becomes an attribute, one after the other."""

    def __init__(self) -> None:
        self.planted: tuple[Path, list[Path]] | None = None
        self.turn = 0

    def __call__(self, data: bytes, files: Files) -> None:
        from tests.unit.probes.nvme import trees

        if self.planted is None or self.planted[0] != files.directory:
            release, name = trees.all_trees()[0]
            root = trees.plant(files.directory / "sys", release, name)
            self.planted = files.directory, sorted(path for path in root.rglob("*") if path.is_file())
        paths = self.planted[1]
        self.turn += 1
        path = paths[self.turn % len(paths)]
        before = path.read_bytes()
        path.write_bytes(data)
        tree = Tree(str(files.directory / "sys"), ATTRIBUTES)
        try:
            read_cpus(tree)
            read_parameters(tree)
            with suppress(OSError):
                for name in tree.names("class/nvme"):
                    reader = ControllerReader(tree, name)
                    check_plain([escape(f"{reader.read_controller()} {reader.read_queues()}")])
        finally:
            tree.close()
            path.write_bytes(before)


PROC: Sequence[tuple[str, Callable[[], object]]] = (
    ("/proc/net/protocols", procfs.protocols),
    ("/proc/crypto", tls.is_cipher_registered),
    ("/proc/kallsyms", lambda: kallsyms.kernel_symbols({"rds_info_getsockopt", "a"})),
    ("/proc/kallsyms", lambda: kallsyms.function_addresses({"bpf_check", "a"})),
    ("/proc/kallsyms", lambda: kallsyms.implemented_symbols({"__x64_sys_openat2", "a"})),
    ("/proc/kallsyms", lambda: kallsyms.address_of("a")),
    ("/proc/self/mountinfo", cgroup.mount_point),
    ("/proc/self/status", host.effective_capabilities),
    ("/proc/self/uid_map", host.in_initial_user_namespace),
    ("/proc/self/timens_offsets", host.monotonic_offset.__wrapped__),
    ("/sys/devices/system/cpu/possible", host.possible_cpus),
    ("/sys/kernel/security/lockdown", host.lockdown),
    ("/proc/sys/kernel/modprobe", kmod.loading_disabled_by),
)
"""Paths that parsers open, each with such a parser."""


class Proc:
    """The files of /proc and /sys: in a mount namespace of this process's own, the input lies over each of them."""

    def __init__(self) -> None:
        self.turn = 0

    def __call__(self, data: bytes, files: Files) -> None:
        self.turn += 1
        path, parse = PROC[self.turn % len(PROC)]
        Path(path.replace("/self/", f"/{os.getpid()}/")).write_bytes(data)
        parse()


def check_fields_document(data: bytes, files: Files) -> None:
    document = json.loads(data)
    there = compare.facts(document.get("results") if isinstance(document, dict) else None)
    for difference in compare.differences(there, {}):
        check_plain([escape(str(difference))])


def audit_document(data: bytes, files: Files) -> None:
    check_plain(json.dumps(baseline.load(files.put(data)).as_dict([])).split("\n"))


def waiver_file(data: bytes, files: Files) -> None:
    waivers.load(files.put(data))


def nvme_configuration(data: bytes, files: Files) -> None:
    content = data.decode("utf-8", "backslashreplace")
    for parse in (
        configuration.parse_config_json,
        configuration.parse_discovery_conf,
        configuration.parse_stacd_conf,
    ):
        list(parse("x", content))


def kernel_log(data: bytes, files: Files) -> None:
    sosreport.parse_kernel_log(data.decode("utf-8", "replace").split("\n"))


def simulation(data: bytes, files: Files) -> None:
    scenario = simulate.parse(data.decode("utf-8", "surrogateescape"))
    if scenario.enough_cpus <= 1024 and scenario.io <= 1024:
        simulate.simulate(scenario)


def terminal(data: bytes, files: Files) -> None:
    """Any text in any place of a document, in every format of people and scripts."""
    text = data.decode("utf-8", "surrogateescape")
    column = Column("text", "text", wrap=len(text) % 2 == 0)
    document = Document(
        "x",
        {"hostname": text, "release": text},
        [Table([column, Column("more", "more")], [{"text": text, "more": [text, 1]}], title=text, empty=text)],
        [Error(text, text, hint=text)],
        {"more": text},
        picture=[[Span(text, "red"), Span(text)]],
        summary=[text],
        warnings=[text],
        heading=text,
        one_line=text,
    )
    for output in (*COMMON, Output.LINE, Output.PROMETHEUS):
        check_plain(render(document, output))


def rds_seeds() -> Iterator[bytes]:
    """The answers in the captures: number of the option, size of a record, records."""
    for raw in files_in(DATA / "rds", "*.json", 4):
        for reading in json.loads(raw)["readings"]:
            for answer in reading["answers"]:
                parsed = savefile.parse_answer(answer)
                number = list(OPTIONS).index(parsed.option.name)
                yield bytes([number]) + parsed.record_size.to_bytes(2, "little") + parsed.data[:4096]


def btf_seeds() -> list[bytes]:
    sections = elf.sections((DATA / "verifier/null-check.o").read_bytes())
    return [section.data for section in sections if section.name == ".BTF"]


def targets() -> list[Target]:
    """All, each with the seeds that its corpus and the recorded data of the unit tests give."""
    wrong = (Error, ValueError)
    logs = files_in(TESTS / "corpus/logs", "*/*.txt", 40)
    captures = files_in(DATA / "rds", "*.json", 4)
    golden = DATA / "golden"
    found = [
        Target("rds-records", rds_records, list(rds_seeds()), wrong, 2),
        Target("rds-captures", rds_capture, captures, wrong, 1),
        Target("btf", btf, btf_seeds(), (ValueError,), 19),
        Target("kcore", kcore_file, [], (ValueError, OSError), 47),
        Target("elf-objects", elf_object, files_in(DATA / "verifier", "*.o", 1), (ValueError, OSError), 25),
        Target("verifier-logs", verifier_log, logs, wrong, 1),
        Target("verifier-stats", verifier_stats, logs, wrong, 12),
        Target("cpu-lists", cpu_lists, [], (ValueError,), 75),
        Target("sysfs", Sysfs(), [], (), 2),
        Target("proc", Proc(), [], (OSError, ValueError, LookupError), 28),
        Target("check-fields-documents", check_fields_document, [], (ValueError, TypeError, KeyError), 70),
        Target("audit-documents", audit_document, files_in(golden, "audit.json", 1), wrong, 24),
        Target("waivers", waiver_file, [], wrong, 26),
        Target("nvme-configurations", nvme_configuration, [], (), 14),
        Target("kernel-logs", kernel_log, [], (), 80),
        Target("simulations", simulation, [], wrong, 95),
        Target("terminal", terminal, [], (), 2),
    ]
    return [replace(each, seeds=[*each.seeds, *files_in(CORPUS / each.name, "*", 1000)]) for each in found]
