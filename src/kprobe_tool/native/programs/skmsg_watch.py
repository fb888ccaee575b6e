# SPDX-License-Identifier: GPL-2.0-or-later
"""The settings and events of bpf/skmsg_watch.c."""

from __future__ import annotations

import ctypes

from kprobe_tool.native.sched import TASK_COMM_LEN

HOOKS = ("VERDICT", "TLS", "PUSH", "POP", "PULL")
"""enum hook."""


class settings(ctypes.Structure):
    """What the options let through. 0 means any; without ``all`` only messages with an exposed element."""

    _fields_ = (
        ("pid", ctypes.c_uint32),
        ("netns", ctypes.c_uint32),
        ("port", ctypes.c_uint32),
        ("all", ctypes.c_uint32),
    )


class event(ctypes.Structure):
    """A message at a hook, up to its ``struct sg_list``. Ports are the host's, addresses the network's."""

    _fields_ = (
        ("time", ctypes.c_uint64),
        ("pid", ctypes.c_uint32),
        ("netns", ctypes.c_uint32),
        ("saddr", ctypes.c_uint8 * 16),
        ("daddr", ctypes.c_uint8 * 16),
        ("sport", ctypes.c_uint16),
        ("dport", ctypes.c_uint16),
        ("family", ctypes.c_uint16),
        ("hook", ctypes.c_uint16),
        ("comm", ctypes.c_char * TASK_COMM_LEN),
    )


EVENT_SIZE = ctypes.sizeof(event)
