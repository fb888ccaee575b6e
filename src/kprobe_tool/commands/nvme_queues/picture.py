# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture of ``nvme-queues --map``: CPUs across, hardware contexts down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kprobe_tool.report.text import quantity

if TYPE_CHECKING:
    from kprobe_tool.probes.nvme.ask import Subject
    from kprobe_tool.probes.nvme.controllers import Cpus, Hctx

ACROSS = 64
"""CPUs side by side. With the label it comes to 76 columns."""

EVERY = 8
"""A column in so many has its CPU's number above it."""

LETTERS = {"default": "D", "read": "R", "poll": "P", None: "Q"}

LEGEND = (
    "D default, R read, P poll, Q type unknown; lower case, x: CPU offline",
    "!: no CPU online; >: list cut; +: put on hctx 0 by a poll map without queues",
)


def pictures(subjects: Sequence[Subject], cpus: Cpus) -> Iterator[str]:
    """All controllers, one below the other."""
    for subject in subjects:
        yield from draw(subject, cpus)
        yield ""
    yield from LEGEND


def draw(subject: Subject, cpus: Cpus) -> Iterator[str]:
    """The lines of one controller. Each block has 64 CPUs and the hctxs that serve some of them."""
    controller = subject.controller
    path = controller.path
    title = f"{controller.name} {controller.transport or '-'} {controller.state or '-'}"
    if path is None:
        yield f"{title}: no mapped queues"
        return
    yield f"{title}: {quantity(len(path.hctxs), 'hardware queue')} (hctx) of {path.device}"
    borrowed = borrowed_cpus(path.hctxs)
    online = None if cpus.online is None else frozenset(cpus.online)
    shown = sorted({*(cpus.possible or ()), *(cpu for hctx in path.hctxs for cpu in hctx.cpus)})
    for start in sorted({cpu // ACROSS * ACROSS for cpu in shown}):
        block = range(start, min(start + ACROSS, shown[-1] + 1))
        yield from ruler(block)
        if online is not None:
            states = "".join(" " if cpu in online else "x" for cpu in block)
            if "x" in states:
                yield f"{'offline':12}{states}".rstrip()
        for hctx in path.hctxs:
            if any(cpu in block for cpu in hctx.cpus):
                yield row(hctx, block, online, borrowed if hctx.queue_num == path.hctxs[0].queue_num else frozenset())
    empty = [str(hctx.queue_num) for hctx in path.hctxs if not hctx.cpus]
    if empty:
        yield f"no CPU: hctx {', '.join(empty)}"


def borrowed_cpus(hctxs: Sequence[Hctx]) -> frozenset[int]:
    """CPUs of hctx 0 that belong to other default queues: the untouched map of poll queues."""
    others = {cpu for hctx in hctxs[1:] if hctx.type == "default" for cpu in hctx.cpus}
    return frozenset(others.intersection(hctxs[0].cpus))


def ruler(block: range) -> Iterator[str]:
    """CPU numbers, each above its column."""
    numbers = "".join(f"{cpu:<{EVERY}}" for cpu in block if (cpu - block.start) % EVERY == 0)
    yield f"{'CPU':12}{numbers}".rstrip()


def row(hctx: Hctx, block: range, online: frozenset[int] | None, borrowed: frozenset[int]) -> str:
    letter = LETTERS[hctx.type]
    cells = []
    for cpu in block:
        if cpu not in hctx.cpus:
            cells.append(".")
        elif cpu in borrowed:
            cells.append("+")
        else:
            cells.append(letter if online is None or cpu in online else letter.lower())
    dead = online is not None and not online.intersection(hctx.cpus)
    mark = "!" if dead else ">" if hctx.cut else " "
    return f"hctx {hctx.queue_num:>4} {mark} {''.join(cells)}"
