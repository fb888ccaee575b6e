# SPDX-License-Identifier: GPL-2.0-or-later
"""Loads as they happen: put together, explained, and tried again where they left no log."""
