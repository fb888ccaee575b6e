# SPDX-License-Identifier: GPL-2.0-or-later
"""What rds-info says about rows that may be anybody's."""

from pathlib import Path

import pytest

from kprobe_tool.cli import run
from kprobe_tool.commands.rds_info.command import SOURCES, Selection, document_of
from kprobe_tool.commands.rds_info.rows import SECTIONS
from kprobe_tool.errors import ExitCode
from kprobe_tool.probes.rds import savefile
from kprobe_tool.probes.rds.filter import InfoFilter
from kprobe_tool.probes.rds.lists import LISTS

CAPTURE = next((Path(__file__).parents[2] / "data" / "rds").glob("6.12.43*.json"))


def test_the_options_are_the_lists() -> None:
    assert tuple(LISTS) == SOURCES


@pytest.mark.parametrize(
    ("leaking", "words"),
    [(False, []), (True, ["shows the rows of every network namespace"]), (None, ["could not be found out"])],
)
def test_leaking_kernels_have_a_warning(leaking: bool | None, words: list[str]) -> None:
    capture, host = savefile.load(str(CAPTURE))
    selection = Selection((), False, (), SOURCES, InfoFilter())
    document = document_of(capture._replace(leaking=leaking), host, selection, {})
    assert document.more["leaking"] is leaking
    assert len(document.warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, document.warnings, strict=True))


@pytest.mark.parametrize(
    ("filters", "titles"),
    [
        (["--counter", "conn*"], ["Counters"]),
        (["--state", "connected"], ["RDS connections"]),
        (
            ["--lport", "30770"],
            ["RDS sockets", "RDS/TCP connections", "Send queue", "Retransmit queue", "Receive queue"],
        ),
        (["--counters", "--connections", "--state", "down"], ["RDS connections"]),
        (["--counters", "--sockets", "--counter", "conn*"], ["RDS sockets", "Counters"]),
    ],
)
def test_filters_show_what_they_concern(
    filters: list[str], titles: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rds-info", "--from", str(CAPTURE), *filters]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert [title for title, _ in SECTIONS.values() if title in out.splitlines()] == titles
    # Counters are the whole host's on every kernel.
    assert ("every network namespace" in err) == (titles != ["Counters"])


def test_filters_that_no_list_has_together_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rds-info", "--from", str(CAPTURE), "--state", "down", "--lport", "1"]) == ExitCode.CANNOT_RUN
    assert "no list of RDS has all that these filters look at" in capsys.readouterr().err


def test_a_filter_that_does_not_concern_the_chosen_list_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rds-info", "--from", str(CAPTURE), "--counters", "--laddr", "10.0.0.1"]) == ExitCode.CANNOT_RUN
    out, err = capsys.readouterr()
    assert out == ""
    assert "no list that was chosen has all that these filters look at" in err
