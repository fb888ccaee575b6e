# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/tls.h: TLS done by the kernel on a TCP socket, where that takes no module.

TCP_ULP loads the module tls where it is absent (net/ipv4/tcp_ulp.c), TLS_TX that of the cipher (crypto/api.c): both
are to be asked for first.
"""

from __future__ import annotations

import ctypes
import os
import socket

from kprobe_tool.native import kallsyms, kmod
from kprobe_tool.native.libc import announce

# linux/tcp.h
TCP_ULP = 31
# linux/socket.h
SOL_TLS = 282
# linux/tls.h
TLS_TX = 1
TLS_1_2_VERSION = 0x0303
TLS_CIPHER_AES_GCM_128 = 51

MODULE = "tls"
SYMBOL = "tls_sw_sendmsg"
"""In /proc/kallsyms wherever tls is, in a module or built in (net/tls/tls_sw.c)."""
AVAILABLE_ULP = "/proc/sys/net/ipv4/tcp_available_ulp"
CIPHER = "gcm(aes)"
"""What the kernel's crypto calls TLS_CIPHER_AES_GCM_128 (net/tls/tls_main.c, tls_cipher_desc)."""
CRYPTO_MAX = 1 << 20


class tls12_crypto_info_aes_gcm_128(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_uint16),
        ("cipher_type", ctypes.c_uint16),
        ("iv", ctypes.c_uint8 * 8),
        ("key", ctypes.c_uint8 * 16),
        ("salt", ctypes.c_uint8 * 4),
        ("rec_seq", ctypes.c_uint8 * 8),
    )


def is_ulp_registered() -> bool | None:
    """Whether TCP_ULP "tls" finds what it names without loading a module; None where that cannot be seen."""
    try:
        with open(AVAILABLE_ULP, encoding="ascii") as file:
            return MODULE in file.read(4096).split() or bool(kmod.is_loaded(MODULE))
    except OSError:
        # It is there in the initial network namespace only.
        pass
    if kmod.is_loaded(MODULE):
        return True
    try:
        # A container has no modules.builtin of the host's kernel, and /sys/module shows only what has parameters.
        return SYMBOL in kallsyms.kernel_symbols({SYMBOL})
    except OSError:
        return None


def is_cipher_registered() -> bool:
    """Whether TLS_TX finds the cipher without loading it: /proc/crypto has what is registered."""
    try:
        with open("/proc/crypto", encoding="utf-8", errors="backslashreplace") as file:
            lines = file.read(CRYPTO_MAX).splitlines()
    except FileNotFoundError:
        return False
    return any(line.split(":", 1)[-1].strip() == CIPHER for line in lines if line.startswith("name"))


def take_over(sock: socket.socket) -> None:
    """Put the socket into the hands of tls. Only where is_ulp_registered(). Raises OSError."""
    announce("setsockopt(%d, IPPROTO_TCP, TCP_ULP, tls)", sock.fileno())
    sock.setsockopt(socket.IPPROTO_TCP, TCP_ULP, MODULE.encode())


def encrypt(sock: socket.socket) -> None:
    """Encrypt what the socket sends, with a key that nobody knows. Only where is_cipher_registered().

    Raises OSError.
    """
    info = tls12_crypto_info_aes_gcm_128(version=TLS_1_2_VERSION, cipher_type=TLS_CIPHER_AES_GCM_128)
    info.key[:] = os.urandom(16)
    announce("setsockopt(%d, SOL_TLS, TLS_TX, %s)", sock.fileno(), CIPHER)
    sock.setsockopt(SOL_TLS, TLS_TX, bytes(info))
