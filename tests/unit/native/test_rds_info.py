# SPDX-License-Identifier: GPL-2.0-or-later
"""The RDS structures against the UAPI header, by the C compiler, and against what kernels return."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from kprobe_tool.native import rds, rds_info
from kprobe_tool.probes.rds import savefile

from ...skips import skip

DATA = Path(__file__).parents[1] / "data" / "rds"
STRUCTS = sorted({option.struct for option in rds_info.OPTIONS.values()}, key=lambda struct: struct.__name__)


def test_structures_are_those_of_the_uapi_header(tmp_path: Path) -> None:
    if shutil.which("gcc") is None or not Path("/usr/include/linux/rds.h").exists():
        skip("gcc and linux-libc-dev are not installed")
    lines = []
    for struct in STRUCTS:
        name = struct.__name__
        lines.append(f'printf("{name} %zu\\n", sizeof(struct {name}));')
        for field, *_ in struct._fields_:
            lines.append(f'printf("{name}.{field} %zu\\n", offsetof(struct {name}, {field}));')
    lines += [f'printf("{option.name} %d\\n", {option.name});' for option in rds_info.OPTIONS.values()]
    headers = "#include <stdio.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <linux/rds.h>\n"
    source = tmp_path / "sizes.c"
    source.write_text(headers + "int main(void) {\n" + "\n".join(lines) + "\nreturn 0;\n}\n")
    subprocess.run(["gcc", "-o", str(tmp_path / "sizes"), str(source)], check=True)
    printed = subprocess.run([str(tmp_path / "sizes")], check=True, capture_output=True, text=True).stdout
    header = {name: int(number) for name, number in (line.split() for line in printed.splitlines())}
    ours = {option.name: option.value for option in rds_info.OPTIONS.values()}
    for struct in STRUCTS:
        ours[struct.__name__] = ctypes.sizeof(struct)
        for field, *_ in struct._fields_:
            ours[f"{struct.__name__}.{field}"] = getattr(struct, field).offset
    assert ours == header


@pytest.mark.parametrize("path", sorted(DATA.glob("*.json")), ids=lambda path: path.stem)
def test_record_sizes_are_those_of_real_kernels(path: Path) -> None:
    capture, _ = savefile.load(str(path))
    seen = {answer.option: answer.record_size for reading in capture.readings for answer in reading.answers.values()}
    assert len(seen) >= 12
    assert {option.name: size for option, size in seen.items()} == {
        option.name: ctypes.sizeof(option.struct) for option in seen
    }


@pytest.mark.parametrize(
    ("name", "size", "tos"),
    [
        # Before tos (v5.1), with it, and a record longer than any kernel's so far.
        ("RDS_INFO_CONNECTIONS", 41, None),
        ("RDS_INFO_CONNECTIONS", 42, 0),
        ("RDS_INFO_CONNECTIONS", 48, 0),
        ("RDS_INFO_SEND_MESSAGES", 25, None),
        ("RDS_INFO_SEND_MESSAGES", 26, 0),
        ("RDS_INFO_TCP_SOCKETS", 40, None),
        ("RDS_INFO_TCP_SOCKETS", 41, 0),
        ("RDS_INFO_IB_CONNECTIONS", 60, None),
        ("RDS_INFO_IB_CONNECTIONS", 64, 0),
        ("RDS_INFO_IB_CONNECTIONS", 68, 0),
    ],
)
def test_sizes_that_kernels_had_are_read(name: str, size: int, tos: int | None) -> None:
    option = rds_info.OPTIONS[name]
    option.check_record_size(size)
    (record,) = rds.InfoAnswer(option, size, bytes(size)).records()
    assert record._asdict()["tos"] == tos


@pytest.mark.parametrize("size", [-1, 0, 1, 24, rds_info.RECORD_SIZE_MAX + 1])
def test_sizes_that_none_had_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"records of {size} bytes"):
        rds_info.OPTIONS["RDS_INFO_SEND_MESSAGES"].check_record_size(size)
