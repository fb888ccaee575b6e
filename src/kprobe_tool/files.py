# SPDX-License-Identifier: GPL-2.0-or-later
"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable

from kprobe_tool.errors import Error


def replace(path: str, lines: Iterable[str], mode: int) -> None:
    """Write lines to a file of this mode, whatever the umask is.

    A reader sees the old file or the new one, and after a failure (a full disk, say) the old one is still there. A
    regular file of that name is replaced, and a symbolic link itself; anything else is refused. Raises Error.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise Error(path, "not a regular file")
    directory = os.path.dirname(path) or "."
    try:
        # In the same directory, since rename(2) stays within a file system; hidden, so that no collector reads it.
        descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=".kprobe-tool-")
        try:
            with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.writelines(f"{line}\n" for line in lines)
                file.flush()
                os.fchmod(descriptor, mode)
                os.fsync(descriptor)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise Error(path, errno=error.errno) from error
    # The new name survives a power cut too, where the file system can promise that.
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
