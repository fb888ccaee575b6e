"""What rds-info says about rows that may be anybody's."""

from dataclasses import replace
from pathlib import Path

import pytest

from kprobe_tool.commands.rds_info.command import SOURCES, Selection, document_of
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
def test_warning(leaking: bool | None, words: list[str]) -> None:
    capture, host = savefile.load(str(CAPTURE))
    selection = Selection((), False, (), SOURCES, InfoFilter())
    document = document_of(replace(capture, leaking=leaking), host, selection, {})
    assert document.more["leaking"] is leaking
    assert len(document.warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, document.warnings, strict=True))
