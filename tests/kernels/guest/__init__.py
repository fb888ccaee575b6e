# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests that run inside a booted kernel, as root. Nothing in here may run anywhere else."""
