# SPDX-License-Identifier: GPL-2.0-or-later
"""verifier-log floor: what people and scripts are told of objects."""

from __future__ import annotations

import gc
import json
import time
from pathlib import Path

import pytest

from kprobe_tool.cli import run
from kprobe_tool.errors import ExitCode
from kprobe_tool.probes.verifier.floor import judge
from tests.corpus.objects import object_file

from ...documents import OBJECT, SCHEMAS, check

Capsys = pytest.CaptureFixture[str]
SECONDS = 0.5
"""An answer that takes longer is a nuisance in a build."""


def test_json_has_the_release_of_each_program(capsys: Capsys) -> None:
    path = str(object_file("memory"))
    assert run(["verifier-log", "floor", path, "-o", "json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    check(SCHEMAS["verifier-log-floor"], document)
    assert document["object"] == path
    (program,) = [each for each in document["programs"] if each["program"] == "index_of_callback"]
    assert program["load"] == {"release": "5.17", "exact": True, "forced_by": ["bpf_loop"], "unknown": []}
    assert document["load"]["release"] == judge.floor(path).load.release
    assert (document["licence"]["declared"], document["licence"]["gpl_compatible"]) == ("GPL", True)
    assert "bpf_snprintf" in document["licence"]["needs_gpl"]
    (loop,) = [row for row in document["results"] if row["name"] == "bpf_loop"]
    assert (loop["since"], loop["commit"], loop["programs"]) == ("5.17", "e6f2dd0f8067", ["index_of_callback"])
    assert len(document["programs"]) > 10


def test_people_are_told_what_forces_the_release(capsys: Capsys) -> None:
    run(["verifier-log", "floor", str(object_file("accepted"))])
    shown = capsys.readouterr().out
    assert "loads from Linux 5.17 on, because of bpf_loop\n" in shown
    assert "needs no particular licence\n" in shown
    run(["verifier-log", "floor", str(object_file("printing"))])
    assert "needs a licence compatible with the GPL, because of bpf_trace_printk\n" in capsys.readouterr().out
    assert "verifier-log matrix" in shown
    assert "BTF_KIND_INT" not in shown
    run(["verifier-log", "floor", str(object_file("accepted")), "-o", "wide"])
    assert "BTF_KIND_INT" in capsys.readouterr().out


def test_a_licence_that_is_not_compatible_is_a_warning(tmp_path: Path, capsys: Capsys) -> None:
    path = tmp_path / "proprietary.o"
    data = Path(object_file("memory")).read_bytes()
    assert data.count(b"GPL\0") == 1
    path.write_bytes(data.replace(b"GPL\0", b"BSD\0"))
    assert run(["verifier-log", "floor", str(path), "-o", "json"]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert not json.loads(out)["licence"]["gpl_compatible"]
    assert "the licence 'BSD' is not compatible with the GPL: no kernel loads what uses " in err
    assert "bpf_snprintf" in err


def test_a_helper_that_is_not_known_makes_the_floor_unknown(tmp_path: Path, capsys: Capsys) -> None:
    """A helper of a number that no kernel has yet."""
    path = tmp_path / "new.o"
    data = Path(object_file("printing")).read_bytes()
    call = bytes((0x85, 0, 0, 0, 6, 0, 0, 0))
    assert data.count(call) == 1
    path.write_bytes(data.replace(call, call[:4] + (9999).to_bytes(4, "little")))
    assert run(["verifier-log", "floor", str(path)]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert "unknown" in out.splitlines()[1]
    assert "helper #9999: not in the tool's tables" in err


@pytest.mark.parametrize("name", ["/nonexistent", "/dev/null", "/etc/passwd", "/proc/self/exe"])
def test_what_is_no_object_is_one_line(name: str, capsys: Capsys) -> None:
    assert run(["verifier-log", "floor", name]) == ExitCode.CANNOT_RUN
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith(f"kprobe-tool: verifier-log floor: {name}: ")


def test_it_is_quick(capsys: Capsys) -> None:
    """Measured in time of this process, as others have theirs, and without the garbage that other tests have left."""
    gc.collect()
    gc.disable()
    try:
        begin = time.process_time()
        run(["verifier-log", "floor", str(OBJECT), "-o", "json"])
        took = time.process_time() - begin
    finally:
        gc.enable()
    assert took < SECONDS
    assert capsys.readouterr().out
