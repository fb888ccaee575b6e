# SPDX-License-Identifier: GPL-2.0-or-later
"""Run the cases on sockets of our own, in a child and where possible a network namespace that end with it.

A socket has to be in the sockmap before tls takes it over; the other way round every kernel refuses. Newer kernels
refuse both, and then nothing on kTLS can lose a copy bit. Three control calls tell this from a kTLS that does not
work.
"""

from __future__ import annotations

import errno as errnos
import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from kprobe_tool.errors import Error, errno_name
from kprobe_tool.native import bcc, host, kallsyms, link, sched, tls
from kprobe_tool.native.child import Child, Died, Request
from kprobe_tool.native.programs import skmsg_check
from kprobe_tool.native.programs.skmsg_check import Record
from kprobe_tool.probes.skmsg.cases import CASES, OFFSET, Case, Send, SocketKind

DEADLINE = 180.0
"""Seconds for everything; it takes one, on an emulated machine two minutes."""
SUBJECT = "BPF on sockets"
PAGE = 4096
NO_NETNS = frozenset({errnos.EPERM, errnos.EACCES, errnos.ENOSYS, errnos.EINVAL, errnos.ENOSPC})
TLS_MERGE_OPEN_RECORD = "tls_merge_open_record"


class Controls(NamedTuple):
    """Three calls on sockets of their own: the errno's name of each, None where it succeeded.

    ``tls``: TLS_TX on a socket in no sockmap. ``sockmap_then_tls``, ``tls_then_sockmap``: both, in this order.
    """

    tls: str | None
    sockmap_then_tls: str | None
    tls_then_sockmap: str | None

    @property
    def closed(self) -> bool:
        return (self.tls, self.sockmap_then_tls, self.tls_then_sockmap) == (None, "EINVAL", "EINVAL")


class Run(NamedTuple):
    """One case on one socket. ``failure`` is what kept it from being run, as an error's text."""

    case: Case
    socket: SocketKind
    records: Sequence[Record]
    unchanged: bool | None
    failure: str | None = None

    def record(self, place: tuple[int, int]) -> Record | None:
        """The record that was taken after so many steps of a call."""
        return next((each for each in self.records if (each.call, each.after) == place), None)


class CopyBitExperiment(NamedTuple):
    """Everything that was seen. ``dev`` and ``ino`` are the file's, ``no_tls`` says why kTLS was not tried, and
    ``tls_loaded`` is None where it cannot be seen whether the kernel has kTLS."""

    runs: Sequence[Run]
    dev: int
    ino: int
    controls: Controls | None
    no_tls: str | None
    tls_loaded: bool | None
    own_netns: bool
    merge_open_record: bool | None


def enter_netns() -> bool:
    """A network namespace of our own with a working loopback; False where none is to be had.

    Without the privilege, where a filter refuses it, without CONFIG_NET_NS or beyond user.max_net_namespaces.
    """
    try:
        sched.unshare(sched.CLONE_NEWNET)
    except OSError as error:
        if error.errno not in NO_NETNS:
            raise
        return False
    link.loopback_up()
    return True


@contextmanager
def connection() -> Iterator[socket.socket]:
    """One end of a TCP connection with ourselves, of which nobody reads the other."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as sock,
        server.accept()[0],
    ):
        yield sock


def outcome(*steps: Callable[[socket.socket], None]) -> str | None:
    """Run the steps on a socket of their own until one fails: the name of its errno, None where none failed."""
    with connection() as sock:
        try:
            for step in steps:
                step(sock)
        except OSError as error:
            return errno_name(error.errno or errnos.EIO)
    return None


class Experimenter:
    """The child's side: the program, a file in memory, and sockets."""

    def serve(self, request: Request) -> Request:
        handlers = (self.prepare, self.control, self.run)
        try:
            return {handler.__name__: handler for handler in handlers}[request["do"]](request)
        except Error as error:
            return {"error": [error.subject, error.reason, error.errno, error.hint]}

    def prepare(self, request: Request) -> Request:
        own_netns = enter_netns()
        self.program = skmsg_check.CheckProgram()
        self.file = os.memfd_create("kprobe-tool-skmsg")
        os.write(self.file, os.urandom(PAGE))
        stat = os.fstat(self.file)
        return {"own_netns": own_netns, "dev": stat.st_dev, "ino": stat.st_ino}

    def control(self, request: Request) -> Request:
        """The three control calls: last the one that shows that kTLS was there all the time."""
        return {
            "sockmap_then_tls": outcome(self.program.take, tls.take_over, tls.encrypt),
            "tls_then_sockmap": outcome(tls.take_over, tls.encrypt, self.program.take),
            "tls": outcome(tls.take_over, tls.encrypt),
        }

    def content(self) -> str:
        return hashlib.sha256(os.pread(self.file, PAGE, 0)).hexdigest()

    def run(self, request: Request) -> Request:
        case = CASES[request["case"]]
        before = self.content()
        self.program.records()
        self.program.begin(case.plans)
        with connection() as sock, connection() as other:
            self.program.take(sock)
            if request["socket"] == SocketKind.KTLS:
                tls.take_over(sock)
                tls.encrypt(sock)
            failures = [self.send(other if how is Send.OTHER else sock, how, size) for how, size in case.sends]
        return {
            "records": [record.hex() for record in self.program.records()],
            "unchanged": self.content() == before,
            "failure": next(filter(None, failures), None),
        }

    def send(self, sock: socket.socket, how: Send, size: int) -> str | None:
        """A dropped message is EACCES to its sender; anything else keeps the case from saying much."""
        try:
            if how is Send.FILE:
                os.sendfile(sock.fileno(), self.file, OFFSET, size)
            else:
                sock.send(bytes(size))
        except PermissionError:
            return None
        except OSError as error:
            return str(Error.from_os("send", error))
        return None


