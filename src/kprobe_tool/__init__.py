# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask the running Linux kernel, and say what its answer means."""

__version__ = "0.1.0"
