# SPDX-License-Identifier: GPL-2.0-or-later
"""No verdict rests on luck: each experiment again and again, idle and beside a load that keeps kernel workers back.

KPROBE_TOOL_SOAK says how many rounds of each ('make soak' takes 20). A round may answer unknown; two rounds must
never answer differently.
"""

import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from importlib import import_module

import pytest

from kprobe_tool.checks import CHECKS, Status
from kprobe_tool.native.child import Child
from kprobe_tool.probes.skmsg import experiment as skmsg
from kprobe_tool.probes.skmsg.checks import finding

from .nvmet import CPUS
from .test_audit import load_modules, nvme
from .tool import Answer, as_nobody, tool

ROUNDS = int(os.environ.get("KPROBE_TOOL_SOAK", "2"))
SPIN, PAUSE = 0.3, 0.05
"""Seconds for which the load lets nobody else run, and for which it rests."""
LOAD_PRIORITY, TOOL_PRIORITY = 10, 20
PATIENCE = 3 * 3600

Modprobe = Callable[..., None]
Verdicts = Mapping[str, str]
Round = Callable[[], Verdicts]
"""Run an experiment once, for the verdict of each check."""

seen: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
"""Experiment and check: verdicts, without unknown."""


@contextmanager
def audit_rounds(system: str, tool_of_user: Callable[..., Answer]) -> Iterator[Round]:
    """Rounds of ``audit``, in this process: what its children would import each time is imported once."""
    for module in {check.function.partition(":")[0] for check in CHECKS if check.system == system}:
        import_module(module)
    import_module("pyroute2")

    def run_once() -> Verdicts:
        answer = tool_of_user("audit", "--only", system, "-o", "json", "--fail-on", "never")
        return {row["id"]: row["status"] for row in answer.json["results"]}

    yield run_once


@contextmanager
def sk_msg_runs() -> Iterator[Round]:
    """Rounds of the SK_MSG experiment in one child: bcc compiles its program once."""
    with Child(skmsg.Experimenter().serve, time.monotonic() + PATIENCE) as child:
        prepared = skmsg.ask(child, do="prepare")

        def run_once() -> Verdicts:
            done = skmsg.experiment_of(skmsg.run_all(child, prepared))
            return {check.id: finding(done, check.id).status.value for check in CHECKS if check.system == "skmsg"}

        yield run_once


@contextmanager
def nvme_on_one_cpu(modprobe: Modprobe) -> Iterator[None]:
    """A controller connected with all CPUs, of which one stays online: the others would slow the guest down."""
    with nvme(modprobe):
        others = [path for path in CPUS.glob("cpu[1-9]/online") if path.read_text() == "1\n"]
        for path in others:
            path.write_text("0")
        yield
        for path in others:
            path.write_text("1")


@contextmanager
def run_idle() -> Iterator[None]:
    yield


@contextmanager
def run_busy() -> Iterator[None]:
    """A real-time process on every CPU most of the time. Kernel workers wait for it; the tool does not, so that it
    is always ahead of what the kernel still has to do."""
    pids = []
    for cpu in os.sched_getaffinity(0):
        pid = os.fork()
        if pid == 0:
            try:
                os.sched_setaffinity(0, {cpu})
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(LOAD_PRIORITY))
                spin()
            finally:
                os._exit(0)
        pids.append(pid)
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(TOOL_PRIORITY))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def spin() -> None:
    while True:
        end = time.monotonic() + SPIN
        while time.monotonic() < end:
            pass
        time.sleep(PAUSE)


LOADS = {"idle": run_idle, "busy": run_busy}
EXPERIMENTS: dict[
    str, tuple[Callable[[Modprobe], AbstractContextManager[None]], Callable[[], AbstractContextManager[Round]]]
] = {
    # What has to be there, and the rounds.
    "rds": (partial(load_modules, "rds"), partial(audit_rounds, "rds", tool)),
    "rds-nobody": (partial(load_modules, "rds"), partial(audit_rounds, "rds", as_nobody)),
    "nvme": (nvme_on_one_cpu, partial(audit_rounds, "nvme", tool)),
    "skmsg": (partial(load_modules, "skmsg"), sk_msg_runs),
}


@pytest.mark.limit(PATIENCE)
@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_no_two_rounds_differ(name: str, load: str, modprobe: Modprobe) -> None:
    """Print for 'make soak' how often each check had which verdict. Without any on an idle guest nothing is shown."""
    prepared, rounds = EXPERIMENTS[name]
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    with ExitStack() as stack:
        stack.enter_context(prepared(modprobe))
        # Forked before the load would be a child that waits for it.
        stack.enter_context(LOADS[load]())
        run_once = stack.enter_context(rounds())
        start = time.monotonic()
        for _ in range(ROUNDS):
            for check, status in run_once().items():
                counts[check][status] += 1
        seconds = time.monotonic() - start
    print(f"{os.uname().release} {name} {load}: {ROUNDS} rounds in {seconds:.0f} s")
    for check, verdicts in counts.items():
        print(f"{check}: {', '.join(f'{count} {status}' for status, count in sorted(verdicts.items()))}")
        seen[name][check] |= set(verdicts) - {Status.UNKNOWN.value}
    assert counts
    assert {check: verdicts for check, verdicts in seen[name].items() if len(verdicts) > 1} == {}
    if load == "idle":
        assert any(seen[name].values())
