# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/if.h: the one interface every network namespace has."""

from __future__ import annotations

import fcntl
import socket
import struct

# linux/sockios.h, linux/if.h
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1


def loopback_up() -> None:
    """Bring ``lo`` up in the calling thread's namespace; needs CAP_NET_ADMIN there. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh22x", b"lo", 0)
        _, flags = struct.unpack_from("16sh", fcntl.ioctl(sock, SIOCGIFFLAGS, request))
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))
