# SPDX-License-Identifier: GPL-2.0-or-later
"""What a user would use instead: programs that Debian packages, and others given by path in the environment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection

from .model import Command, Missing


def installed(program: str, *words: str, codes: Collection[int] = (0,)) -> Command | Missing:
    """A program of a package that ``make bench`` installs."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    return Missing("not installed") if path is None else Command([path, *words], codes)


def given(variable: str, *words: str, codes: Collection[int] = (0,), rounds: int | None = None) -> Command | Missing:
    """A program that an environment variable names by its path, such as ``RDS_INFO=…/rds-info``."""
    path = os.environ.get(variable)
    return Command([path, *words], codes, rounds=rounds) if path else Missing(f"not given: {variable}=PATH")
