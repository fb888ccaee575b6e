# SPDX-License-Identifier: GPL-2.0-or-later
"""The two children of the experiment: the owner, who makes rows in one namespace, and the observer in another."""

from __future__ import annotations

import errno as errnos
import os
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from kprobe_tool.errors import errno_name
from kprobe_tool.native import btf, link, procfs, rds, rds_info, sched
from kprobe_tool.native.child import Request
from kprobe_tool.native.silent_peer import SilentPeer

PATIENCE = 20.0
"""Seconds to wait for what the kernel does asynchronously. If it takes longer the result is inconclusive."""

NETWORK = "198.51.100.0/24"
LOCAL = "198.51.100.200"
SILENT = "198.51.100.2"
DEAD = "198.51.100.9"
"""TEST-NET-2 (RFC 5737), on the loopback device of a namespace that nobody else is in."""
PEER_PORT = 4000
# net/rds/tcp.h
RDS_TCP_PORT = 16385
SILENT_PORT = 32776
"""The source port, from which newer kernels take the number of the path, modulo RDS_MPATH_WORKERS (8): path 0."""
MADE = "made"
OWNER_CONTROL, SENDER_CONTROL = "owner control", "sender control"
"""Messages of a socket to itself. When one has arrived, what was sent before it has been handled."""


def enter_namespaces() -> None:
    """Namespaces of our own, in which loopback works."""
    sched.unshare_netns()
    link.loopback_up()


def connections_hold_namespace(release: str) -> bool:
    """Whether a TCP connection of rds_tcp keeps its network namespace from ending.

    Before Linux kernel commit 3a58f13a881e ("net: rds: acquire refcount on TCP sockets") (in v5.18) it does not: if
    we were killed, TCP would go on waiting for the silent peer in a namespace that was freed. Stable kernels have the
    fix as well, so an older release does not settle it, and trying would take that very risk. There the kernel's
    types tell: a correction of the fix, also in v5.18 and in these stable kernels, has rds_tcp_tune() return whether
    it succeeded.
    """
    found = re.match(r"(\d+)\.(\d+)", release)
    return (found is not None and (int(found[1]), int(found[2])) >= (5, 18)) or tune_can_fail()


def tune_can_fail() -> bool:
    """Whether rds_tcp_tune() returns anything, by the kernel's BTF: modules have it since v5.11."""
    try:
        return tune_types().returns_void("rds_tcp_tune") is False
    except (OSError, ValueError):
        return False


def tune_types() -> btf.Btf:
    """Raises OSError, ValueError."""
    try:
        return btf.module("rds_tcp")
    except FileNotFoundError:
        return btf.vmlinux()


def count_rows(fd: int, option: rds_info.InfoOption) -> tuple[int, list[rds_info.Record]]:
    """How many rows the size from the zero-length probe comes to, and the rows that were read."""
    needed = rds.bytes_needed(fd, option)
    answer = rds.read_info(fd, option)
    return needed // answer.record_size, list(answer.records())


def rows_by_option(fd: int) -> dict[str, int]:
    """How many rows one socket is shown, by option; 0 where it is shown none or an error."""
    counts = {}
    for name, option in rds_info.OPTIONS.items():
        try:
            counts[name] = len(rds.read_info(fd, option))
        except OSError:
            counts[name] = 0
    return counts


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Wait until the condition is true; False if that takes longer than ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def receive_until(sock: socket.socket, last: str, seconds: float = PATIENCE) -> list[str]:
    """The messages that come, up to and with ``last``, or until the time is over."""
    sock.settimeout(seconds)
    messages: list[str] = []
    try:
        while last not in messages:
            messages.append(sock.recv(256).decode("ascii", "backslashreplace"))
    except TimeoutError:
        pass
    return messages


