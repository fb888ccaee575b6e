# SPDX-License-Identifier: GPL-2.0-or-later
"""How README.md says to install: the tests of clean roots do it in these words."""

APT = "apt install ./kprobe-tool_*_all.deb"
PIPX = "pipx install --system-site-packages ./kprobe_tool-*.whl"
PYZ = "python3 kprobe-tool.pyz audit"
