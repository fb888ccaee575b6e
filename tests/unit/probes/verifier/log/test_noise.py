# SPDX-License-Identifier: GPL-2.0-or-later
"""What stands around a log."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.log.noise import errno_of


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("EACCES", "EACCES"),
        ("eperm", "EPERM"),
        ("13", "EACCES"),
        ("-22", "EINVAL"),
        ("Permission denied", "EACCES"),
        ("argument list too long", "E2BIG"),
        ("No such thing", None),
        ("99999", None),
    ],
)
def test_errnos_have_their_names(text: str, name: str | None) -> None:
    assert errno_of(text) == name
