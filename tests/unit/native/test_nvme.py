# SPDX-License-Identifier: GPL-2.0-or-later
"""NVMe controllers in a kernel's memory, which is made up as a core file: lists whole, empty, cut and endless."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import pytest

from kprobe_tool.native import kcore, nvme
from kprobe_tool.native.nvme import Layout, PciDevice, RunningFabrics, RunningPci, Transport

BASE = 0xFFFFFFFFC0000000

LAYOUT = Layout(
    driver_data=0x10,
    subsystem_entry=0x08,
    subsystem_ctrls=0x20,
    subsys_entry=0x40,
    instance=0x60,
    queue_count=0x64,
    opts=0x68,
    nr_io_queues=0x04,
    nr_write_queues=0x08,
    nr_poll_queues=0x0C,
    transports={"rdma": Transport(io_queues=-0x10, limit=(-0x20, 0x00, 0x08))},
    pci=PciDevice(nr_write_queues=-0x30, nr_poll_queues=-0x2C, nr_allocated_queues=-0x28, quirks=0x70),
)


class Memory:
    """64 KiB of a kernel, written at addresses, saved as /proc/kcore has it."""

    def __init__(self) -> None:
        self.data = bytearray(1 << 16)

    def put(self, address: int, value: int, size: int = 8) -> None:
        self.data[address - BASE : address - BASE + size] = value.to_bytes(size, "little")

    def ring(self, *heads: int) -> None:
        """A list_head and its entries."""
        for here, following in zip(heads, (*heads[1:], heads[0]), strict=True):
            self.put(here, following)

    def save(self, path: Path) -> str:
        header = struct.pack("=16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
        note = struct.pack("=IIQQQQQQ", 4, 0, 0, BASE, 0, 1 << 16, 0, 0)
        load = struct.pack("=IIQQQQQQ", 1, 7, 4096, BASE, 0, 1 << 16, 1 << 16, 4096)
        path.write_bytes((header + note + load).ljust(4096, b"\0") + self.data)
        return str(path)


HEAD, SUBSYSTEM, PCI, RDMA = BASE + 0x100, BASE + 0x1000, BASE + 0x2000, BASE + 0x3000
OPTS, DEVICE, IBDEV = BASE + 0x4000, BASE + 0x5000, BASE + 0x6000


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """One subsystem with a PCI controller (nvme0) and an RDMA one (nvme1)."""
    monkeypatch.setattr(nvme, "layout", lambda transports: LAYOUT)
    made = Memory()
    made.ring(HEAD, SUBSYSTEM + LAYOUT.subsystem_entry)
    made.ring(
        SUBSYSTEM + LAYOUT.subsystem_ctrls,
        PCI + LAYOUT.subsys_entry,
        RDMA + LAYOUT.subsys_entry,
    )
    for address, instance, queue_count, opts in ((PCI, 0, 5, 0), (RDMA, 1, 7, OPTS)):
        made.put(address + LAYOUT.instance, instance, 4)
        made.put(address + LAYOUT.queue_count, queue_count, 4)
        made.put(address + LAYOUT.opts, opts)
    for place, value in ((LAYOUT.nr_io_queues, 4), (LAYOUT.nr_write_queues, 2), (LAYOUT.nr_poll_queues, 2)):
        made.put(OPTS + place, value, 4)
    for place, value in ((-0x30, 1), (-0x2C, 2), (-0x28, 8), (0x70, nvme.NVME_QUIRK_SHARED_TAGS | 1)):
        made.put(PCI + place, value, 4)
    for index, count in enumerate((2, 4, 0)):
        made.put(RDMA - 0x10 + 4 * index, count, 4)
    made.put(RDMA - 0x20, DEVICE)
    made.put(DEVICE, IBDEV)
    made.put(IBDEV + 8, 8, 4)
    return made


def read_controllers(
    memory: Memory, path: Path, monkeypatch: pytest.MonkeyPatch, transports: dict[int, str] | None = None
) -> dict[int, RunningFabrics | RunningPci]:
    file = memory.save(path / "kcore")
    monkeypatch.setattr(nvme, "Kcore", lambda: kcore.Kcore(file))
    return nvme.from_kcore(HEAD, transports or {1: "rdma"})


def test_queues_of_an_rdma_controller_are_read(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_controllers(memory, tmp_path, monkeypatch) == {1: RunningFabrics(1, 7, 4, 2, 2, (2, 4, 0), 8)}


def test_queues_of_a_pci_controller_are_read(memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_controllers(memory, tmp_path, monkeypatch, {0: "pcie"})
    assert found == {0: RunningPci(0, 5, 1, 2, 8, shared_tags=True)}
    memory.put(PCI + 0x70, 1, 4)
    assert read_controllers(memory, tmp_path, monkeypatch, {0: "pcie"}) == {
        0: RunningPci(0, 5, 1, 2, 8, shared_tags=False)
    }


def test_the_limit_of_an_fc_controller_is_read(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = LAYOUT._replace(transports={"fc": Transport(io_queues=None, limit=(-0x20, 0x00, 0x08))})
    monkeypatch.setattr(nvme, "layout", lambda transports: layout)
    file = memory.save(tmp_path / "kcore")
    monkeypatch.setattr(nvme, "Kcore", lambda: kcore.Kcore(file))
    assert nvme.from_kcore(HEAD, {1: "fc"}) == {1: RunningFabrics(1, 7, 4, 2, 2, max_hw_queues=8)}


def test_an_empty_list_has_no_controllers(memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.ring(HEAD)
    assert read_controllers(memory, tmp_path, monkeypatch) == {}


def test_a_list_that_leads_nowhere_is_read_up_to_there(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the list leads to a controller that was freed."""
    memory.put(RDMA + LAYOUT.subsys_entry, 0xDEAD000000000100)
    assert list(read_controllers(memory, tmp_path, monkeypatch)) == [1]
    memory.put(PCI + LAYOUT.subsys_entry, 0xDEAD000000000100)
    assert read_controllers(memory, tmp_path, monkeypatch) == {}


