# SPDX-License-Identifier: GPL-2.0-or-later
"""What the BPF programs in bpf/ share with Python, each in a file of the same name: records, settings, numbers."""
