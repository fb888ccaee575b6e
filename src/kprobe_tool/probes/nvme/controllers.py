# SPDX-License-Identifier: GPL-2.0-or-later
"""An NVMe controller, its queues and the CPUs of its host, as sysfs and debugfs show them."""

from __future__ import annotations

from dataclasses import dataclass

from kprobe_tool.errors import Error
from kprobe_tool.probes.nvme.split import HctxType
from kprobe_tool.probes.nvme.types import TypeSource


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something of a controller is not known: an OSError, or text that makes no sense (no errno)."""

    subject: str
    reason: str
    errno: int | None = None

    def as_error(self) -> Error:
        return Error(self.subject, self.reason, errno=self.errno)


@dataclass(frozen=True, slots=True)
class Hctx:
    """``struct blk_mq_hw_ctx``. ``shown`` is the type that debugfs shows, ``type`` the true one, None where unknown.

    ``cut``: the kernel's page was full and ``cpus`` may lack some.
    """

    index: int
    cpus: tuple[int, ...]
    cut: bool
    nr_tags: int | None
    shown: HctxType | None
    type: HctxType | None


@dataclass(frozen=True, slots=True)
class Path:
    """The block device that queues hang on: the hidden one of a controller under multipath, otherwise the disk.

    ``io_poll`` is ``queue/io_poll``: poll queues were asked for. ``type_source`` is None where no type is known.
    """

    device: str
    hctxs: tuple[Hctx, ...]
    io_poll: bool | None = None
    type_source: TypeSource | None = None

    def count(self, kind: HctxType) -> int | None:
        return None if self.type_source is None else sum(1 for hctx in self.hctxs if hctx.type == kind)


@dataclass(frozen=True, slots=True)
class Controller:
    """``struct nvme_ctrl`` as its attributes show it. None is an attribute that is missing or makes no sense."""

    name: str
    transport: str | None = None
    state: str | None = None
    address: str | None = None
    subsysnqn: str | None = None
    cntrltype: str | None = None
    numa_node: int | None = None
    sqsize: int | None = None
    queue_count: int | None = None
    paths: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def instance(self) -> int:
        """The number in its name, ``ctrl->instance``."""
        return int(self.name.removeprefix("nvme"))

    @property
    def granted(self) -> int | None:
        """I/O queues: queue_count without the admin queue, which is 0 before the first connect."""
        return None if self.queue_count is None else max(0, self.queue_count - 1)

    @property
    def path(self) -> Path | None:
        """A path with queues. All namespaces of a controller share its tag set, so one stands for all."""
        return next((path for path in self.paths if path.hctxs), None)

    @property
    def fabrics(self) -> bool:
        return self.transport in {"rdma", "tcp", "fc", "loop"}


@dataclass(frozen=True)
class Cpus:
    """CPUs of the host that the queues are spread over; None where the list is missing or makes no sense."""

    possible: tuple[int, ...] | None
    online: tuple[int, ...] | None


@dataclass(frozen=True)
class Parameters:
    """nvme.ko's ``write_queues`` and ``poll_queues``; None where the module is not there."""

    write_queues: int | None
    poll_queues: int | None
