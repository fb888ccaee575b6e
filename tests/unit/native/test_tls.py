# SPDX-License-Identifier: GPL-2.0-or-later
"""Where kTLS shows, on hosts and in containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from kprobe_tool.native import kallsyms, kmod, tls


@pytest.mark.parametrize(
    ("ulp", "module", "symbols", "loaded"),
    [
        ("espintcp mptcp tls", False, None, True),
        ("espintcp mptcp", False, {tls.SYMBOL: "tls"}, False),
        ("espintcp mptcp", True, {}, True),
        (None, True, None, True),
        (None, False, {tls.SYMBOL: None}, True),
        (None, False, {}, False),
        (None, False, None, None),
    ],
    ids=[
        "host",
        "host-without",
        "host-not-registered-yet",
        "container-module",
        "container-built-in",
        "container-without",
        "container-without-kallsyms",
    ],
)
def test_tls_is_registered_where_anything_shows_it(
    ulp: str | None,
    module: bool,
    symbols: dict[str, str | None] | None,
    loaded: bool | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def kernel_symbols(names: set[str]) -> dict[str, str | None]:
        if symbols is None:
            raise FileNotFoundError(2, "No such file or directory", "/proc/kallsyms")
        return symbols

    if ulp is not None:
        (tmp_path / "ulp").write_text(ulp)
    monkeypatch.setattr(tls, "AVAILABLE_ULP", str(tmp_path / "ulp"))
    monkeypatch.setattr(kmod, "is_loaded", lambda name: module)
    monkeypatch.setattr(kallsyms, "kernel_symbols", kernel_symbols)
    assert tls.is_ulp_registered() is loaded
