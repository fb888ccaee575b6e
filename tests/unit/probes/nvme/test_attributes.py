# SPDX-License-Identifier: GPL-2.0-or-later
"""Controllers from captured and hostile trees: each problem at its controller, the others still read."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.native.sysfs import Tree
from kprobe_tool.probes.nvme import attributes
from kprobe_tool.probes.nvme.controllers import Controller
from kprobe_tool.probes.nvme.types import TypeSource

from . import trees

# What the kernel logged when the tree was captured: ("creating N I/O queues", "mapped D/R/P").
LOGGED = {
    "pci": (2, (2, 0, 0)),
    "rdma-all": (4, (4, 0, 0)),
    "rdma-fewer": (2, (2, 0, 0)),
    "rdma-poll": (4, (2, 0, 2)),
    "rdma-starved": (3, (3, 0, 0)),
    "rdma-two-paths": (4, (4, 0, 0)),
    "rdma-write": (4, (2, 2, 0)),
    "rdma-write-poll": (4, (1, 2, 1)),
    "rdma-write-poll-fewer": (6, (2, 4, 0)),
    "tcp-all": (4, (4, 0, 0)),
    "tcp-connecting": (4, (4, 0, 0)),
    # queue_count is that of the reset that failed, the map that of the connect before.
    "tcp-cpu-offline-reset": (3, (4, 0, 0)),
    "tcp-cpu-offlined": (4, (4, 0, 0)),
    "tcp-fewer-write": (3, (3, 0, 0)),
    "loop-all": (4, (4, 0, 0)),
    "loop-fewer": (2, (2, 0, 0)),
}


def read(root: Path) -> list[Controller]:
    tree = attributes.open_tree(str(root))
    try:
        return list(attributes.read_controllers(tree, attributes.list_controllers(tree)))
    finally:
        tree.close()


def queue_counts(controller: Controller) -> tuple[int | None, ...]:
    assert controller.path is not None
    return tuple(controller.path.queues_of(kind) for kind in ("default", "read", "poll"))


@pytest.mark.parametrize("debugfs", [True, False], ids=["root", "nobody"])
@pytest.mark.parametrize(("release", "name"), trees.all_trees())
def test_captured_trees_are_read_as_the_kernel_logged(tmp_path: Path, release: str, name: str, debugfs: bool) -> None:
    found = read(trees.plant(tmp_path, release, name, debugfs=debugfs))[0]
    assert (found.granted, queue_counts(found)) == LOGGED[name]
    assert found.problems == ()
    assert found.path is not None
    assert found.path.type_source is (TypeSource.DEBUGFS if debugfs else TypeSource.CPU_LISTS)
    assert sorted({cpu for hctx in found.path.hctxs for cpu in hctx.cpus}) == [0, 1, 2, 3]


def test_two_paths_share_a_subsystem(tmp_path: Path) -> None:
    first, second = read(trees.plant(tmp_path, "6.12.43+deb12-amd64", "rdma-two-paths"))
    assert (first.transport, first.granted, second.transport, second.granted) == ("rdma", 4, "tcp", 1)
    assert first.subsysnqn == second.subsysnqn
    # Under multipath the queues are on the hidden device of each controller.
    assert first.path is not None
    assert first.path.device == "nvme1c1n1"


def test_a_tree_without_nvme_has_no_controllers(tmp_path: Path) -> None:
    (tmp_path / "class").mkdir()
    assert read(tmp_path) == []


def test_what_is_no_tree_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Error, match="No such file"):
        attributes.open_tree(str(tmp_path / "none"))
    with pytest.raises(Error, match="copy of /sys"):
        attributes.open_tree(str(tmp_path))


def test_a_tree_may_have_sys_inside(tmp_path: Path) -> None:
    trees.controller(tmp_path / "sys")
    assert [each.name for each in read(tmp_path)] == ["nvme0"]


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "garbage": b"\x1b]0;owned\x07\xff\xfe\n",
    "long": b"9" * (1 << 20),
    "negative": b"-5\n",
    "digits of another script": "٣".encode(),
    "too large": b"99999999999999999999\n",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_attribute_costs_itself_only(tmp_path: Path, content: bytes) -> None:
    """One problem, at this attribute of this controller; all else is read."""
    directory = trees.controller(tmp_path)
    trees.controller(tmp_path, "nvme1")
    (directory / "queue_count").write_bytes(content)
    bad, good = read(tmp_path)
    assert bad.queue_count is None
    assert bad.granted is None
    assert [problem.subject for problem in bad.problems] == ["nvme0: queue_count"]
    assert all(len(problem.reason) < 200 for problem in bad.problems)
    assert queue_counts(bad) == (2, 0, 0)
    assert good.problems == ()
    assert good.granted == 2


@pytest.mark.parametrize("content", [b"0-3\n", b"0,1\n", b"1, 0\n", b"0, x\n", b"0, 99999999\n", b"0, " * (1 << 18)])
def test_a_hostile_cpu_list_costs_its_hctx_and_the_types(tmp_path: Path, content: bytes) -> None:
    directory = trees.controller(tmp_path)
    (directory / "nvme0c0n1/mq/1/cpu_list").write_bytes(content)
    (found,) = read(tmp_path)
    assert [problem.subject for problem in found.problems] == ["nvme0: nvme0c0n1/mq/1/cpu_list"]
    assert found.path is not None
    assert [hctx.queue_num for hctx in found.path.hctxs] == [0]
    # With one hctx missing the others allow no conclusion.
    assert found.path.type_source is None


def test_attributes_that_are_no_files_are_named_and_not_followed(tmp_path: Path) -> None:
    """A FIFO nobody writes to, a link out of the tree, a loop, a directory: said, not followed and not waited for."""
    directory = trees.controller(tmp_path)
    outside = tmp_path.parent / "outside"
    outside.write_text("7\n")
    for name in ("queue_count", "state", "transport"):
        (directory / name).unlink()
    os.mkfifo(directory / "queue_count")
    (directory / "sqsize").symlink_to(outside)
    (directory / "state").symlink_to("state")
    (directory / "transport").mkdir()
    start = time.monotonic()
    (found,) = read(tmp_path)
    assert time.monotonic() - start < attributes.SECONDS
    assert (found.queue_count, found.sqsize, found.state, found.transport) == (None, None, None, None)
    assert sorted(problem.subject for problem in found.problems) == [
        "nvme0: queue_count",
        "nvme0: sqsize",
        "nvme0: state",
        "nvme0: transport",
    ]


def test_bad_links_of_controllers_are_a_problem_each(tmp_path: Path) -> None:
    """A loop, one that points nowhere, one that climbs out of the tree: a problem each, and the good one is read."""
    trees.controller(tmp_path)
    for name, target in {"nvme1": "nvme1", "nvme2": "../../devices/none", "nvme3": "../../../../../../etc"}.items():
        (tmp_path / "class/nvme" / name).symlink_to(target)
    good, loop, nowhere, outside = read(tmp_path)
    assert good.problems == ()
    assert [problem.errno for problem in loop.problems] == [errno.ELOOP]
    assert [problem.errno for problem in nowhere.problems] == [errno.ENOENT]
    assert [problem.errno for problem in outside.problems] == [errno.ENOENT]


def test_a_controller_that_goes_while_it_is_read_is_one_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a removed device's attributes give; one line, not one for each attribute."""
    trees.controller(tmp_path)
    trees.controller(tmp_path, "nvme1")
    whole = Tree.read

    def fail(tree: Tree, directory: str, attribute: str) -> str:
        if "nvme0" in directory and attribute == "state":
            raise OSError(errno.ENODEV, "No such device", attribute)
        return whole(tree, directory, attribute)

    monkeypatch.setattr(Tree, "read", fail)
    first, second = read(tmp_path)
    assert [(problem.subject, problem.errno) for problem in first.problems] == [("nvme0", errno.ENODEV)]
    assert second.problems == ()


