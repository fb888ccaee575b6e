# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the table that ``verifier-log floor`` rests on, from kernel sources.

    python -m tests.floor.table --dates FEATURES.yaml --dates KERNEL-VERSIONS.md SOURCE... \\
        > src/kprobe_tool/probes/verifier/floor/table.py && ruff format src/kprobe_tool/probes/verifier/floor/table.py

SOURCE are directories called linux-source-VERSION, as Debian's packages linux-source-5.10, -6.1, -6.12 and the newest
one unpack: they say what there is, under which number, who may use it, and which libbpf sections stand for what.

Their history is not in them. When something came, and with which commit, is taken from two lists that others keep
independently: data/feature-versions.yaml of isovalent/ebpf-docs and docs/kernel-versions.md of iovisor/bcc. None is
believed unchecked: what a list dates to a release must be in every source from that release on and in none before,
and what the kernel numbers in the order of its coming must have dates in that order. Where a list fails, the other
one is asked; what neither dates rightly is only bounded by the sources that have it and those that do not. Every
correction is printed to stderr.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Version = tuple[int, ...]
Dates = Mapping[str, tuple[str, str]]
"""Name: (release, commit)."""

ALSO = {
    # What came with something that the lists have under another name.
    "BPF_NETFILTER": ("6.4", "84601d6ee68a"),
    "BPF_TRACE_UPROBE_MULTI": ("6.6", "89ae89f53d20"),
    "BPF_TRACE_UPROBE_SESSION": ("6.13", "d920179b3d48"),
    **{
        f"BPF_CGROUP_UNIX_{call}": ("6.7", "859051dd165e")
        for call in ("CONNECT", "SENDMSG", "RECVMSG", "GETPEERNAME", "GETSOCKNAME")
    },
}

KINDS = ("helper", "kfunc", "program", "map", "attach", "flag")


def version(text: str) -> Version:
    return tuple(int(part) for part in text.lstrip("v").split("."))


@dataclass(frozen=True)
class Source:
    """What one kernel's source has: names by kind, in the order of their numbers where they have one."""

    release: str
    directory: Path
    names: Mapping[str, Mapping[str, int]]

    def has(self, kind: str, name: str) -> bool:
        return name in self.names[kind]


def enumerators(text: str, begin: str) -> dict[str, int]:
    """Names and values of the enum whose definition starts with ``begin``."""
    body = re.sub(r"/\*.*?\*/", "", text[text.index(begin) :].partition("{")[2].partition("};")[0], flags=re.DOTALL)
    values: dict[str, int] = {}
    following = 0
    for name, shift, number, other in re.findall(r"(\w+)\s*(?:=\s*(?:\(1U << (\d+)\)|(\d+)|(\w+)))?\s*,", body):
        following = 1 << int(shift) if shift else int(number) if number else values[other] if other else following
        values[name] = following
        following += 1
    return {name: value for name, value in values.items() if not name.startswith("__")}


def kfuncs(directory: Path) -> dict[str, int]:
    """The functions of the sets that are registered as kfuncs, which have flags since Linux v6.0; without numbers."""
    found: dict[str, int] = {}
    for path in sorted(directory.rglob("*.c")):
        if path.is_relative_to(directory / "tools"):
            continue
        text = path.read_text(errors="replace")
        for name in re.findall(r"BTF_ID_FLAGS\(func,\s*(\w+)", text):
            found.setdefault(name, 0)
    return found


def read_source(directory: Path) -> Source:
    text = (directory / "include/uapi/linux/bpf.h").read_text()
    mapper = text[re.search(r"#define _{2,3}BPF_FUNC_MAPPER\(FN", text).start() :]  # type: ignore[union-attr]
    helpers = re.findall(r"\bFN\((\w+)[,)]", mapper[: mapper.index("/* integer value in")])
    return Source(
        directory.name.removeprefix("linux-source-"),
        directory,
        {
            # The last is the macro's own parameter.
            "helper": {f"bpf_{name}": number for number, name in enumerate(helpers) if name != "name"},
            "kfunc": kfuncs(directory),
            "program": enumerators(text, "enum bpf_prog_type {"),
            "map": enumerators(text, "enum bpf_map_type {"),
            "attach": enumerators(text, "enum bpf_attach_type {"),
            "flag": enumerators(text, "/* flags for BPF_MAP_CREATE command */"),
        },
    )


