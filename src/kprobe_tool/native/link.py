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


def add_veth(name: str, peer: str, peer_netns: int) -> None:
    """A veth pair, its other end in the namespace of the file ``peer_netns``.

    The kernel loads module veth for this where it is not there. Raises OSError.
    """
    with netlink() as route:
        route.link("add", ifname=name, kind="veth", peer={"ifname": peer, "net_ns_fd": peer_netns})


def configure(name: str, address: str, prefix: int) -> None:
    """Give an interface of the calling thread's namespace an address and bring it up. Raises OSError."""
    with netlink() as route:
        (index,) = route.link_lookup(ifname=name)
        route.addr("add", index=index, address=address, prefixlen=prefix)
        route.link("set", index=index, state="up")


def set_state(name: str, state: str) -> None:
    """Bring an interface of the calling thread's namespace ``up`` or ``down``. Raises OSError."""
    with netlink() as route:
        (index,) = route.link_lookup(ifname=name)
        route.link("set", index=index, state=state)


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
