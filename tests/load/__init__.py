# SPDX-License-Identifier: GPL-2.0-or-later
"""The tool on hosts that are crowded: make load."""
