# SPDX-License-Identifier: GPL-2.0-or-later
"""One file or package per subcommand: options in, probe called, records handed to report."""
