# SPDX-License-Identifier: GPL-2.0-or-later
"""What the verifiers of several kernels say about the same programs."""
