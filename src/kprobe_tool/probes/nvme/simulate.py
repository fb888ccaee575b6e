# SPDX-License-Identifier: GPL-2.0-or-later
"""``--simulate``: what each released rule would do with a request, and whether the kernel would survive it."""

from __future__ import annotations

from typing import NamedTuple

from kprobe_tool.errors import Error
from kprobe_tool.probes.nvme.split import Algorithm, ConnectOutcome, Options, connect, request

KERNELS = {
    Algorithm.REQUEST: "5.0-5.1",
    Algorithm.TRANSPORT: "5.2-6.4",
    Algorithm.FABRICS: "6.5-",
}

LARGEST = 65535
"""Number of Queues is a 16 bit field."""

HINT = "as in io=8,write=2,poll=2,granted=4"


class Scenario(NamedTuple):
    """A request: queue counts, CPUs, completion vectors of an RDMA device (None: as many as needed), and the grants
    of now and of the connect before (None: all that was asked; no connect before)."""

    io: int
    write: int = 0
    poll: int = 0
    granted: int | None = None
    cpus: int | None = None
    vectors: int | None = None
    previous: int | None = None

    @property
    def options(self) -> Options:
        return Options(self.io, self.write, self.poll)

    @property
    def enough_cpus(self) -> int:
        """The CPUs; where none are given so many that they limit nothing."""
        return self.cpus or max(self.io, self.write, self.poll)

    def as_dict(self) -> dict[str, object]:
        return {**self._asdict(), "cpus": self.enough_cpus}


class Simulation(NamedTuple):
    algorithm: Algorithm
    kernels: str
    outcome: ConnectOutcome
    reason: str


def parse(text: str) -> Scenario:
    """``io=8,write=2,granted=4``. Raises Error."""
    values: dict[str, int] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name not in Scenario._fields or name in values:
            raise Error(
                f"--simulate '{text}'", f"'{part}' is not one of its fields, or stands there twice", hint=HINT
            )
        if not (value.isascii() and value.isdigit() and len(value) <= 5 and int(value) <= LARGEST):
            raise Error(f"--simulate '{text}'", f"'{part}' is no number from 0 to {LARGEST}", hint=HINT)
        values[name] = int(value)
    for name in ("io", "granted", "cpus", "vectors", "previous"):
        if values.get(name, 1) == 0 or (name == "io" and name not in values):
            raise Error(f"--simulate '{text}'", f"'{name}' must be 1 at least", hint=HINT)
    return Scenario(**values)


def simulate(question: Scenario) -> list[Simulation]:
    """One row an algorithm, oldest first."""
    return [simulate_algorithm(algorithm, question) for algorithm in Algorithm]


def simulate_algorithm(algorithm: Algorithm, question: Scenario) -> Simulation:
    options, cpus = question.options, question.enough_cpus
    asked = request(algorithm, options, cpus, question.vectors)

    def grant(number: int | None, previous: ConnectOutcome | None) -> ConnectOutcome:
        return connect(
            algorithm,
            options,
            granted=asked if number is None else number,
            cpus=cpus,
            comp_vectors=question.vectors,
            previous=previous,
        )

    before = None if question.previous is None else grant(question.previous, None)
    outcome = grant(question.granted, before)
    return Simulation(algorithm, KERNELS[algorithm], outcome, explain(outcome, before))


def explain(outcome: ConnectOutcome, before: ConnectOutcome | None) -> str:
    if before is not None and before.crashes:
        return (
            "the kernel crashes at the connect before already (NULL dereference): CPUs are mapped to hctx "
            f"{before.missing[0]}, which does not exist"
        )
    if outcome.crashes:
        why = (
            "CPUs are mapped to all queues that were asked for"
            if outcome.algorithm is Algorithm.REQUEST
            else "read or poll queues are counted as at the connect before"
        )
        return f"the kernel crashes (NULL dereference): {why}, and hctx {outcome.missing[0]} does not exist"
    if None in outcome.types:
        # blk_mq_alloc_request_hctx() needs a CPU to send the Connect command from.
        return f"hctx {outcome.types.index(None)} gets no CPU, so that it cannot be connected (EXDEV)"
    if outcome.poll_on_zero:
        return "no poll queue is left: polled I/O goes to hctx 0, which may be shown as a poll queue"
    return "every CPU is mapped to a queue that exists"
