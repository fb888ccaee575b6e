# SPDX-License-Identifier: GPL-2.0-or-later
"""What the experiment's answers mean: an outcome for each option, a finding for each check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from kprobe_tool.checks import Finding, Status
from kprobe_tool.probes.rds.experiment import VARIABLE, IsolationExperiment, OptionAnswer


class Isolation(StrEnum):
    """What one option showed to the observer."""

    LEAKS = "leaks"
    COUNT_LEAKS = "count-leaks"
    ISOLATED = "isolated"
    GLOBAL = "global"
    UNAVAILABLE = "unavailable"
    INCONCLUSIVE = "inconclusive"


class OptionResult(NamedTuple):
    """One RDS_INFO_* option: rows the observer saw, how many were its own, rows by the zero-length probe, and rows
    that were there to leak. None where the option could not be read."""

    optname: str
    outcome: Isolation
    rows_seen: int | None
    rows_own: int | None
    count_probe: int | None
    canary_rows: int | None
    errno: str | None = None

    def as_dict(self) -> dict[str, object]:
        return {**self._asdict(), "outcome": self.outcome.value}


def judge_option(optname: str, answer: OptionAnswer, canary_rows: int) -> OptionResult:
    """One option's outcome from what the observer saw and what was there to be seen."""
    if answer.errno is not None:
        outcome = Isolation.UNAVAILABLE if answer.errno == "ENOPROTOOPT" else Isolation.INCONCLUSIVE
        return OptionResult(optname, outcome, None, None, None, canary_rows, answer.errno)
    # The observer's own unbound socket may be counted where it is not listed.
    listed = max(answer.seen, 1 if optname.endswith("_SOCKETS") else 0)
    if optname == "RDS_INFO_COUNTERS":
        outcome = Isolation.GLOBAL
    elif answer.seen > answer.own:
        outcome = Isolation.LEAKS
    elif canary_rows == 0:
        # Nothing there, nothing seen: an idle host that leaks looks the same.
        outcome = Isolation.INCONCLUSIVE
    elif answer.counted > listed:
        outcome = Isolation.COUNT_LEAKS
    else:
        outcome = Isolation.ISOLATED
    return OptionResult(optname, outcome, answer.seen, answer.own, answer.counted, canary_rows)


def judge_options(experiment: IsolationExperiment) -> list[OptionResult]:
    return [judge_option(name, answer, experiment.canary_rows[name]) for name, answer in experiment.observed.items()]


def symbols_of_unfixed_kernels(symbols: Mapping[str, str | None] | None) -> list[str] | None:
    """Those that are there; None where symbols cannot be read, or none is shown and no other variable of rds."""
    if not symbols:
        return None
    return sorted(symbols.keys() - {VARIABLE})


def second_witness(symbols: Mapping[str, str | None] | None) -> str:
    """What /proc/kallsyms shows, for people; no verdict rests on it."""
    found = symbols_of_unfixed_kernels(symbols)
    if found is None:
        return "second witness: none, since /proc/kallsyms cannot be read or shows no variables"
    if not found:
        return "second witness: no symbol of an unfixed kernel in /proc/kallsyms"
    return f"second witness: /proc/kallsyms has {', '.join(found)}, which the fix removed"


def finding_of(check_id: str, experiment: IsolationExperiment) -> Finding:
    """What the experiment means for one check."""
    return JUDGES[check_id](experiment)


def judge_rows(experiment: IsolationExperiment) -> Finding:
    results = judge_options(experiment)
    leaking = with_outcome(results, Isolation.LEAKS)
    kept = with_outcome(results, Isolation.ISOLATED, Isolation.COUNT_LEAKS)
    if leaking:
        reason = (
            "any user can read addresses, ports and sequence numbers of RDS in other containers and on the host: "
            f"{len(leaking)} of {len(leaking) + len(kept)} lists of the kernel show them"
        )
        return Finding(Status.AFFECTED, reason, evidence=evidence_of(experiment, results))
    return judge_nothing_leaked(experiment, results, kept, "no list of RDS shows what is in other network namespaces")


def judge_counts(experiment: IsolationExperiment) -> Finding:
    results = judge_options(experiment)
    counting = with_outcome(results, Isolation.COUNT_LEAKS, Isolation.LEAKS)
    kept = with_outcome(results, Isolation.ISOLATED)
    if counting:
        reason = (
            "any user can count the RDS sockets, connections and messages of other containers and of the host: "
            f"{len(counting)} of {len(counting) + len(kept)} lists of the kernel count them"
        )
        return Finding(Status.AFFECTED, reason, evidence=evidence_of(experiment, results))
    return judge_nothing_leaked(
        experiment, results, kept, "no list of RDS counts what is in other network namespaces"
    )


