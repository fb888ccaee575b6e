# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/if.h and rtnetlink: the interfaces of a network namespace and their addresses."""

from __future__ import annotations

import errno as errnos
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

# linux/sockios.h, linux/if.h
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1

LOOPBACK_IFINDEX = 1
"""``lo`` is the first interface of every network namespace (include/net/net_namespace.h, LOOPBACK_IFINDEX)."""

# linux/rtnetlink.h
RT_SCOPE_LINK = 253


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


def add_loopback_network(address: str, network: str) -> None:
    """Make ``address`` ours and all of ``network`` reachable over ``lo``, where nobody else answers.

    The prefix is a route of its own: as the address's prefix length it would, on a loopback device, make every
    address of the network ours (net/ipv4/fib_frontend.c, fib_add_ifaddr()). Raises OSError.
    """
    with netlink() as route:
        route.addr("add", index=LOOPBACK_IFINDEX, address=address, prefixlen=32)
        route.route("add", dst=network, oif=LOOPBACK_IFINDEX, scope=RT_SCOPE_LINK)


def give_up_early() -> None:
    """Have TCP give up silent connections of the calling process's namespace within seconds (ip-sysctl).

    Kernel sockets, such as those of rds_tcp, keep their network namespace alive; without this one that is not
    answered would keep a namespace for minutes after its last process. Raises OSError.
    """
    for name, value in (("tcp_syn_retries", 2), ("tcp_retries2", 6), ("tcp_orphan_retries", 1)):
        with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as file:
            file.write(str(value))


@contextmanager
def netlink() -> Iterator[Any]:
    """pyroute2's rtnetlink socket of the calling thread's namespace, its errors as plain OSErrors."""
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with ExitStack() as stack:
            try:
                route = stack.enter_context(IPRoute())
            except ValueError as error:
                # From asyncio, which does not take the descriptor for a socket: a seccomp filter that fakes answers
                # causes that.
                raise OSError(errnos.EPROTO, str(error), "rtnetlink") from error
            yield route
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code), "rtnetlink") from error
