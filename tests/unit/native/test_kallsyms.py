# SPDX-License-Identifier: GPL-2.0-or-later
"""/proc/kallsyms as kernels and sandboxes show it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kprobe_tool.native import kallsyms
from kprobe_tool.native.kallsyms import KernelSymbol


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


def test_a_symbol_is_found_by_its_whole_name_only(listing: Path) -> None:
    names = ("open", "do_open", "open.cold", "openat", "xopen\t[open]")
    listing.write_text("".join(f"ffffffff8100000{number} t {name}\n" for number, name in enumerate(names)))
    assert list(kallsyms.symbols({"open"})) == [KernelSymbol("open", 0xFFFFFFFF81000000, "t", None)]
    assert [symbol.name for symbol in kallsyms.symbols({"open.cold"})] == ["open.cold"]


@pytest.mark.parametrize("use", [kallsyms.kernel_symbols, kallsyms.function_addresses, kallsyms.implemented_symbols])
def test_an_empty_file_does_not_say_what_the_kernel_lacks(listing: Path, use: object) -> None:
    """As where a sandbox has put /dev/null there, which was taken for "not loaded" once."""
    assert callable(use)
    listing.write_text("")
    with pytest.raises(OSError, match="No data available"):
        use({"tls_sw_sendmsg"})


def test_functions_of_the_kernel_have_addresses(listing: Path) -> None:
    listing.write_text(
        "ffffffff81000010 t verbose\nffffffff81000020 T verbose\nffffffff81000030 d verbose\n"
        "ffffffffc0000040 t verbose\t[module]\n0000000000000000 t hidden\n"
    )
    found = kallsyms.function_addresses({"verbose", "hidden"})
    assert found == {"verbose": [0xFFFFFFFF81000010, 0xFFFFFFFF81000020]}


def test_an_address_is_the_first_of_its_name(listing: Path) -> None:
    listing.write_text("ffffffff81000010 d twice\nffffffff81000020 d twice\n0000000000000000 d hidden\n")
    assert kallsyms.address_of("twice") == 0xFFFFFFFF81000010
    with pytest.raises(LookupError, match="hides the address of hidden"):
        kallsyms.address_of("hidden")
    with pytest.raises(LookupError, match="has no absent"):
        kallsyms.address_of("absent")


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_lines_are_found_across_chunks(listing: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(kallsyms, "CHUNK", chunk)
    names = [f"symbol_{number}" for number in range(40)]
    listing.write_text("".join(f"00000000000010{number:02x} T {name}\n" for number, name in enumerate(names)))
    assert [symbol.name for symbol in kallsyms.symbols(set(names))] == names


def test_a_line_without_an_end_takes_no_memory(listing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kallsyms, "CHUNK", 4096)
    listing.write_text("x" * 100_000 + " T found\n0000000000000001 T found\n")
    assert [symbol.address for symbol in kallsyms.symbols({"found"})] == [1]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(min_size=1, max_size=300) | st.text(alphabet="0 aT\t\n[]", min_size=1).map(str.encode))
def test_any_bytes_are_read(listing: Path, data: bytes) -> None:
    listing.write_bytes(data)
    for symbol in kallsyms.symbols({"a", "aa"}):
        assert symbol.name in {"a", "aa"}
