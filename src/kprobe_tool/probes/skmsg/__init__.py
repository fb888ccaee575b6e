# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages of BPF sockmap and kTLS sockets: do the copy bits of their elements survive?"""
