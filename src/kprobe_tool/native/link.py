# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/if.h and rtnetlink: the interfaces of a network namespace and their addresses."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# linux/sockios.h, linux/if.h
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1

LOOPBACK_IFINDEX = 1
"""``lo`` is the first interface of every network namespace (include/net/net_namespace.h, LOOPBACK_IFINDEX)."""

# linux/rtnetlink.h
RTN_LOCAL = 2
RT_SCOPE_HOST = 254
ROUTE_TABLE = 100
"""Any number that is not one of the kernel's own tables."""


def loopback_up() -> None:
    """Bring ``lo`` up in the calling thread's namespace; needs CAP_NET_ADMIN there. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh22x", b"lo", 0)
        _, flags = struct.unpack_from("16sh", fcntl.ioctl(sock, SIOCGIFFLAGS, request))
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))


def addresses() -> frozenset[str]:
    """The IPv4 and IPv6 addresses of the calling thread's namespace, by RTM_GETADDR. Raises OSError."""
    found = set()
    with netlink() as route:
        for message in route.get_addr():
            attributes = dict(message["attrs"])
            # IFA_ADDRESS is the peer's address on a point-to-point link (net/ipv4/devinet.c).
            found.add(str(attributes.get("IFA_LOCAL") or attributes["IFA_ADDRESS"]))
    return frozenset(found)


def add_loopback_address(address: str, prefix: int) -> None:
    """RTM_NEWADDR on ``lo`` of the calling thread's namespace. Raises OSError."""
    with netlink() as route:
        route.addr("add", index=LOOPBACK_IFINDEX, address=address, prefixlen=prefix)


@contextmanager
def routed_to_loopback(address: str) -> Iterator[None]:
    """Have packets to ``address`` delivered here, though it is in no local table, for the time of the block.

    A local route in a table of its own, and a rule that looks there: the rule also splits the local from the main
    table (net/ipv4/fib_frontend.c, fib_unmerge()), so that inet_addr_type() does not find the address.
    """
    with netlink() as route:
        route.rule("add", table=ROUTE_TABLE, priority=ROUTE_TABLE, family=socket.AF_INET)
        route.route(
            "add", table=ROUTE_TABLE, dst=f"{address}/32", oif=LOOPBACK_IFINDEX, type=RTN_LOCAL, scope=RT_SCOPE_HOST
        )
        yield
        route.route(
            "del", table=ROUTE_TABLE, dst=f"{address}/32", oif=LOOPBACK_IFINDEX, type=RTN_LOCAL, scope=RT_SCOPE_HOST
        )


@contextmanager
def netlink() -> Iterator[Any]:
    """pyroute2's rtnetlink socket of the calling thread's namespace, its errors as plain OSErrors."""
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as route:
            yield route
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code), "rtnetlink") from error
