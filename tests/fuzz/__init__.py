# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutated inputs for everything that reads what others write: ``make fuzz``.

``targets`` has the parsers, ``python -m tests.fuzz`` the cheap loop over all of them, ``guided`` the same parsers
under atheris, which looks for inputs that reach new code.
"""
