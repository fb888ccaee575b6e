# SPDX-License-Identifier: GPL-2.0-or-later
"""The oldest kernel that has what a BPF object uses."""
