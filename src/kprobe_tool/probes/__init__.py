# SPDX-License-Identifier: GPL-2.0-or-later
"""What is asked, in which order, and what an answer means. No click, no printing, no ctypes."""
