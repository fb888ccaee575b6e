# SPDX-License-Identifier: GPL-2.0-or-later
"""Addresses as rds(7) takes them."""

import pytest

from kprobe_tool.native import rds


@pytest.mark.parametrize(
    ("address", "port", "raw"),
    [
        ("127.0.0.1", 4000, b"\x02\x00\x0f\xa0\x7f\x00\x00\x01" + bytes(8)),
        ("::1", 1, b"\x0a\x00\x00\x01" + bytes(4) + bytes(15) + b"\x01" + bytes(4)),
    ],
)
def test_addresses_have_the_bytes_that_the_kernel_reads(address: str, port: int, raw: bytes) -> None:
    assert bytes(rds.sockaddr(address, port)) == raw
