# SPDX-License-Identifier: GPL-2.0-or-later
"""What was asked, and from where: each figure with its source."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.native import kallsyms, nvme
from kprobe_tool.native.nvme import RunningPci
from kprobe_tool.probes.nvme.attributes import open_tree
from kprobe_tool.probes.nvme.configuration import Configuration
from kprobe_tool.probes.nvme.controllers import Controller, Cpus, Parameters
from kprobe_tool.probes.nvme.request import (
    ConnectOptions,
    Context,
    PciOptions,
    QueueRequest,
    RequestSource,
    find_request,
    read_kernel_options,
)
from kprobe_tool.probes.nvme.split import Algorithm, Options

from . import trees

FOUR = Cpus(possible=(0, 1, 2, 3), online=(0, 1, 2, 3))
THREE = Cpus(possible=(0, 1, 2, 3), online=(0, 2, 3), born={0: 1, 2: 3, 3: 4})
STEADY = FOUR._replace(born={0: 1, 1: 2, 2: 3, 3: 4})


def fabrics(granted: int = 4, transport: str = "tcp", **fields: Any) -> Controller:
    return Controller("nvme1", transport=transport, state="live", queue_count=granted + 1, **fields)


def bounds(found: QueueRequest) -> tuple[int | None, int | None, int | None]:
    return found.at_least, found.value, found.at_most


def pci(queue_count: int = 3) -> Controller:
    return Controller("nvme0", transport="pcie", queue_count=queue_count)


def pci_context(**fields: Any) -> Context:
    """A PCI controller as the kernel has it: four CPUs, no parameters, no quirk, but for ``fields``."""
    running = RunningPci(0, 3, **{"nr_write_queues": 0, "nr_poll_queues": 0, "nr_allocated_queues": 5} | fields)
    return Context(FOUR, Parameters(0, 9), running={0: PciOptions(RequestSource.KCORE, running)})


def test_pci_parameters_may_have_been_others() -> None:
    """sysfs has what counts at the next reset. At the last one, at least one queue for each possible CPU was asked
    for."""
    context = Context(FOUR, Parameters(write_queues=2, poll_queues=1))
    found = find_request(pci(), context)
    assert bounds(found) == (4, 7, None)
    assert (found.source, found.exact) == (RequestSource.MODULE_PARAMETERS, False)
    assert "last reset" in (found.doubt or "")
    # After "echo 0 > poll_queues" without a reset.
    assert bounds(find_request(pci(8), Context(FOUR, Parameters(0, 0)))) == (7, 7, None)
    # A controller that was granted no queue may have been asked for none.
    assert bounds(find_request(pci(1), Context(FOUR, Parameters(0, 0)))) == (0, 4, None)


def test_pci_with_one_queue_may_share_tags() -> None:
    found = find_request(pci(2), Context(FOUR, Parameters(0, 0)))
    assert bounds(found) == (1, 4, None)
    assert "shares tags" in (found.doubt or "")


def test_a_pci_request_is_that_of_the_last_reset() -> None:
    found = find_request(pci(), pci_context(shared_tags=False))
    assert (bounds(found), found.exact, found.doubt, found.source) == ((4, 4, 4), True, None, RequestSource.KCORE)
    assert found.running_options == Options(4)
    found = find_request(pci(), pci_context(shared_tags=False, nr_poll_queues=2, nr_allocated_queues=7))
    assert bounds(found) == (6, 6, 6)
    assert bounds(find_request(pci(), pci_context(shared_tags=False, nr_write_queues=2, nr_allocated_queues=7))) == (
        6,
        6,
        6,
    )
    # Raised since the device was found: no more than were allocated then.
    assert bounds(find_request(pci(), pci_context(shared_tags=False, nr_poll_queues=2))) == (4, 4, 4)
    # Lowered: kernels differ.
    found = find_request(pci(), pci_context(shared_tags=False, nr_allocated_queues=7))
    assert (bounds(found), found.exact) == ((4, 4, 6), False)
    assert found.doubt


def test_a_pci_controller_that_shares_tags_asks_for_one_queue() -> None:
    found = find_request(pci(2), pci_context(shared_tags=True))
    assert (bounds(found), found.next) == ((1, 1, 1), 1)


def test_a_pci_request_is_unknown_without_parameters_or_cpus() -> None:
    found = find_request(pci(), Context(FOUR, Parameters(None, None)))
    assert (found.value, found.source, found.exact) == (None, None, False)
    none = Cpus(possible=None, online=None)
    assert find_request(pci(), Context(none, Parameters(0, 0))).value is None
    assert find_request(pci(), pci_context(shared_tags=False)._replace(cpus=none)).value is None


def test_inference_is_labelled() -> None:
    found = find_request(fabrics(granted=2), Context(FOUR, Parameters(None, None)))
    assert (bounds(found), found.source, found.exact) == ((2, 4, None), RequestSource.ONLINE_CPUS, False)
    assert (found.next, found.running_options) == (None, None)
    assert found.doubt
    # More granted than CPUs: at least as many were asked for.
    assert find_request(fabrics(granted=6), Context(FOUR, Parameters(None, None))).value == 6


def running(algorithm: Algorithm | None = Algorithm.FABRICS, *, cpus: Cpus = FOUR, **fields: Any) -> Context:
    """A fabrics controller's options as the kernel has them."""
    return Context(cpus, Parameters(None, None), algorithm, {1: ConnectOptions(RequestSource.KCORE, **fields)})


