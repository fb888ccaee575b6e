# SPDX-License-Identifier: GPL-2.0-or-later
"""A TCP peer made of raw packets: it shakes hands, and then answers nothing any more, until it hangs up.

For a kernel's own listener in a network namespace of ours, from an address on ``lo`` that is nobody's. What the
kernel sends over such a connection stays unacknowledged, with no second host and no module needed.
"""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass

# linux/if_ether.h
ETH_P_IP = 0x0800
# RFC 9293, section 3.1
SYN, RST, ACK = 0x02, 0x04, 0x10


@dataclass(frozen=True)
class TcpSegment:
    """The part of a TCP segment that a handshake is made of."""

    source: str
    destination: str
    source_port: int
    destination_port: int
    seq: int
    ack: int
    flags: int


def parse(packet: bytes) -> TcpSegment | None:
    """An IPv4 packet's TCP header, or None when it has none that is whole."""
    if len(packet) < 20 or packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
        return None
    start = (packet[0] & 0x0F) * 4
    if start < 20 or len(packet) < start + 20:
        return None
    source_port, destination_port, seq, ack, _, flags = struct.unpack_from(">HHIIBB", packet, start)
    source, destination = (socket.inet_ntoa(packet[place : place + 4]) for place in (12, 16))
    return TcpSegment(source, destination, source_port, destination_port, seq, ack, flags)


def build(segment: TcpSegment) -> bytes:
    """An IPv4 packet; its length and checksum are the kernel's to fill in (raw(7), IP_HDRINCL)."""
    source, destination = socket.inet_aton(segment.source), socket.inet_aton(segment.destination)
    tcp = struct.pack(
        ">HHIIBBHHH",
        segment.source_port,
        segment.destination_port,
        segment.seq,
        segment.ack,
        5 << 4,
        segment.flags,
        65535,
        0,
        0,
    )
    pseudo = source + destination + struct.pack(">BBH", 0, socket.IPPROTO_TCP, len(tcp))
    tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp)) + tcp[18:]
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_TCP, 0, source, destination)
    return header + tcp


def checksum(data: bytes) -> int:
    """RFC 1071, of an even number of bytes."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class SilentPeer:
    """The peer, on ``lo`` of the namespace it was made in. Needs CAP_NET_RAW there, and a kernel with AF_PACKET."""

    def __init__(self) -> None:
        self.packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self.packets.bind(("lo", ETH_P_IP))
        self.raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.last: dict[str, TcpSegment] = {}

    def receive(self, seconds: float) -> TcpSegment | None:
        """The next TCP segment on ``lo``; what came last from its sender is kept for :meth:`hang_up`."""
        self.packets.settimeout(max(0.001, seconds))
        try:
            segment = parse(self.packets.recv(65535))
        except TimeoutError:
            return None
        if segment is not None:
            self.last[segment.destination] = segment
        return segment

    def connect(self, source: tuple[str, int], destination: tuple[str, int], seconds: float) -> bool:
        """Open a connection to the kernel's listener; whether it answered in time."""
        (address, port), (peer, peer_port) = source, destination
        self.raw.sendto(build(TcpSegment(address, peer, port, peer_port, 0, 0, SYN)), (peer, 0))
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            segment = self.receive(left)
            if segment is not None and segment.destination == address and segment.flags & SYN:
                self.send(segment, ACK, (segment.seq + 1) & 0xFFFFFFFF)
                return True
        return False

    def hang_up(self, own: str) -> None:
        """Reset every connection that address ``own`` has tried, so that the kernel forgets it at once."""
        while self.receive(0.001) is not None:
            pass
        for segment in list(self.last.values()):
            if segment.source == own:
                # To a SYN that was never answered, RFC 9293 wants the reset to acknowledge it.
                self.send(segment, RST | ACK, (segment.seq + bool(segment.flags & SYN)) & 0xFFFFFFFF)

    def send(self, to: TcpSegment, flags: int, ack: int) -> None:
        reply = TcpSegment(
            to.destination, to.source, to.destination_port, to.source_port, seq=to.ack, ack=ack, flags=flags
        )
        self.raw.sendto(build(reply), (to.source, 0))
