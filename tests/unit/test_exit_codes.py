# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of exit codes in kprobe-tool(1): those of the commands' own pages, each met by a command line."""

from __future__ import annotations

import errno as errnos
import json
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from kprobe_tool.cli import run
from kprobe_tool.native import bpf, host
from kprobe_tool.probes.rds import checks as rds_checks
from kprobe_tool.probes.rds import experiment as rds_experiment
from kprobe_tool.probes.rds import presence
from kprobe_tool.probes.skmsg import experiment
from kprobe_tool.probes.skmsg.watch import FUNCTIONS
from kprobe_tool.probes.verifier.matrix import ask
from kprobe_tool.probes.verifier.watching import watch

from ..corpus import LOGS
from ..corpus.objects import object_file
from .commands.rds_info.test_leak_check import EXPERIMENTS
from .conftest import VERIFIER_WATCH
from .documents import CAPTURES, INSTRUCTIONS, SKMSG, VERIFIER_LOG
from .fake_watch import Fake
from .probes.nvme import trees
from .recorded_matrix import answer
from .test_man import MAIN, exit_codes, page_of, read

TABLE = {
    row[0]: {code for code, cell in zip((0, 1, 3), row[1:], strict=True) if cell != "-"} | {2}
    for row in (line.split("\t") for line in read(MAIN)["EXIT STATUS"].lines if "\t" in line)
    if row[0] != "Command"
}
ACCEPTED = str(LOGS / "7.3-rc7" / "accepted-with-branches.stats2.txt")
OBJECT = str(Path(__file__).parent / "data" / "verifier" / "null-check.o")
FLEET = Path(__file__).parent / "data" / "fleet" / "6.18.44.json"
RDS = str(CAPTURES[0])

pytestmark = pytest.mark.usefixtures("sk_msg", "rejected")

Patch = pytest.MonkeyPatch
Arguments = Callable[[Path, Patch], Sequence[str]]


def words_of(line: str) -> Arguments:
    return lambda path, patch: line.split()


def as_unprivileged(line: str) -> Arguments:
    """As a user whom the kernel refuses BPF."""

    def arguments(path: Path, patch: Patch) -> Sequence[str]:
        patch.setattr(host, "effective_capabilities", frozenset)
        patch.setattr(bpf, "load", lambda program, level: bpf.LoadAnswer(errnos.EPERM, b"", True, None))
        patch.setattr(experiment, "attempt", experiment.require_privileges)
        return line.split()

    return arguments


def on_affected_kernel(line: str) -> Arguments:
    """On Linux 6.12.43, whose answers to the experiment are recorded."""

    def arguments(path: Path, patch: Patch) -> Sequence[str]:
        recorded = next(each for each in SKMSG if each.stem.startswith("6.12.43"))
        seen = experiment.experiment_of(json.loads(recorded.read_text(encoding="utf-8")))
        patch.setattr(experiment, "attempt", lambda: seen)
        return line.split()

    return arguments


def with_accepted_program(path: Path, patch: Patch) -> Sequence[str]:
    patch.setattr(bpf, "load", lambda program, level: bpf.LoadAnswer(0, b"", True, None))
    return ["verifier-log", "load", str(INSTRUCTIONS), "--raw", "--type", "xdp"]


def changed_answer(answer: str) -> Arguments:
    """Compared with another host, which gives this answer about a flag."""

    def arguments(path: Path, patch: Patch) -> Sequence[str]:
        file = path / "there.json"
        with file.open("w") as stream, redirect_stdout(stream):
            assert run(["check-fields", "openat2", "-o", "json"]) == 0
        document = json.loads(file.read_text())
        document["results"][0]["fields"][0]["flags"][0]["accepted"] = answer
        file.write_text(json.dumps(document))
        return ["check-fields", "openat2", "--diff", str(file)]

    return arguments


def unknown_log(path: Path, patch: Patch) -> Sequence[str]:
    file = path / "unknown.log"
    file.write_text("0: (b7) r0 = 0\nnobody has ever said this\nprocessed 1 insns\n")
    return ["verifier-log", "explain", str(file)]


def unreadable_controller(path: Path, patch: Patch) -> Sequence[str]:
    root = trees.plant(path, trees.RELEASES[-1], "rdma-two-paths")
    (count,) = list(root.glob("class/nvme/nvme1/queue_count")) or list(root.rglob("nvme1/queue_count"))[:1]
    count.unlink()
    count.mkdir()
    return ["nvme-queues", "--sysfs", str(root), "--fail-on", "never"]


def affected_host(path: Path, patch: Patch) -> Sequence[str]:
    document = json.loads(FLEET.read_text())
    document["results"][0] |= {"status": "affected", "severity": "high"}
    file = path / "affected.json"
    file.write_text(json.dumps(document))
    return ["fleet", str(file)]


def matrix(*options: str, failure: str | None = None) -> Arguments:
    """Of kernels whose answers are recorded; one that has none with a ``failure``."""

    def arguments(path: Path, patch: Patch) -> Sequence[str]:
        file = str(object_file("accepted"))
        found = answer("5.10.262", "accepted", file)
        found.failure = failure
        patch.setattr(ask, "ask", lambda question, loader, say: [found])
        return ["verifier-log", "matrix", file, "--kernels", "5.10.262", *options]

    return arguments


