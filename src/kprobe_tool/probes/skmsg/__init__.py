# SPDX-License-Identifier: GPL-2.0-or-later
"""sk_msg: does an element that is a page of the page cache keep the copy bit that protects it?"""
