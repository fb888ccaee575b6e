# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab: finds Debian kernels, caches them, and boots them in QEMU."""
