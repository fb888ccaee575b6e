# SPDX-License-Identifier: GPL-2.0-or-later
"""drivers/nvme/host/nvme.h: what a running controller was asked to do.

A fabrics controller keeps its options (``struct nvmf_ctrl_options``) to itself: no attribute shows them. Root can
read them where the kernel keeps them, at the offsets that its own BTF gives, without loading anything.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from kprobe_tool.native import btf, tracefs
from kprobe_tool.native.kcore import Kcore

LIST_MAX = 1 << 12
"""Entries followed in a list of the kernel that may change under us."""

SHOW_TRANSPORT = "nvme_sysfs_show_transport"

POINTER = ctypes.sizeof(ctypes.c_void_p)

# enum hctx_type of linux/blk-mq.h
HCTX_MAX_TYPES = 3


@dataclass(frozen=True)
class Running:
    """One fabrics controller as the kernel has it.

    The options are those it was connected with. ``io_queues`` are the counts of default, read and poll queues that
    its transport last computed, ``num_comp_vectors`` is the RDMA device's; None where the transport has none.
    """

    instance: int
    queue_count: int
    nr_io_queues: int
    nr_write_queues: int
    nr_poll_queues: int
    io_queues: tuple[int, ...] | None = None
    num_comp_vectors: int | None = None


@dataclass(frozen=True)
class Transport:
    """Offsets from ``struct nvme_ctrl`` inside rdma.c's or tcp.c's own controller, which may be negative.

    ``comp_vectors`` is the chain of offsets to ``ib_device.num_comp_vectors``, each but the last to a pointer.
    """

    io_queues: int
    comp_vectors: tuple[int, ...] | None


@dataclass(frozen=True)
class Layout:
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


def types_of(module: str) -> btf.Btf:
    """The types of a module, or the kernel's own where it is built in."""
    try:
        return btf.module(module)
    except FileNotFoundError:
        return btf.vmlinux()


@cache
def struct_in(types: btf.Btf, name: str) -> btf.Struct | None:
    """Looking one up passes over all types of the kernel, which is nearly all of the time spent here."""
    return types.struct(name)


def offset(types: btf.Btf, struct: str, member: str) -> int:
    """Raises LookupError where this kernel has no such member."""
    found = struct_in(types, struct)
    place = found.member(member) if found else None
    if place is None:
        raise LookupError(f"the kernel's BTF has no {struct}.{member}")
    return place.offset


def layout() -> Layout:
    """Raises OSError and ValueError (no BTF, or a broken one), LookupError (structures unlike those known)."""
    core, fabrics = types_of("nvme_core"), types_of("nvme_fabrics")
    transports = {}
    for name in ("rdma", "tcp"):
        try:
            transports[name] = transport(name)
        except LookupError:
            # The transport's module is not loaded, so no controller uses it.
            continue
    return Layout(
        driver_data=offset(btf.vmlinux(), "device", "driver_data"),
        subsystem_entry=offset(core, "nvme_subsystem", "entry"),
        subsystem_ctrls=offset(core, "nvme_subsystem", "ctrls"),
        subsys_entry=offset(core, "nvme_ctrl", "subsys_entry"),
        instance=offset(core, "nvme_ctrl", "instance"),
        queue_count=offset(core, "nvme_ctrl", "queue_count"),
        opts=offset(core, "nvme_ctrl", "opts"),
        nr_io_queues=offset(fabrics, "nvmf_ctrl_options", "nr_io_queues"),
        nr_write_queues=offset(fabrics, "nvmf_ctrl_options", "nr_write_queues"),
        nr_poll_queues=offset(fabrics, "nvmf_ctrl_options", "nr_poll_queues"),
        transports=transports,
    )


def transport(name: str) -> Transport:
    types = types_of(f"nvme_{name}")
    own = f"nvme_{name}_ctrl"
    ctrl = offset(types, own, "ctrl")
    vectors = None
    if name == "rdma":
        vectors = (
            offset(types, own, "device") - ctrl,
            offset(types, "nvme_rdma_device", "dev"),
            offset(types_of("ib_core"), "ib_device", "num_comp_vectors"),
        )
    return Transport(offset(types, own, "io_queues") - ctrl, vectors)


