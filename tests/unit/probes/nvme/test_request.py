# SPDX-License-Identifier: GPL-2.0-or-later
"""What was asked, and from where: each figure with its source."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kprobe_tool.native import kcore, nvme
from kprobe_tool.probes.nvme.attributes import open_tree
from kprobe_tool.probes.nvme.configuration import Configuration
from kprobe_tool.probes.nvme.controllers import Controller, Cpus, Parameters
from kprobe_tool.probes.nvme.request import ConnectOptions, Context, RequestSource, find_request, read_kernel_options
from kprobe_tool.probes.nvme.split import Algorithm, Options

from . import trees

FOUR = Cpus(possible=(0, 1, 2, 3), online=(0, 1, 2, 3))
THREE = Cpus(possible=(0, 1, 2, 3), online=(0, 2, 3))


def fabrics(granted: int = 4, transport: str = "tcp", **fields: str) -> Controller:
    return Controller("nvme1", transport=transport, state="live", queue_count=granted + 1, **fields)  # type: ignore[arg-type]


def test_pci() -> None:
    context = Context(FOUR, Parameters(write_queues=2, poll_queues=1))
    found = find_request(Controller("nvme0", transport="pcie", queue_count=3), context)
    assert (found.value, found.source, found.exact) == (7, RequestSource.MODULE_PARAMETERS, True)


def test_pci_without_its_module() -> None:
    found = find_request(Controller("nvme0", transport="pcie"), Context(FOUR, Parameters(None, None)))
    assert (found.value, found.source, found.exact) == (None, None, False)


def test_inference_is_labelled() -> None:
    found = find_request(fabrics(granted=2), Context(FOUR, Parameters(None, None)))
    assert (found.value, found.source, found.exact, found.next) == (4, RequestSource.ONLINE_CPUS, False, None)
    # More granted than CPUs: at least as many were asked for.
    assert find_request(fabrics(granted=6), Context(FOUR, Parameters(None, None))).value == 6


@pytest.mark.parametrize(
    ("transport", "options", "cpus", "granted", "value", "following"),
    [
        ("tcp", Options(4), FOUR, 4, 4, 4),
        ("rdma", Options(4, 2, 2), FOUR, 3, 8, 8),
        # Write queues beyond the CPUs are not asked for.
        ("rdma", Options(2, 9), FOUR, 6, 6, 6),
        ("loop", Options(4, 2, 2), FOUR, 4, 4, 4),
        ("fc", Options(4, 2, 2), FOUR, 4, 4, 4),
        # A CPU went offline since: four were asked for, the next time it is three.
        ("tcp", Options(4), THREE, 4, 4, 3),
        # And this is the next time.
        ("tcp", Options(4), THREE, 3, 3, 3),
    ],
)
def test_options(*, transport: str, options: Options, cpus: Cpus, granted: int, value: int, following: int) -> None:
    context = Context(
        cpus, Parameters(None, None), Algorithm.FABRICS, {1: ConnectOptions(RequestSource.KCORE, options)}
    )
    found = find_request(fabrics(granted, transport), context)
    assert (found.value, found.next, found.source, found.exact) == (value, following, RequestSource.KCORE, True)


def test_completion_vectors() -> None:
    known = {1: ConnectOptions(RequestSource.KCORE, Options(4, 4), num_comp_vectors=2)}
    before = Context(FOUR, Parameters(None, None), Algorithm.TRANSPORT, known)
    since = Context(FOUR, Parameters(None, None), Algorithm.FABRICS, known)
    assert find_request(fabrics(4, "rdma"), before).value == 4
    assert find_request(fabrics(4, "rdma"), since).value == 8


@pytest.mark.parametrize(
    "fields", [{"cntrltype": "discovery"}, {"subsysnqn": "nqn.2014-08.org.nvmexpress.discovery"}]
)
def test_discovery(fields: dict[str, str]) -> None:
    found = find_request(fabrics(0, "tcp", **fields), Context(FOUR, Parameters(None, None)))
    assert (found.value, found.source) == (0, RequestSource.DISCOVERY)


def test_configured() -> None:
    found = [
        Configuration("config.json", {"nr_io_queues": 2}, "tcp", "10.77.0.1", "nqn.one"),
        Configuration("config.json", {"nr_io_queues": 3, "nr_poll_queues": 1}, "rdma", "10.77.0.2", "nqn.one"),
    ]
    context = Context(FOUR, Parameters(None, None), configured=found)
    address = "traddr=10.77.0.1,trsvcid=4420,src_addr=10.77.0.9"
    one = find_request(fabrics(2, address=address, subsysnqn="nqn.one"), context)
    assert (one.value, one.source, one.detail, one.exact) == (2, RequestSource.CONFIGURATION, "config.json", False)
    other = find_request(fabrics(2, address="traddr=10.77.0.11,trsvcid=4420", subsysnqn="nqn.one"), context)
    assert other.source is RequestSource.ONLINE_CPUS


def test_other_ways_where_one_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kcore, then the kprobe event; what contradicts sysfs is not believed, and root is told why nothing was read."""

    def closed(*args: object) -> dict[int, nvme.Running]:
        raise PermissionError(1, "Operation not permitted", "/proc/kcore")

    def running(queue_count: int) -> dict[int, nvme.Running]:
        return {1: nvme.Running(1, queue_count, 4, 2, 2, (2, 4, 0), 4)}

    trees.controller(tmp_path, "nvme1", queue_count=7)
    tree = open_tree(str(tmp_path))
    controllers = [fabrics(granted=6, transport="rdma")]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(kcore, "address_of", lambda symbol: 0)
    monkeypatch.setattr(nvme, "from_kcore", lambda *args: running(7))
    monkeypatch.setattr(nvme, "from_kprobe", closed)
    found, notes = read_kernel_options(tree, controllers)
    assert (found[1].source, found[1].options, notes) == (RequestSource.KCORE, Options(4, 2, 2), [])

    monkeypatch.setattr(nvme, "from_kcore", closed)
    monkeypatch.setattr(nvme, "from_kprobe", lambda *args: running(7))
    found, notes = read_kernel_options(tree, controllers)
    assert (found[1].source, notes) == (RequestSource.KPROBE_EVENT, [])

    monkeypatch.setattr(nvme, "from_kprobe", lambda *args: running(3))
    found, notes = read_kernel_options(tree, controllers)
    assert found == {}
    assert [note.partition(":")[0] for note in notes] == ["kcore", "kprobe-event"]

    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    assert read_kernel_options(tree, controllers) == ({}, [])
    tree.close()
