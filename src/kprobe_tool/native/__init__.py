# SPDX-License-Identifier: GPL-2.0-or-later
"""One file per kernel header or facility. No judgement; only frozen dataclasses leave."""
