# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual page of the checks, from their table: python -m tests.unit.checks_page > man/kprobe-tool-checks.7"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from kprobe_tool import __version__
from kprobe_tool.checks import CHECKS, SYSTEMS, Check, Root

DATE = "2026-11-21"
WIDTH = 118

# System: (heading, the page that tells how its checks work).
HEADINGS = {
    "rds": ("RDS", "kprobe-tool-rds-info"),
    "extensible-structs": ("Extensible structs", "kprobe-tool-check-fields"),
    "nvme": ("NVMe", "kprobe-tool-nvme-queues"),
    "skmsg": ("sk_msg", "kprobe-tool-skmsg"),
}
ROOT = {
    Root.NEVER: "not needed",
    Root.SOMETIMES: "on some hosts it is unknown without",
    Root.ALWAYS: "needed",
}


def roff(text: str) -> str:
    """Text as roff prints it, a sentence a line."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("~", "\\(ti")
    lines = []
    for sentence in re.split(r"(?<=\.) (?=[A-Z])", escaped):
        lines += textwrap.wrap(sentence, WIDTH, break_long_words=False, break_on_hyphens=False)
    # A line that begins with a dot would be a macro.
    return "\n".join(rf"\&{line}" if line.startswith(".") else line for line in lines)


def entry(check: Check) -> Iterator[str]:
    """The paragraphs of a check."""
    yield f".SS {roff(check.id)}"
    yield roff(f"{check.title}.")
    for tag, text in (
        ("Severity", check.severity.value),
        ("Meaning", check.meaning),
        ("Evidence", check.look_for),
        ("What to do", check.remedy),
        ("Needs", str(check.needs)),
        ("Root", ROOT[check.needs.root]),
        ("References", "; ".join(check.references)),
    ):
        yield f".TP\n.B {tag}\n{roff(text)}"


def page() -> str:
    """The whole page."""
    parts = [
        '.\\" SPDX-License-Identifier: GPL-2.0-or-later',
        '.\\" Written by tests/unit/checks_page.py from src/kprobe_tool/checks.',
        f'.TH KPROBE-TOOL-CHECKS 7 {DATE} "kprobe-tool {__version__}"',
        ".SH NAME",
        "kprobe-tool-checks \\- the checks of kprobe-tool audit",
        ".SH DESCRIPTION",
        "These are the checks that",
        ".BR kprobe-tool-audit (1)",
        "runs, by system.",
        "The verdicts are explained there.",
        roff(
            "The severity says how bad it is where a host is affected, and nothing about this host. The members that "
            "the paragraphs on evidence name are those of evidence in JSON, which --evidence shows in a table; the "
            "schema of audit describes them all."
        ),
    ]
    for system in SYSTEMS:
        heading, link = HEADINGS[system]
        parts += [
            f".SH {heading.upper()}",
            f"The system is called\n.BR {roff(system)} ;",
            f"how its checks work is in\n.BR {link} (1).",
        ]
        for check in CHECKS:
            if check.system == system:
                parts += entry(check)
    links = ["kprobe-tool", "kprobe-tool-audit", "kprobe-tool-explain"]
    parts += [".SH SEE ALSO", *(f".BR {name} (1)," for name in links[:-1]), f".BR {links[-1]} (1)"]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    print(page(), end="")