def parse_features(text: str) -> Dates:
    """The dates of data/feature-versions.yaml."""
    found = re.findall(r"- name: (\w+)\s+version: v?([\d.]+)\s+commit: ([0-9a-f]{12})[0-9a-f]*", text)
    return {name: (release, commit) for name, release, commit in found}


def parse_kernel_versions(text: str) -> Dates:
    """The dates of docs/kernel-versions.md."""
    dates: dict[str, tuple[str, str]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        name = re.search(r"\bBPF_(?:FUNC|PROG_TYPE|MAP_TYPE)_\w+", line)
        commit = re.search(r"\[`([0-9a-f]{12})`\]", line)
        release = next((cell for cell in cells if re.fullmatch(r"\d\.\d+", cell)), None)
        if name and commit and release:
            dates[name[0].replace("BPF_FUNC_", "bpf_")] = (release, commit[1])
    return dates


def contradiction(kind: str, name: str, release: str, sources: Sequence[Source]) -> str | None:
    """The release of a source that a date does not fit, or None. Later sources may have dropped the name."""
    seen = False
    for source in sources:
        has = source.has(kind, name)
        if has != (version(source.release) >= version(release)) and not (seen and not has):
            return source.release
        seen = seen or has
    return None


def bounds(kind: str, name: str, sources: Sequence[Source]) -> tuple[str, None, str | None]:
    """A date without a commit: the first source that has a name, and the last one before that."""
    after = None
    for source in sources:
        if source.has(kind, name):
            return source.release, None, after
        after = source.release
    raise KeyError(name)


Row = tuple[str, int, tuple[object, ...]]
"""Name, number, and (release, commit, the last source without it)."""


def date_all(kind: str, sources: Sequence[Source], lists: Sequence[Dates]) -> Iterator[Row]:
    """Every name of a kind that any source has, with its number and its date."""
    numbers: dict[str, int] = {}
    for source in sources:
        for name, number in source.names[kind].items():
            numbers.setdefault(name, number)
    chosen: dict[str, tuple[str, str | None, str | None]] = {}
    for name in numbers:
        for dates in lists:
            if name not in dates:
                continue
            release, commit = dates[name]
            wrong = contradiction(kind, name, release, sources)
            if wrong is None and not is_too_late(kind, name, release, numbers, dates):
                chosen[name] = (release, commit, None)
                break
            print(f"{kind} {name}: not v{release}, says {wrong or 'the order of its number'}", file=sys.stderr)
        else:
            chosen[name] = bounds(kind, name, sources)
            print(f"{kind} {name}: no date, v{chosen[name][0]} has it", file=sys.stderr)
    for name, number in numbers.items():
        yield name, number, chosen[name]


def is_too_late(kind: str, name: str, release: str, numbers: Mapping[str, int], dates: Dates) -> bool:
    """Whether two names of higher numbers are dated earlier: a single one may be the one that is wrong."""
    if kind in {"kfunc", "flag"}:
        return False
    later = sorted((number, other) for other, number in numbers.items() if number > numbers[name] and other in dates)
    return sum(version(dates[other][0]) < version(release) for _, other in later[:4]) >= 2


def gpl_only(source: Source) -> set[str]:
    """Helpers that only programs of a GPL-compatible licence may call, whatever their type."""
    texts = [path.read_text(errors="replace") for path in sorted(source.directory.rglob("*.c"))]
    whole = "\n".join(texts)
    protos = {
        name: "true" in flag
        for name, flag in re.findall(
            r"struct bpf_func_proto (\w+)(?:\s+__\w+)? = \{[^}]*?\.gpl_only\s*=\s*(true|false)", whole, re.DOTALL
        )
    }
    functions = {
        name: re.findall(r"&(\w+_proto)\b", body)
        for name, body in re.findall(
            r"\nconst struct bpf_func_proto \*\s*(\w+_proto)\([^)]*\)\n\{(.*?)\n\}", whole, re.DOTALL
        )
    }
    uses: dict[str, set[bool]] = {}
    for match in re.finditer(r"((?:case BPF_FUNC_\w+:\s*)+)(.*?)(?=case |default:|\n\t\})", whole, re.DOTALL):
        found = re.findall(r"&(\w+_proto)\b", match[2])
        for called in re.findall(r"\b(\w+_proto)\(", match[2]):
            found += functions.get(called, [])
        for name in re.findall(r"BPF_FUNC_(\w+)", match[1]):
            uses.setdefault(f"bpf_{name}", set()).update(protos[each] for each in found if each in protos)
    return {name for name, flags in uses.items() if flags == {True}}


def sections(source: Source) -> Iterator[tuple[str, str, str, str]]:
    """libbpf's sections: prefix, program type, attach type (empty for none), flags."""
    text = (source.directory / "tools/lib/bpf/libbpf.c").read_text()
    table = text[text.index("bpf_sec_def section_defs[] = {") :]
    table = table[: table.index("\n};")]
    for prefix, kind, attach, flags in re.findall(
        r'SEC_DEF\("([^"]+)",\s*(\w+),\s*(\w+),\s*([\w| ]+?)\s*[,)]', table
    ):
        yield prefix, kind.lower(), "" if attach == "0" else attach, flags


HEAD = '''\
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which Linux release has what a BPF object can use: made by tests/floor/table.py, not by hand.

Made from the sources of Linux {sources}.
"""

from __future__ import annotations

Since = tuple[str, str | None, str | None]
"""(first release, its commit, None), or (release that has it, None, release that does not): of those between nothing
is known, since only the sources of a few releases were read."""

NEWEST = "{newest}"
"""The newest release whose source was read: what came later is not in the tables."""
'''

TITLES = {
    "helper": ("HELPERS", "Helper number, as it stands in a call: (name, since)."),
    "kfunc": ("KFUNCS", "Name: since."),
    "program": ("PROGRAM_TYPES", "Name without BPF_PROG_TYPE_, in small letters: since."),
    "map": ("MAP_TYPES", "Number of the type: (name, since)."),
    "attach": ("ATTACH_TYPES", "Name: since."),
    "flag": ("MAP_FLAGS", "Bit of map_flags: (name, since)."),
}


def literal(value: object) -> str:
    """A Python literal as ruff writes it."""
    if isinstance(value, tuple):
        return f"({', '.join(literal(each) for each in value)})"
    return f'"{value}"' if isinstance(value, str) else str(value)


def table(kind: str, rows: Sequence[Row]) -> Iterator[str]:
    name, about = TITLES[kind]
    numbered = kind in {"helper", "map", "flag"}
    yield f"{name}: dict[{'int, tuple[str, Since]' if numbered else 'str, Since'}] = {{"
    seen = set()
    for text, number, since in sorted(rows, key=lambda row: (row[1], row[2][1] is None, row[0])):
        if text.lower().endswith("unspec") or (numbered and number in seen):
            continue
        seen.add(number)
        if numbered:
            yield f"    {number}: {literal((text, since))},"
        else:
            name = text.removeprefix("BPF_PROG_TYPE_").lower() if kind == "program" else text
            yield f"    {literal(name)}: {literal(since)},"
    yield "}"
    if about:
        yield f'"""{about}"""'
    yield ""


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes src/kprobe_tool/probes/verifier/floor/table.py.")
    parser.add_argument("--dates", type=Path, action="append", required=True)
    parser.add_argument("sources", nargs="+", type=Path)
    args = parser.parse_args()
    lists = [
        (parse_features if path.suffix == ".yaml" else parse_kernel_versions)(path.read_text()) for path in args.dates
    ]
    lists.append(ALSO)
    sources = sorted(
        (read_source(directory) for directory in args.sources), key=lambda source: version(source.release)
    )
    releases = [source.release for source in sources]
    print(HEAD.format(sources=f"{', '.join(releases[:-1])} and {releases[-1]}", newest=releases[-1]))
    for kind in KINDS:
        print("\n".join(table(kind, list(date_all(kind, sources, lists)))))
    print("GPL_ONLY = frozenset(\n    {")
    print("\n".join(f'        "{each}",' for each in sorted(gpl_only(sources[-1]))))
    print('    }\n)\n"""Helpers that only programs under a GPL-compatible licence may call."""\n')
    print("SECTIONS: tuple[tuple[str, str, str, frozenset[str]], ...] = (")
    for prefix, kind, attach, flags in sections(sources[-1]):
        words = sorted(flag.strip() for flag in flags.split("|") if flag.strip() not in {"0", "SEC_NONE"})
        inside = f"{{{', '.join(literal(word) for word in words)}}}" if words else ""
        print(f'    ("{prefix}", "{kind}", "{attach}", frozenset({inside})),')
    print(')\n"""(section, ending in + where /NAME may follow; program type; attach type or empty; flags)"""')


if __name__ == "__main__":
    main()
