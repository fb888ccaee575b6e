# SPDX-License-Identifier: GPL-2.0-or-later
"""Any text is explained or refused, in bounded time, and nothing else happens."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobe_tool.commands.verifier_log.html import render_page
from kprobe_tool.commands.verifier_log.picture import diagnosis_rows, picture
from kprobe_tool.errors import Error
from kprobe_tool.probes.verifier.diagnosis import Diagnosis
from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
from kprobe_tool.probes.verifier.explaining.redact import redact
from kprobe_tool.probes.verifier.messages.table import TABLE
from kprobe_tool.report.document import Document
from kprobe_tool.report.table import render as render_table
from tests.corpus import LOGS

from .messages.rendering import render

SEEDS = [path.read_bytes() for path in sorted(LOGS.glob("*/*.txt")) if path.stat().st_size < 1 << 14][::7]
PIECES = [line + b"\n" for seed in SEEDS[::5] for line in seed.splitlines()]
MESSAGES = [render(wording).encode() + b"\n" for group in TABLE for row in group.rows for wording in row.wordings]
STRANGE = [
    b"\r\n",
    b"\0",
    b"\xff\xfe",
    b"\x1b[2J",
    b"\x1b]0;x\x07",
    "\u202e".encode(),
    b"(" * 300,
    b"|" * 9,
    b"\n\n",
    b"9" * 30,
]

texts = st.one_of(
    st.binary(max_size=400),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(st.sampled_from([*PIECES, *MESSAGES, *STRANGE]), max_size=40).map(b"".join),
)


@st.composite
def mutated_logs(draw: st.DrawFn) -> bytes:
    """A real log with parts of it cut out, repeated, replaced."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = min(len(data), begin + draw(st.integers(0, 200)))
        data = data[:begin] + draw(st.one_of(texts, st.just(data[begin:end] * 2))) + data[end:]
    return data


def show(diagnosis: Diagnosis) -> None:
    """Everything that can be made of a diagnosis; none of it may reach a terminal raw."""
    document = Document("verifier-log", {}, [], picture=list(picture(diagnosis)))
    for line in render_table(document):
        assert "\x1b]" not in line
        assert not set(line.replace("\x1b", "")) & set(map(chr, range(32)))
    assert diagnosis_rows(redact(diagnosis))
    html = render_page(diagnosis, {"hostname": "h", "release": "r", "time": "t"})
    assert html.count("<script") == 1
    assert html.count("<section>") == 1 + len(diagnosis.others)


def explain_anything(data: bytes, errno: str | None) -> None:
    begin = time.process_time()
    try:
        show(explain_bytes(data, errno))
    except Error as error:
        assert str(error)
    assert time.process_time() - begin < 5


@given(texts, st.sampled_from([None, "EACCES", "ENOSPC", "EINVAL", "ENOTSUPP"]))
def test_anything_is_explained_or_refused(data: bytes, errno: str | None) -> None:
    explain_anything(data, errno)


@settings(max_examples=300, deadline=None)
@given(mutated_logs())
@pytest.mark.slow
def test_what_is_nearly_a_log_is_explained_or_refused(data: bytes) -> None:
    explain_anything(data, None)


BAIT = {
    "blanks": b" " * 60_000 + b"\n",
    "bars": b"| " * 30_000 + b"\n",
    "parentheses": b"7: R1=" + b"(" * 60_000 + b"\n",
    "equals": b"R1=" + b"a=" * 30_000 + b"\n",
    "semicolons": b"7: (95) exit " + b"; " * 30_000 + b"\n",
    "at": b"; " + b" @ " * 20_000 + b":1\n",
    "quotes": b"R1 invalid mem access '" + b"'" * 60_000 + b"\n",
    "goto": b"7: (15) if " + b" goto pc+1" * 6000 + b"\n",
    "stamps": b"[    1.000000] " * 4000 + b"\n",
    "colours": b"\x1b[" + b"0;" * 30_000 + b"\n",
    "arrows": b"       |" + b" " * 60_000 + b"^--" + b"\n",
    "headers": b"Verification failed: " * 3000 + b"\n",
    "references": b"arg#0 reference type('" * 3000 + b"\n",
}


@pytest.mark.parametrize("name", BAIT)
def test_no_line_is_gone_over_again_and_again(name: str) -> None:
    """Lines and thousands of lines that a careless expression would go over again and again."""
    begin = time.process_time()
    for data in (
        BAIT[name],
        BAIT[name] * 40,
        b"7: (95) exit\n" + BAIT[name] + b"R0 !read_ok\n",
        BAIT[name][:900] * 900,
    ):
        explain_anything(data, "EACCES")
    assert time.process_time() - begin < 10


def test_time_grows_with_the_log_no_more_than_what_is_read() -> None:
    """Four times the log is not nearly four times the work, once it is longer than what is looked at."""
    log = b"".join(b"%d: (07) r6 += 1 ; R6=scalar()\n" % (n % 100) for n in range(60_000))
    took = []
    for times in (4, 16):
        begin = time.process_time()
        explain_anything(log * times + b"R6 !read_ok\n", None)
        took.append(time.process_time() - begin)
    assert all(later < 3 * earlier + 0.5 for earlier, later in pairwise(took))


def test_the_seeds_are_there() -> None:
    assert len(SEEDS) > 50
    assert Path(LOGS).is_dir()
