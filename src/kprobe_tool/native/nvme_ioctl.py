# SPDX-License-Identifier: GPL-2.0-or-later
"""linux/nvme_ioctl.h: the one admin command that is ever sent to a controller."""

from __future__ import annotations

import ctypes
import errno as errnos
import fcntl
import os

# linux/nvme_ioctl.h: _IOWR('N', 0x41, struct nvme_passthru_cmd)
NVME_IOCTL_ADMIN_CMD = 0xC0484E41
# linux/nvme.h
NVME_ADMIN_GET_FEATURES = 0x0A
NVME_FEAT_NUM_QUEUES = 0x07


class nvme_passthru_cmd(ctypes.Structure):
    """linux/nvme_ioctl.h, 72 bytes."""

    _fields_ = (
        ("opcode", ctypes.c_uint8),
        ("flags", ctypes.c_uint8),
        ("rsvd1", ctypes.c_uint16),
        ("nsid", ctypes.c_uint32),
        ("cdw2", ctypes.c_uint32),
        ("cdw3", ctypes.c_uint32),
        ("metadata", ctypes.c_uint64),
        ("addr", ctypes.c_uint64),
        ("metadata_len", ctypes.c_uint32),
        ("data_len", ctypes.c_uint32),
        ("cdw10", ctypes.c_uint32),
        ("cdw11", ctypes.c_uint32),
        ("cdw12", ctypes.c_uint32),
        ("cdw13", ctypes.c_uint32),
        ("cdw14", ctypes.c_uint32),
        ("cdw15", ctypes.c_uint32),
        ("timeout_ms", ctypes.c_uint32),
        ("result", ctypes.c_uint32),
    )


def number_of_queues(name: str, timeout_ms: int) -> int:
    """Get Features, Number of Queues (07h), of /dev/NAME: I/O queues that the controller allocated.

    An admin command, and the controller has to answer it. The answer holds submission and completion queues, both
    0's based; the fewer count. Raises OSError; EIO where the controller refuses the command.
    """
    command = nvme_passthru_cmd(opcode=NVME_ADMIN_GET_FEATURES, cdw10=NVME_FEAT_NUM_QUEUES, timeout_ms=timeout_ms)
    fd = os.open(f"/dev/{name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = fcntl.ioctl(fd, NVME_IOCTL_ADMIN_CMD, command)
    finally:
        os.close(fd)
    if status:
        raise OSError(errnos.EIO, f"the controller refuses Get Features, NVMe status {status:#x}", f"/dev/{name}")
    result: int = command.result
    return min(result & 0xFFFF, result >> 16) + 1
