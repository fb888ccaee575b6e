# SPDX-License-Identifier: GPL-2.0-or-later
"""What the verifier says: the table of its messages, a file for each subject."""
