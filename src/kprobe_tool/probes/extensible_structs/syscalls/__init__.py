# SPDX-License-Identifier: GPL-2.0-or-later
"""One file for each system call that can be asked: its struct and flags as data, and the calls that ask for them."""
