# SPDX-License-Identifier: GPL-2.0-or-later
"""Two namespaces with RDS sockets, and messages between them in every queue that there is."""

import ctypes
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kprobe_tool.native import netns, rds

from .tool import tool

A, B = "kt-a", "kt-b"
A4, B4, DEAD4 = "10.77.0.1", "10.77.0.2", "10.77.0.9"
A6, B6 = "fd00:77::1", "fd00:77::2"


@dataclass
class Traffic:
    """The sockets that keep the traffic in place, by what they are for."""

    sockets: dict[str, socket.socket]
    ports: dict[str, int]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def in_netns(name: str, function: Callable[[], Any]) -> Any:
    return netns.call_inside(netns.from_path(f"/run/netns/{name}"), function)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "not within a minute"
        time.sleep(0.1)


def raw_answer(sock: socket.socket, optname: int) -> tuple[int, bytes]:
    """The kernel's answer to an RDS option (size of a record, records), read without any code of the tool's."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(1 << 20)
    length = ctypes.c_int(len(buffer))
    size = libc.getsockopt(sock.fileno(), 276, optname, buffer, ctypes.byref(length))
    if size < 0:
        raise OSError(ctypes.get_errno(), "getsockopt")
    return size, buffer.raw[: length.value]


@contextmanager
def traffic_between_namespaces(modprobe: Callable[..., None]) -> Iterator[Traffic]:
    modprobe("rds", "rds_tcp", "veth")
    for name in (A, B):
        ip("netns", "add", name)
    ip("link", "add", "ve-a", "netns", A, "type", "veth", "peer", "name", "ve-b", "netns", B)
    for name, dev, v4, v6 in ((A, "ve-a", A4, A6), (B, "ve-b", B4, B6)):
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "addr", "add", f"{v4}/24", "dev", dev)
        ip("-n", name, "addr", "add", f"{v6}/64", "dev", dev, "nodad")
        ip("-n", name, "link", "set", dev, "up")
        # On an unfixed kernel the address is what tells whose a row is, also when the link is down.
        keep = f"/proc/sys/net/ipv6/conf/{dev}/keep_addr_on_down"
        in_netns(name, partial(Path(keep).write_text, "1"))
    sockets: dict[str, socket.socket] = {}
    ports: dict[str, int] = {}

    def make(name: str, space: str, address: str | None) -> None:
        sockets[name] = in_netns(space, rds.open_socket)
        if address is not None:
            rds.bind(sockets[name].fileno(), address, 0)
            ports[name] = sockets[name].getsockname()[1]

    make("a4", A, A4)
    make("b4", B, B4)
    make("a6", A, A6)
    make("b6", B, B6)
    make("unbound", A, None)
    traffic = Traffic(sockets, ports)
    # Received and not read: two messages each.
    for length in (5, 23):
        rds.sendto(sockets["a4"].fileno(), b"x" * length, B4, ports["b4"])
        rds.sendto(sockets["a6"].fileno(), b"y" * length, B6, ports["b6"])
    wait_for(lambda: len(rows_of(B, "recv")) == 4)
    # Never answered: stays in the send queue.
    rds.sendto(sockets["a4"].fileno(), b"z" * 7, DEAD4, 4001)
    # Sent, and the wire is cut before it is acknowledged: the retransmit queue.
    ip("-n", B, "link", "set", "ve-b", "down")
    rds.sendto(sockets["a4"].fileno(), b"r" * 11, B4, ports["b4"])
    wait_for(lambda: rows_of(A, "retrans") and rows_of(A, "send"))
    yield traffic
    for sock in sockets.values():
        sock.close()
    for name in (A, B):
        ip("netns", "del", name)


def document(*args: str) -> Any:
    answer = tool("rds-info", *args, "-o", "json")
    assert answer.code == 0, answer.err
    return answer.json


def rows_of(space: str, source: str) -> list[dict[str, Any]]:
    return [row for row in document("--netns", space, f"--{source}")["results"] if row["source"] == source]
