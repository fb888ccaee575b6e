# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks by their names: what is in, what is out, and what is no name."""

from __future__ import annotations

import pytest

from kprobe_tool.checks import CHECKS
from kprobe_tool.errors import Error
from kprobe_tool.probes.selection import find, select

SKMSG = ["skmsg-tls-split-copy", "skmsg-push-pop-copy", "skmsg-stale-copy"]


def test_the_default_set_leaves_out_what_is_for_programmers() -> None:
    assert select((), ()) == [check for check in CHECKS if check.default]
    assert select((), (), everything=True) == list(CHECKS)


@pytest.mark.parametrize(
    ("only", "skip", "chosen"),
    [
        (("skmsg",), (), SKMSG),
        (("skmsg-stale-copy, skmsg-tls-split-copy",), (), [SKMSG[0], SKMSG[2]]),
        (("CVE-2026-63830",), ("skmsg-stale-copy",), SKMSG[:2]),
        (("openat2-usize-limit",), (), ["openat2-usize-limit"]),
    ],
)
def test_names_choose_in_the_order_of_the_table(
    only: tuple[str, ...], skip: tuple[str, ...], chosen: list[str]
) -> None:
    assert [check.id for check in select(only, skip)] == chosen


def test_what_is_no_name_is_refused() -> None:
    with pytest.raises(Error, match="'rsd': no such check, system or CVE; did you mean 'rds'"):
        select(("rds",), ("rsd",))
    with pytest.raises(Error, match="no check is left to run"):
        select(("skmsg",), ("skmsg",))


def test_find_takes_ids_only() -> None:
    assert find("rds-bind-netns").system == "rds"
    with pytest.raises(Error, match="'rds': no such check"):
        find("rds")
