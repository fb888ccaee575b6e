# SPDX-License-Identifier: GPL-2.0-or-later
"""What the experiment's answers mean. The experiment itself runs in booted kernels."""

import pytest

from kprobe_tool.checks import Status
from kprobe_tool.probes.rds.experiment import VARIABLE, DeliveryAttempt, IsolationExperiment, OptionAnswer
from kprobe_tool.probes.rds.judge import finding_of, judge_option, second_witness

OK, AFFECTED, UNKNOWN = Status.OK, Status.AFFECTED, Status.UNKNOWN


@pytest.mark.parametrize(
    ("optname", "answer", "canary", "outcome"),
    [
        ("RDS_INFO_CONNECTIONS", OptionAnswer(0, 0, 0), 3, "isolated"),
        ("RDS_INFO_CONNECTIONS", OptionAnswer(3, 0, 3), 3, "leaks"),
        # Rows of others prove it, canary or not.
        ("RDS_INFO_CONNECTIONS", OptionAnswer(1, 0, 1), 0, "leaks"),
        ("RDS_INFO_CONNECTIONS", OptionAnswer(0, 0, 3), 3, "count-leaks"),
        ("RDS_INFO_CONNECTIONS", OptionAnswer(0, 0, 1), 1, "count-leaks"),
        # Nothing there, nothing seen: an idle host that leaks looks the same.
        ("RDS_INFO_CONNECTIONS", OptionAnswer(0, 0, 0), 0, "inconclusive"),
        ("RDS_INFO_CONNECTIONS", OptionAnswer(errno="ENOPROTOOPT"), 0, "unavailable"),
        ("RDS_INFO_CONNECTIONS", OptionAnswer(errno="EPERM"), 3, "inconclusive"),
        ("RDS_INFO_COUNTERS", OptionAnswer(42, 0, 42), 42, "global"),
        ("RDS6_INFO_SOCKETS", OptionAnswer(1, 1, 1), 2, "isolated"),
        ("RDS6_INFO_SOCKETS", OptionAnswer(3, 1, 3), 2, "leaks"),
        # The observer's own unbound socket is counted here and not listed.
        ("RDS_INFO_SOCKETS", OptionAnswer(0, 0, 1), 2, "isolated"),
        ("RDS_INFO_SOCKETS", OptionAnswer(0, 0, 2), 2, "count-leaks"),
    ],
)
def test_each_answer_of_an_option_has_its_outcome(
    optname: str, answer: OptionAnswer, canary: int, outcome: str
) -> None:
    assert judge_option(optname, answer, canary).outcome == outcome


ISOLATED, LEAKS, COUNTS = OptionAnswer(), OptionAnswer(2, 0, 2), OptionAnswer(0, 0, 3)
ABSENT, REFUSED = OptionAnswer(errno="ENOPROTOOPT"), OptionAnswer(errno="EPERM")
DROPPED = DeliveryAttempt(arrived=False, errno=None, queued=0, sender_control=True, owner_control=True)
SOCKETS, SEND, RETRANS = "RDS_INFO_SOCKETS", "RDS6_INFO_SEND_MESSAGES", "RDS_INFO_RETRANS_MESSAGES"
TCP, IB = "RDS_INFO_TCP_SOCKETS", "RDS_INFO_IB_CONNECTIONS"


def experiment_of(answers: dict[str, OptionAnswer], empty: frozenset[str] = frozenset()) -> IsolationExperiment:
    """With a canary in every list but the ``empty`` ones."""
    rows = {name: 0 if name in empty else 2 for name in answers}
    return IsolationExperiment(answers, rows, DROPPED, None, {}, "rds_tcp did not accept a connection")


