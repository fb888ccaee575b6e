# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that a user names: read up to a size, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from kprobe_tool.errors import Error


def read(path: str, maximum: int) -> bytes:
    """A file of at most ``maximum`` bytes; a longer one is refused whole. Raises Error."""
    try:
        with open(path, "rb") as file:
            raw = file.read(maximum + 1)
    except OSError as error:
        raise Error.from_os(path, error) from error
    if len(raw) > maximum:
        raise Error(path, f"larger than {maximum >> 20} MiB")
    return raw


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
        temporary = os.path.join(directory, f".kprobe-tool-{os.urandom(8).hex()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
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
