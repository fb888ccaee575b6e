# SPDX-License-Identifier: GPL-2.0-or-later
"""TCP connections in a sockmap of the program of ``skmsg watch`` itself, so that it is compiled once for both."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kprobe_tool.native import bcc, bpf

PIPE_SIZE = 1 << 18
"""Room for 64 parts of pages."""

# linux/splice.h
SPLICE_F_MORE = 4

# linux/tcp.h, linux/tls.h
TCP_ULP = 31
SOL_TLS = 282
TLS_TX = 1
TLS_1_2_VERSION = 0x0303
TLS_CIPHER_AES_GCM_128 = 51

VERDICTS = Path(__file__).parent / "host" / "bpf" / "skmsg_verdicts.c"


def sources(directory: Path) -> Path:
    """A copy of bpf/ whose skmsg_watch.c has verdict programs as well."""
    shutil.copytree(bcc.SOURCES, directory, dirs_exist_ok=True)
    watch = directory / "skmsg_watch.c"
    watch.write_text(watch.read_text() + VERDICTS.read_text())
    return directory


@contextmanager
def connection(address: str = "127.0.0.1") -> Iterator[tuple[socket.socket, socket.socket]]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket.create_server((address, 0), family=family) as server,
        socket.create_connection(server.getsockname()[:2]) as client,
        server.accept()[0] as peer,
    ):
        yield client, peer


def use_verdict(program: bcc.Object, verdict: str, client: socket.socket) -> None:
    """Messages of this socket go through this verdict program from now on."""
    program.attach_to_map(program.load(verdict, bpf.BPF_PROG_TYPE_SK_MSG), "sockets", bpf.BPF_SK_MSG_VERDICT)
    program.update("sockets", struct.pack("=I", 0), struct.pack("=I", client.fileno()))


def encrypt(client: socket.socket) -> None:
    """kTLS for what this socket sends, under a key of zeros. The peer gets records, of which it knows nothing."""
    client.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
    # struct tls12_crypto_info_aes_gcm_128
    key = struct.pack("=HH8s16s4s8s", TLS_1_2_VERSION, TLS_CIPHER_AES_GCM_128, b"", b"", b"", b"")
    client.setsockopt(SOL_TLS, TLS_TX, key)


def exchange(client: socket.socket, peer: socket.socket, times: int, data: bytes = b"message") -> None:
    """So many messages, each received before the next is sent."""
    for _ in range(times):
        client.sendall(data)
        left = len(data)
        while left:
            left -= len(peer.recv(left))


def splice_parts(client: socket.socket, parts: int, size: int = 10) -> None:
    """Parts of a page of the page cache that do not touch, in one splice, which ends a record up to Linux v6.4."""
    fd = os.memfd_create("page-cache")
    reading, writing = os.pipe()
    try:
        os.write(fd, b"x" * 4096)
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        for part in range(parts):
            assert os.splice(fd, writing, size, offset_src=part * 2 * size) == size
        left = parts * size
        while left:
            left -= os.splice(reading, client.fileno(), left, flags=SPLICE_F_MORE)
    finally:
        for each in (fd, reading, writing):
            os.close(each)


def send_file(client: socket.socket, size: int = 1000) -> os.stat_result:
    """One message out of the page cache, of a file in memory, from offset 100. Gives what that file is."""
    fd = os.memfd_create("page-cache")
    try:
        os.write(fd, b"x" * 4096)
        assert os.sendfile(client.fileno(), fd, 100, size) == size
        return os.fstat(fd)
    finally:
        os.close(fd)
