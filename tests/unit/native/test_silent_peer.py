# SPDX-License-Identifier: GPL-2.0-or-later
"""Raw TCP segments, and a handshake with the kernel in a namespace of our own."""

import errno
import socket
import time

import pytest

from kprobe_tool.native import link, sched
from kprobe_tool.native.child import Child, Request
from kprobe_tool.native.silent_peer import ACK, SYN, SilentPeer, TcpSegment, build, checksum, parse

from ...skips import skip

ONE = TcpSegment("198.51.100.2", "198.51.100.1", 16385, 40000, 1, 0xFFFFFFFF, SYN | ACK)


def test_a_segment_is_parsed_as_it_was_built() -> None:
    assert parse(build(ONE)) == ONE


def test_checksum_of_a_checked_segment_is_zero() -> None:
    packet = build(ONE)
    pseudo = packet[12:20] + b"\0\x06" + len(packet[20:]).to_bytes(2, "big")
    assert checksum(pseudo + packet[20:]) == 0


@pytest.mark.parametrize("packet", [b"", b"\x45" * 19, b"\x65" + bytes(60), b"\x4f" + bytes(30), build(ONE)[:39]])
def test_what_is_no_tcp_segment_is_not_parsed(packet: bytes) -> None:
    assert parse(packet) is None


LOCAL, SILENT, DEAD = "198.51.100.200", "198.51.100.2", "198.51.100.9"


def handshake(request: Request) -> Request:
    sched.unshare_netns()
    link.loopback_up()
    link.give_up_early()
    link.add_loopback_network(LOCAL, "198.51.100.0/24")
    peer = SilentPeer()
    with socket.create_server((LOCAL, 16385)) as server, socket.socket() as dead:
        dead.setblocking(False)
        dead.connect_ex((DEAD, 16385))
        connected = peer.connect((SILENT, 32776), (LOCAL, 16385), 10)
        nobody = peer.connect((SILENT, 32777), (LOCAL, 1), 0.1)
        sock, address = server.accept()
        sock.settimeout(10)
        sent = sock.send(b"never acknowledged")
        peer.hang_up(LOCAL)
        dead.settimeout(10)
        ends = []
        for one in (sock, dead):
            try:
                ends.append(repr(one.recv(1)))
            except OSError as error:
                ends.append(errno.errorcode[error.errno or 0])
    return {"connected": connected, "nobody": nobody, "from": address, "sent": sent, "ends": ends}


def test_the_kernel_shakes_hands_and_is_reset() -> None:
    with Child(handshake, time.monotonic() + 60) as child:
        try:
            answer = child.ask()
        except PermissionError:
            skip("no user namespace may be made here")
    assert answer == {
        "connected": True,
        "nobody": False,
        "from": [SILENT, 32776],
        "sent": 18,
        "ends": ["ECONNRESET", "ECONNREFUSED"],
    }