def test_a_directory_that_goes_while_it_is_read_is_one_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = trees.controller(tmp_path)
    whole = Tree.read

    def remove(tree: Tree, where: str, attribute: str) -> str:
        if attribute == "state":
            directory.rename(tmp_path / "elsewhere")
        return whole(tree, where, attribute)

    monkeypatch.setattr(Tree, "read", remove)
    (found,) = read(tmp_path)
    assert [problem.reason for problem in found.problems] == ["went away while it was read"]


def test_a_stuck_controller_costs_its_own_queues_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that does not come back costs its own controller's answer and nobody else's."""
    for name in ("nvme0", "nvme1", "nvme2"):
        trees.controller(tmp_path, name)
    whole = Tree.read

    def hang(tree: Tree, directory: str, attribute: str) -> str:
        if "nvme1" in directory and attribute == "cpu_list":
            time.sleep(3600)
        return whole(tree, directory, attribute)

    monkeypatch.setattr(Tree, "read", hang)
    tree = attributes.open_tree(str(tmp_path))
    first, second, third = attributes.read_controllers(tree, attributes.list_controllers(tree), seconds=0.5)
    tree.close()
    assert (first.problems, third.problems) == ((), ())
    assert [(problem.subject, problem.errno) for problem in second.problems] == [("nvme1: queues", errno.ETIMEDOUT)]
    # What it is was read before its queues.
    assert (first.granted, second.granted, third.granted) == (2, 2, 2)
    assert (second.transport, second.path, second.paths_read) == ("tcp", None, False)


def test_attributes_that_hang_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees.controller(tmp_path)
    whole = Tree.read

    def hang(tree: Tree, directory: str, attribute: str) -> str:
        if attribute == "state":
            time.sleep(3600)
        return whole(tree, directory, attribute)

    monkeypatch.setattr(Tree, "read", hang)
    tree = attributes.open_tree(str(tmp_path))
    (found,) = attributes.read_controllers(tree, ["nvme0"], seconds=0.5)
    tree.close()
    assert [(problem.subject, problem.errno) for problem in found.problems] == [
        ("nvme0: attributes", errno.ETIMEDOUT)
    ]
    assert (found.transport, found.queue_count, found.paths_read) == (None, None, True)


def test_isolated_cpus_are_in_debugfs(tmp_path: Path) -> None:
    """CPUs 2 and 3 are isolated: in no cpu_list, and software queues of hctx 1 all the same."""
    trees.controller(tmp_path, lists=("0, 1", ""))
    for index, cpus in enumerate(((0, 1), (2, 3))):
        trees.file(tmp_path, f"kernel/debug/block/nvme0c0n1/hctx{index}/type", "default\n")
        for cpu in cpus:
            trees.file(tmp_path, f"kernel/debug/block/nvme0c0n1/hctx{index}/cpu{cpu}/dispatched", "0 0\n")
    (found,) = read(tmp_path)
    assert found.path is not None
    assert [(hctx.cpus, hctx.submitters) for hctx in found.path.hctxs] == [((0, 1), (0, 1)), ((), (2, 3))]
    assert queue_counts(found) == (2, 0, 0)


def test_live_directories_have_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a captured tree they would be those of the copy, and say nothing."""
    trees.controller(tmp_path)
    for cpu in range(3):
        (tmp_path / f"devices/system/cpu/cpu{cpu}/topology").mkdir(parents=True)
    tree = attributes.open_tree(str(tmp_path))
    (found,) = attributes.read_controllers(tree, ["nvme0"])
    assert (found.born, attributes.read_cpus(tree).born) == (None, {})
    tree.live = True
    (found,) = attributes.read_controllers(tree, ["nvme0"])
    assert found.born == (tmp_path / "class/nvme/nvme0").stat().st_ino
    assert sorted(attributes.read_cpus(tree).born) == [0, 1, 2]
    tree.close()


