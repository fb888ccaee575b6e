# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands behind a message, and whose fault it is, in logs small enough to be followed by eye."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from kprobe_tool.probes.verifier.diagnosis import CauseClass
from kprobe_tool.probes.verifier.explaining import causes
from kprobe_tool.probes.verifier.messages.table import TABLE

from .logs import explain_lines

EXPLAIN = """
import sys
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
diagnosis = explain_bytes(b"0: (95) exit\\nR0 !read_ok\\nprocessed 1 insns (limit 1000000)\\n")
assert diagnosis.rule == "unreadable-register"
print(*(name.rpartition(".")[2] for name in sys.modules if ".verifier.explaining." in name))
"""


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        ("libbpf: prog 'p': failed to find kernel BTF type ID of 'execve': -3", "attach-target-not-found"),
        ("kfunc 'bpf_x' is referenced but wasn't resolved", "kfunc-not-resolved"),
        ("BPF map 'm' is referenced but wasn't created", "map-not-created"),
        ("<invalid CO-RE relocation>", "core-not-resolved"),
    ],
)
def test_words_of_libbpf_tell_the_cause(message: str, rule: str) -> None:
    diagnosis = explain_lines(message)
    assert diagnosis.rule == rule
    assert diagnosis.cause_class is CauseClass.ENVIRONMENT


@pytest.mark.parametrize("rule", causes.BY_RULE)
def test_who_looks_for_the_cause_is_there(rule: str) -> None:
    module, _, name = causes.BY_RULE[rule].partition(".")
    assert callable(getattr(import_module(f"{causes.__package__}.{module}"), name))
    assert any(row.rule == rule for group in TABLE for row in group.rows)


def test_only_what_a_log_needs_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", EXPLAIN], capture_output=True, text=True, check=True)
    assert "pointers" in done.stdout.split()
    assert not {"alone", "calls", "contexts", "numbers", "objects", "packets"} & set(done.stdout.split())
