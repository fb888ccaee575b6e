# SPDX-License-Identifier: GPL-2.0-or-later
"""What newer kernels have changed under this tool: read in their sources and types, nothing is booted."""
