# SPDX-License-Identifier: GPL-2.0-or-later
"""An NVMe controller, its queues and the CPUs of its host, as sysfs and debugfs show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from kprobe_tool.errors import Error
from kprobe_tool.probes.nvme.split import HctxType, Split
from kprobe_tool.probes.nvme.types import TypeSource


class Problem(NamedTuple):
    """Why something of a controller is not known: an OSError, or text that makes no sense (no errno)."""

    subject: str
    reason: str
    errno: int | None = None

    def as_error(self) -> Error:
        return Error(self.subject, self.reason, errno=self.errno)


class Hctx(NamedTuple):
    """``struct blk_mq_hw_ctx``. ``shown`` is the type that debugfs shows, ``type`` the true one, None where unknown.

    ``cut``: the kernel's page was full and ``cpus`` may lack some. ``submitters`` are the CPUs whose software queues
    feed it, from debugfs, None where that is closed: isolated CPUs are among them, and not among ``cpus``.
    """

    queue_num: int
    cpus: tuple[int, ...]
    cut: bool
    nr_tags: int | None
    shown: HctxType | None
    type: HctxType | None
    submitters: tuple[int, ...] | None = None


class NvmePath(NamedTuple):
    """The block device that queues hang on: the hidden one of a controller under multipath, otherwise the disk.

    ``io_poll`` is ``queue/io_poll``: poll queues were asked for. ``type_source`` is None where no type is known.
    ``complete`` is False where some hctx of it could not be read.
    """

    device: str
    hctxs: tuple[Hctx, ...]
    io_poll: bool | None = None
    type_source: TypeSource | None = None
    complete: bool = True

    def queues_of(self, kind: HctxType) -> int | None:
        return None if self.type_source is None else sum(1 for hctx in self.hctxs if hctx.type == kind)


class LoggedQueues(NamedTuple):
    """What the kernel log says of a controller's last connect. ``granted`` was logged before the queues were mapped,
    ``split`` after; None where it was not. ``transport`` is known of PCI controllers only."""

    transport: str | None = None
    granted: int | None = None
    split: Split | None = None


class Controller(NamedTuple):
    """``struct nvme_ctrl`` as its attributes show it. None is an attribute that is missing or makes no sense.

    ``paths_read`` is False where its block devices could not be looked at, so that no path means nothing. ``born`` is
    the number that kernfs gave its directory, None in a captured tree. ``logged`` is for what sysfs does not have.
    """

    name: str
    transport: str | None = None
    state: str | None = None
    address: str | None = None
    subsysnqn: str | None = None
    cntrltype: str | None = None
    numa_node: int | None = None
    sqsize: int | None = None
    queue_count: int | None = None
    paths: tuple[NvmePath, ...] = ()
    paths_read: bool = True
    born: int | None = None
    logged: LoggedQueues | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def instance(self) -> int:
        """The number in its name, ``ctrl->instance``."""
        return int(self.name.removeprefix("nvme"))

    @property
    def granted(self) -> int | None:
        """I/O queues: queue_count without the admin queue, which is 0 before the first connect; or as logged."""
        if self.queue_count is not None:
            return max(0, self.queue_count - 1)
        return None if self.logged is None else self.logged.granted

    @property
    def path(self) -> NvmePath | None:
        """A path with queues. All namespaces of a controller share its tag set, so one stands for all: the first that
        could be read completely, if any could."""
        found = [path for path in self.paths if path.hctxs]
        return next((path for path in found if path.complete), found[0] if found else None)

    @property
    def split(self) -> Split | None:
        """Mapped queues by type, from its path or as logged; None where there are none or types are not known."""
        path = self.path
        if path is not None and path.complete:
            counts = path.queues_of("default"), path.queues_of("read"), path.queues_of("poll")
            default, read, poll = counts
            return None if default is None or read is None or poll is None else Split(default, read, poll)
        return None if self.logged is None else self.logged.split

    @property
    def fabrics(self) -> bool:
        return self.transport in {"rdma", "tcp", "fc", "loop"}


class Cpus(NamedTuple):
    """CPUs of the host that the queues are spread over; None where the list is missing or makes no sense.

    ``born`` are the numbers that kernfs gave to the directories ``cpuN/topology`` of the online CPUs. These numbers
    only grow, and the directory is made anew whenever its CPU comes online (drivers/base/topology.c). So a CPU whose
    number is below that of another directory has been online ever since that directory was made. Empty in a captured
    tree.
    """

    possible: tuple[int, ...] | None
    online: tuple[int, ...] | None
    born: Mapping[int, int] = {}

    def cpus_online_since(self, controller: Controller) -> int:
        """How many CPUs have been online ever since this controller was made, as far as is known: 1 at least."""
        if controller.born is None:
            return 1
        return max(1, sum(number < controller.born for number in self.born.values()))


class Parameters(NamedTuple):
    """nvme.ko's ``write_queues`` and ``poll_queues`` now; None where the module is not there."""

    write_queues: int | None
    poll_queues: int | None
