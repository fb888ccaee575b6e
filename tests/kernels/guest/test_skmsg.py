# SPDX-License-Identifier: GPL-2.0-or-later
"""Copy bits, on kernels whose sources say whether they survive."""

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kprobe_tool.checks import history
from kprobe_tool.lab.offers import Kernel
from kprobe_tool.native import kmod, tls
from kprobe_tool.probes.skmsg import experiment
from kprobe_tool.probes.skmsg.cases import SocketKind
from kprobe_tool.probes.skmsg.judge import results

from .expected import Expected
from .test_audit import has_ktls
from .tool import Answer, as_nobody, start, tool

KTLS = {"split", "push+pop", "push+pull", "pop_middle+pull", "push_middle+pull", "pull_stale"}
TCP = (KTLS - {"split"}) | {"alloc_stale"}
seen: list[dict[str, Any]] = []
"""What the run of the fixture saw, for tests/unit/data/skmsg."""

KILLS = 5
"""How often a kill is tried while programs are loaded: on a busy machine this process may not run meanwhile."""
IDS = ("skmsg-tls-split-copy", "skmsg-push-pop-copy", "skmsg-stale-copy")


def modules() -> set[str]:
    return {line.split()[0] for line in Path("/proc/modules").read_text().splitlines()}


def bpf_ids(kind: str) -> set[int]:
    """The ids of all BPF programs or maps in the kernel."""
    done = subprocess.run(["bpftool", "-j", kind, "show"], check=True, capture_output=True, text=True)
    return {each["id"] for each in json.loads(done.stdout)}


def bpf_objects() -> dict[str, set[int]]:
    return {kind: bpf_ids(kind) for kind in ("prog", "map")}


def wait_until_gone(before: dict[str, set[int]]) -> bool:
    """Wait until all objects that came since are freed, which takes a grace period. Returns whether they are."""
    end = time.monotonic() + 60
    while any(now - before[kind] for kind, now in bpf_objects().items()):
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


@pytest.fixture(scope="module")
def answer(modprobe: Callable[..., None]) -> Iterator[Answer]:
    """The answer of one run for all tests here: importing bcc and compiling take time."""
    modprobe("tls")
    assert tls.is_cipher_registered(), "aesni_intel comes with the emulated CPU, ghash-ce by a fixture"
    before, objects = modules(), bpf_objects()
    experiment.attempt.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        gather = experiment.gather

        def gather_and_keep(deadline: float) -> dict[str, Any]:
            seen.append(gather(deadline))
            return seen[-1]

        patch.setattr(experiment, "gather", gather_and_keep)
        found = tool("skmsg", "check", "-o", "json")
    assert modules() == before
    assert wait_until_gone(objects)
    yield found
    experiment.attempt.cache_clear()


def outcomes(document: Any, socket: SocketKind) -> dict[str, str]:
    return {row["test"]: row["outcome"] for row in document["results"] if row["socket"] == socket.value}


def test_known_outcomes_are_found(
    expected: Expected, answer: Answer, record_property: Callable[[str, object], None]
) -> None:
    open_ = "ok" if expected.has(history.SG_COPY) else "affected"
    ktls = "closed" if expected.has(history.TLS_OR_SOCKMAP) else open_
    tcp = "not-applicable" if expected.has(history.SPLICED_PAGES) else open_
    assert outcomes(answer.json, SocketKind.KTLS) == dict.fromkeys(KTLS, ktls), answer.out
    assert outcomes(answer.json, SocketKind.TCP) == dict.fromkeys(TCP, tcp), answer.out
    assert answer.code == (1 if "affected" in (ktls, tcp) else 0)
    assert answer.json["own_netns"] is True
    assert not answer.err
    record_property("capture", json.dumps(seen[-1], indent=1))


def test_controls_fail_as_the_release_must(expected: Expected, answer: Answer) -> None:
    closed = expected.has(history.TLS_OR_SOCKMAP)
    assert answer.json["controls"] == {
        "tls": None,
        "sockmap_then_tls": "EINVAL" if closed else None,
        "tls_then_sockmap": "EINVAL",
        "closed": closed,
    }


