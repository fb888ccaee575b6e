# SPDX-License-Identifier: GPL-2.0-or-later
"""Loading a program and explaining its log are the same, on the running kernel."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from kprobe_tool.errors import Error
from kprobe_tool.native import bpf
from kprobe_tool.probes.verifier.diagnosis import Diagnosis
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
from kprobe_tool.probes.verifier.load import LoadRequest, LoadResult, interpret

from .kernel import Absent, Symbols, load
from .programs import Program

KINDS = ("prog", "map", "link")

Run = Callable[..., tuple[int, str]]
"""kprobe-tool with these arguments: its exit code and stdout."""


def objects() -> dict[str, frozenset[int]]:
    """The ids of all BPF objects of this kernel."""
    return {kind: frozenset(bpf.ids(kind)) for kind in KINDS}


def objects_since(before: dict[str, frozenset[int]], seconds: float = 20) -> dict[str, frozenset[int]]:
    """The objects that have come since, after some time: the kernel frees them after a grace period."""
    end = time.monotonic() + seconds
    while True:
        left = {kind: ids - before[kind] for kind, ids in objects().items() if ids - before[kind]}
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.2)


def load_and_explain(
    program: Program, kernel_symbols: Symbols, directory: Path
) -> tuple[LoadResult | Error, Diagnosis | None] | None:
    """What loading a program means, and what its log does when explained; None where it cannot be built here."""
    try:
        answer = load(program, kernel_symbols, 1)
    except Absent:
        return None
    verdict = interpret(LoadRequest(program.name, None, 0, answer.insn_count), answer.answer)
    if isinstance(verdict, Error) or verdict.accepted:
        return verdict, None
    path = directory / "log.txt"
    path.write_bytes(verdict.log)
    return verdict, explain_bytes(path.read_bytes(), verdict.errno)


def compare_by_command(run: Run, source: Path, directory: Path) -> int:
    """Load an object by command, and explain each log: how many rejected programs gave the same twice."""
    _, out = run("verifier-log", "load", str(source), "-o", "json")
    same = 0
    for row in json.loads(out)["results"]:
        path = directory / "one.txt"
        code, alone = run(
            "verifier-log", "load", str(source), "--prog", row["program"], "--log", str(path), "-o", "json"
        )
        assert code == (1 if row["outcome"] == "rejected" else 0), row
        if row["outcome"] == "accepted":
            assert row["diagnoses"] == []
            continue
        (again,) = json.loads(alone)["results"]
        _, explained = run("verifier-log", "explain", str(path), "--errno", row["errno"], "-o", "json")
        assert json.loads(explained)["results"] == again["diagnoses"], row["program"]
        assert [each["message"] for each in again["diagnoses"]] == [each["message"] for each in row["diagnoses"]]
        same += 1
    return same
