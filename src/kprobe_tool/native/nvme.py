# SPDX-License-Identifier: GPL-2.0-or-later
"""drivers/nvme/host/nvme.h: what a running controller was asked to do.

A fabrics controller keeps its options (``struct nvmf_ctrl_options``) to itself, a PCI controller the module
parameters as they were at its last reset (``struct nvme_dev``): no attribute shows them. Root can read them where the
kernel keeps them, at the offsets that its own BTF gives, without loading anything.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from kprobe_tool.native import btf, tracefs
from kprobe_tool.native.kcore import Kcore

LIST_MAX = 1 << 12
"""Entries of a kernel list that are followed at most: it may change, even into a circle, while it is read."""

MODULES = "/sys/module"
SHOW_TRANSPORT = "nvme_sysfs_show_transport"

POINTER = ctypes.sizeof(ctypes.c_void_p)

# enum hctx_type of linux/blk-mq.h
HCTX_MAX_TYPES = 3

# enum nvme_quirks
NVME_QUIRK_SHARED_TAGS = 1 << 13


class RunningFabrics(NamedTuple):
    """One fabrics controller as the kernel has it.

    The options are those it was connected with. ``io_queues`` are the counts of default, read and poll queues that
    its transport last computed, ``num_comp_vectors`` is the RDMA device's, ``max_hw_queues`` the FC port's; None
    where the transport has none.
    """

    instance: int
    queue_count: int
    nr_io_queues: int
    nr_write_queues: int
    nr_poll_queues: int
    io_queues: tuple[int, ...] | None = None
    num_comp_vectors: int | None = None
    max_hw_queues: int | None = None


class RunningPci(NamedTuple):
    """One PCI controller as the kernel has it.

    ``nr_write_queues`` and ``nr_poll_queues`` are the module parameters as its last reset found them,
    ``nr_allocated_queues`` counts the admin queue too, ``shared_tags`` is NVME_QUIRK_SHARED_TAGS.
    """

    instance: int
    queue_count: int
    nr_write_queues: int
    nr_poll_queues: int
    nr_allocated_queues: int
    shared_tags: bool


class Transport(NamedTuple):
    """Offsets from ``struct nvme_ctrl`` inside a transport's own controller, which may be negative.

    ``io_queues`` is None where it has none. ``limit`` is the chain of offsets to what limits the host's request, each
    but the last to a pointer: rdma's ``ib_device.num_comp_vectors``, fc's ``nvme_fc_port_template.max_hw_queues``.
    """

    io_queues: int | None
    limit: tuple[int, ...] | None


class PciDevice(NamedTuple):
    """Offsets from ``struct nvme_ctrl`` inside ``struct nvme_dev``, which may be negative, and of the quirks."""

    nr_write_queues: int
    nr_poll_queues: int
    nr_allocated_queues: int
    quirks: int


class Layout(NamedTuple):
    """Offsets in bytes, by the running kernel's BTF."""

    driver_data: int
    subsystem_entry: int
    subsystem_ctrls: int
    subsys_entry: int
    instance: int
    queue_count: int
    opts: int
    nr_io_queues: int
    nr_write_queues: int
    nr_poll_queues: int
    transports: dict[str, Transport]
    pci: PciDevice | None = None


def types_of(module: str) -> btf.Btf:
    """The types of a module, or the kernel's own where it is built in. Raises LookupError where nothing has them."""
    try:
        return btf.module(module)
    except FileNotFoundError:
        # Only what was loaded has a state (kernel/module/main.c, modinfo_initstate).
        if os.path.exists(f"{MODULES}/{module}/initstate"):
            raise LookupError("the kernel does not tell the types of its modules; Linux does since v5.11") from None
        return btf.vmlinux()


@cache
def struct_in(types: btf.Btf, name: str) -> btf.Struct | None:
    """A structure of these types; cached, as the lookup goes through all types and takes most of the time here."""
    return types.struct(name)


def offset(types: btf.Btf, struct: str, member: str) -> int:
    """Raises LookupError where this kernel has no such member."""
    found = struct_in(types, struct)
    place = found.member(member) if found else None
    if place is None:
        raise LookupError(f"the kernel's BTF has no {struct}.{member}")
    return place.offset


