# SPDX-License-Identifier: GPL-2.0-or-later
"""A diagnosis without addresses of the kernel, to be shown to others."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import TypeVar

ADDRESS = re.compile(r"(?<![=(\w])(?<!; )0xf[0-9a-f]{15}\b")
"""An address: not the bound of a number (``umax=0x...``) and not one of its bits (``var_off=(0x0; 0x...)``)."""
HIDDEN = "0x(address)"

T = TypeVar("T")


def redact(thing: T) -> T:
    """The same with every kernel address in every text replaced by ``0x(address)``."""
    if isinstance(thing, Enum):
        return thing
    if isinstance(thing, str):
        return type(thing)(ADDRESS.sub(HIDDEN, thing))
    if isinstance(thing, tuple):
        return type(thing)(redact(each) for each in thing)
    if is_dataclass(thing) and not isinstance(thing, type):
        return replace(thing, **{field.name: redact(getattr(thing, field.name)) for field in fields(thing)})
    return thing
