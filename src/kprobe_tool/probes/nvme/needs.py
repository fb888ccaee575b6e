# SPDX-License-Identifier: GPL-2.0-or-later
"""What judges need of a controller: it was read, or NotRead says why not. An absence is never taken for an answer."""

from __future__ import annotations

from kprobe_tool.probes.nvme.controllers import Controller, NvmePath


class NotRead(Exception):
    """A judge needs something of a controller that was not read."""

    def __init__(self, what: str, settle: str) -> None:
        super().__init__(what)
        self.settle = settle


def not_read(controller: Controller, what: str) -> NotRead:
    """Why something of this controller is not known, and what to do about it."""
    if controller.problems:
        return NotRead(
            f"its {what} could not be read: {controller.problems[0].as_error()}",
            "a controller that can be read; if it hangs, the kernel log may say why",
        )
    return NotRead(f"what was captured does not have its {what}", "the live host, or a copy of all of its /sys")


def transport_of(controller: Controller) -> str:
    """Raises NotRead."""
    if controller.transport is None:
        raise not_read(controller, "transport")
    return controller.transport


def is_rdma_or_tcp(controller: Controller) -> bool:
    """Raises NotRead."""
    logged = controller.logged
    if controller.transport is None and logged is not None and logged.split is not None:
        # Nobody else logs "mapped D/R/P", and PCI controllers are known by their own words.
        return True
    return transport_of(controller) in {"rdma", "tcp"}


def granted_of(controller: Controller) -> int:
    """Raises NotRead."""
    if controller.granted is None:
        raise not_read(controller, "queue_count")
    return controller.granted


def mapped_path(controller: Controller) -> NvmePath | None:
    """The path whose queues stand for all, None for a controller that has none. Raises NotRead."""
    path = controller.path
    if path is not None and path.complete:
        return path
    if path is not None or not controller.paths_read:
        raise not_read(controller, "queues")
    return None