def ask(child: Child, **request: str | int) -> Request:
    """Ask the child. Raises Error as it was raised there, OSError."""
    answer = child.ask(**request)
    if "error" in answer:
        subject, reason, number, hint = answer["error"]
        raise Error(subject, reason, errno=number, hint=hint)
    return answer


def run(child: Child, number: int, kind: SocketKind) -> Request:
    """What one case saw, or what kept it from being run."""
    about = {"test": CASES[number].name, "socket": kind.value}
    try:
        return {**about, **ask(child, do="run", case=number, socket=kind.value)}
    except (TimeoutError, Died):
        raise
    except OSError as error:
        failure = str(Error.from_os(error.filename or "socket", error))
        return {**about, "records": [], "unchanged": None, "failure": failure}


def why_no_tls() -> str | None:
    """What keeps kTLS from being tried without loading a module."""
    loaded = tls.is_ulp_registered()
    if loaded is None:
        return "whether this kernel has kTLS cannot be seen here (no /proc/kallsyms)"
    if not loaded:
        return "nothing uses kTLS here: the module tls is not loaded, and this tool loads none"
    if not tls.is_cipher_registered():
        return f"the cipher {tls.CIPHER} is not registered, and using it would load a module"
    return None


def require_privileges() -> None:
    """What an SK_MSG program and a sockmap need, beyond what all BPF does. Raises Error."""
    bcc.require_privileges(SUBJECT)
    capabilities = host.effective_capabilities()
    missing = [name for name in ("CAP_NET_ADMIN", "CAP_PERFMON") if name not in capabilities]
    if "CAP_SYS_ADMIN" not in capabilities and missing:
        raise Error(
            SUBJECT, errno=errnos.EPERM, hint=f"needs {' and '.join(missing)} as well: {host.privilege_hint()}"
        )


def merge_open_record() -> bool | None:
    """Whether the kernel has tls_merge_open_record(), None where that cannot be seen."""
    try:
        return TLS_MERGE_OPEN_RECORD in kallsyms.kernel_symbols({TLS_MERGE_OPEN_RECORD})
    except OSError:
        return None


def run_experiment() -> CopyBitExperiment:
    """Run it, once per process. Raises Error where it cannot be run."""
    done = attempt()
    if isinstance(done, Error):
        raise done
    return done


@cache
def attempt() -> CopyBitExperiment | Error:
    """A failure is remembered too: compiling is not tried again by every check."""
    try:
        return run_in_child()
    except Error as error:
        return error
    except TimeoutError:
        return Error(SUBJECT, f"no answer within {DEADLINE:.0f} s", errno=errnos.ETIMEDOUT)
    except OSError as error:
        return Error.from_os(f"{SUBJECT}: {error.filename}" if error.filename else SUBJECT, error)


def run_in_child() -> CopyBitExperiment:
    require_privileges()
    return experiment_of(gather(time.monotonic() + DEADLINE))


def gather(deadline: float) -> Request:
    """Everything that was seen, as it came from the child. Raises Error, OSError."""
    with Child(Experimenter().serve, deadline) as child:
        return run_all(child, ask(child, do="prepare"))


def run_all(child: Child, prepared: Request) -> Request:
    """The controls and all cases that are possible, in a child that is prepared. Raises Error, OSError."""
    no_tls = why_no_tls()
    controls = None if no_tls else ask(child, do="control")
    possible = {SocketKind.TCP} | ({SocketKind.KTLS} if controls and not controls["sockmap_then_tls"] else set())
    runs = [
        run(child, number, kind) for number, case in enumerate(CASES) for kind in case.sockets if kind in possible
    ]
    return {
        **prepared,
        "controls": controls,
        "runs": runs,
        "no_tls": no_tls,
        "tls_loaded": tls.is_ulp_registered(),
        "merge_open_record": merge_open_record(),
    }


def experiment_of(seen: Mapping[str, Any]) -> CopyBitExperiment:
    """What gather() saw, decoded."""
    cases = {case.name: case for case in CASES}
    runs = [
        Run(
            cases[each["test"]],
            SocketKind(each["socket"]),
            [skmsg_check.decode(bytes.fromhex(record)) for record in each["records"]],
            each["unchanged"],
            each["failure"],
        )
        for each in seen["runs"]
    ]
    controls = None if seen["controls"] is None else Controls(**seen["controls"])
    return CopyBitExperiment(**{**seen, "runs": runs, "controls": controls})
