# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's raw answers, from the running kernel: everything that is read, before anything is understood."""

from __future__ import annotations

import errno as errnos
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from kprobe_tool.errors import Error, errno_name
from kprobe_tool.native import link, netns, procfs, rds, rds_info, sched
from kprobe_tool.native.child import Child, Request
from kprobe_tool.native.netns import Netns
from kprobe_tool.native.procfs import Process
from kprobe_tool.native.rds import InfoAnswer
from kprobe_tool.native.rds_info import InfoOption
from kprobe_tool.probes import namespaces

STRANGER_DEADLINE = 20.0
"""Seconds for a process in a namespace of its own to open a socket; an emulated machine takes one or two."""


class Reading(NamedTuple):
    """What the kernel answered one RDS socket: raw answers, and the errno's name for each option that gave none.

    ``netns`` is None where the rows can be those of any namespace and must be attributed. ``own_inodes`` are the
    tool's own sockets, which are left out of what the user is shown.
    """

    netns: Netns | None
    answers: Mapping[str, InfoAnswer]
    failures: Mapping[str, str]
    own_inodes: frozenset[int] = frozenset()


class Capture(NamedTuple):
    """Everything read in one go.

    ``selected`` are the namespaces asked for. ``leaking``: whether this kernel shows rows across namespaces, None
    where that could not be found out. Unless it is False, a row does not belong to the namespace of the socket that
    was asked, and is attributed by its address or its processes. ``local_addresses``, by inode, are used for that.
    They are empty where the kernel separates the rows, and where some namespace could not be looked into: the same
    address may be in that one too. ``holders`` are the processes behind socket inodes.
    """

    readings: Sequence[Reading]
    selected: Sequence[Netns]
    leaking: bool | None = None
    local_addresses: Mapping[int, frozenset[str]] = {}
    holders: Mapping[int, Sequence[Process]] = {}
    errors: Sequence[Error] = ()


def open_in(space: Netns) -> socket.socket:
    """An RDS socket of a network namespace; it stays there wherever its thread goes. Raises Error."""
    try:
        return netns.call_inside(space, rds.open_socket)
    except OSError as error:
        if (
            error.errno in {errnos.EAFNOSUPPORT, errnos.EPERM, errnos.EACCES}
            and space.identity == netns.current().identity
        ):
            raise Error.from_os(
                "socket(AF_RDS)", error, hint="RDS is registered, so a seccomp filter or security module refuses it"
            ) from error
        raise Error.from_os(label(space), error, hint=namespaces.enter_hint(error)) from error


def label(space: Netns) -> str:
    """How errors name a namespace."""
    if space.name is not None:
        return f"netns '{space.name}'"
    return f"netns of pid {space.pid}" if space.pid is not None else f"netns net:[{space.inode}]"


def read(
    sock: socket.socket, options: Iterable[InfoOption]
) -> tuple[dict[str, InfoAnswer], dict[str, str], list[Error]]:
    """Ask one socket for each option: answers, errnos, and the errors that are more than an absent option."""
    answers: dict[str, InfoAnswer] = {}
    failures: dict[str, str] = {}
    errors = []
    for option in options:
        try:
            answers[option.name] = rds.read_info(sock.fileno(), option)
        except OSError as error:
            failures[option.name] = errno_name(error.errno or 0)
            if error.errno != errnos.ENOPROTOOPT:
                errors.append(Error.from_os(option.name, error))
    return answers, failures, errors


def capture(spaces: Sequence[Netns], options: Sequence[InfoOption]) -> Capture:
    """Read ``options`` in each namespace. RDS must be registered (:mod:`kprobe_tool.probes.rds.presence`).

    Kernels without the namespace filter return everybody's rows to everybody: there the lists are read once, and
    the rows are attributed later. Raises Error when no namespace at all could be asked.
    """
    readings: list[Reading] = []
    errors: list[Error] = []
    leaking = kernel_leaks()
    local_addresses: dict[int, frozenset[str]] = {}
    for space in spaces:
        try:
            sock = open_in(space)
        except Error as error:
            errors.append(error)
            continue
        with sock:
            if leaking and readings:
                # The caller may ask here, as opening a socket has shown; the rows would be the same again.
                continue
            answers, failures, new = read(sock, options)
            own_inodes = frozenset({rds.socket_inode(sock)})
        errors += new
        readings.append(Reading(space if leaking is False else None, answers, failures, own_inodes))
    if not readings:
        raise errors[0]
    if leaking is not False:
        everyone, hidden = namespaces.find_all()
        found, unread = addresses_of(everyone)
        if leaking:
            errors += unread
        if not hidden and not unread:
            local_addresses = found
    return Capture(readings, spaces, leaking, local_addresses, holders_of(readings), errors)


@cache
def kernel_leaks() -> bool | None:
    """Whether a socket of ours is shown one in a throw-away namespace; None where we may make no such namespace.

    That other socket is bound: RDS_INFO_SOCKETS, the older option that every kernel has, does not list unbound ones.
    """

    def serve_stranger(request: Request) -> Request:
        sched.unshare_netns()
        link.loopback_up()
        strangers.append(rds.open_socket())
        rds.bind(strangers[0].fileno(), "127.0.0.1", 0)
        listed = inodes(strangers[0])
        return {"inode": rds.socket_inode(strangers[0]), "control": rds.socket_inode(strangers[0]) in listed}

    def inodes(sock: socket.socket) -> set[int]:
        answer = rds.read_info(sock.fileno(), rds_info.OPTIONS["RDS_INFO_SOCKETS"])
        return set(answer.column("inum"))

    strangers: list[socket.socket] = []
    try:
        with Child(serve_stranger, time.monotonic() + STRANGER_DEADLINE) as child, rds.open_socket() as sock:
            found = child.ask()
            return found["inode"] in inodes(sock) if found["control"] else None
    except OSError:
        return None


def addresses_of(spaces: Iterable[Netns]) -> tuple[dict[int, frozenset[str]], list[Error]]:
    """The addresses of each namespace by its inode, and why others could not be read."""
    found: dict[int, frozenset[str]] = {}
    errors = []
    for space in spaces:
        try:
            found[space.inode] = netns.call_inside(space, link.addresses)
        except OSError as error:
            errors.append(Error.from_os(f"addresses of {label(space)}", error))
    return found, errors


def holders_of(readings: Iterable[Reading]) -> dict[int, list[Process]]:
    """The processes behind all sockets in the answers."""
    inodes: set[int] = set()
    for reading in readings:
        for answer in reading.answers.values():
            if answer.option.record is rds_info.RdsSocket:
                inodes.update(answer.column("inum"))
        inodes -= reading.own_inodes
    return procfs.socket_holders(inodes)