def test_a_list_without_end_is_left(memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.put(RDMA + LAYOUT.subsys_entry, RDMA + LAYOUT.subsys_entry)
    assert list(read_controllers(memory, tmp_path, monkeypatch)) == [1]


def test_a_controller_without_its_options_is_left_out(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.put(RDMA + LAYOUT.opts, 0x1000)
    assert read_controllers(memory, tmp_path, monkeypatch) == {}


def test_only_addresses_of_the_core_file_are_read(memory: Memory, tmp_path: Path) -> None:
    opened = kcore.Kcore(memory.save(tmp_path / "kcore"))
    assert opened.number(RDMA + LAYOUT.instance, 4) == 1
    for address in (BASE - 1, BASE + (1 << 16) - 4, 0):
        with pytest.raises(OSError, match="Bad address") as error:
            opened.read(address, 8)
        assert error.value.errno == errno.EFAULT
    opened.close()


@pytest.mark.parametrize("content", [b"", b"\x7fELF\x01" + bytes(100), b"#!/bin/sh\n" * 20])
def test_what_is_no_core_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "kcore").write_bytes(content)
    with pytest.raises(ValueError, match=r"no (64-bit )?ELF"):
        kcore.Kcore(str(tmp_path / "kcore"))


def test_fields_of_a_kprobe_event_are_read() -> None:
    """A line as 6.12.43 wrote it, and one with the fault that a PCI controller's missing options give."""
    hit = {
        "instance": "1",
        "queue_count": "7",
        "nr_io_queues": "4",
        "nr_write_queues": "2",
        "nr_poll_queues": "2",
        "rdma_0": "2",
        "rdma_1": "4",
        "rdma_2": "0",
        "rdma_limit": "4",
        "tcp_0": "(fault)",
    }
    assert nvme.from_fields(hit, {1: "rdma"}) == RunningFabrics(1, 7, 4, 2, 2, (2, 4, 0), 4)
    assert nvme.from_fields(hit, {1: "tcp"}) == RunningFabrics(1, 7, 4, 2, 2, None, None)
    assert nvme.from_fields({**hit, "nr_io_queues": "(fault)"}, {1: "rdma"}) is None
    assert nvme.from_fields(hit, {2: "rdma"}) is None
    assert nvme.from_fields(hit, {1: "pcie"}) is None
    pci = {**hit, "pci_write": "1", "pci_poll": "2", "pci_allocated": "8", "quirks": "8193"}
    assert nvme.from_fields(pci, {1: "pcie"}) == RunningPci(1, 7, 1, 2, 8, shared_tags=True)
    assert nvme.from_fields({**hit, "fc_limit": "16"}, {1: "fc"}) == RunningFabrics(1, 7, 4, 2, 2, max_hw_queues=16)


def test_fetch_arguments_are_those_of_the_layout() -> None:
    """As trace/kprobetrace.rst has them: each offset has its sign, a chain goes from the outside in."""
    words = dict(word.split("=") for word in nvme.fetch_arguments(LAYOUT))
    assert words["instance"] == "+96(+16($arg1)):s32"
    assert words["rdma_limit"] == "+8(+0(-32(+16($arg1)))):u32"
    assert words["pci_allocated"] == "-40(+16($arg1)):u32"
