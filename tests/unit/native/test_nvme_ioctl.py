# SPDX-License-Identifier: GPL-2.0-or-later
"""The admin command, as linux/nvme_ioctl.h has it."""

from __future__ import annotations

import ctypes

from kprobe_tool.native import nvme_ioctl


def test_the_admin_command_has_the_size_in_its_number() -> None:
    assert ctypes.sizeof(nvme_ioctl.nvme_passthru_cmd) == 72
    # _IOWR('N', 0x41, struct nvme_passthru_cmd)
    number = 3 << 30 | 72 << 16 | ord("N") << 8 | 0x41
    assert number == nvme_ioctl.NVME_IOCTL_ADMIN_CMD
