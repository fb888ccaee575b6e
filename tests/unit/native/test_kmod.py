# SPDX-License-Identifier: GPL-2.0-or-later
"""What modprobe would do, by its configuration in a directory of our own."""

import fnmatch
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobe_tool.native import kmod
from kprobe_tool.native.kmod import AliasTarget
from kprobe_tool.native.libc import libc


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("etc", "usr"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(kmod, "MODPROBE_DIRECTORIES", (str(tmp_path / "etc"), str(tmp_path / "usr")))
    monkeypatch.setattr(kmod, "MODULES", str(tmp_path))
    monkeypatch.setattr(kmod, "PROC", str(tmp_path / "proc"))
    monkeypatch.setattr(kmod, "in_container", lambda: False)
    kmod.built_in.cache_clear()
    (tmp_path / "proc" / "sys" / "kernel").mkdir(parents=True)
    (tmp_path / "proc" / "modules").touch()
    release = tmp_path / "6.12"
    release.mkdir()
    (release / "modules.alias").write_text("alias net-pf-2 unix\nalias net-pf-2[2-9] other\n")
    (release / "modules.builtin").write_text("kernel/net/tls/tls.ko\nkernel/fs/not-there.ko\n")
    return tmp_path


def target(tree: Path, release: str = "6.12") -> AliasTarget | None:
    return kmod.alias_target("net-pf-21", release)


def test_without_an_alias_nothing_is_loaded(tree: Path) -> None:
    (tree / "etc" / "a.conf").write_text("# alias net-pf-21 rds\nalias net-pf-2* other extra\n\n")
    assert target(tree) is None


@pytest.mark.parametrize("pattern", ["net-pf-21", "net-pf-*", "net-pf-2[0-9]"])
def test_an_alias_names_the_module(tree: Path, pattern: str) -> None:
    (tree / "etc" / "a.conf").write_text(f"alias {pattern} rds\n")
    found = target(tree)
    assert found == AliasTarget("rds", str(tree / "etc" / "a.conf"), None)


@given(st.text("ab-*?[]!2", max_size=8), st.text("ab-2", max_size=6))
def test_a_pattern_is_looked_at_whole_where_it_begins_as_the_alias(pattern: str, alias: str) -> None:
    assert kmod.is_alias(["alias", pattern, "rds"], alias) == fnmatch.fnmatchcase(alias, pattern)


def test_a_pattern_that_begins_otherwise_is_not_compiled(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel of a distribution comes with 25,000 aliases: to compile them all takes longer than all the rest."""
    looked_at = []
    monkeypatch.setattr(fnmatch, "fnmatchcase", lambda _, pattern: looked_at.append(pattern))
    aliases = ["net-pf-2[2-9]", "pci:v00008086d*", "net-pf-21-proto-*", "*", "net-pf-3*"]
    (tree / "6.12" / "modules.alias").write_text("".join(f"alias {pattern} module\n" for pattern in aliases))
    assert target(tree) is None
    assert looked_at == ["net-pf-2[2-9]", "*"]


@pytest.mark.parametrize("line", ["blacklist rds", "install rds /bin/false", "install rds \\\n  /bin/true"])
def test_a_blocked_module_is_known_as_such(tree: Path, line: str) -> None:
    (tree / "etc" / "a.conf").write_text(f"alias net-pf-21 rds\n{line}\n")
    found = target(tree)
    assert found is not None and found.blocked is not None and "rds" in found.blocked


def test_an_alias_to_off_is_blocked(tree: Path) -> None:
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


def test_odd_bytes_hide_no_alias(tree: Path) -> None:
    (tree / "etc" / "a.conf").write_bytes(b"\xff\xfe\0 \x80\nalias net-pf-21 rds\n")
    assert target(tree) is not None


def test_modules_alias_names_the_module(tree: Path) -> None:
    assert target(tree) is None
    path = tree / "6.12" / "modules.alias"
    path.write_text("alias net-pf-21 rds\n")
    assert target(tree) == AliasTarget("rds", str(path), None)


def test_without_modules_alias_the_target_is_unknown(tree: Path) -> None:
    """A missing file was taken for "nothing would be loaded" once."""
    with pytest.raises(FileNotFoundError):
        target(tree, "6.13")
    # modprobe.d may settle it all the same.
    (tree / "etc" / "a.conf").write_text("alias net-pf-21 off\n")
    found = target(tree, "6.13")
    assert found is not None and found.blocked is not None


def test_a_kernel_without_modules_loads_nothing(tree: Path) -> None:
    (tree / "proc" / "modules").unlink()
    assert target(tree, "6.13") is None
    (tree / "6.12" / "modules.alias").write_text("alias net-pf-21 rds\n")
    found = target(tree)
    assert found is not None and found.blocked == "this kernel is built without modules"


def test_a_proc_of_processes_only_says_nothing_of_modules(tree: Path) -> None:
    """As systemd mounts it for ProcSubset=pid, which was taken for "built without modules" once."""
    (tree / "proc" / "modules").unlink()
    (tree / "proc" / "sys" / "kernel").rmdir()
    (tree / "proc" / "sys").rmdir()
    (tree / "6.12" / "modules.alias").write_text("alias net-pf-21 rds\n")
    found = target(tree)
    assert found is not None and found.blocked is None
    with pytest.raises(FileNotFoundError):
        target(tree, "6.13")


def test_a_file_that_only_root_may_read_can_name_the_alias(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read was taken for "nothing would be loaded" once."""
    config_lines = kmod.config_lines
    monkeypatch.setattr(kmod, "config_lines", lambda: [*config_lines(), ("/etc/modprobe.d/secret.conf", [])])
    with pytest.raises(PermissionError, match="secret"):
        target(tree)
    (tree / "6.12" / "modules.alias").write_text("alias net-pf-21 rds\n")
    assert target(tree) == AliasTarget("rds", str(tree / "6.12" / "modules.alias"), None)
    (tree / "proc" / "sys" / "kernel" / "modules_disabled").write_text("1\n")
    (tree / "6.12" / "modules.alias").write_text("")
    assert target(tree) is None


def test_a_file_that_may_not_be_read_has_no_lines(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        path = Path(directory, "a.conf")
        path.write_text("alias net-pf-21 rds\n")
        path.chmod(0)
        monkeypatch.setattr(kmod, "MODPROBE_DIRECTORIES", (directory,))
        # This thread's user for files only: root can read every file.
        before = libc.setfsuid(65534)
        try:
            assert list(kmod.config_lines()) == [(str(path), [])]
        finally:
            libc.setfsuid(before)


def test_modprobe_d_of_a_container_is_not_the_one_that_counts(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "6.12" / "modules.alias").write_text("alias net-pf-21 rds\n")
    (tree / "etc" / "a.conf").write_text("blacklist rds\n")
    found = target(tree)
    assert found is not None and found.blocked is not None
    monkeypatch.setattr(kmod, "in_container", lambda: True)
    found = target(tree)
    assert found is not None and found.blocked is None


@pytest.mark.parametrize(
    ("name", "text", "blocked"),
    [
        ("modules_disabled", "1\n", "kernel.modules_disabled is 1"),
        ("modules_disabled", "0\n", None),
        ("modprobe", "\n", "kernel.modprobe is empty"),
        ("modprobe", "/sbin/modprobe\n", None),
    ],
)
def test_settings_of_the_kernel_block_loading(tree: Path, name: str, text: str, blocked: str | None) -> None:
    (tree / "proc" / "sys" / "kernel" / name).write_text(text)
    (tree / "etc" / "a.conf").write_text("alias net-pf-21 rds\n")
    found = target(tree)
    assert found is not None and found.blocked == blocked


def test_a_module_is_loaded_built_in_or_unknown(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def release(name: str) -> None:
        monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "h", name, "v", "m")))

    release("6.12")
    assert kmod.is_loaded("tls") is True
    assert kmod.is_loaded("not_there") is True
    assert kmod.is_loaded("kprobe_tool_none") is False
    # It may be built in, and nothing here says so.
    release("6.13")
    assert kmod.is_loaded("kprobe_tool_none") is None


def test_modules_on_disk_are_those_of_modules_dep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "6.12.0"
    directory.mkdir()
    (directory / "modules.dep").write_text(
        "kernel/net/tls/tls.ko.xz: kernel/crypto/x.ko\nkernel/net/rds/rds_tcp.ko:\n"
    )
    monkeypatch.setattr(kmod, "MODULES", str(tmp_path))
    assert kmod.on_disk("tls", "6.12.0") and kmod.on_disk("rds_tcp", "6.12.0")
    assert not kmod.on_disk("x", "6.12.0")
    assert not kmod.on_disk("tls", "6.13.0")


def test_an_unreadable_list_of_modules_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read every file, so that what cannot be read here is a directory."""
    (tmp_path / "6.12.0" / "modules.dep").mkdir(parents=True)
    monkeypatch.setattr(kmod, "MODULES", str(tmp_path))
    with pytest.raises(IsADirectoryError, match=r"modules\.dep"):
        kmod.on_disk("tls", "6.12.0")
