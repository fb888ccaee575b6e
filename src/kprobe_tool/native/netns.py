# SPDX-License-Identifier: GPL-2.0-or-later
"""Network namespaces: finding them, opening them, being in one for a moment.

A namespace is the (st_dev, st_ino) of its nsfs file (fs/nsfs.c). Nothing here creates one: names are opened
with open(2), never with O_CREAT.
"""

from __future__ import annotations

import ctypes
import errno as errnos
import fcntl
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from kprobe_tool.native import bounded, syscall
from kprobe_tool.native.libc import announce, libc, oserror, text
from kprobe_tool.native.procfs import fd_targets, pids, unescape_mount
from kprobe_tool.native.sched import CLONE_NEWNET, setns
from kprobe_tool.native.stat import cached_status

NAMED = "/run/netns"
"""Where ip-netns(8) binds its names."""

# linux/nsfs.h: _IO(0xb7, 0x3)
NS_GET_NSTYPE = 0xB703

# linux/fcntl.h and fs/nsfs.c: file handles of namespaces
FD_NSFS_ROOT = -10003
FILEID_NSFS = 0xF1

FOREIGN_SECONDS = 2.0
"""Time for a path that others chose to show what is behind it."""

T = TypeVar("T")

libc.open_by_handle_at.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


class ns_id_req(ctypes.Structure):
    """linux/nsfs.h, 32 bytes."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("spare", ctypes.c_uint32),
        ("ns_id", ctypes.c_uint64),
        ("ns_type", ctypes.c_uint32),
        ("spare2", ctypes.c_uint32),
        ("user_ns_id", ctypes.c_uint64),
    )


class nsfs_file_handle(ctypes.Structure):
    """``struct file_handle`` with linux/nsfs.h's ``struct nsfs_file_handle`` as its f_handle."""

    _fields_ = (
        ("handle_bytes", ctypes.c_uint32),
        ("handle_type", ctypes.c_int32),
        ("ns_id", ctypes.c_uint64),
        ("ns_type", ctypes.c_uint32),
        ("ns_inum", ctypes.c_uint32),
    )


class Netns(NamedTuple):
    """One network namespace and one way to open it: a path, or an id of listns(2)."""

    dev: int
    inode: int
    name: str | None = None
    pid: int | None = None
    path: str | None = None
    ns_id: int | None = None

    @property
    def identity(self) -> tuple[int, int]:
        return self.dev, self.inode

    def open(self) -> int:
        """A file descriptor of the namespace. Raises OSError; ESTALE when the path leads elsewhere by now."""
        fd = open_ns_id(self.ns_id or 0) if self.path is None else open_nsfs(self.path)
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != self.identity:
            os.close(fd)
            raise OSError(errnos.ESTALE, "another namespace is there by now", self.path)
        return fd


def open_nsfs(path: str) -> int:
    """Open a namespace file. Raises OSError; EINVAL when the path leads to anything else.

    A path can be anything, and so can an open file of a process: opening a device or a FIFO has effects, and asking a
    dead file server takes for ever. So it is looked at with O_PATH and by what the kernel has cached, and opened only
    when it is on nsfs.
    """
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        status = cached_status(fd)
        if status.dev != os.stat("/proc/self/ns/net").st_dev or not stat.S_ISREG(status.mode):
            raise OSError(errnos.EINVAL, "not a namespace file", path)
        return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(fd)


def current() -> Netns:
    """The namespace that the calling process is in."""
    status = os.stat("/proc/self/ns/net")
    return Netns(status.st_dev, status.st_ino, path="/proc/self/ns/net")


def from_path(path: str, *, name: str | None = None, pid: int | None = None) -> Netns:
    """The namespace behind a path. Raises OSError; EINVAL when the path is no network namespace."""
    fd = open_nsfs(path)
    try:
        if fcntl.ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET:
            raise OSError(errnos.EINVAL, "a namespace, but not a network namespace", path)
        status = os.fstat(fd)
    finally:
        os.close(fd)
    return Netns(status.st_dev, status.st_ino, name=name, pid=pid, path=path)


def list_named() -> Iterator[Netns]:
    """The namespaces that ip-netns(8) lists; files there that are no namespace (any more) are passed over."""
    try:
        names = sorted(os.listdir(NAMED))
    except FileNotFoundError:
        return
    for name in names:
        try:
            yield from_path(f"{NAMED}/{name}", name=text(os.fsencode(name)))
        except OSError:
            continue


