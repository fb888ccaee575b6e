# SPDX-License-Identifier: GPL-2.0-or-later
"""Does this kernel show one network namespace's RDS to another?

Asked with two children in throw-away namespaces of their own: an *owner* who makes rows of every kind it can (the
canary), and an *observer* who made none and reads everything. What the observer is told that is not its own, leaked.
Without a canary in a list an idle host that leaks and one that does not look alike, and the answer is
``inconclusive``. No root is needed where users may make user namespaces, and nothing outlives the children.
"""

from __future__ import annotations

import errno as errnos
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from kprobe_tool.checks import Finding, Method, Status
from kprobe_tool.errors import Error, errno_name
from kprobe_tool.native import kmod, link, procfs, rds, sched
from kprobe_tool.native.child import Child, Request
from kprobe_tool.native.silent_peer import SilentPeer
from kprobe_tool.probes.rds.presence import presence

DEADLINE = 90.0
"""Seconds for the whole experiment; it takes two or three, more on an emulated machine."""
SETTLE = 8.0
"""Seconds to wait for rows that the kernel makes in its own time (TCP connections, the retransmit queue)."""

SYMBOLS = ("rds_sock_count", "rds_tcp_tc_count", "rds6_tcp_tc_count")
"""Host-wide counters (net/rds/af_rds.c, net/rds/tcp.c) that the fix removed. A second witness, never the verdict."""

NETWORK = "198.51.100.0/24"
LOCAL = "198.51.100.200"
SILENT = "198.51.100.2"
DEAD = "198.51.100.9"
"""TEST-NET-2 (RFC 5737), on the loopback device of a namespace that nobody else is in."""
PEER_PORT = 4000
# net/rds/tcp.h
RDS_TCP_PORT = 16385
SILENT_PORT = 32776
"""Newer kernels read the number of the path from the source port, modulo RDS_MPATH_WORKERS (8): path 0."""
MADE = "made"


class Outcome(StrEnum):
    """What one option showed to the observer."""

    LEAKS = "leaks"
    COUNT_LEAKS = "count-leaks"
    ISOLATED = "isolated"
    GLOBAL = "global"
    UNAVAILABLE = "unavailable"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class OptionResult:
    """One RDS_INFO_* option: rows the observer saw, how many were its own, rows by the zero-length probe, and
    rows the canary's owner had. None where the option could not be read."""

    optname: str
    outcome: Outcome
    rows_seen: int | None
    rows_own: int | None
    count_probe: int | None
    canary_rows: int | None
    errno: str | None = None

    def as_dict(self) -> dict[str, object]:
        return {**vars(self), "outcome": self.outcome.value}


@dataclass(frozen=True)
class Experiment:
    """Everything that was seen. ``delivered`` and ``bind_taken`` are None where that question could not be put."""

    options: Sequence[OptionResult]
    delivered: bool | None
    delivery_detail: str
    bind_taken: bool | None
    bind_detail: str
    symbols: Mapping[str, str | None] | None
    tcp_canary: str

    def second_witness(self) -> str:
        """What /proc/kallsyms says, for people; no verdict rests on it."""
        if self.symbols is None:
            return "second witness: /proc/kallsyms cannot be read"
        if not self.symbols:
            return "second witness: no symbol of an unfixed kernel in /proc/kallsyms"
        return f"second witness: /proc/kallsyms has {', '.join(sorted(self.symbols))}, which the fix removed"

    def with_outcome(self, *outcomes: Outcome) -> list[OptionResult]:
        return [option for option in self.options if option.outcome in outcomes]


def enter_namespaces() -> None:
    """Namespaces of our own, in which loopback works."""
    sched.leave_for_new_netns()
    link.loopback_up()


def count_rows(fd: int, option: rds.InfoOption) -> tuple[int, list[rds.Record]]:
    """Bytes by the zero-length probe turned into rows, and the rows themselves."""
    needed = rds.bytes_needed(fd, option)
    answer = rds.read_info(fd, option)
    return needed // answer.record_size, list(answer.records())


