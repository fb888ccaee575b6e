# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the running kernel keeps the fields that our BPF programs read, as macros for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kprobe_tool.errors import Error
from kprobe_tool.native.btf import Btf


def field_macros(wanted: Mapping[str, Sequence[str]], types: Btf) -> dict[str, int]:
    """Macros for the READ of bpf/include/kprobe_tool.h: NAME_OFFSET and NAME_SIZE of each field in bytes.

    ``wanted`` says under which paths (``sk_msg.sg.copy``) a field is to be found, the names that it had in other
    kernels included. Raises Error where none of them is in this kernel.
    """
    macros = {}
    for name, paths in wanted.items():
        found = next((place for path in paths if (place := types.place_of(path)) is not None), None)
        if found is None or found[1] is None:
            raise Error("BTF", f"no {' or '.join(paths)} in this kernel", hint="it may be newer than this tool")
        macros[f"{name}_OFFSET"], macros[f"{name}_SIZE"] = found[0], found[1]
    return macros