@pytest.mark.parametrize(
    ("transport", "options", "granted", "expected"),
    [
        ("tcp", Options(4), 4, (4, 4, 4)),
        ("tcp", Options(4), 2, (4, 4, 4)),
        ("rdma", Options(4, 2, 2), 3, (8, 8, 8)),
        # Write queues beyond the CPUs are not asked for.
        ("rdma", Options(2, 9), 6, (6, 6, 6)),
        ("loop", Options(4, 2, 2), 4, (4, 4, 4)),
    ],
)
def test_options_of_a_running_controller_are_exact(
    *, transport: str, options: Options, granted: int, expected: tuple[int, int, int]
) -> None:
    """CPUs that have been online ever since the controller was made were so when it asked."""
    found = find_request(fabrics(granted, transport, born=100), running(cpus=STEADY, options=options))
    assert (bounds(found), found.next, found.source) == (expected, expected[1], RequestSource.KCORE)
    assert (found.exact, found.doubt) == (True, None)


@pytest.mark.parametrize(
    ("cpus", "granted", "expected", "following"),
    [
        # A CPU went offline since then: four were granted, so four were asked for; the next request is for three.
        (THREE, 4, (4, 4, 4), 3),
        # Either that reconnect has happened, or CPU 1 has come and gone since.
        (THREE, 3, (3, 3, 4), 3),
        # CPU 3 came online after the controller was made, and may have been offline at the last reset.
        (Cpus((0, 1, 2, 3), (0, 1, 2, 3), {0: 1, 1: 2, 2: 3, 3: 101}), 2, (3, 4, 4), 4),
        # It is not known since when any CPU has been online: one at least was.
        (FOUR, 2, (2, 4, 4), 4),
        # More possible CPUs than are online or were ever asked for.
        (Cpus(tuple(range(64)), (0, 1, 2, 3), {0: 1, 1: 2, 2: 3, 3: 4}), 2, (4, 4, 4), 4),
        (Cpus(None, (0, 1, 2, 3), {0: 1, 1: 2, 2: 3, 3: 4}), 2, (4, 4, None), 4),
    ],
)
def test_cpus_that_come_and_go_widen_the_bounds(
    *, cpus: Cpus, granted: int, expected: tuple[int, int, int | None], following: int
) -> None:
    found = find_request(fabrics(granted, born=100), running(cpus=cpus, options=Options(4)))
    assert (bounds(found), found.next) == (expected, following)
    assert found.exact == (len(set(expected)) == 1)
    assert (found.doubt is None) == found.exact


def test_completion_vectors_count_where_the_transport_limits() -> None:
    def ask(algorithm: Algorithm, vectors: int | None) -> QueueRequest:
        context = running(algorithm, cpus=STEADY, options=Options(4, 4), num_comp_vectors=vectors)
        return find_request(fabrics(2, "rdma", born=100), context)

    assert bounds(ask(Algorithm.TRANSPORT, 2)) == (4, 4, 4)
    assert bounds(ask(Algorithm.FABRICS, 2)) == (8, 8, 8)
    # Where they cannot be read and count, the figure is the most that it can be.
    unread = ask(Algorithm.TRANSPORT, None)
    assert (bounds(unread), unread.next) == ((2, 8, 8), None)
    assert bounds(ask(Algorithm.FABRICS, None)) == (8, 8, 8)


def test_a_rule_that_is_not_known_widens_the_bounds() -> None:
    found = find_request(fabrics(2, born=100), running(None, cpus=STEADY, options=Options(4)))
    assert (bounds(found), found.next) == ((2, 4, 4), None)
    # The newest one is the guess: v5.0 would have asked for two.
    found = find_request(fabrics(2, born=100), running(None, cpus=STEADY, options=Options(1, 3)))
    assert bounds(found) == (2, 4, 4)
    found = find_request(fabrics(0, born=100), running(None, cpus=STEADY, options=Options(4)))
    assert bounds(found) == (0, 4, 4)