class Owner:
    """The canary's owner. Its sockets live as long as its process."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []

    def serve(self, request: Request) -> Request:
        steps = (self.canary, self.tcp, self.hang_up, self.rows, self.received)
        return {step.__name__: step for step in steps}[request["do"]](request)

    def canary(self, request: Request) -> Request:
        """A socket each for IPv4 and IPv6 with a message to itself: rows of SOCKETS, CONNECTIONS and RECV."""
        enter_namespaces()
        ports = {}
        for address in ("127.0.0.1", "::1"):
            sock = rds.open_socket()
            try:
                # The bind table is the whole host's: the kernel must choose a free port.
                rds.bind(sock.fileno(), address, 0)
                port = sock.getsockname()[1]
                rds.sendto(sock.fileno(), b"canary", address, port)
            except OSError:
                if address != "::1":
                    raise
                # IPv6 may be off; the IPv4 rows are in the RDS6 lists too.
                sock.close()
                continue
            self.sockets.append(sock)
            ports[address] = port
        return {"ports": ports}

    def tcp(self, request: Request) -> Request:
        """Connections of rds_tcp, which must be loaded: one that falls silent after the handshake (RETRANS), one
        that is never answered (SEND, TCP_SOCKETS).

        The peers are addresses on the loopback device that are nobody's, so that it takes no other module. Ours is
        the larger address: RDS reconnects for ever from the smaller one, and rds_tcp's sockets would keep the
        namespace alive (net/rds/threads.c, rds_queue_reconnect(); net/rds/tcp.c, rds_tcp_tune()). So it is the
        silent peer that connects (net/rds/tcp_connect.c, rds_tcp_state_change()).
        """
        link.give_up_early()
        link.add_loopback_network(LOCAL, NETWORK)
        self.peer = SilentPeer()
        sock = rds.open_socket()
        self.sockets.append(sock)
        rds.bind(sock.fileno(), LOCAL, 0)

        def rows(optname: str) -> list[rds.Record]:
            return list(rds.read_info(sock.fileno(), rds.OPTIONS[optname]).records())

        def connected() -> bool:
            up = rds.RDS_INFO_CONNECTION_FLAG_CONNECTED
            found = rows("RDS_INFO_CONNECTIONS")
            return any(isinstance(row, rds.Connection) and row.faddr == SILENT and row.flags & up for row in found)

        if not self.peer.connect((SILENT, SILENT_PORT), (LOCAL, RDS_TCP_PORT), SETTLE) or not wait_for(connected):
            return {"detail": "rds_tcp did not accept a connection"}
        rds.sendto(sock.fileno(), b"canary", SILENT, PEER_PORT)
        rds.sendto(sock.fileno(), b"canary", DEAD, PEER_PORT)
        if not wait_for(lambda: rows("RDS_INFO_RETRANS_MESSAGES")):
            return {"detail": "nothing came into the retransmit queue"}
        return {"detail": MADE}

    def hang_up(self, request: Request) -> Request:
        """Nothing must be left to time out when the check ends in peace."""
        self.peer.hang_up(LOCAL)
        return {}

    def rows(self, request: Request) -> Request:
        """How many rows the owner has itself, by option: the proof that there was something to leak."""
        counts = {}
        for name, option in rds.OPTIONS.items():
            try:
                counts[name] = len(rds.read_info(self.sockets[0].fileno(), option))
            except OSError:
                counts[name] = 0
        return {"counts": counts}

    def received(self, request: Request) -> Request:
        """Empty the IPv4 canary's receive queue, waiting a little, and say whether the token was in it."""
        sock = self.sockets[0]
        sock.settimeout(request["wait"])
        messages = []
        try:
            while request["token"] not in messages:
                messages.append(sock.recv(256).decode("ascii", "backslashreplace"))
        except TimeoutError:
            pass
        return {"messages": messages}


def tcp_canary(owner: Child) -> str:
    """Fill the lists of rds_tcp as far as that loads no module, and say how far.

    Where a row is missing its list is inconclusive; everything else can still be told.
    """
    if not kmod.loaded("rds_tcp"):
        return "rds_tcp is not loaded"
    if "PACKET" not in procfs.protocols():
        return "AF_PACKET is not there"
    try:
        return str(owner.ask(do="tcp")["detail"])
    except TimeoutError:
        raise
    except OSError as error:
        return f"not made: {Error.from_os(error.filename or 'tcp', error)}"