class Owner:
    """The canary's owner. Its sockets live as long as its process."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []

    def serve(self, request: Request) -> Request:
        handlers = (self.canary, self.tcp, self.hang_up, self.rows, self.receive)
        return {handler.__name__: handler for handler in handlers}[request["do"]](request)

    def canary(self, request: Request) -> Request:
        """A socket each for IPv4 and IPv6 with a message to itself: rows of SOCKETS, CONNECTIONS and RECV."""
        enter_namespaces()
        ports = {}
        for address in ("127.0.0.1", "::1"):
            sock = rds.open_socket()
            try:
                # The bind table is the whole host's: the kernel must choose a free port.
                rds.bind(sock.fileno(), address, 0)
                port = sock.getsockname()[1]
                rds.sendto(sock.fileno(), b"canary", address, port)
            except OSError:
                if address != "::1":
                    raise
                # IPv6 may be off; the IPv4 rows are in the RDS6 lists too.
                sock.close()
                continue
            self.sockets.append(sock)
            ports[address] = port
        return {"ports": ports}

    def tcp(self, request: Request) -> Request:
        """Connections of rds_tcp: one that falls silent after the handshake (RETRANS), one that is never answered
        (SEND, TCP_SOCKETS).

        The peers' addresses are on the loopback device and belong to nobody, so that no further module is needed. RDS
        reconnects for ever from the smaller address, and rds_tcp's sockets would then keep the namespace alive
        (net/rds/threads.c, rds_queue_reconnect(); net/rds/tcp.c, rds_tcp_tune()). So ours is the larger one, and it
        is the silent peer that connects (net/rds/tcp_connect.c, rds_tcp_state_change()).
        """
        if not self.has_option("RDS_INFO_TCP_SOCKETS"):
            return {"detail": "rds_tcp is not loaded"}
        if "PACKET" not in procfs.protocols():
            return {"detail": "AF_PACKET is not there"}
        if not connections_hold_namespace(os.uname().release):
            return {"detail": "not made: before Linux 5.18 it could make the kernel use freed memory"}
        link.give_up_early()
        link.add_loopback_network(LOCAL, NETWORK)
        self.peer = SilentPeer()
        sock = rds.open_socket()
        self.sockets.append(sock)
        rds.bind(sock.fileno(), LOCAL, 0)
        accepted = self.peer.connect((SILENT, SILENT_PORT), (LOCAL, RDS_TCP_PORT), PATIENCE)
        if not accepted or not wait_for(lambda: self.is_connected(SILENT)):
            return {"detail": "rds_tcp did not accept a connection"}
        rds.sendto(sock.fileno(), b"canary", SILENT, PEER_PORT)
        rds.sendto(sock.fileno(), b"canary", DEAD, PEER_PORT)
        if not wait_for(lambda: rds.read_info(sock.fileno(), rds_info.OPTIONS["RDS_INFO_RETRANS_MESSAGES"]).data):
            return {"detail": "nothing came into the retransmit queue"}
        return {"detail": MADE}

    def has_option(self, optname: str) -> bool:
        """Whether the kernel has this option right now."""
        try:
            rds.bytes_needed(self.sockets[0].fileno(), rds_info.OPTIONS[optname])
        except OSError as error:
            if error.errno == errnos.ENOPROTOOPT:
                return False
            raise
        return True

    def is_connected(self, peer: str) -> bool:
        answer = rds.read_info(self.sockets[0].fileno(), rds_info.OPTIONS["RDS_INFO_CONNECTIONS"])
        found = [row for row in answer.records() if isinstance(row, rds_info.Connection) and row.faddr == peer]
        return any(row.flags & rds_info.RDS_INFO_CONNECTION_FLAG_CONNECTED for row in found)

    def hang_up(self, request: Request) -> Request:
        """Reset the connections, so that none is left to time out where the check ends by itself."""
        self.peer.hang_up(LOCAL)
        return {}

    def rows(self, request: Request) -> Request:
        """How many rows the owner is shown itself, by option: the proof that there was something to leak."""
        return {"counts": rows_by_option(self.sockets[0].fileno())}

    def receive(self, request: Request) -> Request:
        """What came to the IPv4 canary, up to a message that it sends itself now: the positive control."""
        sock = self.sockets[0]
        # Where even that cannot be sent the control is missing, which is an answer.
        with suppress(OSError):
            rds.sendto(sock.fileno(), OWNER_CONTROL.encode(), "127.0.0.1", sock.getsockname()[1])
        return {"messages": receive_until(sock, OWNER_CONTROL)}


class Observer:
    """The child that reads everything, from a namespace of its own in which nothing happened."""

    def serve(self, request: Request) -> Request:
        return {"read": self.read, "bind": self.bind, "send": self.send}[request["do"]](request)

    def read(self, request: Request) -> Request:
        enter_namespaces()
        with rds.open_socket() as sock:
            inode = rds.socket_inode(sock)
            result: dict[str, Request] = {}
            for name, option in rds_info.OPTIONS.items():
                try:
                    counted, records = count_rows(sock.fileno(), option)
                except OSError as error:
                    result[name] = {"errno": errno_name(error.errno or 0)}
                    continue
                own = sum(1 for record in records if isinstance(record, rds_info.RdsSocket) and record.inum == inode)
                result[name] = {"seen": len(records), "own": own, "counted": counted}
        return {"options": result}

    def bind(self, request: Request) -> Request:
        """Try to bind what the owner has bound, after a port of the kernel's choice as the control."""
        with rds.open_socket() as control:
            rds.bind(control.fileno(), "127.0.0.1", 0)
        with rds.open_socket() as sock:
            try:
                rds.bind(sock.fileno(), "127.0.0.1", request["port"])
            except OSError as error:
                return {"errno": errno_name(error.errno or 0)}
        return {"errno": None}

    def send(self, request: Request) -> Request:
        """Send to the owner, then to itself over the same connection, and look into the own queues.

        The socket stays open: on a new connection sendto(2) only queues, and rds_release() takes back what is
        queued (net/rds/af_rds.c, rds_send_drop_to()). One connection sends in the order of its queue
        (net/rds/send.c, rds_send_xmit()), so the control behind the message says that its turn has come.
        """
        self.sender = rds.open_socket()
        fd = self.sender.fileno()
        rds.bind(fd, "127.0.0.1", 0)
        own_port = self.sender.getsockname()[1]
        try:
            rds.sendto(fd, request["token"].encode(), "127.0.0.1", request["port"])
            rds.sendto(fd, SENDER_CONTROL.encode(), "127.0.0.1", own_port)
        except OSError as error:
            return {"errno": errno_name(error.errno or 0), "queued": None, "control": False}
        control = SENDER_CONTROL in receive_until(self.sender, SENDER_CONTROL)

        def count_queued() -> int:
            return queued_messages(fd, own_port, request["port"])

        try:
            wait_for(lambda: count_queued() == 0)
            return {"errno": None, "queued": count_queued(), "control": control}
        except OSError:
            return {"errno": None, "queued": None, "control": control}


def queued_messages(fd: int, lport: int, fport: int) -> int:
    """How many messages between two ports are waiting to be sent or acknowledged. Raises OSError.

    The IPv4 options, which every kernel has, show no address of such a message (:mod:`kprobe_tool.probes.rds.lists`)
    but its ports. A message goes from the send queue to the retransmit queue, and back when a connection is reset:
    the send queue is read on both sides of the other.
    """
    names = ("RDS_INFO_SEND_MESSAGES", "RDS_INFO_RETRANS_MESSAGES", "RDS_INFO_SEND_MESSAGES")
    return sum(
        1
        for name in names
        for record in rds.read_info(fd, rds_info.OPTIONS[name]).records()
        if isinstance(record, rds_info.QueuedMessage) and (record.lport, record.fport) == (lport, fport)
    )
