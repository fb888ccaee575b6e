# SPDX-License-Identifier: GPL-2.0-or-later
"""/proc/kallsyms as kernels and sandboxes show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kprobe_tool.native import procfs


@pytest.fixture
def kallsyms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kallsyms"
    monkeypatch.setattr(procfs, "KALLSYMS", str(path))
    return path


def test_symbols_have_their_module(kallsyms: Path) -> None:
    kallsyms.write_text("0000000000000000 T tls_sw_sendmsg\t[tls]\n0000000000000000 t do_open\n")
    found = procfs.kernel_symbols({"tls_sw_sendmsg", "do_open", "absent"})
    assert found == {"tls_sw_sendmsg": "tls", "do_open": None}
    assert procfs.kernel_symbols({"absent"}) == {}


def test_an_empty_file_does_not_say_what_the_kernel_lacks(kallsyms: Path) -> None:
    """As where a sandbox has put /dev/null there, which was taken for "not loaded" once."""
    kallsyms.write_text("")
    with pytest.raises(OSError, match="No data available"):
        procfs.kernel_symbols({"tls_sw_sendmsg"})
