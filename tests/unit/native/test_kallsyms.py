# SPDX-License-Identifier: GPL-2.0-or-later
"""/proc/kallsyms as kernels and sandboxes show it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kprobe_tool.native import kallsyms


@pytest.fixture
def listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kallsyms"
    monkeypatch.setattr(kallsyms, "KALLSYMS", str(path))
    return path


def test_symbols_have_their_module(listing: Path) -> None:
    listing.write_text("0000000000000000 T tls_sw_sendmsg\t[tls]\n0000000000000000 t do_open\n")
    found = kallsyms.kernel_symbols({"tls_sw_sendmsg", "do_open", "absent"})
    assert found == {"tls_sw_sendmsg": "tls", "do_open": None}
    assert kallsyms.kernel_symbols({"absent"}) == {}


def test_an_empty_file_does_not_say_what_the_kernel_lacks(listing: Path) -> None:
    """As where a sandbox has put /dev/null there, which was taken for "not loaded" once."""
    listing.write_text("")
    with pytest.raises(OSError, match="No data available"):
        kallsyms.kernel_symbols({"tls_sw_sendmsg"})
