# SPDX-License-Identifier: GPL-2.0-or-later
"""How the kernel splits granted NVMe I/O queues into default, read and poll queues: pure functions.

Three versions of the rule were released for nvme-rdma and nvme-tcp. Each is a row of :class:`Algorithm`; what they
lead to is in blk-mq's terms (``struct blk_mq_queue_map``), so that a map that points at hardware contexts that do
not exist can be told from one that does not. blk_mq_map_swqueue() dereferences those without a check.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, NamedTuple

HctxType = Literal["default", "read", "poll"]

HCTX_TYPES: tuple[HctxType, ...] = ("default", "read", "poll")
"""``enum hctx_type`` of include/linux/blk-mq.h, in its order, as block/blk-mq-debugfs.c spells it."""


class Algorithm(StrEnum):
    """Which kernels split how."""

    REQUEST = "v5.0"
    """From the request, before the controller answered: Linux kernel commit b65bb777ef22 ("nvme-rdma: support
    separate queue maps for read and write") (in v5.0) and its twin in tcp.c."""
    TRANSPORT = "v5.2"
    """From the grant, in rdma.c and tcp.c: Linux kernel commit 6486199378a5 ("nvme-tcp: fix queue mapping when
    queues count is limited") (in v5.2) and its twin in rdma.c."""
    FABRICS = "v6.5"
    """The same in one place, nvmf_set_io_queues() and nvmf_map_queues(): Linux kernel commit a249d3066de6
    ("nvme-fabrics: add queue setup helpers") (in v6.5). Completion vectors count no more."""


class Options(NamedTuple):
    """The queue counts of ``struct nvmf_ctrl_options`` (drivers/nvme/host/fabrics.h)."""

    nr_io_queues: int
    nr_write_queues: int = 0
    nr_poll_queues: int = 0


class Split(NamedTuple):
    """``io_queues[HCTX_MAX_TYPES]`` of a controller."""

    default: int = 0
    read: int = 0
    poll: int = 0

    @property
    def total(self) -> int:
        return self.default + self.read + self.poll


class QueueMap(NamedTuple):
    """``struct blk_mq_queue_map`` of one type. ``cleared`` is a map that the driver left alone: every CPU of it is
    on hctx 0, whatever ``nr_queues`` says."""

    type: HctxType
    nr_queues: int
    queue_offset: int
    cleared: bool = False


class ConnectOutcome(NamedTuple):
    """What one connect does. ``asked`` is what Set Features (Number of Queues) is sent, ``nr_hw_queues`` what the
    controller grants of it. ``types`` are the types of the hctxs that some CPU is mapped to, None for the others;
    ``missing`` are hctxs that a CPU is mapped to and that do not exist: the kernel dies on the first."""

    algorithm: Algorithm
    asked: int
    nr_hw_queues: int
    io_queues: Split
    maps: tuple[QueueMap, ...]
    types: tuple[HctxType | None, ...]
    missing: tuple[int, ...]

    @property
    def crashes(self) -> bool:
        return bool(self.missing)

    @property
    def poll_on_zero(self) -> bool:
        """Poll queues were asked for and there are none, so hctx 0 has the poll map's CPUs and may show as poll."""
        return any(each.cleared for each in self.maps)


def connect(
    algorithm: Algorithm,
    options: Options,
    *,
    granted: int,
    cpus: int,
    comp_vectors: int | None = None,
    previous: ConnectOutcome | None = None,
) -> ConnectOutcome:
    """What a kernel with this algorithm does on connecting, or with ``previous`` on reconnecting.

    ``cpus`` are online and possible alike. ``comp_vectors`` is ``num_comp_vectors`` of the RDMA device; None for
    tcp, which has none. Raises ValueError where nothing is asked or granted: then there are no queues to split.
    """
    if algorithm is Algorithm.REQUEST:
        asked, io_queues = split_request(options, cpus, comp_vectors)
        nr_hw_queues = min(asked, granted)
    else:
        asked = request(algorithm, options, cpus, comp_vectors)
        nr_hw_queues = min(asked, granted)
        capped = options if algorithm is Algorithm.FABRICS else cap(options, cpus, comp_vectors)
        io_queues = split_grant(capped, nr_hw_queues, previous.io_queues if previous else Split())
    if nr_hw_queues < 1:
        raise ValueError("no queue is asked for or granted")
    allocated = previous.maps if previous else ()
    maps = queue_maps(algorithm, options, io_queues, nr_hw_queues, allocated)
    return ConnectOutcome(
        algorithm=algorithm,
        asked=asked,
        nr_hw_queues=nr_hw_queues,
        io_queues=io_queues,
        maps=maps,
        types=types(maps, nr_hw_queues, cpus),
        missing=missing_hctxs(maps, nr_hw_queues, cpus),
    )


def cap(options: Options, cpus: int, comp_vectors: int | None) -> Options:
    """nvme_rdma_alloc_io_queues() of v5.2 to v6.4: read and write queues need a completion vector each."""
    vectors = cpus if comp_vectors is None else comp_vectors
    return Options(
        min(options.nr_io_queues, cpus, vectors),
        min(options.nr_write_queues, cpus, vectors),
        min(options.nr_poll_queues, cpus),
    )


def request(algorithm: Algorithm, options: Options, cpus: int, comp_vectors: int | None = None) -> int:
    """How many I/O queues the host asks the controller for; nvmf_nr_io_queues() since v6.5."""
    if algorithm is Algorithm.REQUEST:
        return split_request(options, cpus, comp_vectors)[0]
    capped = cap(options, cpus, None if algorithm is Algorithm.FABRICS else comp_vectors)
    return capped.nr_io_queues + capped.nr_write_queues + capped.nr_poll_queues


def split_request(options: Options, cpus: int, comp_vectors: int | None) -> tuple[int, Split]:
    """(asked, io_queues) of v5.0 and v5.1: READ counts the write queues too, and the grant plays no part."""
    nr_io_queues = cap(options, cpus, comp_vectors).nr_io_queues
    default = min(options.nr_write_queues, nr_io_queues) if options.nr_write_queues else nr_io_queues
    if options.nr_write_queues:
        nr_io_queues += default
    poll = min(options.nr_poll_queues, cpus)
    return nr_io_queues + poll, Split(default, nr_io_queues, poll)


def split_grant(options: Options, granted: int, previous: Split) -> Split:
    """nvmf_set_io_queues(): read queues first, then write queues, then poll queues.

    ``previous`` is what io_queues[] holds from the connect before: READ and POLL keep it where the new grant leaves
    them nothing, as no version of the kernel clears the array.
    """
    read, poll, left = previous.read, previous.poll, granted
    if options.nr_write_queues and options.nr_io_queues < left:
        read = options.nr_io_queues
        left -= read
        default = min(options.nr_write_queues, left)
    else:
        default = min(options.nr_io_queues, left)
    left -= default
    if options.nr_poll_queues and left:
        poll = min(options.nr_poll_queues, left)
    return Split(default, read, poll)


def queue_maps(
    algorithm: Algorithm, options: Options, io_queues: Split, nr_hw_queues: int, allocated: Sequence[QueueMap] = ()
) -> tuple[QueueMap, ...]:
    """nvmf_map_queues(). ``allocated`` are the maps as the connect before left them, nothing on the first.

    There are three maps where poll queues were asked for, otherwise two. blk_mq_alloc_tag_set() presets each with
    all hardware queues, and that is what a poll map without poll queues stays with.
    """
    default = QueueMap("default", io_queues.default, 0)
    separate = options.nr_write_queues and io_queues.read
    read = QueueMap("read", io_queues.read if separate else io_queues.default, io_queues.default if separate else 0)
    if not options.nr_poll_queues:
        return default, read
    if io_queues.poll:
        # v5.0 and v5.1 counted READ only where write queues were asked for; it was the DEFAULT count otherwise.
        first = io_queues.default + io_queues.read
        if algorithm is Algorithm.REQUEST and not options.nr_write_queues:
            first = io_queues.default
        return default, read, QueueMap("poll", io_queues.poll, first)
    untouched = allocated[2] if len(allocated) > 2 else QueueMap("poll", nr_hw_queues, 0)
    return default, read, QueueMap("poll", untouched.nr_queues, untouched.queue_offset, cleared=True)


def used_hctxs(queue_map: QueueMap, cpus: int) -> range:
    """The hctxs that some CPU is mapped to; blk_mq_map_queues() fills them from the first, one CPU at least each."""
    if queue_map.cleared:
        return range(1)
    return range(queue_map.queue_offset, queue_map.queue_offset + min(queue_map.nr_queues, cpus))


def missing_hctxs(maps: Sequence[QueueMap], nr_hw_queues: int, cpus: int) -> tuple[int, ...]:
    return tuple(sorted({index for each in maps for index in used_hctxs(each, cpus) if index >= nr_hw_queues}))


def types(maps: Sequence[QueueMap], nr_hw_queues: int, cpus: int) -> tuple[HctxType | None, ...]:
    """What each hctx is there for. A read map at offset 0 shares the default queues, a cleared one has none."""
    found: list[HctxType | None] = [None] * nr_hw_queues
    for each in maps:
        if each.cleared or (each.type != "default" and each.queue_offset == 0):
            continue
        for index in used_hctxs(each, cpus):
            if index < nr_hw_queues:
                found[index] = each.type
    return tuple(found)


def deadly_grants(
    algorithm: Algorithm, options: Options, now: Split, granted: int, *, cpus: int, comp_vectors: int | None = None
) -> tuple[int, ...]:
    """The grants below the present one that kill this kernel when the controller reconnects with its options."""
    maps = queue_maps(algorithm, options, now, granted)
    present = ConnectOutcome(algorithm, granted, granted, now, maps, (), ())
    return tuple(
        fewer
        for fewer in range(1, granted)
        if connect(algorithm, options, granted=fewer, cpus=cpus, comp_vectors=comp_vectors, previous=present).crashes
    )
