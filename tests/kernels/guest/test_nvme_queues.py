# SPDX-License-Identifier: GPL-2.0-or-later
"""nvme-queues against real controllers: rdma over rdma_rxe, tcp, loop, and the emulated PCI one of the lab.

What is expected is what the kernel logged when it connected ("creating N I/O queues", "mapped D/R/P"), for four CPUs.
"""

import errno
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kprobe_tool.errors import ExitCode
from kprobe_tool.native import nvme
from kprobe_tool.probes.nvme import checks

from .expected import Expected
from .nvme_rows import (
    FEWER,
    NO_POLL,
    SCENARIOS,
    STALE,
    WRITE_POLL,
    bounds,
    figures,
    first_source,
    ids,
    pci_controller,
    reset,
    row_of,
    types_are_known,
    waits_in,
)
from .nvmet import ADDRESS, CLASS, CPUS, PORTS, Target, attribute, every_cpu_online, wait_until
from .tool import as_nobody, tool

TRACEFS = Path("/sys/kernel/tracing")


@pytest.fixture(scope="module")
def target(modprobe: Callable[..., None]) -> Iterator[Target]:
    with every_cpu_online():
        made = Target(modprobe)
        yield made
        made.close()


@pytest.fixture(autouse=True)
def disconnect_all(target: Target) -> Iterator[None]:
    yield
    for cpu in CPUS.glob("cpu[0-9]/online"):
        cpu.write_text("1")
    target.disconnect()
    checks.survey_once.cache_clear()


@pytest.fixture
def types(target: Target) -> None:
    """Skips the test where not even root can know what was asked for."""
    if not types_are_known():
        pytest.skip(f"Linux {os.uname().release} has no types of its modules: what was asked for cannot be read")


@pytest.mark.parametrize("name", SCENARIOS)
def test_queues_are_those_of_the_scenario(name: str, target: Target) -> None:
    scenario = SCENARIOS[name]
    nqn = f"nqn.2026-01.org.example:{name}"
    target.offer(nqn, scenario.transport, scenario.qid_max)
    controller = target.connect(nqn, scenario.transport, **scenario.options)

    root = row_of(tool("nvme-queues", "-o", "json"), controller)
    if types_are_known():
        assert root["asked"]["source"] == first_source()
        # All CPUs have been online since before the connect.
        assert (root["asked"]["value"], root["asked"]["exact"], root["asked"]["doubt"]) == (
            scenario.asked,
            True,
            None,
        )
    else:
        assert (root["asked"]["source"], root["asked"]["exact"]) == ("online-cpus", False)
    assert figures(root) == (sum(scenario.mapped), scenario.mapped)
    assert {path["type_source"] for path in root["paths"]} == {"debugfs"}
    assert ids(root) == scenario.findings
    assert (root["transport"], root["state"], root["subsysnqn"]) == (scenario.transport, "live", nqn)

    nobody = row_of(as_nobody("nvme-queues", "-o", "json"), controller)
    assert nobody["asked"]["source"] == "online-cpus"
    assert not nobody["asked"]["exact"]
    assert figures(nobody) == figures(root)
    assert {path["type_source"] for path in nobody["paths"]} == {"cpu-lists"}
    assert ids(nobody) == scenario.findings - {FEWER}


def refuse_kcore(*args: object) -> dict[int, nvme.RunningFabrics | nvme.RunningPci]:
    raise PermissionError(1, "closed for this test", "/proc/kcore")


