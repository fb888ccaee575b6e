# SPDX-License-Identifier: GPL-2.0-or-later
"""``verifier-log explain`` as it is called."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kprobe_tool.cli import run
from kprobe_tool.errors import ExitCode
from tests.corpus import LOGS

from ... import formats

DATA = Path(__file__).parents[2] / "data" / "verifier"
LOG = str(DATA / "null-check-6.18.txt")
OBJECT = str(DATA / "null-check.o")
Capsys = pytest.CaptureFixture[str]


def explain_to_text(capsys: Capsys, *args: str, code: int = ExitCode.OK) -> str:
    """What the command writes to stdout."""
    assert run(["verifier-log", "explain", *args]) == code
    return capsys.readouterr().out


def error_line(capsys: Capsys, *args: str) -> str:
    """The one line on stderr of a command line that cannot be run."""
    assert run(["verifier-log", "explain", *args]) == ExitCode.CANNOT_RUN
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_people_read_an_answer_like_a_compiler_s(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert explain_to_text(capsys, LOG) == (
        "error[Register Type Safety]: Invalid dereference\n"
        "  --> null.c:13, instruction 7 of program count\n"
        "      |\n"
        "   13 | *value += 1;\n"
        "      | ^ Invalid dereference\n"
        "      |\n"
        "    6 | (85) call bpf_map_lookup_elem#1\n"
        "    7 | (79) r1 = *(u64 *)(r0 +0)\n"
        "kernel: R0 invalid mem access 'map_value_or_null'\n"
        "reason: R0 may be NULL here (map_value_or_null), and the access would then fault. It is what\n"
        "        bpf_map_lookup_elem() returned (instruction 6), and nothing on this path compares that with\n"
        "        NULL.\n"
        "\n"
        "How it came to this:\n"
        "  1. update         R0 is what bpf_map_lookup_elem() returned: a pointer to a map value, or NULL\n"
        "                    null.c:11, instruction 6: long *value = bpf_map_lookup_elem(&counts, &key);\n"
        "\n"
        "cause: the program's source (nothing on the path compares R0 with NULL)\n"
        "help: Compare it with NULL directly behind where it is got, and leave where it is NULL. A comparison\n"
        "      within another condition, if (flag && !p) return ...;, leaves a path around it.\n"
    )


@pytest.mark.parametrize(
    "path", sorted(LOGS.glob("*/[a-m]*.txt"))[::5], ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_no_line_exceeds_100_columns(path: Path, capsys: Capsys) -> None:
    code = run(["verifier-log", "explain", str(path), "--errno", "EINVAL"])
    assert code in {ExitCode.OK, ExitCode.CANNOT_TELL}
    lines = capsys.readouterr().out.splitlines()
    assert lines
    # A line of the program's own is shown as it is, up to where it is cut.
    assert [line for line in lines if len(line) > 100] == []


def test_colours_change_no_text(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert run(["--color", "always", "verifier-log", "explain", LOG]) == ExitCode.OK
    coloured = capsys.readouterr().out
    assert "\x1b[31m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == explain_to_text(capsys, LOG)


def test_source_is_taken_from_the_object_file(capsys: Capsys) -> None:
    (row,) = json.loads(explain_to_text(capsys, LOG, "--object", OBJECT, "-o", "json"))["results"]
    place = row["place"]
    assert (place["line"], place["column"], place["source"]) == (13, 9, "\t*value += 1;")
    assert [line["number"] for line in place["source_context"]] == [11, 13, 14]
    assert row["path"][0]["place"]["line"] == 11
    assert "        *value += 1;\n" in explain_to_text(capsys, LOG, "--object", OBJECT)


def test_the_caret_is_under_the_column(capsys: Capsys) -> None:
    """Of a line that begins with a tab: column 9 of ``*value += 1`` is its operator."""
    lines = explain_to_text(capsys, LOG, "--object", OBJECT).splitlines()
    mark = next(number for number, line in enumerate(lines) if line.endswith("^ Invalid dereference"))
    assert lines[mark].index("^") == lines[mark - 1].index("+=")


def test_one_of_several_programs_must_be_named(capsys: Capsys) -> None:
    """Nothing in a bare log tells which program of the object it is about."""
    log, several = str(DATA / "two-programs-6.18.txt"), str(DATA / "two-programs.o")
    assert "the log does not say which program; it has first, second" in error_line(capsys, log, "--object", several)
    args = (log, "--object", several, "--prog", "second", "-o", "json")
    (row,) = json.loads(explain_to_text(capsys, *args))["results"]
    assert row["place"]["source"].strip() == "return table[context->mark];"
    assert "it has no program 'third'" in error_line(capsys, log, "--object", several, "--prog", "third")


def test_lines_that_the_compiler_made_are_those_before_them(capsys: Capsys, tmp_path: Path) -> None:
    """They are called 0: the nearest real line before them is shown."""
    log = tmp_path / "log"
    log.write_text(
        "0: R1=ctx() R10=fp0\n; x = *p; @ prog.c:12\n0: (b7) r3 = 0                        ; R3=0\n"
        ";  @ prog.c:0\n1: (61) r2 = *(u32 *)(r3 +0)\nR3 invalid mem access 'scalar'\n"
        "processed 2 insns (limit 1000000)\n",
        encoding="utf-8",
    )
    assert "--> prog.c:12, instruction 1\n" in explain_to_text(capsys, str(log))


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["/nonexistent"], "/nonexistent: No such file or directory (ENOENT)"),
        ([OBJECT], "this is no log of the BPF verifier"),
        ([os.devnull], "it is empty"),
        ([LOG, "--object", "/nonexistent.o"], "/nonexistent.o: No such file or directory (ENOENT)"),
        ([LOG, "--object", LOG], "this is no BPF object file: no ELF file"),
        ([LOG, "--object", sys.executable], "this is no BPF object file"),
        ([LOG, "--html", "/nonexistent/x.html"], "/nonexistent/x.html: No such file or directory (ENOENT)"),
        ([LOG, "--errno", "EMOON"], "'EMOON' is no errno"),
        ([LOG, "-o", "xml"], "'xml' is not one of"),
    ],
)
def test_bad_arguments_are_one_line(args: list[str], told: str, capsys: Capsys) -> None:
    assert told in error_line(capsys, *args)


def test_an_object_file_of_another_program_is_one_line(capsys: Capsys, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(Path(LOG).read_text(encoding="utf-8").replace("'count'", "'other'"), encoding="utf-8")
    assert "it has no program 'other'; it has count" in error_line(capsys, str(log), "--object", OBJECT)


@pytest.mark.parametrize("size", range(0, Path(OBJECT).stat().st_size, 97))
def test_an_object_file_cut_anywhere_is_read_or_refused(size: int, capsys: Capsys, tmp_path: Path) -> None:
    path = tmp_path / "cut.o"
    path.write_bytes(Path(OBJECT).read_bytes()[:size])
    assert run(["verifier-log", "explain", LOG, "--object", str(path)]) in {ExitCode.OK, ExitCode.CANNOT_RUN}
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("place", range(0, Path(OBJECT).stat().st_size, 13))
def test_an_object_file_with_wrong_bytes_is_read_or_refused(place: int, capsys: Capsys, tmp_path: Path) -> None:
    data = bytearray(Path(OBJECT).read_bytes())
    data[place : place + 4] = b"\xff" * len(data[place : place + 4])
    path = tmp_path / "wrong.o"
    path.write_bytes(data)
    assert run(["verifier-log", "explain", LOG, "--object", str(path)]) in {ExitCode.OK, ExitCode.CANNOT_RUN}
    assert "Traceback" not in capsys.readouterr().err


def test_many_diagnoses_are_cut_short(capsys: Capsys, tmp_path: Path) -> None:
    log = tmp_path / "log"
    block = (LOGS / "7.3-rc7" / "leak-two.txt").read_text(encoding="utf-8")
    block = block[block.index("Unreleased") : block.index("BPF_EXIT")]
    log.write_text(f"7: (95) exit\n{block * 10}processed 9 insns (limit 1000000)\n", encoding="utf-8")
    assert explain_to_text(capsys, str(log)).count("error[") == 9
    assert "11 further diagnoses" in explain_to_text(capsys, str(log))
    assert explain_to_text(capsys, str(log), "-o", "wide").count("error[") == 20


def test_a_long_path_is_cut_in_the_middle(capsys: Capsys, tmp_path: Path) -> None:
    log = tmp_path / "long"
    steps = "".join(f"{number}: (07) r2 += 1 ; R2_w={number}\n" for number in range(1, 31))
    log.write_text(
        f"0: R1=ctx(off=0,imm=0) R10=fp0\n0: (b7) r2 = 0 ; R2_w=0\n{steps}31: (61) r0 = *(u32 *)(r2 +0)\n"
        "R2 invalid mem access 'scalar'\n"
    )
    short = explain_to_text(capsys, str(log))
    numbers = [int(found) for found in re.findall(r"^ *(\d+)\. ", short, re.MULTILINE)]
    whole = [
        int(found)
        for found in re.findall(r"^ *(\d+)\. ", explain_to_text(capsys, str(log), "-o", "wide"), re.MULTILINE)
    ]
    assert len(numbers) == 16
    assert whole == list(range(1, len(whole) + 1))
    assert numbers == [*whole[:4], *whole[-12:]]
    assert f"note: {len(whole) - 16} steps left out here; -o wide has all\n" in short


def test_exit_codes_are_those_of_the_outcome(capsys: Capsys, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("7: (95) exit\nsomething new\nprocessed 9 insns (limit 1000000)\n", encoding="utf-8")
    assert "unrecognised message: something new" in explain_to_text(capsys, str(log), code=ExitCode.CANNOT_TELL)
    log.write_text("0: (b7) r0 = 0\n1: (95) exit\nprocessed 2 insns (limit 1000000)\n", encoding="utf-8")
    assert explain_to_text(capsys, str(log)).startswith("accepted: ")
    log.write_text("0: (b7) r0 = 0\n1: (b7) r1", encoding="utf-8")
    assert "no message in this part of the log" in explain_to_text(
        capsys, str(log), code=ExitCode.CANNOT_TELL
    ).replace("\n", " ")
    assert "Privilege" in explain_to_text(capsys, os.devnull, "--errno", "EPERM")


def test_hostile_text_stays_text(capsys: Capsys, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "; \x1b]0;title\x07 <script>alert(1)</script> \u202e @ a<b>.c:3\n0: (95) exit\nR0 !read_ok\n"
        "\x1b[2J</style><script>\nprocessed 1 insns\n",
        encoding="utf-8",
    )
    html = tmp_path / "x.html"
    out = explain_to_text(capsys, str(log), "--html", str(html))
    assert not set(out) & (set(map(chr, range(32))) - {"\n"})
    assert "\u202e" not in out
    text = html.read_text(encoding="utf-8")
    assert "alert(1)</script>" not in text
    assert text.count("<script") == text.count("</script>") == 1
    assert "\x1b" not in text


def test_addresses_are_redacted(capsys: Capsys) -> None:
    path = str(LOGS / "7.3-rc7" / "value-index-unbounded.txt")
    assert re.search(r"0xff[0-9a-f]{14}", explain_to_text(capsys, path, "-o", "json"))
    assert not re.search(r"= 0xff[0-9a-f]{14}", explain_to_text(capsys, path, "-o", "json", "--redact"))


def test_a_million_lines_take_half_a_second_and_little_memory(tmp_path: Path) -> None:
    """51 MB are explained in half a second and 60 MB, the start of the interpreter included."""
    log = tmp_path / "log"
    lines = [
        f"{number % 90 + 1}: (07) r6 += 1                       ; R6=scalar(id={number})\n" for number in range(1000)
    ]
    block = "".join([*lines, "from 40 to 1: R0=scalar() R1=ctx() R6=map_value(ks=8,vs=16) R10=fp0\n"])
    with log.open("w", encoding="utf-8") as file:
        file.write("func#0 @0\n0: R1=ctx() R10=fp0\n")
        file.writelines(block for _ in range(1000))
        file.write(
            "91: (79) r0 = *(u64 *)(r6 +0)\nR6 invalid mem access 'scalar'\nprocessed 1000000 insns (limit 1000000)\n"
        )
    assert log.stat().st_size > 51_000_000
    code = (
        "import atexit, sys\n"
        "peak = lambda: next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "atexit.register(lambda: print(peak(), file=sys.stderr))\n"
        f"sys.argv = ['kprobe-tool', 'verifier-log', 'explain', {str(log)!r}, '-o', 'json']\n"
        "from kprobe_tool.cli import main\n"
        "main()\n"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = os.times()
    (row,) = json.loads(done.stdout)["results"]
    assert row["rule"] == "scalar-dereference"
    # Processor time, because other tests may be running on the same processors, and nothing here waits.
    took = after.children_user + after.children_system - before.children_user - before.children_system
    assert took < 0.5
    # The program's own peak: wait4(2) would count the memory of the process that it was forked from.
    assert int(done.stderr.split()[1]) * 1024 < 60_000_000


@pytest.mark.parametrize("columns", [60, 80])
def test_lines_are_as_wide_as_the_terminal(capsys: Capsys, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    widths = [len(line) for line in explain_to_text(capsys, LOG).splitlines()]
    assert columns - 20 < max(widths) <= columns


def test_fail_on_decides_the_exit_code(capsys: Capsys, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("0: (bf) r6 = r3\nR3 !read_ok\nprocessed 1 insns (limit 1000000)\n", encoding="utf-8")
    explain_to_text(capsys, str(log), code=ExitCode.OK)
    explain_to_text(capsys, str(log), "--fail-on", "rejected", code=ExitCode.FOUND)
    log.write_text("7: (95) exit\nsomething new\nprocessed 9 insns (limit 1000000)\n", encoding="utf-8")
    explain_to_text(capsys, str(log), "--fail-on", "never", code=ExitCode.OK)


def test_annotations_are_at_the_line_that_the_log_has(capsys: Capsys, tmp_path: Path) -> None:
    """With the file and line that the log has; without them they stand for the run as a whole."""
    log = tmp_path / "log"
    log.write_text("; x = *p; @ prog.c:12\n0: (bf) r6 = r3\nR3 !read_ok\nprocessed 1 insns (limit 1000000)\n")
    level, where, text = formats.github(explain_to_text(capsys, str(log), "-o", "github").rstrip("\n"))
    assert (level, where["file"], where["line"]) == ("error", "prog.c", "12")
    assert where["title"] == "BPF verifier: Unreadable register"
    assert text.startswith("R3 !read_ok\n")
    (result,) = formats.sarif(explain_to_text(capsys, str(log), "-o", "sarif"))
    assert result["ruleId"] == "unreadable-register"
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 12}
    log.write_text("0: (95) exit\nprocessed 1 insns (limit 1000000)\n")
    assert explain_to_text(capsys, str(log), "-o", "github") == ""
    assert formats.sarif(explain_to_text(capsys, str(log), "-o", "sarif")) == []
