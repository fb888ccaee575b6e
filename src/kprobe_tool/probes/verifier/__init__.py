# SPDX-License-Identifier: GPL-2.0-or-later
"""What the BPF verifier says about a program, and why."""
