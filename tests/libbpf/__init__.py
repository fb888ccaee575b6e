# SPDX-License-Identifier: GPL-2.0-or-later
"""verifier-log load with a newer libbpf than Debian 12's, which takes BPF tokens by itself (since its 1.4).

Opt-in: ``make test-libbpf`` unpacks Debian 13's libbpf, with its C library, into the directory that
KPROBE_TOOL_LIBBPF names, and runs this interpreter with them.
"""