def wait_for(condition: Callable[[], object], seconds: float = SETTLE) -> bool:
    """Wait until it holds, or the time is over: then the canary's own rows will say so."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Observer:
    """Reads everything from a namespace of its own in which nothing happened."""

    def serve(self, request: Request) -> Request:
        return {"read": self.read, "bind": self.bind, "send": self.send}[request["do"]](request)

    def read(self, request: Request) -> Request:
        enter_namespaces()
        self.socket = rds.open_socket()
        inode = rds.socket_inode(self.socket)
        result: dict[str, Request] = {}
        for name, option in rds.OPTIONS.items():
            try:
                counted, records = count_rows(self.socket.fileno(), option)
            except OSError as error:
                result[name] = {"errno": errno_name(error.errno or 0)}
                continue
            own = sum(1 for record in records if isinstance(record, rds.Socket) and record.inum == inode)
            result[name] = {"seen": len(records), "own": own, "counted": counted}
        return {"options": result}

    def bind(self, request: Request) -> Request:
        """Try to bind what the owner has bound, after a port of the kernel's choice as the control."""
        with rds.open_socket() as control:
            rds.bind(control.fileno(), "127.0.0.1", 0)
        with rds.open_socket() as sock:
            try:
                rds.bind(sock.fileno(), "127.0.0.1", request["port"])
            except OSError as error:
                return {"errno": errno_name(error.errno or 0)}
        return {"errno": None}

    def send(self, request: Request) -> Request:
        with rds.open_socket() as sock:
            rds.bind(sock.fileno(), "127.0.0.1", 0)
            rds.sendto(sock.fileno(), request["token"].encode(), "127.0.0.1", request["port"])
        return {}


def judge(optname: str, seen: Mapping[str, Any], canary_rows: int) -> OptionResult:
    """One option's outcome from what the observer saw and the owner had."""
    if "errno" in seen:
        outcome = Outcome.UNAVAILABLE if seen["errno"] == "ENOPROTOOPT" else Outcome.INCONCLUSIVE
        return OptionResult(optname, outcome, None, None, None, canary_rows, seen["errno"])
    foreign = seen["seen"] - seen["own"]
    # The observer's own unbound socket may be counted where it is not listed.
    counted_foreign = seen["counted"] - max(seen["seen"], 1 if optname.endswith("_SOCKETS") else 0)
    if optname == "RDS_INFO_COUNTERS":
        outcome = Outcome.GLOBAL
    elif foreign > 0:
        outcome = Outcome.LEAKS
    elif canary_rows == 0:
        outcome = Outcome.INCONCLUSIVE
    elif counted_foreign > 0:
        outcome = Outcome.COUNT_LEAKS
    else:
        outcome = Outcome.ISOLATED
    return OptionResult(optname, outcome, seen["seen"], seen["own"], seen["counted"], canary_rows)


def experiment() -> Experiment:
    """Run it, once per process. RDS must be registered. Raises Error where it cannot be run."""
    done = attempt()
    if isinstance(done, Error):
        raise done
    return done


@cache
def attempt() -> Experiment | Error:
    """A failure is remembered too: a kernel that does not answer is not asked by every check again."""
    deadline = time.monotonic() + DEADLINE
    token = os.urandom(8).hex()
    try:
        with Child(Owner().serve, deadline) as owner, Child(Observer().serve, deadline) as observer:
            ports = owner.ask(do="canary")["ports"]
            tcp_detail = tcp_canary(owner)
            canary = owner.ask(do="rows")["counts"]
            seen = observer.ask(do="read")["options"]
            bind_errno = observer.ask(do="bind", port=ports["127.0.0.1"])["errno"]
            # The owner's own message is the control: where that is not delivered, a stranger's says nothing.
            messages = owner.ask(do="received", token="canary", wait=SETTLE)["messages"]
            observer.ask(do="send", port=ports["127.0.0.1"], token=token)
            messages += owner.ask(do="received", token=token, wait=1.0)["messages"]
            if tcp_detail == MADE:
                owner.ask(do="hang_up")
    except TimeoutError:
        return Error("leak check", f"no answer within {DEADLINE:.0f} s", errno=errnos.ETIMEDOUT)
    except OSError as error:
        hint = "it needs user namespaces (user.max_user_namespaces, kernel.unprivileged_userns_clone) or root"
        return Error.from_os("leak check in throw-away namespaces", error, hint=hint)
    control = "canary" in messages
    try:
        symbols: Mapping[str, str | None] | None = procfs.kernel_symbols(set(SYMBOLS))
    except OSError:
        symbols = None
    return Experiment(
        options=[judge(name, seen[name], canary[name]) for name in rds.OPTIONS],
        delivered=token in messages if control else None,
        delivery_detail=f"the owner received {len(messages)} messages"
        if control
        else "the owner did not receive its own message",
        bind_taken={None: False, "EADDRINUSE": True}.get(bind_errno),
        bind_detail=f"bind() of the owner's 127.0.0.1 port: {bind_errno or 'success'}",
        symbols=symbols,
        tcp_canary=tcp_detail,
    )


