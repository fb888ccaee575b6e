# SPDX-License-Identifier: GPL-2.0-or-later
"""How README.md says to install: the tests of clean roots do it in these words."""

APT = "apt install ./kprobe-tool_*_all.deb"
PIPX = "pipx install --system-site-packages ./kprobe_tool-*.whl"
PYZ = "python3 kprobe-tool.pyz audit"
MAN_OF_OLD_PIPX = 'export MANPATH=":$(pipx environment --value PIPX_LOCAL_VENVS)/kprobe-tool/share/man"'
UV = "uv tool install ./kprobe_tool-*.whl"
MAN_OF_UV = 'export MANPATH=":$(uv tool dir)/kprobe-tool/share/man"'
BASH_COMPLETION = 'eval "$(_KPROBE_TOOL_COMPLETE=bash_source kprobe-tool)"'