def test_the_page_cache_is_seen_and_not_written(expected: Expected, answer: Answer) -> None:
    """Without an element of the file an outcome would rest on nothing."""
    ran = [row for row in answer.json["results"] if row["evidence"]["records"]]
    assert ran
    assert all(row["evidence"]["content_unchanged"] for row in ran)
    verdicts = [row for row in ran if row["outcome"] != "not-applicable"]
    for row in verdicts:
        elements = [element for record in row["evidence"]["records"] for element in record["elements"]]
        assert any(element["of_file"] and element["page"] == "page-cache" for element in elements)
    assert bool(verdicts) == (not expected.has(history.TLS_OR_SOCKMAP) or not expected.has(history.SPLICED_PAGES))


def test_the_statement_is_the_kernel_s_symbol(kernel: Kernel, answer: Answer) -> None:
    statement = answer.json["statement"]
    assert statement["method"] == "symbol"
    assert statement["present"] is ("tls_merge_open_record" in Path("/proc/kallsyms").read_text())


def test_audit_and_skmsg_check_agree(answer: Answer) -> None:
    audit = tool("audit", "--only", "skmsg", "-o", "json").json
    assert [row["id"] for row in audit["results"]] == list(IDS)
    assert [row["status"] for row in audit["results"]] == [row["status"] for row in answer.json["findings"]]


def test_jit_hardening_changes_no_outcome(answer: Answer) -> None:
    harden = Path("/proc/sys/net/core/bpf_jit_harden")
    before = harden.read_text()
    harden.write_text("2")
    try:
        hardened = experiment.gather(time.monotonic() + 200)
    finally:
        harden.write_text(before)
    found = results(experiment.experiment_of(hardened))
    assert {(each.case.name, each.socket.value): each.outcome.value for each in found} == {
        (row["test"], row["socket"]): row["outcome"] for row in answer.json["results"]
    }


def test_nobody_gets_one_line() -> None:
    answer = as_nobody("skmsg", "check")
    assert (answer.code, answer.out) == (3, "")
    assert answer.err.startswith(
        "kprobe-tool: skmsg check: BPF on sockets: Operation not permitted (EPERM); needs CAP_BPF"
    )
    assert answer.err.count("\n") == 1


def kill_with_programs() -> bool:
    """Kill the command while it has programs loaded. Returns whether it had not ended before."""
    before = bpf_ids("prog")
    process = start("skmsg", "check")
    while not bpf_ids("prog") - before and process.is_alive():
        time.sleep(0.01)
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def test_nothing_is_left_after_a_kill(answer: Answer) -> None:
    """A kill that comes too late is tried again."""
    before = bpf_objects()
    assert any(kill_with_programs() for _ in range(KILLS)), "it ended before it could be killed, each time"
    assert wait_until_gone(before)


def test_plain_tcp_is_judged_without_ktls(expected: Expected) -> None:
    """Plain TCP can be asked all the same."""
    if has_ktls():
        pytest.skip("this kernel has kTLS")
    found = tool("skmsg", "check", "-o", "json")
    assert set(outcomes(found.json, SocketKind.KTLS).values()) == {"not-applicable"}, found.out
    tcp = outcomes(found.json, SocketKind.TCP)
    assert tcp == dict.fromkeys(TCP, "ok" if expected.has(history.SG_COPY) else "affected"), found.out


def test_tls_that_is_not_loaded_stays_so(modprobe: Callable[..., None]) -> None:
    modprobe("tls")
    subprocess.run(["rmmod", "tls"], check=True)
    try:
        assert not kmod.is_loaded("tls")
        assert not tls.is_ulp_registered()
        reason = experiment.why_no_tls()
        assert reason == "nothing uses kTLS here: the module tls is not loaded, and this tool loads none"
        assert not kmod.is_loaded("tls")
    finally:
        subprocess.run(["modprobe", "tls"], check=True)
