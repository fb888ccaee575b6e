# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/unit mirrors src: who looks for the tests of a module finds them at its place, or by a line here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SOURCES = TESTS.parent / "src" / "kprobe_tool"
EXPLAINING = SOURCES / "probes/verifier/explaining"

ELSEWHERE: dict[str, tuple[str, ...]] = {
    # Rows and pictures are seen in what the command prints.
    "unit/commands/bugreport/test_redact.py": ("commands/bugreport/__init__.py",),
    "unit/commands/check_fields/test_command.py": ("commands/check_fields/rows.py",),
    "unit/commands/fleet/test_command.py": ("commands/fleet/picture.py", "commands/fleet/rows.py"),
    "unit/commands/skmsg/test_check.py": ("commands/skmsg/rows.py",),
    "unit/commands/test_explain.py": ("commands/check_rows.py",),
    "unit/commands/verifier_log/test_explain.py": (
        "commands/verifier_log/picture.py",
        "commands/verifier_log/rows.py",
        "probes/verifier/explaining/sources.py",
    ),
    "unit/commands/verifier_log/test_matrix.py": ("commands/verifier_log/matrix_rows.py",),
    # The entry point: what is raised becomes a line and an exit code, --version asks for versions, and groups of
    # commands are nothing but their names and help.
    "unit/test_cli.py": ("__main__.py", "commands/options.py", "errors.py", "probes/versions.py"),
    "unit/test_lazy.py": ("commands/skmsg/__init__.py", "commands/verifier_log/__init__.py"),
    # What every document says of the host, and whether it was root's.
    "unit/commands/audit/test_run.py": ("probes/host.py",),
    # Each schema against what commands write, and each format with every command that has it.
    "unit/test_schemas.py": ("probes/schemas.py",),
    "unit/test_formats.py": (
        "commands/verifier_log/stats.py",
        "report/document.py",
        "report/github.py",
        "report/jsonl.py",
        "report/line.py",
        "report/nrpe.py",
        "report/sarif.py",
        "report/wide.py",
    ),
    # Structures and raw calls: the kernel's own types say whether they are right.
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
    # What only a kernel can answer: of this host, where it lets one ask, or of the lab.
    "host/test_bcc.py": (
        "native/field_macros.py",
        "native/kprobe.py",
        "native/tmpfs.py",
    ),
    "host/test_namespaces.py": ("native/netns.py", "native/sched.py", "probes/namespaces.py"),
    "host/test_procfs.py": ("native/procfs.py",),
    "host/test_verifier_load.py": ("native/bpf_object.py", "native/libbpf.py", "native/memory.py"),
    "host/test_verifier_watch.py": ("native/cgroup.py", "native/host.py"),
    "kernels/guest/test_netns.py": ("native/stat.py",),
    "kernels/guest/test_rds_info.py": ("probes/rds/ask.py",),
    "kernels/guest/test_rds_leak.py": ("probes/rds/experiment.py",),
    "kernels/guest/test_tracefs.py": ("native/tracefs.py",),
    "unit/native/test_syscall.py": ("native/libc.py",),
    # The network that the peer is in, and records that clang and Python lay out alike.
    "unit/native/test_silent_peer.py": ("native/link.py",),
    "unit/native/programs/test_layout.py": ("native/programs/doctor.py",),
    # Trees of real kernels are asked, and the answers judged.
    "unit/probes/nvme/test_judge.py": ("probes/nvme/ask.py", "probes/nvme/controllers.py"),
    # What real kernels say of programs whose proof does not count: each of these has to find the reason of some.
    "unit/probes/verifier/explaining/test_proofs.py": (
        "probes/verifier/explaining/calls.py",
        "probes/verifier/explaining/cause.py",
        "probes/verifier/explaining/numbers.py",
        "probes/verifier/explaining/origins.py",
        "probes/verifier/explaining/slots.py",
    ),
    # A number for a pointer, NULL, a register that was never set: one log each.
    "unit/probes/verifier/explaining/test_pointers.py": ("probes/verifier/explaining/nulls.py",),
    "unit/probes/verifier/explaining/test_causal.py": ("probes/verifier/explaining/invalidation.py",),
    "unit/probes/verifier/explaining/test_explain.py": (
        "probes/verifier/explaining/ending.py",
        "probes/verifier/explaining/gaps.py",
    ),
    # Every program of the corpus, from its log to the steps of its path; and every log in every wrapping.
    "unit/probes/verifier/test_corpus.py": ("probes/verifier/log/path.py",),
    "unit/probes/verifier/test_surrounded.py": (
        "probes/verifier/log/encodings.py",
        "probes/verifier/log/wrapping.py",
    ),
    # One instruction each, and which feature it is; every row of the table, and what a row is.
    "unit/probes/verifier/floor/test_instructions.py": ("probes/verifier/floor/features.py",),
    "unit/probes/verifier/messages/test_table.py": ("probes/verifier/messages/row.py",),
}
PLACES = {module: tests for tests, modules in ELSEWHERE.items() for module in modules}


def has_logic(path: Path) -> bool:
    """A module of data alone is held by what reads the data."""
    return any(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def own_tests(module: str) -> Path:
    path = TESTS / "unit" / module
    return path.with_name("test_command.py" if path.stem == "__init__" else f"test_{path.stem}.py")


MODULES = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.py") if has_logic(path))


def trees(text: str) -> Iterator[ast.Module]:
    """The code of a file, and that of the programs that it hands to another interpreter."""
    tree = ast.parse(text)
    yield tree
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "import " in node.value:
            with suppress(SyntaxError):
                yield ast.parse(node.value)


@cache
def imports(path: Path) -> frozenset[Path]:
    """The files of src and tests that a file imports, anywhere in it."""
    found: set[Path] = set()
    for node in (node for tree in trees(path.read_text(encoding="utf-8")) for node in ast.walk(tree)):
        if isinstance(node, ast.ImportFrom):
            above = path.parents[node.level - 1] if node.level else None
            for name in (node.module or "", *(f"{node.module or ''}.{alias.name}" for alias in node.names)):
                for root in [above] if above else [SOURCES.parent, TESTS.parent]:
                    place = root / name.strip(".").replace(".", "/")
                    found.update(each for each in (place.with_suffix(".py"), place / "__init__.py") if each.exists())
    return frozenset(found)


def reachable_files(tests: Path) -> set[Path]:
    """All files that tests can run."""
    found: set[Path] = set()
    waiting = list(imports(tests))
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += imports(path)
            # Formats, commands and those who look for causes are loaded by their names.
            if path in {SOURCES / "cli.py", SOURCES / "report/output.py", EXPLAINING / "causes.py"}:
                waiting += (SOURCES / "commands" if path.name == "cli.py" else path.parent).rglob("*.py")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_tests(module: str) -> None:
    if own_tests(module).exists():
        assert module not in PLACES, "it has a file of its own"
        return
    assert module in PLACES, f"no {own_tests(module).relative_to(TESTS)}, and no line in ELSEWHERE"
    tests = TESTS / PLACES[module]
    assert module == "__main__.py" or SOURCES / module in reachable_files(tests), f"not imported by {PLACES[module]}"


def test_places_are_of_modules_that_there_are() -> None:
    assert set(PLACES) <= set(MODULES)
