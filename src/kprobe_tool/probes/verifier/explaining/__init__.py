# SPDX-License-Identifier: GPL-2.0-or-later
"""From a log to what was wrong, where, and what to do."""
