# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages from the format strings and arguments that the kernel's own printing was given."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.watching.kernel_format import format_message

KERNEL = 0xFFFFFFFF81000000


@pytest.mark.parametrize(
    ("template", "args", "text"),
    [
        (b"R%d !read_ok\n", [2], b"R2 !read_ok\n"),
        (b"%d %i", [-1, 2**32 - 1], b"-1 -1"),
        (b"%u %u", [-1, 7], b"4294967295 7"),
        (b"%lld %llu %ld", [-1, -1, -2], b"-1 18446744073709551615 -2"),
        (b"%hhd %hd %hu", [200, 40000, -1], b"-56 -25536 65535"),
        (b"%x %llx %#x %X %#o", [255, -1, 255, 255, 8], b"ff ffffffffffffffff 0xff FF 010"),
        (b"%5d|%-5d|%05d|%+d|% d", [7, 7, -7, 7, 7], b"    7|7    |-0007|+7| 7"),
        (b"%.3d|%5.3d|%#06x", [7, 7, 7], b"007|  007|0x0007"),
        (b"%s '%s'", [b"mem", b"scalar"], b"mem 'scalar'"),
        (b"%8s|%-8s|%.2s|%.*s|%*s|", [b"ab", b"ab", b"abc", 1, b"abc", -4, b"x"], b"      ab|ab      |ab|a|x   |"),
        (b"%c%c", [104, 105], b"hi"),
        (b"100%% %d%%", [3], b"100% 3%"),
        (b"%p", [KERNEL], b"ffffffff81000000"),
        (b"%zu %zd %td", [-1, -1, -1], b"18446744073709551615 -1 -1"),
        # What is not known stands as it is, and takes an argument.
        (b"%pV %d", [1, 2], b"%pV 2"),
        (b"%pI4c %d", [1, 2], b"%pI4c 2"),
        (b"%n %d", [1, 2], b"%n 2"),
        # So does what no argument is left for.
        (b"%d %s", [1], b"1 %s"),
        (b"%", [], b"%"),
        (b"%9999999d %", [], b"%9999999d %"),
        (b"%9999d", [1], b"1".rjust(256)),
        (b"%.9999d", [1], b"1".rjust(256, b"0")),
    ],
)
def test_arguments_are_printed_as_the_kernel_does(template: bytes, args: list[int | bytes], text: bytes) -> None:
    numbers = [KERNEL if isinstance(arg, bytes) else arg & 0xFFFFFFFFFFFFFFFF for arg in args]
    assert format_message(template, numbers, [arg if isinstance(arg, bytes) else b"" for arg in args]) == text
