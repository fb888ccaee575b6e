# SPDX-License-Identifier: GPL-2.0-or-later
from kprobe_tool.cli import main

main()