def check(check_id: str) -> Finding:
    """What the experiment says about one check. RDS that is not registered is not asked. Raises Error."""
    status = presence()
    if not status.registered:
        return Finding(Status.NOT_APPLICABLE, status.absence(), Method.CONFIG, status.evidence())
    return JUDGES[check_id](experiment())


def evidence_of(done: Experiment) -> dict[str, object]:
    return {
        "options": [option.as_dict() for option in done.options],
        "tcp_canary": done.tcp_canary,
        "symbols_of_unfixed_kernels": None if done.symbols is None else sorted(done.symbols),
    }


def rows_finding(done: Experiment) -> Finding:
    leaking = done.with_outcome(Outcome.LEAKS)
    told = done.with_outcome(Outcome.ISOLATED, Outcome.COUNT_LEAKS)
    if leaking:
        reason = f"{len(leaking)} of {len(leaking) + len(told)} options return rows of other network namespaces"
        return Finding(Status.AFFECTED, reason, evidence=evidence_of(done))
    return no_leak_seen(done, told, "return only the caller's rows")


def counts_finding(done: Experiment) -> Finding:
    counting = done.with_outcome(Outcome.COUNT_LEAKS, Outcome.LEAKS)
    if counting:
        reason = f"{len(counting)} options tell the number of rows of other network namespaces"
        return Finding(Status.AFFECTED, reason, evidence=evidence_of(done))
    return no_leak_seen(done, done.with_outcome(Outcome.ISOLATED), "count only the caller's rows")


def no_leak_seen(done: Experiment, told: Sequence[OptionResult], what: str) -> Finding:
    """Is that an answer? Only when at least the sockets, which every kernel lists, were among what was told."""
    silent = ", ".join(option.optname for option in done.with_outcome(Outcome.INCONCLUSIVE))
    if not any(option.optname.endswith("INFO_SOCKETS") for option in told):
        return Finding(
            Status.UNKNOWN,
            f"no canary row in {silent}",
            evidence=evidence_of(done),
            settle="a kernel that lets the tool bind an RDS socket in a namespace of its own",
        )
    left = f"; nothing to see in {silent}" if silent else ""
    return Finding(Status.OK, f"{len(told)} options {what}{left}", evidence=evidence_of(done))


def delivery_finding(done: Experiment) -> Finding:
    evidence: dict[str, object] = {"delivered": done.delivered, "detail": done.delivery_detail}
    if done.delivered is None:
        settle = "working RDS loopback in a namespace"
        return Finding(Status.UNKNOWN, done.delivery_detail, evidence=evidence, settle=settle)
    if done.delivered:
        reason = "a message to 127.0.0.1 arrived on a socket in another network namespace"
        return Finding(Status.AFFECTED, reason, evidence=evidence)
    return Finding(Status.OK, "a message to a socket in another network namespace was dropped", evidence=evidence)


def bind_finding(done: Experiment) -> Finding:
    evidence: dict[str, object] = {"bind_taken": done.bind_taken, "detail": done.bind_detail}
    if done.bind_taken is None:
        settle = "bind() answering success or EADDRINUSE"
        return Finding(Status.UNKNOWN, done.bind_detail, evidence=evidence, settle=settle)
    if done.bind_taken:
        reason = "EADDRINUSE tells of a socket bound in another network namespace"
        return Finding(Status.AFFECTED, reason, evidence=evidence)
    return Finding(
        Status.OK, "the same address and port could be bound in another network namespace", evidence=evidence
    )


JUDGES: dict[str, Callable[[Experiment], Finding]] = {
    "rds-info-netns-leak": rows_finding,
    "rds-info-count-leak": counts_finding,
    "rds-netns-delivery": delivery_finding,
    "rds-bind-netns": bind_finding,
}
