# SPDX-License-Identifier: GPL-2.0-or-later
"""NVMe I/O queues: how many a host asked for, how many it was granted, and how they are mapped to CPUs."""
