# SPDX-License-Identifier: GPL-2.0-or-later
"""The walls of the house: who may import whom."""

import ast
import re
from pathlib import Path

import pytest

import kprobe_tool

ROOT = Path(kprobe_tool.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

PICTURE = (ROOT.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
ALLOWED = {
    match[1]: set((match[2] or "").partition("  ")[0].split())
    for match in re.finditer(r"^([a-z]+) +->(?: (.*)|)$", PICTURE, re.MULTILINE)
} | {"__init__": set(), "__main__": {"cli"}}
"""Room: what of ours it may import besides itself, as CONTRIBUTING.md draws it; what it is for stands behind two
blanks there. The version is everybody's."""
# What a room must leave to others, whoever wrote it.
FORBIDDEN = {
    "native": {"click", "tabulate"},
    "probes": {"click", "tabulate", "ctypes", "bcc", "pyroute2"},
    "lab": {"click", "tabulate", "ctypes", "bcc", "pyroute2"},
    "report": {"ctypes", "bcc", "pyroute2", "socket"},
    "commands": {"ctypes", "bcc", "pyroute2", "tabulate", "socket"},
    "checks": {"click", "ctypes", "bcc", "pyroute2", "tabulate"},
    "errors": {"click", "ctypes", "bcc", "pyroute2", "tabulate"},
    "files": {"click", "ctypes", "bcc", "pyroute2", "tabulate"},
}


def room(path: Path) -> str:
    inside = path.relative_to(ROOT)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imports(path: Path) -> set[str]:
    """Every module a file imports, anywhere in it, also under TYPE_CHECKING."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names if node.module == "kprobe_tool" else {node.module}
    return found


def rooms_of(modules: set[str]) -> set[str]:
    rooms = set()
    for module in modules:
        head, *rest = module.split(".")
        if head == "kprobe_tool":
            rooms.add("__init__" if not rest or rest[0].startswith("__") else rest[0])
    return rooms


def test_every_file_has_a_room_and_every_room_a_file() -> None:
    assert {room(path) for path in FILES} == set(ALLOWED)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_only_what_they_may(path: Path) -> None:
    here = room(path)
    used = imports(path)
    assert rooms_of(used) <= ALLOWED[here] | {here, "__init__"}
    assert not {module.split(".")[0] for module in used} & FORBIDDEN.get(here, set())


def test_no_arrow_leads_back() -> None:
    """No circle: each room can be built before those that use it."""
    arrows = {name: rooms - {name} for name, rooms in ALLOWED.items()}
    while arrows:
        built = [name for name, rooms in arrows.items() if not rooms & set(arrows)]
        assert built, f"a circle among {', '.join(arrows)}"
        for name in built:
            del arrows[name]


@pytest.mark.parametrize("path", [path for path in FILES if room(path) in {"probes", "native"}], ids=str)
def test_only_commands_and_report_print(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_names_its_licence(path: Path) -> None:
    assert path.read_text().startswith("# SPDX-License-Identifier: GPL-2.0-or-later\n")
