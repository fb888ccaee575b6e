# SPDX-License-Identifier: GPL-2.0-or-later
"""RDS: what the kernel's RDS_INFO_* options say, and to whom."""
