# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading a log: its lines, what surrounds them, and what they say of the program."""