def test_the_port_limits_an_fc_request() -> None:
    """128 CPUs and an HBA with 16 queues: 16 are asked for, and nothing is missing."""
    cpus = Cpus(tuple(range(128)), tuple(range(128)), dict.fromkeys(range(128), 1))
    known = running(cpus=cpus, options=Options(128), max_hw_queues=16)
    assert bounds(find_request(fabrics(16, "fc", born=100), known)) == (16, 16, 16)
    found = find_request(fabrics(16, "fc", born=100), running(cpus=cpus, options=Options(128)))
    assert (bounds(found), found.exact) == ((16, 128, 128), False)
    assert "max_hw_queues" in (found.doubt or "")


@pytest.mark.parametrize(
    "fields", [{"cntrltype": "discovery"}, {"subsysnqn": "nqn.2014-08.org.nvmexpress.discovery"}]
)
def test_discovery_controllers_ask_for_none(fields: dict[str, str]) -> None:
    found = find_request(fabrics(0, "tcp", **fields), Context(FOUR, Parameters(None, None)))
    assert (bounds(found), found.source, found.exact) == ((0, 0, 0), RequestSource.CONTROLLER_TYPE, True)
    assert (found.options, found.next) == (Options(0), 0)


def test_an_administrative_controller_asks_for_no_queue_or_like_any_other() -> None:
    """New kernels ask it for no queue; one that has some was asked like any other."""
    context = running(cpus=STEADY, options=Options(4))
    assert bounds(find_request(fabrics(0, cntrltype="admin", born=100), context)) == (0, 0, 0)
    assert bounds(find_request(fabrics(2, cntrltype="admin", born=100), context)) == (4, 4, 4)
    assert bounds(find_request(fabrics(0, cntrltype="io", born=100), context)) == (4, 4, 4)


def test_configurations_are_found_by_address() -> None:
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


@pytest.mark.parametrize(
    ("algorithm", "granted", "expected"),
    [
        (None, 2, (2, 4, None)),
        (Algorithm.FABRICS, 2, (2, 4, None)),
        # v5.0 counted no more write queues than there are others.
        (Algorithm.REQUEST, 2, (2, 2, None)),
        # More was granted than the file says: it was asked for.
        (Algorithm.FABRICS, 6, (6, 6, None)),
        (Algorithm.FABRICS, 0, (None, 4, None)),
    ],
)
def test_what_is_configured_follows_the_rule_of_the_kernel(
    algorithm: Algorithm | None, granted: int, expected: tuple[int | None, int, None]
) -> None:
    found = [Configuration("discovery.conf", {"nr_io_queues": 1, "nr_write_queues": 3})]
    context = Context(FOUR, Parameters(None, None), algorithm, configured=found)
    assert bounds(find_request(fabrics(granted), context)) == expected


def test_options_of_known_transports_only_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def from_kcore(address: int, transports: object) -> dict[int, nvme.RunningFabrics]:
        seen.append(transports)
        return {}

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(kallsyms, "address_of", lambda symbol: 0)
    monkeypatch.setattr(nvme, "from_kcore", from_kcore)
    monkeypatch.setattr(nvme, "from_kprobe", lambda *args: {})
    trees.controller(tmp_path, "nvme1")
    tree = open_tree(str(tmp_path))
    apple = Controller("nvme7", transport="apple-nvme", queue_count=3)
    assert read_kernel_options(tree, [pci(), fabrics(), apple])[0] == {}
    assert seen == [{0: "pcie", 1: "tcp"}]
    # Where there is none of them the kernel is not looked into.
    assert read_kernel_options(tree, [apple]) == ({}, [])
    assert len(seen) == 1
    tree.close()


def test_the_kprobe_event_is_asked_where_kcore_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kcore, then the kprobe event; what contradicts sysfs is not believed, and root is told why nothing was read."""

    def refuse_kcore(*args: object) -> dict[int, nvme.RunningFabrics]:
        raise PermissionError(1, "Operation not permitted", "/proc/kcore")

    def running(queue_count: int) -> dict[int, nvme.RunningFabrics]:
        return {1: nvme.RunningFabrics(1, queue_count, 4, 2, 2, (2, 4, 0), 4)}

    trees.controller(tmp_path, "nvme1", queue_count=7)
    tree = open_tree(str(tmp_path))
    controllers = [fabrics(granted=6, transport="rdma")]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(kallsyms, "address_of", lambda symbol: 0)
    monkeypatch.setattr(nvme, "from_kcore", lambda *args: running(7))
    monkeypatch.setattr(nvme, "from_kprobe", refuse_kcore)
    found, notes = read_kernel_options(tree, controllers)
    assert (found, notes) == (
        {1: ConnectOptions(RequestSource.KCORE, Options(4, 2, 2), None, 4, None, (2, 4, 0))},
        [],
    )

    monkeypatch.setattr(nvme, "from_kcore", refuse_kcore)
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