def layout(transports: Collection[str]) -> Layout:
    """The offsets that controllers of these transports take.

    Raises OSError and ValueError (no BTF, or a broken one), LookupError (structures unlike those known).
    """
    core = types_of("nvme_core")
    # Without a fabrics controller its module need not be loaded, and no controller has options.
    fabrics = types_of("nvme_fabrics") if set(transports) - {"pcie"} else None
    return Layout(
        driver_data=offset(btf.vmlinux(), "device", "driver_data"),
        subsystem_entry=offset(core, "nvme_subsystem", "entry"),
        subsystem_ctrls=offset(core, "nvme_subsystem", "ctrls"),
        subsys_entry=offset(core, "nvme_ctrl", "subsys_entry"),
        instance=offset(core, "nvme_ctrl", "instance"),
        queue_count=offset(core, "nvme_ctrl", "queue_count"),
        opts=offset(core, "nvme_ctrl", "opts"),
        nr_io_queues=offset(fabrics, "nvmf_ctrl_options", "nr_io_queues") if fabrics else 0,
        nr_write_queues=offset(fabrics, "nvmf_ctrl_options", "nr_write_queues") if fabrics else 0,
        nr_poll_queues=offset(fabrics, "nvmf_ctrl_options", "nr_poll_queues") if fabrics else 0,
        transports={
            name: found for name in ("rdma", "tcp", "fc") if name in transports and (found := transport(name))
        },
        pci=pci_device(core) if "pcie" in transports else None,
    )


def transport(name: str) -> Transport | None:
    """None where the transport's structures are unlike those known, which costs its own controllers only."""
    try:
        return transport_offsets(name)
    except LookupError:
        return None


def transport_offsets(name: str) -> Transport:
    """Raises LookupError."""
    types = types_of(f"nvme_{name}")
    own = f"nvme_{name}_ctrl"
    ctrl = offset(types, own, "ctrl")
    if name == "fc":
        ops = offset(types, "nvme_fc_lport", "ops")
        return Transport(
            None,
            (offset(types, own, "lport") - ctrl, ops, offset(types, "nvme_fc_port_template", "max_hw_queues")),
        )
    vectors = None
    if name == "rdma":
        vectors = (
            offset(types, own, "device") - ctrl,
            offset(types, "nvme_rdma_device", "dev"),
            offset(types_of("ib_core"), "ib_device", "num_comp_vectors"),
        )
    return Transport(offset(types, own, "io_queues") - ctrl, vectors)


def pci_device(core: btf.Btf) -> PciDevice | None:
    """None where the structures are unlike those known, as before v5.8, which kept none of this."""
    types = types_of("nvme")
    try:
        ctrl = offset(types, "nvme_dev", "ctrl")
        return PciDevice(
            nr_write_queues=offset(types, "nvme_dev", "nr_write_queues") - ctrl,
            nr_poll_queues=offset(types, "nvme_dev", "nr_poll_queues") - ctrl,
            nr_allocated_queues=offset(types, "nvme_dev", "nr_allocated_queues") - ctrl,
            quirks=offset(core, "nvme_ctrl", "quirks"),
        )
    except LookupError:
        return None


def from_kcore(subsystems: int, transports: Mapping[int, str]) -> dict[int, RunningFabrics | RunningPci]:
    """The controllers by instance, from /proc/kcore. ``subsystems`` is the address of ``nvme_subsystems``.

    ``transports`` says which transport each instance has. Nothing keeps the lists from changing meanwhile, so one
    that leads nowhere ends there. Raises OSError, ValueError, LookupError.
    """
    offsets = layout(frozenset(transports.values()))
    memory = Kcore()
    try:
        found = {}
        for subsystem in entries(memory, subsystems):
            for entry in entries(memory, subsystem - offsets.subsystem_entry + offsets.subsystem_ctrls):
                running = from_memory(memory, offsets, entry - offsets.subsys_entry, transports)
                if running is not None:
                    found[running.instance] = running
        return found
    finally:
        memory.close()


def entries(memory: Kcore, head: int) -> list[int]:
    """The addresses of the entries of a ``struct list_head``."""
    found: list[int] = []
    entry = memory.number(head, POINTER)
    while entry != head and len(found) < LIST_MAX:
        found.append(entry)
        try:
            entry = memory.number(entry, POINTER)
        except OSError:
            break
    return found


def from_memory(
    memory: Kcore, offsets: Layout, ctrl: int, transports: Mapping[int, str]
) -> RunningFabrics | RunningPci | None:
    """One ``struct nvme_ctrl``; None for one that was not asked for or is gone."""
    try:
        instance = memory.number(ctrl + offsets.instance, 4)
        queue_count = memory.number(ctrl + offsets.queue_count, 4)
        if instance not in transports:
            return None
        if transports[instance] == "pcie":
            return pci_from_memory(memory, offsets, ctrl, instance, queue_count)
        opts = memory.number(ctrl + offsets.opts, POINTER)
        if opts == 0:
            return None
        inside = offsets.transports.get(transports[instance], Transport(None, None))
        limit = follow(memory, ctrl, inside.limit) if inside.limit else None
        return RunningFabrics(
            instance=instance,
            queue_count=queue_count,
            nr_io_queues=memory.number(opts + offsets.nr_io_queues, 4),
            nr_write_queues=memory.number(opts + offsets.nr_write_queues, 4),
            nr_poll_queues=memory.number(opts + offsets.nr_poll_queues, 4),
            io_queues=None
            if inside.io_queues is None
            else tuple(memory.number(ctrl + inside.io_queues + 4 * index, 4) for index in range(HCTX_MAX_TYPES)),
            num_comp_vectors=limit if transports[instance] == "rdma" else None,
            max_hw_queues=limit if transports[instance] == "fc" else None,
        )
    except OSError:
        return None


