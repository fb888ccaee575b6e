# SPDX-License-Identifier: GPL-2.0-or-later
"""What SECURITY.md promises of the code itself: no program of others, no shell, no names that can be known."""

import ast
from collections.abc import Iterator
from pathlib import Path

import kprobe_tool

SOURCES = Path(kprobe_tool.__file__).parent
STARTING = {"subprocess", "pty", "commands", "popen2"}
"""Modules that start programs."""
CALLS = {"os.system", "os.popen", "os.startfile", "tempfile.mktemp", "shutil.which", "eval", "exec"}
STARTING_CALLS = {f"os.{name}" for name in dir(__import__("os")) if name.startswith(("exec", "spawn", "posix_spawn"))}


def source_nodes() -> Iterator[tuple[str, ast.AST]]:
    """Each node of each file but those of lab/, which boots kernels for whoever asks for that."""
    for path in sorted(SOURCES.rglob("*.py")):
        if path.relative_to(SOURCES).parts[0] != "lab":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            yield from (
                (f"{path.relative_to(SOURCES)}:{getattr(node, 'lineno', 0)}", node) for node in ast.walk(tree)
            )


def test_no_program_is_started() -> None:
    assert [where for where, node in source_nodes() if starts_program(node)] == []


def starts_program(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(name.name.partition(".")[0] in STARTING for name in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").partition(".")[0] in STARTING
    return isinstance(node, ast.Call) and ast.unparse(node.func) in CALLS | STARTING_CALLS


def test_what_is_made_in_a_directory_has_no_known_name() -> None:
    """A file that is made is made by files.replace(), or by its user's name for it and then not through a link."""
    wrong = []
    for where, node in source_nodes():
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "os.open":
            flags = ast.unparse(node)
            if "O_CREAT" in flags and "O_EXCL" not in flags and "O_NOFOLLOW" not in flags:
                wrong.append(where)
    assert wrong == []