def test_a_kprobe_event_says_the_same_as_kcore(target: Target, types: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second way to the options: the same figures, and nothing left behind."""
    if first_source() != "kcore":
        pytest.skip("the kernel does not tell where variables are: the second way is the only one")
    nqn = "nqn.2026-01.org.example:kprobe"
    target.offer(nqn, "rdma", 6)
    controller = target.connect(nqn, "rdma", **WRITE_POLL)
    kcore = row_of(tool("nvme-queues", "-o", "json"), controller)["asked"]
    monkeypatch.setattr(nvme, "from_kcore", refuse_kcore)
    kprobe = row_of(tool("nvme-queues", "-o", "json"), controller)["asked"]
    assert (kcore.pop("source"), kprobe.pop("source")) == ("kcore", "kprobe-event")
    assert kcore == kprobe
    assert kprobe["num_comp_vectors"] == 4
    assert (TRACEFS / "kprobe_events").read_text() == ""
    assert list((TRACEFS / "instances").iterdir()) == []


def test_the_pci_controller_grants_fewer_queues(target: Target) -> None:
    pci = pci_controller()
    root, nobody = (row_of(run("nvme-queues", "-o", "json"), pci) for run in (tool, as_nobody))
    known = types_are_known()
    assert bounds(root["asked"]) == (4, 4, 4 if known else None)
    assert bounds(nobody["asked"]) == (4, 4, None)
    assert root["asked"]["source"] == (first_source() if known else "module-parameters")
    assert nobody["asked"]["source"] == "module-parameters"
    for row in (root, nobody):
        assert figures(row) == (2, (2, 0, 0))
        assert FEWER in ids(row)


@pytest.mark.parametrize("way", ["kcore", "kprobe-event"])
def test_pci_parameters_written_since_count_at_a_reset(
    target: Target, types: None, monkeypatch: pytest.MonkeyPatch, expected: Expected, way: str
) -> None:
    """But for no more queues than were allocated when the device was found."""
    if way == "kprobe-event":
        monkeypatch.setattr(nvme, "from_kcore", refuse_kcore)
    elif first_source() != way:
        pytest.skip("the kernel does not tell where variables are")
    pci = pci_controller()
    parameter = Path("/sys/module/nvme/parameters/poll_queues")
    before = parameter.read_text()
    try:
        parameter.write_text("2")
        root, nobody = (row_of(run("nvme-queues", "-o", "json"), pci)["asked"] for run in (tool, as_nobody))
        assert (bounds(root), root["source"], root["nr_poll_queues"]) == ((4, 4, 4), way, 0)
        assert bounds(nobody) == (4, 6, None)
        reset(pci)
        wait_until(lambda: attribute(pci, "state") == "live", "live again")
        root = row_of(tool("nvme-queues", "-o", "json"), pci)["asked"]
        # Linux 7.2 and 7.3 take none where the tag set was made without a map for them; 6.1 and 6.12 do.
        sampled = 0 if expected.release >= (7,) else 2
        assert (bounds(root), root["exact"], root["nr_poll_queues"]) == ((4, 4, 4), True, sampled)
    finally:
        parameter.write_text(before)
        reset(pci)
        wait_until(lambda: attribute(pci, "state") == "live", "live again")


def test_a_controller_that_hangs_is_unknown_to_each_check(target: Target, types: None) -> None:
    """Which queues are mapped cannot be read while a frozen queue drains, and each check says so.

    A network that swallows everything keeps a request in flight; a change of the scheduler waits for it, and holds
    the lock that blk_mq_hw_sysfs_show() takes. Linux 6.1 does; later kernels freeze the queue before they take it.
    """
    nqn = "nqn.2026-01.org.example:hangs"
    target.offer(nqn, "tcp")
    controller = target.connect(nqn, "tcp", nr_io_queues=2, nr_poll_queues=2, keep_alive_tmo=100)
    (scheduler,) = (CLASS / controller).glob("nvme*n*/queue/scheduler")
    disk = "/dev/" + re.sub(r"c\d+", "", scheduler.parents[1].name)
    processes: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> subprocess.Popen[bytes]:
        processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        return processes[-1]

    subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
    try:
        start("dd", f"if={disk}", "of=/dev/null", "bs=4096", "count=1", "iflag=direct", "status=none")
        in_flight = scheduler.parents[1] / "inflight"
        wait_until(lambda: in_flight.read_text().split() != ["0", "0"], "a request in flight")
        other = "none" if "[none]" not in scheduler.read_text() else "mq-deadline"
        writer = start("sh", "-c", f"echo {other} > {scheduler}")
        wait_until(lambda: waits_in(writer.pid, "blk_mq_freeze_queue_wait"), "the writer waits")
        reader = start("cat", str(scheduler.parents[1] / "mq/0/cpu_list"))
        wait_until(
            lambda: reader.poll() is not None or waits_in(reader.pid, "blk_mq_hw_sysfs_show"), "read, or waiting"
        )
        if reader.poll() is not None:
            pytest.skip("this kernel lets queues be read while one is frozen")
        answer = tool("nvme-queues", "-o", "json", controller)
        audit = {each["id"]: each for each in tool("audit", "--only", "nvme", "-o", "json").json["results"]}
        assert writer.poll() is None, "the lock was free again before the question ended"
    finally:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        for process in processes:
            process.wait()
    assert answer.code == ExitCode.CANNOT_TELL
    (row,) = answer.json["results"]
    assert (row["transport"], row["granted"], row["mapped"], row["findings"]) == ("tcp", 4, None, [])
    assert bounds(row["asked"]) == (4, 4, 4)
    assert [(error["subject"], error["errno"]) for error in answer.json["errors"]] == [
        (f"{controller}: queues", "ETIMEDOUT")
    ]
    for name in (STALE, "nvme-hctx-offline-cpus", "nvme-queue-count", NO_POLL, "nvme-cpu-balance"):
        assert audit[name]["status"] == "unknown", name
        assert audit[name]["evidence"]["errors"]
    wait_until(lambda: attribute(controller, "state") == "live", "live again")
    assert ids(row_of(tool("nvme-queues", "-o", "json"), controller)) == {STALE}


def test_a_cpu_that_came_and_went_leaves_fewer_queues(target: Target, types: None) -> None:
    """The controller got fewer because a CPU was offline at its reset, and nothing tells so afterwards."""
    nqn = "nqn.2026-01.org.example:came-and-went"
    target.offer(nqn, "tcp")
    controller = target.connect(nqn, "tcp", reconnect_delay=1)
    assert bounds(row_of(tool("nvme-queues", "-o", "json"), controller)["asked"]) == (4, 4, 4)
    (last,) = (CLASS / controller).glob("nvme*n*/mq/3/cpu_list")
    cpu = int(last.read_text())
    if cpu == 0:
        pytest.skip("this kernel maps the last queue to CPU 0, which cannot go offline")
    (CPUS / f"cpu{cpu}/online").write_text("0")
    reset(controller)
    wait_until(lambda: attribute(controller, "queue_count") == "4", "a reset with fewer queues")
    wait_until(lambda: attribute(controller, "state") == "live", "live again")
    (CPUS / f"cpu{cpu}/online").write_text("1")
    row = row_of(tool("nvme-queues", "-o", "json"), controller)
    assert (bounds(row["asked"]), row["granted"]) == ((3, 4, 4), 3)
    assert row["asked"]["doubt"]
    # It is not the target that has fewer.
    assert ids(row) == set()
    audit = {each["id"]: each for each in tool("audit", "--only", FEWER, "-o", "json").json["results"]}
    assert controller not in audit[FEWER]["evidence"]["controllers"]


def test_the_path_with_fewer_queues_is_found(target: Target) -> None:
    nqn = "nqn.2026-01.org.example:paths"
    target.offer(nqn, "rdma")
    target.offer(nqn, "tcp")
    wide = target.connect(nqn, "rdma")
    narrow = target.connect(nqn, "tcp", nr_io_queues=1)
    for answer in (tool("nvme-queues", "-o", "json"), as_nobody("nvme-queues", "-o", "json")):
        assert figures(row_of(answer, wide)) == (4, (4, 0, 0))
        assert figures(row_of(answer, narrow)) == (1, (1, 0, 0))
        assert "nvme-path-queues" not in ids(row_of(answer, wide))
        assert "nvme-path-queues" in ids(row_of(answer, narrow))


def test_the_controller_s_own_limit_is_asked_for(target: Target) -> None:
    nqn = "nqn.2026-01.org.example:query"
    target.offer(nqn, "tcp", 2)
    controller = target.connect(nqn, "tcp")
    row = row_of(tool("nvme-queues", "--query-controller", "-o", "json", controller), controller)
    assert row["nsqa"] == 2
    (finding,) = (each for each in row["findings"] if each["id"] == FEWER)
    assert finding["evidence"] == {"asked": 4, "asked_at_least": 4, "granted": 2, "limited_by": "controller"}


def test_a_connecting_controller_is_told_at_once(target: Target) -> None:
    """A controller that does not come back is told like any other, at once, and never asked anything."""
    nqn = "nqn.2026-01.org.example:connecting"
    target.offer(nqn, "tcp")
    # Newer kernels give the controller up when its first attempt to reconnect is refused for good.
    controller = target.connect(nqn, "tcp", reconnect_delay=120)
    target.withdraw(nqn, "tcp")
    wait_until(lambda: attribute(controller, "state") == "connecting", "connecting")
    start = time.monotonic()
    row = row_of(tool("nvme-queues", "--query-controller", "-o", "json"), controller)
    assert time.monotonic() - start < 60
    assert row["state"] == "connecting"
    assert row["nsqa"] is None
    assert row["asked"]["value"] == 4
    assert figures(row) == (4, (4, 0, 0))


def test_a_cpu_offline_before_a_reset_is_found(target: Target, types: None) -> None:
    nqn = "nqn.2026-01.org.example:offline"
    target.offer(nqn, "tcp")
    controller = target.connect(nqn, "tcp", reconnect_delay=1)
    lists = {
        path.parent.name: path.read_text().strip() for path in (CLASS / controller).glob("nvme*n*/mq/*/cpu_list")
    }
    # Whose hctx is connected before the CPUs are mapped anew: any but the last.
    index = "1"
    cpu = int(lists[index])
    (CPUS / f"cpu{cpu}/online").write_text("0")

    row = row_of(tool("nvme-queues", "-o", "json"), controller)
    assert (row["asked"]["value"], row["asked"]["next"], figures(row)) == (4, 3, (4, (4, 0, 0)))
    assert ids(row) == {"nvme-hctx-offline-cpus"}
    assert row["findings"][0]["evidence"] == {"hctxs": [int(index)], "cpus": [cpu], "state": "live"}
    assert ids(row_of(as_nobody("nvme-queues", "-o", "json"), controller)) == {"nvme-hctx-offline-cpus"}
    audit = {each["id"]: each for each in tool("audit", "--only", "nvme", "-o", "json").json["results"]}
    assert audit["nvme-hctx-offline-cpus"]["status"] == "affected"

    reset(controller)
    wait_until(lambda: attribute(controller, "queue_count") == "4", "a reset with fewer queues")
    wait_until(lambda: attribute(controller, "state") == "connecting", "connecting")
    row = row_of(tool("nvme-queues", "-o", "json"), controller)
    assert (row["asked"]["value"], figures(row)) == (3, (3, (4, 0, 0)))
    assert ids(row) == {"nvme-hctx-offline-cpus", "nvme-queue-count"}
    assert ids(row_of(as_nobody("nvme-queues", "-o", "json"), controller)) == ids(row)

    (CPUS / f"cpu{cpu}/online").write_text("1")
    wait_until(lambda: attribute(controller, "state") == "live", "live again")
    assert ids(row_of(tool("nvme-queues", "-o", "json"), controller)) == set()


def test_the_last_cpu_offline_before_a_reset_does_no_harm(target: Target) -> None:
    """The hctx past the next request is not connected before the CPUs are mapped anew: no finding, and no harm."""
    nqn = "nqn.2026-01.org.example:offline-last"
    target.offer(nqn, "tcp")
    controller = target.connect(nqn, "tcp", reconnect_delay=1)
    (last,) = (CLASS / controller).glob("nvme*n*/mq/3/cpu_list")
    cpu = int(last.read_text())
    if cpu == 0:
        pytest.skip("this kernel maps the last queue to CPU 0, which cannot go offline")
    (CPUS / f"cpu{cpu}/online").write_text("0")
    assert ids(row_of(tool("nvme-queues", "-o", "json"), controller)) == set()
    reset(controller)
    wait_until(lambda: attribute(controller, "queue_count") == "4", "a reset with fewer queues")
    wait_until(lambda: attribute(controller, "state") == "live", "live again")
    row = row_of(tool("nvme-queues", "-o", "json"), controller)
    assert figures(row) == (3, (3, 0, 0))


@pytest.mark.parametrize(
    ("options", "grant", "mapped"),
    [
        ({"nr_io_queues": 2, "nr_write_queues": 2, "nr_poll_queues": 2}, 5, (2, 2, 1)),
        ({"nr_io_queues": 4}, 2, (2, 0, 0)),
    ],
    ids=["write-poll", "plain"],
)
def test_a_smaller_grant_that_is_not_deadly_is_survived(
    target: Target, options: dict[str, int], grant: int, mapped: tuple[int, int, int]
) -> None:
    """A reset with fewer queues, of those that the model lets live. The others would be the guest's end."""
    nqn = f"nqn.2026-01.org.example:shrink-{grant}"
    target.offer(nqn, "tcp")
    controller = target.connect(nqn, "tcp", reconnect_delay=1, **options)
    row = row_of(tool("nvme-queues", "-o", "json"), controller)
    deadly = [each["evidence"]["deadly_grants"] for each in row["findings"] if each["id"] == STALE]
    assert deadly == ([[1, 2, 3, 4]] if "nr_poll_queues" in options else [])
    target.offer(nqn, "tcp", grant)
    reset(controller)
    wait_until(lambda: attribute(controller, "queue_count") == str(grant + 1), "fewer queues")
    wait_until(lambda: attribute(controller, "state") == "live", "live again")
    row = row_of(tool("nvme-queues", "-o", "json"), controller)
    assert (figures(row), FEWER in ids(row)) == ((grant, mapped), True)


def test_more_write_queues_than_cpus_are_refused_as_simulated(
    target: Target, expect_complaint: Callable[[str], None]
) -> None:
    """hctx 4 gets no CPU, and the kernel refuses to connect it (EXDEV)."""
    # Linux 6.6 to 6.12 also warn that there are more groups than CPUs.
    expect_complaint(r"WARNING: .* group_cpus_evenly")
    options = {"nr_io_queues": 2, "nr_write_queues": 6, "nr_poll_queues": 2}
    nqn = "nqn.2026-01.org.example:write"
    target.offer(nqn, "tcp")
    with pytest.raises(OSError, match="cross-device") as refused:
        target.connect(nqn, "tcp", **options)
    assert refused.value.errno == errno.EXDEV
    (*_, newest) = tool("nvme-queues", "--simulate", "io=2,write=6,poll=2,cpus=4", "-o", "json").json["results"]
    assert newest["hctxs"][4] is None


def test_a_discovery_controller_has_no_findings(target: Target) -> None:
    target.offer("nqn.2026-01.org.example:discovery", "tcp")
    words = (
        "nqn=nqn.2014-08.org.nvmexpress.discovery,transport=tcp,hostid=5d3c9b0e-9f2a-4f0e-8d77-0c6a4f1f0a02,"
        "hostnqn=nqn.2014-08.org.nvmexpress:uuid:5d3c9b0e-9f2a-4f0e-8d77-0c6a4f1f0a02,"
        f"traddr={ADDRESS},trsvcid={PORTS['tcp']}"
    )
    fd = os.open("/dev/nvme-fabrics", os.O_RDWR)
    os.write(fd, words.encode())
    controller = f"nvme{os.read(fd, 256).decode().split(',')[0].removeprefix('instance=')}"
    os.close(fd)
    target.connected.append(controller)
    row = row_of(tool("nvme-queues", "-o", "json"), controller)
    assert (row["asked"]["value"], row["granted"], row["mapped"], ids(row)) == (0, 0, None, set())


def test_map_and_table_show_what_was_granted(target: Target) -> None:
    nqn = "nqn.2026-01.org.example:map"
    target.offer(nqn, "rdma", 6)
    controller = target.connect(nqn, "rdma", **WRITE_POLL)
    picture = tool("nvme-queues", "--map", controller)
    assert picture.code == ExitCode.FOUND
    # The untouched map of poll queues has put the CPUs of default queue 1 on hctx 0, too.
    assert picture.out.count("+") == 2 + 1
    assert picture.out.count("R") == 4 + 1
    table = tool("nvme-queues", controller)
    assert table.code == ExitCode.FOUND
    assert table.out.splitlines()[1].split()[:6] == [controller, "rdma", "live", "8", "6", "2/4/0"]
