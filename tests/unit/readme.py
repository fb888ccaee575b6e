# SPDX-License-Identifier: GPL-2.0-or-later
"""The transcripts of README.md, as the program prints them today.

    python -m tests.unit.readme

writes them anew. The answers are recorded ones of real kernels: those of the lab's 6.12.43 to the sk_msg experiment
(data/skmsg), and the log of its verifier (tests/corpus).
"""

from __future__ import annotations

import io
import json
import os
import re
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from kprobe_tool import cli
from kprobe_tool.commands.audit import command as audit_command
from kprobe_tool.probes import host
from kprobe_tool.probes.skmsg import experiment

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DATA = Path(__file__).parent / "data"
RELEASE = "6.12.43+deb12-amd64"
LOG = "tests/corpus/logs/6.12.43/header-not-checked.txt"

COMMANDS = ("audit --only skmsg-tls-split-copy", f"verifier-log explain {LOG}")
BLOCK = re.compile(r"```\n\$ kprobe-tool (.*)\n(?:.*\n)*?```\n")


def transcript(arguments: str) -> str:
    """What a terminal of 80 columns shows of a command."""
    recorded = json.loads((DATA / "skmsg" / f"{RELEASE}.json").read_text(encoding="utf-8"))
    seen = experiment.experiment_of(recorded)
    who = json.loads((DATA / "rds" / f"{RELEASE}.json").read_text(encoding="utf-8"))["host"]
    clock = SimpleNamespace(monotonic=iter([0.0, 4.2]).__next__)
    text = io.StringIO()
    with (
        mock.patch.object(experiment, "attempt", lambda: seen),
        mock.patch.object(host, "identity", lambda: who),
        mock.patch.object(host, "as_root", lambda: True),
        mock.patch.object(audit_command, "time", clock),
        mock.patch.dict(os.environ, {"COLUMNS": "80"}),
        redirect_stdout(text),
    ):
        cli.run(arguments.split())
    return f"```\n$ kprobe-tool {arguments}\n{text.getvalue()}```\n"


def renew_transcripts(readme: str) -> str:
    """The text of README.md with its transcripts as they are today."""
    return BLOCK.sub(lambda found: transcript(found[1]), readme)


if __name__ == "__main__":
    os.chdir(ROOT)
    README.write_text(renew_transcripts(README.read_text(encoding="utf-8")), encoding="utf-8")