@pytest.mark.parametrize(
    ("answers", "empty", "rows", "counts"),
    [
        ({SOCKETS: ISOLATED, SEND: ISOLATED}, "", OK, OK),
        ({SOCKETS: LEAKS, SEND: ISOLATED}, "", AFFECTED, AFFECTED),
        ({SOCKETS: ISOLATED, SEND: LEAKS}, "", AFFECTED, AFFECTED),
        ({SOCKETS: COUNTS, SEND: ISOLATED}, "", OK, AFFECTED),
        # A list that nothing was in may leak; one that does, does.
        ({SOCKETS: ISOLATED, SEND: ISOLATED}, SOCKETS, UNKNOWN, UNKNOWN),
        ({SOCKETS: ISOLATED, SEND: LEAKS}, SOCKETS, AFFECTED, AFFECTED),
        ({SOCKETS: REFUSED, SEND: ISOLATED}, "", UNKNOWN, UNKNOWN),
        ({SEND: ISOLATED}, "", UNKNOWN, UNKNOWN),
        # Without a transport nothing waits to be sent, in any namespace.
        ({SOCKETS: ISOLATED, SEND: ISOLATED, TCP: ABSENT, IB: ABSENT}, SEND, OK, OK),
        ({SOCKETS: ISOLATED, RETRANS: ISOLATED, TCP: ABSENT, IB: ABSENT}, RETRANS, OK, OK),
        ({SOCKETS: ISOLATED, SEND: REFUSED, TCP: ABSENT, IB: ABSENT}, SEND, UNKNOWN, UNKNOWN),
        ({SOCKETS: ISOLATED, SEND: ISOLATED, TCP: ISOLATED, IB: ABSENT}, SEND, UNKNOWN, UNKNOWN),
        ({SOCKETS: ISOLATED, SEND: ISOLATED, TCP: ABSENT, IB: ISOLATED}, SEND, UNKNOWN, UNKNOWN),
        ({SOCKETS: ISOLATED, SEND: ISOLATED, TCP: ISOLATED, IB: ISOLATED}, IB, UNKNOWN, UNKNOWN),
    ],
)
def test_each_list_counts_for_the_verdicts(
    answers: dict[str, OptionAnswer], empty: str, rows: Status, counts: Status
) -> None:
    done = experiment_of(answers, frozenset({empty}))
    assert finding_of("rds-info-netns-leak", done).status is rows
    assert finding_of("rds-info-count-leak", done).status is counts


@pytest.mark.parametrize(
    ("attempt", "status", "delivered"),
    [
        (DROPPED, OK, False),
        (DROPPED._replace(arrived=True), AFFECTED, True),
        # What arrived, arrived, whatever else went wrong.
        (DeliveryAttempt(True, None, None, False, False), AFFECTED, True),
        # Each of these was an "ok" once: the message had not been handed over, or nothing could be.
        (DROPPED._replace(queued=1), UNKNOWN, None),
        (DROPPED._replace(queued=None), UNKNOWN, None),
        (DROPPED._replace(sender_control=False), UNKNOWN, None),
        (DROPPED._replace(owner_control=False), UNKNOWN, None),
        (DROPPED._replace(errno="EAGAIN"), UNKNOWN, None),
    ],
)
def test_delivery_is_judged_by_its_controls(attempt: DeliveryAttempt, status: Status, delivered: bool | None) -> None:
    finding = finding_of("rds-netns-delivery", experiment_of({})._replace(delivery=attempt))
    assert finding.status is status
    assert finding.evidence["delivered"] is delivered


@pytest.mark.parametrize(
    ("errno", "status", "taken"), [(None, OK, False), ("EADDRINUSE", AFFECTED, True), ("EACCES", UNKNOWN, None)]
)
def test_a_taken_address_is_affected(errno: str | None, status: Status, taken: bool | None) -> None:
    finding = finding_of("rds-bind-netns", experiment_of({})._replace(bind_errno=errno))
    assert finding.status is status
    assert finding.evidence["bind_taken"] is taken


@pytest.mark.parametrize(
    ("symbols", "words"),
    [
        (None, "cannot be read"),
        ({}, "shows no variables"),
        ({VARIABLE: "rds"}, "no symbol of an unfixed kernel"),
        ({VARIABLE: None, "rds_sock_count": None}, "has rds_sock_count, which the fix removed"),
        ({"rds_sock_count": "rds"}, "has rds_sock_count, which the fix removed"),
    ],
)
def test_symbols_are_a_second_witness(symbols: dict[str, str | None] | None, words: str) -> None:
    assert words in second_witness(symbols)
