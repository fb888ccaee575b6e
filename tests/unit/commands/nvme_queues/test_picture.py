# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture of --map: each CPU in its column, each mark where it belongs."""

from __future__ import annotations

from kprobe_tool.commands.nvme_queues.picture import LEGEND, borrowed_cpus, draw, pictures
from kprobe_tool.probes.nvme.ask import Subject
from kprobe_tool.probes.nvme.controllers import Controller, Cpus, Hctx, NvmePath
from kprobe_tool.probes.nvme.request import QueueRequest
from kprobe_tool.probes.nvme.split import HctxType

FOUR = Cpus(possible=(0, 1, 2, 3), online=(0, 1, 2, 3))


def hctx(index: int, *cpus: int, kind: HctxType | None = "default", cut: bool = False) -> Hctx:
    return Hctx(index, cpus, cut, 127, None, kind)


def subject(*hctxs: Hctx) -> Subject:
    paths = (NvmePath("nvme0c0n1", hctxs),) if hctxs else ()
    return Subject(Controller("nvme0", transport="tcp", state="live", paths=paths), QueueRequest(None, None))


def draw_hctxs(cpus: Cpus, *hctxs: Hctx) -> list[str]:
    return list(draw(subject(*hctxs), cpus))


def test_each_type_has_a_letter() -> None:
    assert draw_hctxs(FOUR, hctx(0, 0), hctx(1, 1, kind="read"), hctx(2, 2, kind="poll"), hctx(3, 3, kind=None)) == [
        "nvme0 tcp live: 4 hardware queues (hctx) of nvme0c0n1",
        "CPU         0",
        "hctx    0   D...",
        "hctx    1   .R..",
        "hctx    2   ..P.",
        "hctx    3   ...Q",
    ]


def test_offline_cpus_are_lower_case_and_a_queue_of_them_only_is_marked() -> None:
    cpus = Cpus(possible=(0, 1, 2, 3), online=(0, 2))
    assert draw_hctxs(cpus, hctx(0, 0, 1), hctx(1, 3), hctx(2, 2, cut=True))[2:] == [
        "offline      x x",
        "hctx    0   Dd..",
        "hctx    1 ! ...d",
        "hctx    2 > ..D.",
    ]


def test_which_cpus_are_online_may_not_be_known() -> None:
    assert draw_hctxs(Cpus(None, None), hctx(0, 0, 1))[1:] == ["CPU         0", "hctx    0   DD"]


def test_an_untouched_poll_map_puts_all_cpus_on_the_first() -> None:
    hctxs = hctx(0, 0, 1, 2, 3), hctx(1, 2), hctx(2, 3), hctx(3, 1, kind="read")
    assert borrowed_cpus(hctxs) == {2, 3}
    assert draw_hctxs(FOUR, *hctxs)[2] == "hctx    0   DD++"


def test_a_queue_without_cpus_is_named_below() -> None:
    assert draw_hctxs(FOUR, hctx(0, 0, 1, 2, 3), hctx(1), hctx(2))[-1] == "no CPU: hctx 1, 2"


def test_no_queues_are_one_line() -> None:
    assert draw_hctxs(FOUR) == ["nvme0 tcp live: no mapped queues"]


def test_one_legend_is_below_all_controllers() -> None:
    lines = list(pictures([subject(hctx(0, 0)), subject()], FOUR))
    assert [line for line in lines if line.startswith("nvme0")] == [
        "nvme0 tcp live: 1 hardware queue (hctx) of nvme0c0n1",
        "nvme0 tcp live: no mapped queues",
    ]
    assert tuple(lines[-2:]) == LEGEND
