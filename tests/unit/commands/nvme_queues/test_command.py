# SPDX-License-Identifier: GPL-2.0-or-later
"""The command as a person and as a script meet it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kprobe_tool import cli
from kprobe_tool.errors import ExitCode

from ...probes.nvme import trees

NEWEST = trees.RELEASES[-1]

SCHEMAS = {
    name: json.loads((files("kprobe_tool") / f"schemas/{name}.json").read_text(encoding="utf-8"))
    for name in ("nvme-queues", "nvme-queues-simulate")
}


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = cli.run(["nvme-queues", *args])
    out, err = capsys.readouterr()
    return code, out, err


def document(text: str) -> Any:
    found = json.loads(text)
    schema = SCHEMAS["nvme-queues-simulate" if "simulate" in found else "nvme-queues"]
    jsonschema.Draft202012Validator(schema).validate(found)
    return found


@pytest.mark.parametrize(("release", "name"), trees.all_trees())
def test_json_has_a_row_for_each_controller(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, release: str, name: str
) -> None:
    code, out, err = run(capsys, "--sysfs", str(trees.plant(tmp_path, release, name)), "-o", "json")
    assert err == ""
    rows = document(out)["results"]
    counted = [each for row in rows for each in row["findings"] if each["severity"] != "low"]
    assert code == (ExitCode.FOUND if counted else ExitCode.OK)
    row = rows[0]
    assert row["granted"] == row["queue_count"] - 1
    assert row["mapped"]["total"] == len(row["paths"][0]["hctxs"])


def test_jsonl_has_a_line_each(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "--sysfs", str(trees.plant(tmp_path, NEWEST, "rdma-two-paths")), "-o", "jsonl")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == ExitCode.OK
    assert [line["type"] for line in lines] == ["header", "result", "result"]
    assert [line["controller"] for line in lines[1:]] == ["nvme1", "nvme2"]


def test_the_table_is_narrow_and_the_wide_one_has_more(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = str(trees.plant(tmp_path, NEWEST, "rdma-write-poll-fewer"))
    code, out, err = run(capsys, "--sysfs", root)
    lines = out.splitlines()
    assert (code, err) == (ExitCode.FOUND, "")
    assert lines[1].split() == ["nvme1", "rdma", "live", "6?", "6", "2/4/0", "2"]
    assert "nvme-stale-io-queues" in out
    assert max(map(len, lines)) <= 80
    _, wide, _ = run(capsys, "--sysfs", root, "-o", "wide")
    assert "nqn.2026-01.org.example:rdma-write-poll-fewer" in wide
    assert "1:default:" in wide


def test_a_sosreport_is_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "sys/class").mkdir(parents=True)
    trees.file(tmp_path, "sos_commands/kernel/dmesg", "[ 9.1] nvme nvme1: mapped 2/0/2 default/read/poll queues.\n")
    _, out, err = run(capsys, "--from-sos", str(tmp_path), "-o", "json")
    assert err == ""
    (row,) = document(out)["results"]
    assert row["mapped"] == {"total": 4, "default": 2, "read": 0, "poll": 2, "source": "kernel-log"}
    assert [finding["id"] for finding in row["findings"]] == ["nvme-stale-io-queues"]


@pytest.mark.parametrize(
    ("tree", "level", "expected"),
    [
        ("rdma-poll", None, ExitCode.FOUND),
        ("rdma-poll", "high", ExitCode.FOUND),
        ("rdma-poll", "never", ExitCode.OK),
        ("rdma-starved", None, ExitCode.FOUND),
        ("rdma-starved", "high", ExitCode.OK),
        ("rdma-two-paths", None, ExitCode.OK),
        ("rdma-two-paths", "low", ExitCode.FOUND),
        ("rdma-all", "low", ExitCode.OK),
        # Whether more were asked for nothing captured says.
        ("rdma-all", "unknown", ExitCode.CANNOT_TELL),
    ],
)
def test_fail_on_decides_the_exit_code(
    *, capsys: pytest.CaptureFixture[str], tmp_path: Path, tree: str, level: str | None, expected: ExitCode
) -> None:
    options = [] if level is None else ["--fail-on", level]
    for more in ([], ["--map"]):
        root = str(trees.plant(tmp_path / "-".join(["tree", *more]), NEWEST, tree))
        assert run(capsys, "--sysfs", root, *options, *more)[0] == expected


def test_a_controller_is_shown_alone_or_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = str(trees.plant(tmp_path, NEWEST, "rdma-two-paths"))
    _, out, _ = run(capsys, "nvme2", "--sysfs", root, "-o", "json")
    assert [row["controller"] for row in document(out)["results"]] == ["nvme2"]
    code, out, err = run(capsys, "nvme7", "--sysfs", root)
    assert (code, out) == (ExitCode.CANNOT_RUN, "")
    assert err == ("kprobe-tool: nvme-queues: controller 'nvme7': no such NVMe controller; there is nvme1, nvme2\n")


def test_problem_is_told_and_the_rest_is_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bad = trees.controller(tmp_path)
    trees.controller(tmp_path, "nvme1")
    (bad / "state").write_bytes(b"\x1b[31mliv\xc2\x9be\n")
    (bad / "queue_count").write_text("many\n")
    code, out, err = run(capsys, "--sysfs", str(tmp_path))
    assert code == ExitCode.CANNOT_TELL
    assert "\x1b" not in out + err
    assert "\x9b" not in out + err
    assert "nvme1" in out
    assert err == "kprobe-tool: nvme-queues: nvme0: queue_count: 'many' is no number\n"
    _, out, _ = run(capsys, "--sysfs", str(tmp_path), "-o", "json")
    found = document(out)
    assert [row["granted"] for row in found["results"]] == [None, 2]
    assert [error["subject"] for error in found["errors"]] == ["nvme0: queue_count"]


def test_a_host_without_controllers_is_no_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "class").mkdir()
    assert run(capsys, "--sysfs", str(tmp_path)) == (ExitCode.OK, "no NVMe controller\n", "")
    assert run(capsys, "--sysfs", str(tmp_path), "--map") == (ExitCode.OK, "no NVMe controller\n", "")
    _, out, _ = run(capsys, "--sysfs", str(tmp_path), "-o", "json")
    assert document(out)["results"] == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--sysfs", "/nonexistent"], "No such file or directory (ENOENT)"),
        (["--map", "-o", "json"], "--map draws for people"),
        (["--sysfs", "/sys", "--query-controller"], "--query-controller asks live controllers"),
        (["--from-sos", "/sys", "--query-controller"], "--query-controller asks live controllers"),
        (["--from-sos", "/sys", "--sysfs", "/sys"], "one is read at a time"),
        (["--from-sos", "/nonexistent"], "No such file or directory (ENOENT)"),
        (["--simulate", "io=4", "nvme0"], "--simulate asks no kernel"),
        (["--simulate", "write=4"], "'io' must be 1 at least"),
        (["--simulate", "io=0"], "'io' must be 1 at least"),
        (["--simulate", "io=4,io=5"], "stands there twice"),
        (["--simulate", "io=4,read=5"], "'read=5' is not one of its fields"),
        (["--simulate", "io=99999"], "no number from 0 to 65535"),
        (["--simulate", "io=-1"], "no number from 0 to 65535"),
        (["--simulate", ""], "is not one of its fields"),
        (["--bogus"], "--bogus"),
    ],
)
def test_bad_arguments_are_one_line(capsys: pytest.CaptureFixture[str], args: list[str], words: str) -> None:
    code, out, err = run(capsys, *args)
    assert (code, out) == (ExitCode.CANNOT_RUN, "")
    assert words in err
    assert err.startswith("kprobe-tool: nvme-queues: ")
    assert err.count("\n") == 1


def test_simulate_asks_every_range_of_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--simulate", "io=8,write=2,poll=2,granted=4", "-o", "json")
    assert (code, err) == (ExitCode.OK, "")
    found = document(out)
    assert [(row["kernels"], row["asked"], row["granted"], row["crash"]) for row in found["results"]] == [
        ("5.0-5.1", 12, 4, True),
        ("5.2-6.4", 12, 4, False),
        ("6.5-", 12, 4, False),
    ]
    assert [row["io_queues"] for row in found["results"]] == [
        {"default": 2, "read": 10, "poll": 2},
        {"default": 4, "read": 0, "poll": 0},
        {"default": 4, "read": 0, "poll": 0},
    ]
    assert found["results"][0]["missing_hctxs"] == [4, 5, 6, 7, 8, 9, 12, 13]


def test_a_simulated_reconnect_crashes_as_kernels_did(capsys: pytest.CaptureFixture[str]) -> None:
    """The reconnect that oopsed 6.1.192, 6.12.43 and 7.2.12."""
    _, out, _ = run(capsys, "--simulate", "io=2,write=2,poll=2,cpus=4,previous=6,granted=3", "-o", "json")
    newest = document(out)["results"][-1]
    assert newest["io_queues"] == {"default": 1, "read": 2, "poll": 2}
    assert newest["crash"]


def test_a_simulated_queue_without_a_cpu_cannot_be_connected(capsys: pytest.CaptureFixture[str]) -> None:
    """The request limits write queues to the CPUs, nvmf_set_io_queues() does not."""
    _, out, _ = run(capsys, "--simulate", "io=2,write=6,poll=2,cpus=4", "-o", "json")
    newest = document(out)["results"][-1]
    assert newest["io_queues"] == {"default": 6, "read": 2, "poll": 0}
    assert newest["hctxs"] == ["default"] * 4 + [None] * 2 + ["read"] * 2
    assert newest["reason"] == "hctx 4 gets no CPU, so that it cannot be connected (EXDEV)"


def test_the_map_has_a_column_for_each_cpu(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = str(trees.plant(tmp_path, "6.12.43+deb12-amd64", "tcp-cpu-offlined"))
    code, out, err = run(capsys, "--map", "--sysfs", root)
    assert (code, err) == (ExitCode.FOUND, "")
    assert out.splitlines()[:7] == [
        "nvme1 tcp live: 4 hardware queues (hctx) of nvme1c1n1",
        "CPU         0",
        "offline      x",
        "hctx    0   D...",
        "hctx    1 ! .d..",
        "hctx    2   ..D.",
        "hctx    3   ...D",
    ]


def test_an_untouched_poll_map_is_marked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = str(trees.plant(tmp_path, "6.12.43+deb12-amd64", "rdma-write-poll-fewer"))
    _, out, _ = run(capsys, "--map", "--sysfs", root)
    assert out.splitlines()[2:5] == ["hctx    0   DD++", "hctx    1   ..DD", "hctx    2   R..."]


@pytest.mark.parametrize("queues", [8, 128])
def test_the_map_of_128_cpus_fits_80_columns(capsys: pytest.CaptureFixture[str], tmp_path: Path, queues: int) -> None:
    """Readable on a terminal of 80 columns: two blocks of 64, and each hctx where it has CPUs."""
    lists = tuple(", ".join(str(cpu) for cpu in range(128) if cpu % queues == index) for index in range(queues))
    trees.controller(tmp_path, queue_count=queues + 1, lists=lists)
    for name in ("possible", "online"):
        trees.file(tmp_path, f"devices/system/cpu/{name}", "0-127\n")
    _, out, _ = run(capsys, "--map", "--sysfs", str(tmp_path))
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(line.count("D") for line in lines if line.startswith("hctx")) == 128
    assert sum(line.startswith("CPU ") for line in lines) == 2
    assert lines[1] == "CPU         0       8       16      24      32      40      48      56"


MEGABYTE = 1 << 20


@pytest.mark.slow
def test_a_thousand_controllers_take_little_memory(tmp_path: Path) -> None:
    """1,000 controllers with 128 queues each, as JSON: under 100 MB, the reading child included."""
    numbers = ",".join(map(str, range(128)))
    first = trees.controller(tmp_path, queue_count=129, lists=tuple(numbers.split(",")))
    for name in ("possible", "online"):
        trees.file(tmp_path, f"devices/system/cpu/{name}", "0-127\n")
    for index in range(1, 1000):
        # Links to the first one's files: a tree as large, made in a moment.
        name = f"nvme{index}"
        directory = first.parent / name
        (directory / f"{name}c0n1").mkdir(parents=True)
        for attribute in ("transport", "state", "subsysnqn", "queue_count"):
            os.link(first / attribute, directory / attribute)
        (directory / f"{name}c0n1/queue").mkdir()
        os.link(first / "nvme0c0n1/queue/io_poll", directory / f"{name}c0n1/queue/io_poll")
        (directory / f"{name}c0n1/mq").symlink_to("../../nvme0/nvme0c0n1/mq")
        (tmp_path / "class/nvme" / name).symlink_to(f"../../devices/virtual/nvme-fabrics/ctl/{name}")
    script = (
        "import resource, sys\n"
        "from kprobe_tool.cli import run\n"
        "from kprobe_tool.native.host import status_field\n"
        "code = run(sys.argv[1:])\n"
        # Not RUSAGE_SELF, which remembers the process that this one was forked from.
        "own = int(status_field('VmHWM').split()[0])\n"
        "child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        "print(code, own + child, file=sys.stderr)\n"
    )
    for output in ("json", "table"):
        with open(tmp_path / "out", "w+b") as out:
            done = subprocess.run(
                [sys.executable, "-c", script, "nvme-queues", "--sysfs", str(tmp_path), "-o", output],
                stdout=out,
                stderr=subprocess.PIPE,
                check=True,
            )
        code, peak = map(int, done.stderr.split()[-2:])
        assert code == ExitCode.OK
        assert peak * 1024 < 100 * MEGABYTE, output
        if output == "json":
            found = json.loads((tmp_path / "out").read_bytes())
            assert len(found["results"]) == 1000
            assert {row["mapped"]["total"] for row in found["results"]} == {128}
