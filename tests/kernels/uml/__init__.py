# SPDX-License-Identifier: GPL-2.0-or-later
"""A User Mode Linux kernel that has CHECK_FIELDS: an ordinary program. Opt-in, since it has to be built."""
