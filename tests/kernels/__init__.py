# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel lab: boots real Debian kernels in QEMU and runs the tests of guest/ inside them."""