def test_a_cpu_list_that_fills_a_page_is_cut(tmp_path: Path) -> None:
    """CPUs 0 to 1019 fill the page of 4 KiB that the kernel writes into: the last hctx may have more."""
    cut = "0"
    cpu = 0
    # blk_mq_hw_sysfs_cpus_show(): stops where the next number would reach the page's last byte but one.
    while len(cut) + len(f", {cpu + 1}") < 4095:
        cpu += 1
        cut += f", {cpu}"
    trees.controller(tmp_path, lists=(cut,), queue_count=2)
    (found,) = read(tmp_path)
    assert found.path is not None
    assert found.path.hctxs[0].cut
    assert len(found.path.hctxs[0].cpus) == cpu + 1
    assert found.path.type_source is None


def test_only_listed_attributes_can_be_read(tmp_path: Path) -> None:
    """Those that send commands when they are read cannot be, by any caller."""
    directory = trees.controller(tmp_path)
    trees.file(directory, "nvme0c0n1/nuse", "1\n")
    tree = attributes.open_tree(str(tmp_path))
    for name in ("nuse", "reset_controller", "temp1_input", "hwmon1/temp1_input"):
        with pytest.raises(ValueError, match="list of what may be read"):
            tree.read(tree.resolve("class/nvme/nvme0/nvme0c0n1"), name)
    tree.close()


def test_reads_are_linear(tmp_path: Path) -> None:
    """Twice the controllers or twice the queues are twice the reads, to the one."""

    def count_reads(root: Path, number: int, queues: int) -> int:
        for index in range(number):
            trees.controller(root, f"nvme{index}", queue_count=queues + 1, lists=tuple(map(str, range(queues))))
        tree = attributes.open_tree(str(root))
        try:
            for name in attributes.list_controllers(tree):
                attributes.ControllerReader(tree, name).read_controller()
                attributes.ControllerReader(tree, name).read_queues()
            return tree.reads
        finally:
            tree.close()

    one = count_reads(tmp_path / "a", 1, 8)
    assert count_reads(tmp_path / "b", 7, 8) == 7 * one
    per_queue = (count_reads(tmp_path / "c", 1, 16) - one) / 8
    assert count_reads(tmp_path / "d", 1, 64) == one + 56 * per_queue
