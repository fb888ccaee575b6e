# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/unit mirrors src: who looks for the tests of a module finds them at its place, or by a line here."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SOURCES = TESTS.parent / "src" / "kprobe_tool"

ELSEWHERE: dict[str, tuple[str, ...]] = {
    # What a command prints is asked for by its command line, as its users do.
    "unit/commands/bugreport/test_redact.py": ("commands/bugreport/__init__.py",),
    "unit/commands/check_fields/test_command.py": ("commands/check_fields/rows.py",),
    "unit/commands/fleet/test_command.py": ("commands/fleet/picture.py", "commands/fleet/rows.py"),
    "unit/commands/skmsg/test_check.py": ("commands/skmsg/rows.py",),
    "unit/commands/verifier_log/test_explain.py": (
        "commands/verifier_log/html.py",
        "commands/verifier_log/picture.py",
        "commands/verifier_log/rows.py",
        "commands/verifier_log/stats.py",
        "probes/verifier/explaining/sources.py",
    ),
    "unit/commands/verifier_log/test_matrix.py": (
        "commands/verifier_log/matrix_rows.py",
        "probes/verifier/matrix/ask.py",
    ),
    "unit/test_cli.py": (
        "__main__.py",
        "commands/check_rows.py",
        "commands/doctor.py",
        "commands/options.py",
        "commands/skmsg/__init__.py",
        "commands/verifier_log/__init__.py",
        "errors.py",
        "lazy.py",
        "probes/host.py",
        "probes/versions.py",
    ),
    "unit/test_schemas.py": ("commands/rds_info/leak_check.py", "probes/schemas.py"),
    # One document in every format, so that they can be compared.
    "unit/report/test_report.py": (
        "report/document.py",
        "report/github.py",
        "report/json.py",
        "report/jsonl.py",
        "report/line.py",
        "report/nrpe.py",
        "report/output.py",
        "report/prometheus.py",
        "report/sarif.py",
        "report/table.py",
        "report/text.py",
        "report/wide.py",
    ),
    # Structures and raw calls: the kernel, its BTF and its headers say whether they are right.
    "host/test_layouts.py": (
        "native/clone3.py",
        "native/fileattr.py",
        "native/io_uring.py",
        "native/landlock.py",
        "native/mount.py",
        "native/openat2.py",
        "native/perf_event.py",
        "native/pidfd.py",
        "native/sched_types.py",
        "native/xattr.py",
    ),
    "host/test_host.py": (
        "native/child.py",
        "native/host.py",
        "native/libc.py",
        "native/netns.py",
        "native/sched.py",
        "native/stat.py",
        "probes/namespaces.py",
    ),
    "host/test_bcc.py": ("native/kprobe.py", "native/ringbuf.py"),
    "host/test_verifier_load.py": ("native/bpf_object.py", "native/libbpf.py", "native/memory.py"),
    "host/test_verifier_watch.py": ("native/cgroup.py", "probes/verifier/watching/reload.py"),
    "unit/native/test_fork.py": ("native/tracefs.py",),
    "unit/native/test_silent_peer.py": ("native/link.py",),
    "unit/native/test_rds.py": ("native/rds_info.py",),
    "unit/native/programs/test_layout.py": (
        "native/programs/doctor.py",
        "native/programs/skmsg_check.py",
        "native/programs/verifier_watch.py",
    ),
    # What asks, with all that is asked: its answers are what the judges' tests are fed with.
    "unit/probes/nvme/test_judge.py": ("probes/nvme/ask.py", "probes/nvme/controllers.py"),
    "unit/probes/rds/test_entries.py": ("probes/rds/ask.py",),
    "unit/probes/rds/test_judge.py": ("probes/rds/checks.py", "probes/rds/experiment.py"),
    "unit/probes/skmsg/test_judge.py": ("probes/skmsg/checks.py", "probes/skmsg/experiment.py"),
    # A log goes through all of these, and what they make of it is compared with what the kernel meant.
    "unit/probes/verifier/explaining/test_causes.py": (
        "probes/verifier/explaining/bounds.py",
        "probes/verifier/explaining/calls.py",
        "probes/verifier/explaining/cause.py",
        "probes/verifier/explaining/numbers.py",
        "probes/verifier/explaining/objects.py",
        "probes/verifier/explaining/origins.py",
        "probes/verifier/explaining/packets.py",
        "probes/verifier/explaining/pointers.py",
        "probes/verifier/explaining/slots.py",
    ),
    "unit/probes/verifier/explaining/test_explain.py": (
        "probes/verifier/explaining/ending.py",
        "probes/verifier/explaining/errnos.py",
        "probes/verifier/explaining/gaps.py",
        "probes/verifier/explaining/redact.py",
    ),
    "unit/probes/verifier/floor/test_judge.py": (
        "probes/verifier/floor/features.py",
        "probes/verifier/floor/uses.py",
    ),
    "unit/probes/verifier/log/test_states.py": ("probes/verifier/log/disasm.py",),
    "unit/probes/verifier/test_corpus.py": ("probes/verifier/log/lines.py", "probes/verifier/log/path.py"),
    "unit/probes/verifier/test_surrounded.py": (
        "probes/verifier/log/encodings.py",
        "probes/verifier/log/noise.py",
        "probes/verifier/log/tail.py",
        "probes/verifier/log/wrapping.py",
    ),
    "unit/probes/verifier/messages/test_table.py": ("probes/verifier/messages/row.py",),
    "unit/probes/verifier/watching/test_watch.py": (
        "probes/verifier/watching/attempts.py",
        "probes/verifier/watching/kernel_format.py",
    ),
}
PLACES = {module: tests for tests, modules in ELSEWHERE.items() for module in modules}


def has_logic(path: Path) -> bool:
    """A module of data alone is held by what reads the data."""
    return any(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def own_tests(module: str) -> Path:
    path = TESTS / "unit" / module
    return path.with_name("test_command.py" if path.stem == "__init__" else f"test_{path.stem}.py")


MODULES = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.py") if has_logic(path))


@cache
def imports(path: Path) -> frozenset[Path]:
    """The files of src that a file imports, anywhere in it."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                place = SOURCES.parent / name.replace(".", "/")
                found.update(each for each in (place.with_suffix(".py"), place / "__init__.py") if each.exists())
    return frozenset(found)


def reached(tests: Path) -> set[Path]:
    """All files of src that tests can run."""
    found: set[Path] = set()
    waiting = list(imports(tests))
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += imports(path)
            # Formats and commands are loaded by their names.
            if path in {SOURCES / "cli.py", SOURCES / "report" / "output.py"}:
                waiting += (SOURCES / "commands" if path.name == "cli.py" else path.parent).rglob("*.py")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_tests(module: str) -> None:
    if own_tests(module).exists():
        assert module not in PLACES, "it has a file of its own"
        return
    assert module in PLACES, f"no {own_tests(module).relative_to(TESTS)}, and no line in ELSEWHERE"
    tests = TESTS / PLACES[module]
    # Some tests hand a program of a few lines to another interpreter.
    named = f" {Path(module).stem}" in tests.read_text(encoding="utf-8")
    assert named or module == "__main__.py" or SOURCES / module in reached(tests), f"not imported by {PLACES[module]}"


def test_places_are_of_modules_that_there_are() -> None:
    assert set(PLACES) <= set(MODULES)
