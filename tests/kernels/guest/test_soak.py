"""No verdict rests on luck: each experiment again and again, idle and beside a load that keeps kernel workers back.

KPROBE_TOOL_SOAK says how many rounds of each ('make soak' takes 20). A round may answer unknown; two rounds must
never answer differently.
"""

import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib import import_module

import pytest

from kprobe_tool.checks import CHECKS, Status

from .test_audit import loaded, nvme
from .tool import Answer, as_nobody, tool

ROUNDS = int(os.environ.get("KPROBE_TOOL_SOAK", "3"))

Modprobe = Callable[..., None]
EXPERIMENTS: dict[str, tuple[str, Callable[..., Answer], Callable[[Modprobe], AbstractContextManager[None]]]] = {
    # System, who asks, and what has to be there for it.
    "rds": ("rds", tool, partial(loaded, "rds")),
    "rds-nobody": ("rds", as_nobody, partial(loaded, "rds")),
    "nvme": ("nvme", tool, nvme),
    "skmsg": ("skmsg", tool, partial(loaded, "skmsg")),
}
PRELOADED = {"rds": ("pyroute2",), "nvme": (), "skmsg": ("bcc", "pyroute2")}
"""What the probes of a system import where they need it: loaded once here, not by each child of each round."""
SPIN, PAUSE = 0.3, 0.05
"""Seconds that the load lets nobody else run, and that it rests."""
LOAD_PRIORITY, TOOL_PRIORITY = 10, 20

seen: defaultdict[tuple[str, str], dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
"""Experiment and load: verdicts of each check."""


def spin() -> None:
    while True:
        end = time.monotonic() + SPIN
        while time.monotonic() < end:
            pass
        time.sleep(PAUSE)


@contextmanager
def idle() -> Iterator[None]:
    yield


@contextmanager
def busy() -> Iterator[None]:
    """Every CPU is taken by a real-time process most of the time. Kernel workers wait for it; the tool does not, so
    that it is always ahead of what the kernel still has to do."""
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


LOADS = {"idle": idle, "busy": busy}


@pytest.fixture(scope="module")
def name(request: pytest.FixtureRequest, modprobe: Modprobe) -> Iterator[str]:
    """An experiment, with all that has to be there for it from its first round to its last."""
    system, _, prepared = EXPERIMENTS[request.param]
    for module in {check.function.partition(":")[0] for check in CHECKS if check.system == system}:
        import_module(module)
    for module in PRELOADED[system]:
        import_module(module)
    with prepared(modprobe):
        yield request.param


@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("name", EXPERIMENTS, indirect=True)
def test_round(name: str, load: str, number: int) -> None:
    system, ask, _ = EXPERIMENTS[name]
    with LOADS[load]():
        answer = ask("audit", "--only", system, "-o", "json", "--fail-on", "never")
    verdicts = {row["id"]: row["status"] for row in answer.json["results"]}
    for check, status in verdicts.items():
        seen[name, load][check][status] += 1
    for check, status in verdicts.items():
        before = {other for loads in LOADS for other in seen[name, loads][check]}
        assert len(before - {Status.UNKNOWN.value}) <= 1, f"{check}: {status}, and before: {before}"


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_one_verdict(experiment: str) -> None:
    """Printed for 'make soak': how often each check said what. One that never says anything proves nothing."""
    for load in LOADS:
        for check, verdicts in seen[experiment, load].items():
            counts = ", ".join(f"{count} {status}" for status, count in sorted(verdicts.items()))
            print(f"{os.uname().release} {experiment} {load} {check}: {counts}")
    if not seen[experiment, "idle"]:
        pytest.skip("no round of it was run")
    found = {status for verdicts in seen[experiment, "idle"].values() for status in verdicts}
    assert found - {Status.UNKNOWN.value}
