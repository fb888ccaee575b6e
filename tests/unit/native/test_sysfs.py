# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading below a root, and the two ways in which the kernel writes CPUs."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobe_tool.native.sysfs import ATTRIBUTE_MAX, Tree, cpu_list, cpu_ranges


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    (tmp_path / "root/a/b").mkdir(parents=True)
    (tmp_path / "secret").write_text("outside\n")
    (tmp_path / "root/a/b/value").write_text("inside\n")
    made = Tree(str(tmp_path / "root"), frozenset({"value", "b/value", "secret"}))
    yield made
    made.close()


def test_links_stay_below_the_root(tree: Tree, tmp_path: Path) -> None:
    root = tmp_path / "root"
    for name, target in {
        "relative": "a/b",
        "absolute": "/sys/a/b",
        "up": "../../../a/b",
        "twice": "relative",
        "dots": "./a/../a/b/.",
    }.items():
        (root / name).symlink_to(target)
        assert tree.resolve(name) == "a/b"
        assert tree.read(tree.resolve(name), "value") == "inside"


def test_a_link_out_of_the_root_is_not_followed(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "root/out").symlink_to(tmp_path)
    with pytest.raises(FileNotFoundError):
        tree.resolve("out")
    (tmp_path / "root/a/secret").symlink_to("../../secret")
    with pytest.raises(OSError, match="not a regular file") as error:
        tree.read("a", "secret")
    assert error.value.errno == errno.EINVAL


def test_a_link_within_a_path_leads_out_of_no_root(tree: Tree, tmp_path: Path) -> None:
    """Whatever is read by such a path."""
    (tmp_path / "value").write_text("outside\n")
    for place in ("a/out", "b"):
        (tmp_path / "root" / place).symlink_to(tmp_path)
    for read in (
        lambda: tree.read("a/out", "value"),
        lambda: tree.read("", "b/value"),
        lambda: tree.names("a/out"),
    ):
        with pytest.raises(FileNotFoundError):
            read()


def test_a_loop_of_links_is_an_error(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "root/one").symlink_to("two")
    (tmp_path / "root/two").symlink_to("one/x")
    with pytest.raises(OSError, match="symbolic links") as error:
        tree.resolve("one")
    assert error.value.errno == errno.ELOOP


def test_an_attribute_that_is_too_long_is_an_error(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "root/a/value").write_bytes(b"x" * ATTRIBUTE_MAX)
    assert len(tree.read("a", "value")) == ATTRIBUTE_MAX
    (tmp_path / "root/a/value").write_bytes(b"x" * (ATTRIBUTE_MAX + 1))
    with pytest.raises(OSError, match="longer") as error:
        tree.read("a", "value")
    assert error.value.errno == errno.E2BIG


def test_attributes_of_subdirectories_and_odd_bytes_are_read(tree: Tree, tmp_path: Path) -> None:
    assert tree.read("a", "b/value") == "inside"
    (tmp_path / "root/a/b/value").write_bytes(b"\xff\x00rest\n")
    assert tree.read("a/b", "value") == "\\xff"


@given(st.lists(st.integers(0, 65535), unique=True, max_size=40).map(sorted))
def test_cpu_lists_round_trip(cpus: list[int]) -> None:
    assert cpu_list(", ".join(map(str, cpus))).cpus == tuple(cpus)
    assert cpu_ranges(",".join(map(str, cpus))) == tuple(cpus)


@given(st.text(max_size=30))
def test_any_text_is_a_cpu_list_or_refused(text: str) -> None:
    """CPUs in ascending order or a ValueError, and nothing else."""
    for parse in (lambda value: cpu_list(value).cpus, cpu_ranges):
        try:
            cpus = parse(text)
        except ValueError:
            continue
        assert list(cpus) == sorted(set(cpus))


@pytest.mark.parametrize("text", ["3-1", "0-", "-1", "0,0", "1,0", "0-99999", "0x1", "٣", "0 "])
def test_what_is_no_cpu_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no "):
        cpu_ranges(text)


def test_cpu_ranges_are_read() -> None:
    assert cpu_ranges("0-2,8,10-11") == (0, 1, 2, 8, 10, 11)
    assert cpu_ranges("") == ()


@pytest.mark.parametrize("page", [4096, 65536])
def test_a_list_that_is_cut_at_a_page_is_known_as_such(page: int) -> None:
    """The kernel writes no number that would reach the last byte but one, and none after it."""
    before, value, cpu = "", "0", 0
    while len(value) + len(f", {cpu + 1}") < page - 1:
        cpu += 1
        before, value = value, f"{value}, {cpu}"
    assert not cpu_list(before).cut
    assert cpu_list(value).cut
