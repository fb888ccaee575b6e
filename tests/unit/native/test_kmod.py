"""What modprobe would do, from its configuration, in a directory of our own."""

from pathlib import Path

import pytest

from kprobe_tool.native import kmod
from kprobe_tool.native.kmod import AliasTarget


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("etc", "usr"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(kmod, "MODPROBE_DIRECTORIES", (str(tmp_path / "etc"), str(tmp_path / "usr")))
    return tmp_path


def target(tree: Path) -> AliasTarget | None:
    return kmod.alias_target("net-pf-21", "no-such-release")


def test_no_alias(tree: Path) -> None:
    (tree / "etc" / "a.conf").write_text("# alias net-pf-21 rds\nalias net-pf-2* other extra\n\n")
    assert target(tree) is None


@pytest.mark.parametrize("pattern", ["net-pf-21", "net-pf-*", "net-pf-2[0-9]"])
def test_alias(tree: Path, pattern: str) -> None:
    (tree / "etc" / "a.conf").write_text(f"alias {pattern} rds\n")
    found = target(tree)
    assert found == AliasTarget("rds", str(tree / "etc" / "a.conf"), None)


@pytest.mark.parametrize("line", ["blacklist rds", "install rds /bin/false", "install rds \\\n  /bin/true"])
def test_blocked(tree: Path, line: str) -> None:
    (tree / "etc" / "a.conf").write_text(f"alias net-pf-21 rds\n{line}\n")
    found = target(tree)
    assert found is not None and found.blocked is not None and "rds" in found.blocked


def test_alias_off(tree: Path) -> None:
    (tree / "etc" / "a.conf").write_text("alias net-pf-21 off\n")
    found = target(tree)
    assert found is not None and found.blocked is not None


def test_dashes_and_underscores_are_one(tree: Path) -> None:
    (tree / "etc" / "a.conf").write_text("alias net-pf-21 rds_tcp\nblacklist rds-tcp\n")
    found = target(tree)
    assert found is not None and found.blocked is not None


def test_a_file_hides_those_of_its_name_in_later_directories(tree: Path) -> None:
    (tree / "etc" / "a.conf").write_text("\n")
    (tree / "usr" / "a.conf").write_text("alias net-pf-21 rds\n")
    assert target(tree) is None
    (tree / "usr" / "b.conf").write_text("alias net-pf-21 rds\n")
    assert target(tree) is not None


def test_odd_bytes(tree: Path) -> None:
    (tree / "etc" / "a.conf").write_bytes(b"\xff\xfe\0 \x80\nalias net-pf-21 rds\n")
    assert target(tree) is not None
