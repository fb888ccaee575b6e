# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers for ``verifier-log matrix`` as the kernels of the corpus gave them."""

from __future__ import annotations

import json

from kprobe_tool.commands.verifier_log.load import load_row
from kprobe_tool.commands.verifier_log.matrix_worker import error_row
from kprobe_tool.errors import Error
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
from kprobe_tool.probes.verifier.load import LoadRequest, LoadResult
from kprobe_tool.probes.verifier.log.stats import parse_stats
from kprobe_tool.probes.verifier.matrix.ask import KernelAnswers

from ..corpus import NOT_ASKED
from ..corpus.programs import PROGRAMS
from .corpus.test_corpus import index, log


def line_of(release: str, name: str, path: str) -> str | None:
    """What the loader on that kernel says of a program; None where that was not recorded."""
    record = index(release).get(name.replace("_", "-"), {})
    if record.get("absent") == NOT_ASKED:
        return None
    if "absent" in record:
        reason = record["absent"].removeprefix("libbpf: libbpf: ")
        return json.dumps({"error": error_row(path, Error(f"{path}: {name}", reason))})
    if "errno" not in record:
        return None
    text = log(release, name.replace("_", "-"))
    errno = record["errno"]
    result = LoadResult(
        LoadRequest(name, "tc", 3, record["insn_count"]),
        errno,
        text,
        True,
        parse_stats(text, lines=False),
        None if errno is None else explain_bytes(text, errno),
    )
    return json.dumps({"program": load_row(result)})


def answer(release: str, source: str, path: str) -> KernelAnswers:
    """Of the programs in c/SOURCE.bpf.c."""
    found = KernelAnswers(release)
    found.take(json.dumps({"host": {"release": release}}))
    for program in PROGRAMS:
        if program.source == source:
            line = line_of(release, program.name.replace("-", "_"), path)
            if line is not None:
                found.take(line)
    found.take(json.dumps({"done": True}))
    found.finish()
    assert found.failure is None
    return found