def leaking_rds(path: Path, patch: Patch) -> Sequence[str]:
    """On a kernel that has RDS, where every option answers something else."""
    loaded = presence.Presence(True, ("rds", "rds_tcp"), None)
    patch.setattr(presence, "presence", lambda: loaded)
    patch.setattr(rds_checks, "presence", lambda: loaded)
    patch.setattr(rds_experiment, "attempt", lambda: EXPERIMENTS["everything"])
    return ["rds-info", "--leak-check"]


def nothing_to_watch(path: Path, patch: Patch) -> Sequence[str]:
    """On a kernel to whose functions nothing can be attached."""
    patch.setattr(Fake, "unwatched", {function.name: "it has none" for function in FUNCTIONS})
    return ["skmsg", "watch", "--duration", "0.001"]


def unprivileged_watch(path: Path, patch: Patch) -> Sequence[str]:
    """By the watch that would attach to this kernel, as a user whom the kernel refuses BPF."""
    patch.setattr(watch, "LoadWatch", VERIFIER_WATCH)
    return as_unprivileged("verifier-log watch --duration 0.001")(path, patch)


LINES: dict[tuple[str, int], Arguments] = {
    ("audit", 0): words_of("audit --only nvme --fail-on never"),
    ("audit", 1): on_affected_kernel("audit --only skmsg"),
    ("audit", 3): as_unprivileged("audit --only skmsg --fail-on unknown"),
    ("bugreport", 0): words_of("bugreport"),
    ("check-fields", 0): words_of("check-fields openat2"),
    ("check-fields", 1): changed_answer("ignored"),
    ("check-fields", 3): changed_answer("unknown"),
    ("doctor", 0): words_of("doctor"),
    ("explain", 0): words_of("explain nvme"),
    ("fleet", 0): words_of(f"fleet {FLEET}"),
    ("fleet", 1): affected_host,
    ("fleet", 3): words_of(f"fleet {FLEET} {VERIFIER_LOG}"),
    ("nvme-queues", 0): words_of("nvme-queues --simulate io=2"),
    ("nvme-queues", 1): lambda path, patch: [
        "nvme-queues",
        "--sysfs",
        str(trees.plant(path, trees.RELEASES[-1], "rdma-write-poll-fewer")),
    ],
    ("nvme-queues", 3): unreadable_controller,
    ("rds-info", 0): words_of(f"rds-info --from {RDS} -k"),
    ("rds-info", 1): leaking_rds,
    ("rds-info", 3): words_of(f"rds-info --from {RDS} --ib"),
    ("schema", 0): words_of("schema"),
    ("skmsg check", 0): words_of("skmsg check --fail-on never"),
    ("skmsg check", 1): on_affected_kernel("skmsg check"),
    ("skmsg check", 3): as_unprivileged("skmsg check"),
    ("skmsg watch", 0): words_of("skmsg watch --duration 0.001"),
    ("skmsg watch", 3): nothing_to_watch,
    ("verifier-log explain", 0): words_of(f"verifier-log explain {VERIFIER_LOG}"),
    ("verifier-log explain", 1): words_of(f"verifier-log explain {VERIFIER_LOG} --fail-on rejected"),
    ("verifier-log explain", 3): unknown_log,
    ("verifier-log floor", 0): words_of(f"verifier-log floor {OBJECT}"),
    ("verifier-log load", 0): with_accepted_program,
    ("verifier-log load", 1): words_of(f"verifier-log load {INSTRUCTIONS} --raw --type xdp"),
    ("verifier-log load", 3): as_unprivileged(f"verifier-log load {INSTRUCTIONS} --raw --type xdp"),
    ("verifier-log matrix", 0): matrix(),
    ("verifier-log matrix", 1): matrix("--require", "5.10.262"),
    ("verifier-log matrix", 3): matrix(failure="it did not boot"),
    ("verifier-log stats", 0): words_of(f"verifier-log stats {ACCEPTED}"),
    ("verifier-log watch", 0): words_of("verifier-log watch --duration 0.001"),
    ("verifier-log watch", 3): unprivileged_watch,
} | {(command, 2): words_of(f"{command} --bogus") for command in TABLE}


def test_every_code_is_tried() -> None:
    assert set(LINES) == {(command, code) for command, codes in TABLE.items() for code in codes}


def test_the_table_is_that_of_the_pages() -> None:
    for page in {command.split(" ")[0] for command in TABLE}:
        codes = {code for command, found in TABLE.items() if command.split(" ")[0] == page for code in found}
        assert codes == set(exit_codes(page_of(page))), page


@pytest.mark.parametrize(("command", "code"), list(LINES), ids=str)
def test_each_line_gives_its_exit_code(command: str, code: int, tmp_path: Path, monkeypatch: Patch) -> None:
    arguments = list(LINES[command, code](tmp_path, monkeypatch))
    assert " ".join(arguments).startswith(command)
    assert run(arguments) == code
