# SPDX-License-Identifier: GPL-2.0-or-later
"""What this tool costs, side by side with what a user would use instead. Nothing here is asserted.

A :class:`~bench.model.Case` is work that several contenders do, in turn, in the same run; its marks say what is to be
reached. ``make bench`` runs all, ``python -m bench --list`` shows them, ``python -m bench NAME...`` runs some.
"""
