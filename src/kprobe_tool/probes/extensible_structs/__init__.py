# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls that take a struct which grows: what the running kernel understands of it.

``table`` names the system calls, one module each holds its fields and flags as data and how it is asked; ``probe``
asks one, ``compare`` sets the answers against the release and against another host's.
"""
