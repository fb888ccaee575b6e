# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls that take a struct which grows: what the running kernel understands of it.

``table`` names the system calls. Each has a file in ``syscalls``, with its fields and flags as data and the calls
that ask for them. ``ask`` asks one, ``judge`` says what the answers mean, ``compare`` sets them against the release
and against another host's.
"""