def judge_nothing_leaked(
    experiment: IsolationExperiment, results: Sequence[OptionResult], kept: Sequence[OptionResult], meaning: str
) -> Finding:
    """Nothing leaked, which says something only of lists that had rows to leak; ``ok`` needs all that can have
    rows."""
    evidence = evidence_of(experiment, results)
    untried = untried_options(results)
    if not any(result.optname.endswith("INFO_SOCKETS") for result in kept):
        untried = sorted({*untried, "RDS_INFO_SOCKETS"})
    if untried:
        return Finding(
            Status.UNKNOWN,
            f"nothing was seen of other network namespaces, but {', '.join(untried)} could not be tried: "
            f"no row was there to be seen ({experiment.tcp_canary})",
            evidence=evidence,
            settle="RDS traffic on this host while the check runs, or unloading the transport that is not used",
        )
    return Finding(Status.OK, f"{meaning}; {len(kept)} were tried", evidence=evidence)


def untried_options(results: Sequence[OptionResult]) -> list[str]:
    """Options that can show rows right now and had none to show, or could not be read.

    While no transport is loaded an empty send queue is not one of them: the kernel's own loopback delivers at once,
    so that no message ever waits there.
    """
    transports = [result for result in results if "TCP_" in result.optname or "IB_" in result.optname]
    queues_empty = all(result.outcome is Isolation.UNAVAILABLE for result in transports)
    return [
        result.optname
        for result in with_outcome(results, Isolation.INCONCLUSIVE)
        if result.errno is not None
        or not (queues_empty and ("SEND" in result.optname or "RETRANS" in result.optname))
    ]


def with_outcome(results: Sequence[OptionResult], *outcomes: Isolation) -> list[OptionResult]:
    return [result for result in results if result.outcome in outcomes]


def evidence_of(experiment: IsolationExperiment, results: Sequence[OptionResult]) -> dict[str, object]:
    return {
        "options": [result.as_dict() for result in results],
        "tcp_canary": experiment.tcp_canary,
        "symbols_of_unfixed_kernels": symbols_of_unfixed_kernels(experiment.symbols),
    }


def judge_delivery(experiment: IsolationExperiment) -> Finding:
    """``ok`` wants three things: the message has left its sender's queues, the sender's next message over the same
    connection has arrived, and so has one that the owner sent itself after that."""
    sent = experiment.delivery
    evidence: dict[str, object] = {
        "delivered": sent.arrived,
        "still_queued": sent.queued,
        "sender_control": sent.sender_control,
        "owner_control": sent.owner_control,
        "errno": sent.errno,
    }
    if sent.arrived:
        reason = (
            "any user can send RDS messages into other containers and to the host: one that was sent to 127.0.0.1 "
            "in one network namespace arrived in another"
        )
        return Finding(Status.AFFECTED, reason, evidence={**evidence, "delivered": True})
    if sent.errno is not None:
        missing = f"the message could not be sent ({sent.errno})"
    elif sent.queued != 0:
        missing = "the message was still in its sender's queue, or the queue could not be read"
    elif not sent.sender_control:
        missing = "a second message of the sender, to itself, did not arrive either"
    elif not sent.owner_control:
        missing = "a message of the receiver to itself did not arrive either"
    else:
        reason = "an RDS message sent to 127.0.0.1 in one network namespace does not arrive in another"
        return Finding(Status.OK, reason, evidence={**evidence, "delivered": False})
    return Finding(
        Status.UNKNOWN,
        f"no message was seen to arrive in another network namespace, which proves nothing here: {missing}",
        evidence={**evidence, "delivered": None},
        settle="the same check on this host when it is less busy, or RDS loopback that works",
    )


def judge_bind(experiment: IsolationExperiment) -> Finding:
    evidence: dict[str, object] = {"errno": experiment.bind_errno}
    if experiment.bind_errno is None:
        reason = "an RDS address and port that is bound in one network namespace can be bound in another, too"
        return Finding(Status.OK, reason, evidence={**evidence, "bind_taken": False})
    if experiment.bind_errno == "EADDRINUSE":
        reason = (
            "any user can find out which RDS ports are in use in other containers and on the host, and can occupy "
            "them: bind() answers EADDRINUSE for a port that is bound in another network namespace"
        )
        return Finding(Status.AFFECTED, reason, evidence={**evidence, "bind_taken": True})
    return Finding(
        Status.UNKNOWN,
        f"whether RDS ports are separate could not be seen: bind() to 127.0.0.1 failed ({experiment.bind_errno})",
        evidence={**evidence, "bind_taken": None},
        settle="the same check where RDS sockets can be bound to 127.0.0.1",
    )


JUDGES: Mapping[str, Callable[[IsolationExperiment], Finding]] = {
    "rds-info-netns-leak": judge_rows,
    "rds-info-count-leak": judge_counts,
    "rds-netns-delivery": judge_delivery,
    "rds-bind-netns": judge_bind,
}