def from_kcore(subsystems: int, transports: dict[int, str]) -> dict[int, Running]:
    """The fabrics controllers by instance, from /proc/kcore. ``subsystems`` is the address of ``nvme_subsystems``.

    ``transports`` says which transport each instance has. Nothing keeps the lists from changing meanwhile, so one
    that leads nowhere ends there. Raises OSError, ValueError, LookupError.
    """
    at = layout()
    memory = Kcore()
    try:
        found = {}
        for subsystem in entries(memory, subsystems):
            for entry in entries(memory, subsystem - at.subsystem_entry + at.subsystem_ctrls):
                running = from_memory(memory, at, entry - at.subsys_entry, transports)
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


def from_memory(memory: Kcore, at: Layout, ctrl: int, transports: dict[int, str]) -> Running | None:
    """One ``struct nvme_ctrl``; None for one that has no options (PCI) or is gone."""
    try:
        instance = memory.number(ctrl + at.instance, 4)
        opts = memory.number(ctrl + at.opts, POINTER)
        if opts == 0 or instance not in transports:
            return None
        inside = at.transports.get(transports[instance])
        return Running(
            instance=instance,
            queue_count=memory.number(ctrl + at.queue_count, 4),
            nr_io_queues=memory.number(opts + at.nr_io_queues, 4),
            nr_write_queues=memory.number(opts + at.nr_write_queues, 4),
            nr_poll_queues=memory.number(opts + at.nr_poll_queues, 4),
            io_queues=tuple(memory.number(ctrl + inside.io_queues + 4 * index, 4) for index in range(HCTX_MAX_TYPES))
            if inside
            else None,
            num_comp_vectors=chain(memory, ctrl, inside.comp_vectors) if inside and inside.comp_vectors else None,
        )
    except OSError:
        return None


def chain(memory: Kcore, address: int, offsets: Sequence[int]) -> int:
    for step in offsets[:-1]:
        address = memory.number(address + step, POINTER)
    return memory.number(address + offsets[-1], 4)


def from_kprobe(transports: dict[int, str], touch: Callable[[], None]) -> dict[int, Running]:
    """The same from a kprobe event on the show() function of the attribute ``transport``.

    ``touch`` reads that attribute of each controller, once the event is on. Raises OSError, ValueError, LookupError.
    """
    at = layout()
    ctrl = f"+{at.driver_data}($arg1)"
    words = [
        f"instance=+{at.instance}({ctrl}):s32",
        f"queue_count=+{at.queue_count}({ctrl}):u32",
        f"nr_io_queues=+{at.nr_io_queues}(+{at.opts}({ctrl})):u32",
        f"nr_write_queues=+{at.nr_write_queues}(+{at.opts}({ctrl})):u32",
        f"nr_poll_queues=+{at.nr_poll_queues}(+{at.opts}({ctrl})):u32",
    ]
    for name, inside in at.transports.items():
        words += [f"{name}_{index}={inside.io_queues + 4 * index:+d}({ctrl}):u32" for index in range(HCTX_MAX_TYPES)]
        if inside.comp_vectors:
            first, second, last = inside.comp_vectors
            words.append(f"{name}_vectors={last:+d}({second:+d}({first:+d}({ctrl}))):u32")
    with tracefs.kprobe(SHOW_TRANSPORT, " ".join(words)) as events:
        touch()
        hits = events.fields()
    found = {}
    for hit in hits:
        running = from_fields(hit, transports)
        if running is not None:
            found[running.instance] = running
    return found


def from_fields(hit: dict[str, str], transports: dict[int, str]) -> Running | None:
    """One hit; None where a pointer led nowhere (the kernel writes ``(fault)``), as it does for PCI."""
    values = {name: int(value) for name, value in hit.items() if value.lstrip("-").isdecimal()}
    instance = values.get("instance")
    if instance is None or instance not in transports:
        return None
    name = transports[instance]
    io_queues = tuple(values.get(f"{name}_{index}") for index in range(HCTX_MAX_TYPES))
    known = tuple(count for count in io_queues if count is not None)
    try:
        return Running(
            instance,
            values["queue_count"],
            values["nr_io_queues"],
            values["nr_write_queues"],
            values["nr_poll_queues"],
            known if len(known) == HCTX_MAX_TYPES else None,
            values.get(f"{name}_vectors"),
        )
    except KeyError:
        return None