def pci_from_memory(memory: Kcore, offsets: Layout, ctrl: int, instance: int, queue_count: int) -> RunningPci | None:
    """Raises OSError."""
    if offsets.pci is None:
        return None
    return RunningPci(
        instance=instance,
        queue_count=queue_count,
        nr_write_queues=memory.number(ctrl + offsets.pci.nr_write_queues, 4),
        nr_poll_queues=memory.number(ctrl + offsets.pci.nr_poll_queues, 4),
        nr_allocated_queues=memory.number(ctrl + offsets.pci.nr_allocated_queues, 4),
        shared_tags=bool(memory.number(ctrl + offsets.pci.quirks, 4) & NVME_QUIRK_SHARED_TAGS),
    )


def follow(memory: Kcore, address: int, offsets: Sequence[int]) -> int:
    """The number at the end of a chain of pointers. Raises OSError."""
    for step in offsets[:-1]:
        address = memory.number(address + step, POINTER)
    return memory.number(address + offsets[-1], 4)


def from_kprobe(transports: Mapping[int, str], touch: Callable[[], None]) -> dict[int, RunningFabrics | RunningPci]:
    """The same from a kprobe event on the show() function of the attribute ``transport``.

    ``touch`` reads that attribute of each controller, once the event is on. Raises OSError, ValueError, LookupError.
    """
    offsets = layout(frozenset(transports.values()))
    with tracefs.kprobe(SHOW_TRANSPORT, " ".join(fetch_arguments(offsets))) as events:
        touch()
        hits = events.fields()
    found = {}
    for hit in hits:
        running = from_fields(hit, transports)
        if running is not None:
            found[running.instance] = running
    return found


def fetch_arguments(offsets: Layout) -> Iterator[str]:
    """What the event reads of each controller; of one of another transport some of it is a fault or means nothing."""
    ctrl = f"+{offsets.driver_data}($arg1)"
    yield f"instance=+{offsets.instance}({ctrl}):s32"
    yield f"queue_count=+{offsets.queue_count}({ctrl}):u32"
    yield f"nr_io_queues=+{offsets.nr_io_queues}(+{offsets.opts}({ctrl})):u32"
    yield f"nr_write_queues=+{offsets.nr_write_queues}(+{offsets.opts}({ctrl})):u32"
    yield f"nr_poll_queues=+{offsets.nr_poll_queues}(+{offsets.opts}({ctrl})):u32"
    for name, inside in offsets.transports.items():
        if inside.io_queues is not None:
            for index in range(HCTX_MAX_TYPES):
                yield f"{name}_{index}={inside.io_queues + 4 * index:+d}({ctrl}):u32"
        if inside.limit:
            first, second, last = inside.limit
            yield f"{name}_limit={last:+d}({second:+d}({first:+d}({ctrl}))):u32"
    if offsets.pci:
        yield f"pci_write={offsets.pci.nr_write_queues:+d}({ctrl}):u32"
        yield f"pci_poll={offsets.pci.nr_poll_queues:+d}({ctrl}):u32"
        yield f"pci_allocated={offsets.pci.nr_allocated_queues:+d}({ctrl}):u32"
        yield f"quirks=+{offsets.pci.quirks}({ctrl}):u32"


def from_fields(hit: Mapping[str, str], transports: Mapping[int, str]) -> RunningFabrics | RunningPci | None:
    """One hit; None where a pointer led nowhere (the kernel writes ``(fault)``)."""
    values = {name: int(value) for name, value in hit.items() if value.lstrip("-").isdecimal()}
    instance = values.get("instance")
    if instance is None or instance not in transports:
        return None
    name = transports[instance]
    io_queues = [values[f"{name}_{index}"] for index in range(HCTX_MAX_TYPES) if f"{name}_{index}" in values]
    try:
        if name == "pcie":
            return RunningPci(
                instance,
                values["queue_count"],
                values["pci_write"],
                values["pci_poll"],
                values["pci_allocated"],
                bool(values["quirks"] & NVME_QUIRK_SHARED_TAGS),
            )
        return RunningFabrics(
            instance,
            values["queue_count"],
            values["nr_io_queues"],
            values["nr_write_queues"],
            values["nr_poll_queues"],
            tuple(io_queues) if len(io_queues) == HCTX_MAX_TYPES else None,
            values.get("rdma_limit") if name == "rdma" else None,
            values.get("fc_limit") if name == "fc" else None,
        )
    except KeyError:
        return None