def list_by_process(hidden: list[int]) -> Iterator[Netns]:
    """The namespaces of all processes. Pids whose namespace we may not see are added to ``hidden``.

    For those Linux 5.10 answers with the link itself where it should refuse: taking exec_update_lock leaves 0 where
    -EACCES was (fs/proc/namespaces.c, proc_ns_get_link(), as of v5.10.262).
    """
    nsfs = current().dev
    for pid in pids():
        path = f"/proc/{pid}/ns/net"
        try:
            status = os.stat(path)
        except (FileNotFoundError, ProcessLookupError):
            continue
        except PermissionError:
            hidden.append(pid)
            continue
        if status.st_dev != nsfs:
            hidden.append(pid)
            continue
        yield Netns(status.st_dev, status.st_ino, pid=pid, path=path)


def list_by_open_file() -> Iterator[Netns]:
    """Namespaces that a process keeps by an open file only.

    A file opened through a bind mount that is gone by now reads as ``/`` (fs/d_path.c: the name of an nsfs file is
    made up, unless it is the root of its mount). So does the root of any other file system that was unmounted.
    """
    return list_foreign(
        [
            f"/proc/{pid}/fd/{number}"
            for pid in pids()
            for number, target in fd_targets(pid)
            if target == "/" or target.startswith("net:[")
        ]
    )


def list_by_mount() -> Iterator[Netns]:
    """Namespaces bound to a path anywhere in our mount namespace, as container runtimes do."""
    paths = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            words = line.split()
            if len(words) > 4 and words[3].startswith("net:["):
                paths.append(unescape_mount(words[4]))
    return list_foreign(paths)


def list_foreign(paths: Sequence[str]) -> Iterator[Netns]:
    """The namespaces behind those of the paths that lead to one.

    Looked at in a child that can be left behind: the way to a path can lead through a dead file server, and not every
    file system answers from its cache. What does not answer is no namespace, since nsfs waits for nobody.
    """
    for _, answer in bounded.run_each(paths, from_path_or_none, FOREIGN_SECONDS):
        if isinstance(answer, Netns):
            yield answer


def from_path_or_none(path: str) -> Netns | None:
    try:
        return from_path(path)
    except OSError:
        return None


def open_ns_id(ns_id: int) -> int:
    """open_by_handle_at(FD_NSFS_ROOT) of a namespace id."""
    handle = nsfs_file_handle(handle_bytes=16, handle_type=FILEID_NSFS, ns_id=ns_id)
    announce("open_by_handle_at(FD_NSFS_ROOT, netns %d)", ns_id)
    fd: int = libc.open_by_handle_at(FD_NSFS_ROOT, ctypes.byref(handle), os.O_RDONLY | os.O_CLOEXEC)
    if fd < 0:
        oserror("open_by_handle_at(2)", needs="CAP_DAC_READ_SEARCH")
    return fd


def list_by_listns() -> Iterator[Netns]:
    """Namespaces by listns(2), which sees those that only an open file keeps. Nothing on older kernels."""
    if syscall.number("listns") is None:
        return
    room = 128
    request = ns_id_req(size=ctypes.sizeof(ns_id_req), ns_type=CLONE_NEWNET)
    ids = (ctypes.c_uint64 * room)()
    while True:
        count = syscall.call("listns", ctypes.addressof(request), ctypes.addressof(ids), room, 0)
        if count <= 0:
            return
        for ns_id in ids[:count]:
            try:
                fd = open_ns_id(ns_id)
            except OSError:
                continue
            status = os.fstat(fd)
            os.close(fd)
            yield Netns(status.st_dev, status.st_ino, ns_id=ns_id)
        request.ns_id = ids[count - 1]


def call_inside(netns: Netns, function: Callable[[], T]) -> T:
    """Call ``function`` in a network namespace, in a thread of its own, and hand back what it gives or raises.

    setns(2) moves one thread only; the thread ends here, so nobody else ever runs in the foreign namespace.
    """
    if netns.identity == current().identity:
        return function()
    results: list[T] = []
    failures: list[BaseException] = []

    def enter() -> None:
        try:
            fd = netns.open()
            try:
                setns(fd, CLONE_NEWNET)
            finally:
                os.close(fd)
            results.append(function())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=enter, name="netns")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
