# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that a user names: read up to a size and without waiting for ever, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno as errnos
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, TypeVar

from kprobe_tool.errors import FileError

STDIN = "-"
T = TypeVar("T")


@contextlib.contextmanager
def open_input(path: str) -> Iterator[BinaryIO]:
    """A file to read, ``-`` is standard input. Raises FileError: also for a terminal behind ``-``, at which a user
    would wait for us, and for what is no file or pipe, a device or a directory, which may have no end.
    """
    try:
        descriptor = stdin() if path == STDIN else os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            kind = found.st_mode
            if stat.S_ISDIR(kind):
                raise FileError(path, errno=errnos.EISDIR)
            if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or is_null(found)):
                raise FileError(path, "neither a file nor a pipe")
            if path != STDIN:
                # Only the open is not to wait: a FIFO that nobody writes to reads as empty.
                os.set_blocking(descriptor, True)
            yield file
    except OSError as error:
        raise FileError.from_os(path, error) from error


def stdin() -> int:
    """Standard input, as a descriptor of its own. Raises FileError."""
    if sys.stdin is None:
        raise FileError("standard input", "closed")
    if os.isatty(0):
        raise FileError("standard input", "a terminal", hint="name a file, or pipe one in")
    return os.dup(0)


def is_null(found: os.stat_result) -> bool:
    """/dev/null is as good as an empty file, and what a shell gives to a job in the background."""
    # Linux Documentation/admin-guide/devices.txt: 1 char, 3 = /dev/null
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3)


def read(path: str, maximum: int) -> bytes:
    """A file of at most ``maximum`` bytes; a longer one is refused whole. Raises FileError."""
    with open_input(path) as file:
        return read_open(file, path, maximum)


def read_open(file: BinaryIO, path: str, maximum: int) -> bytes:
    """The rest of an opened file, as :func:`read` does."""
    data = bytearray()
    # In pieces: a read of that many bytes would reserve the memory for them first.
    while part := file.read(min(1 << 20, maximum + 1 - len(data))):
        data += part
    if len(data) > maximum:
        raise FileError(path, f"larger than {maximum >> 20} MiB")
    return bytes(data)


def read_document(path: str, maximum: int, name: str, what: str, parse: Callable[[Any], T]) -> T:
    """What ``parse`` makes of a JSON document of this tool: the one of this name, ``what`` it is for people.

    It is hostile input: ``parse`` looks at all that it takes, and raises ValueError, TypeError or KeyError where it
    is not what it should be. Raises FileError.
    """
    import json

    raw = read(path, maximum)
    try:
        document = json.loads(raw)
        if document["document"] != name:
            raise ValueError(f"it is the document {document['document']!r:.40}")
        return parse(document)
    except RecursionError as error:
        raise FileError(path, f"not {what}: nested too deep") from error
    except (ValueError, TypeError, KeyError) as error:
        # json.JSONDecodeError and UnicodeDecodeError are ValueErrors.
        why = f"missing {error}" if isinstance(error, KeyError) else str(error)
        raise FileError(path, f"not {what}: {why}") from error


def replace(path: str, lines: Iterable[str], mode: int) -> None:
    """Write lines to a file of this mode, whatever the umask is.

    A reader sees the old file or the new one, and after a failure (a full disk, say) the old one is still there. A
    regular file of that name is replaced, and a symbolic link itself; anything else is refused. Raises FileError.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise FileError(path, "not a regular file")
    try:
        directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            write_in(directory, os.path.basename(path), lines, mode)
            # The new name survives a power cut too, where the file system can promise that.
            with contextlib.suppress(OSError):
                os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise FileError(path, errno=error.errno) from error


def write_in(directory: int, name: str, lines: Iterable[str], mode: int) -> None:
    """The new file, which has no name while it is written: whoever is killed meanwhile leaves nothing.

    A name is given to it only to be renamed at once, since linkat(2) replaces nothing. Raises OSError.
    """
    # In the same directory, since rename(2) stays within a file system; hidden, so that no collector reads it.
    temporary = f".kprobe-tool-{os.urandom(8).hex()}"
    descriptor, named = create(directory, temporary)
    try:
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
            if not named:
                # With a directory of its own, or Python calls link(2), which does not follow this link.
                os.link(f"/proc/self/fd/{descriptor}", temporary, dst_dir_fd=directory, follow_symlinks=True)
                named = True
        os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        if named:
            os.unlink(temporary, dir_fd=directory)
        raise


def create(directory: int, name: str) -> tuple[int, bool]:
    """A new file to write, and whether it has this name: not where the file system and /proc can do without."""
    if os.path.exists("/proc/self/fd"):
        try:
            return os.open(".", os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600, dir_fd=directory), False
        except OSError as error:
            # open(2): no O_TMPFILE in this file system, or in this kernel (before v3.11).
            if error.errno not in {errnos.EOPNOTSUPP, errnos.EISDIR, errnos.ENOENT}:
                raise
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory), True
