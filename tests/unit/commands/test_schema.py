# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of documents that there are not."""

from __future__ import annotations

import pytest

from .refusals import assert_refused


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["schema", "audti"], "'audti': no such document; did you mean 'audit'?"),
        (["schema", "../../etc"], "no such document; 'kprobe-tool schema' lists them"),
        (["schema", "audit", "-o", "json"], "-o is for the list: a schema is JSON"),
    ],
)
def test_bad_arguments_are_one_line(args: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(args, words, capsys)
