# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes are found in small sources and types that are made here."""

import ctypes
import gzip
import struct
from pathlib import Path

import pytest

from kprobe_tool.errors import Error
from kprobe_tool.native import btf
from kprobe_tool.probes.extensible_structs import table

from .flags import FAMILIES, UAPI, names_in, names_of_entries, unknown_flags
from .formats import formats, has_row, line_of, literals, read_without_row, unknown_formats
from .selftests import SELFTEST_DIRECTORIES, Expectation, example, expectations, read_no_reasons, share_with_row
from .types import PAYLOAD_LENGTH, PAYLOAD_OFFSET, SECTOR, SETUP_SECTS, differences, unpack_image

VERIFIER = r"""
static int check(struct bpf_verifier_env *env, int regno)
{
    verbose(env, "R%d !read_ok\n", regno);
    if (verifier_bug_if(regno > 9, env,
                "a register (%d) that "
                "is none", regno))
        return -EFAULT;
    verbose(env, "%s (\"%s\") is of a kind that nobody has heard of\n", name(regno), kind[regno]);
    verbose(env, ", ");
    return print(env);
}
"""


def write(source: Path, name: str, text: str) -> None:
    path = source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_calls_that_print_have_a_format() -> None:
    assert list(formats(VERIFIER)) == [
        (4, "R%d !read_ok\n"),
        (5, "verifier bug: a register (%d) that is none"),
        (9, '%s ("%s") is of a kind that nobody has heard of\n'),
    ]


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("R%d !read_ok\n", True),
        ("R%d  !read_ok\n", False),
        ("verifier bug: anything at all\n", True),
        # The first part of a line that is printed in parts.
        ("R%d type=%s expected=", True),
        ("R%d type=%s suspected=", False),
        ("nothing of ours\n", False),
    ],
)
def test_a_format_has_a_row_that_matches_what_it_prints(text: str, known: bool) -> None:
    assert has_row(text, literals()) == known


def test_formats_without_a_row_are_told(tmp_path: Path) -> None:
    write(tmp_path, "kernel/bpf/verifier.c", VERIFIER)
    # It prints instructions.
    write(tmp_path, "kernel/bpf/disasm.c", 'verbose(env, "a register of gold");')
    (line,) = unknown_formats(tmp_path, frozenset())
    format_ = r'%s ("%s") is of a kind that nobody has heard of\n'
    assert line == f"kernel/bpf/verifier.c:9: no row of the messages has: {format_}"
    assert list(unknown_formats(tmp_path, frozenset({format_}))) == []


def test_the_list_has_formats_without_a_row_only() -> None:
    listed = read_without_row()
    assert line_of("R%d !read_ok\n") not in listed
    assert r"Validating %s() func#%d...\n" in listed


PROGRAMS = r"""
SEC("tc")
__failure __msg("!read_ok") __msg("r{{[0-9]+}} = r2")
__not_msg("a stack that is no stack")
__success_unpriv __msg_unpriv("a register of gold")
int reads(void *ctx)
{
}

SEC("tc")
__success __log_level(2) __msg("R1=scalar()")
int loads(void *ctx)
{
}

SEC("tc")
__failure __msg("(\"map\") is of a kind "
		"that nobody")
int hears(void *ctx)
{
}
"""
TABLE_OF_TESTS = r"""
{
	"reads uninitialized register",
	.errstr_unpriv = "R1 pointer comparison",
	.errstr = "R2 !read_ok",
	.result = REJECT,
},
"""


def test_only_programs_to_be_rejected_have_expectations() -> None:
    assert list(expectations(PROGRAMS)) == [
        (3, "!read_ok"),
        (3, "r{{[0-9]+}} = r2"),
        (17, '("map") is of a kind that nobody'),
    ]
    assert list(expectations(TABLE_OF_TESTS)) == [(4, "R1 pointer comparison"), (5, "R2 !read_ok")]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("R{{[0-9]+}} type={{.*}} expected=fp", "R3 type=x expected=fp"),
        (r"{{min|max}} value of stack\\[{{[[:digit:]]+}}]", r"min value of stack\\[3]"),
        ("no expression", "no expression"),
    ],
)
def test_regular_expressions_become_examples(text: str, line: str) -> None:
    assert example(text) == line


def test_expectations_without_a_row_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "kernel/bpf/verifier.c", VERIFIER)
    write(tmp_path, "kernel/bpf/diagnostics.c", 'report("a stack that is %s stack", what);')
    progs, tables = SELFTEST_DIRECTORIES
    write(tmp_path, f"{progs}/reads.c", PROGRAMS)
    write(tmp_path, f"{tables}/reads.c", TABLE_OF_TESTS)
    share = share_with_row(tmp_path, frozenset({"r{{[0-9]+}} = r2"}))
    assert share.unknown == [Expectation('("map") is of a kind that nobody', f"{progs}/reads.c:17")]
    assert str(share) == "3 of 4 messages have a row (75.0 %); of other texts 1"


def test_a_field_is_no_text_of_a_row(tmp_path: Path) -> None:
    """Rows of free text would take any line; a test's text counts only where the wording has it itself."""
    write(tmp_path, "kernel/bpf/verifier.c", 'verbose(env, "%s expected pointer to gold in %s", a, b);')
    write(tmp_path, "kernel/bpf/diagnostics.c", "")
    write(tmp_path, f"{SELFTEST_DIRECTORIES[0]}/gold.c", '__failure __msg("expected pointer to gold in")\nint a;\n')
    assert len(share_with_row(tmp_path, frozenset()).unknown) == 1


def test_the_list_has_texts_that_are_no_reasons_only() -> None:
    assert "Validating global_bad() func" in read_no_reasons()
    assert "!read_ok" not in read_no_reasons()


def write_headers(source: Path) -> None:
    """Write headers with just the flags that there are entries for."""
    for header, families in FAMILIES.items():
        flags = sorted(name for name in names_of_entries() if name.startswith(families))
        assert flags, header
        write(source, f"{UAPI}/{header}", "".join(f"#define {name}\t1\n" for name in flags))


def test_flags_without_an_entry_are_told(tmp_path: Path) -> None:
    write_headers(tmp_path)
    assert list(unknown_flags(tmp_path)) == []
    path = tmp_path / UAPI / "openat2.h"
    path.write_text(path.read_text() + "# define RESOLVE_NOTHING 0x40 /* new */\n#define _UAPI_OPENAT2_H\n")
    write(
        tmp_path, f"{UAPI}/perf_event.h", "enum x {\n\tPERF_FORMAT_ID = 1U << 2,\n\tPERF_FORMAT_ZEN = 1U << 9,\n};\n"
    )
    (tmp_path / UAPI / "xattr.h").unlink()
    assert list(unknown_flags(tmp_path)) == [
        f"{UAPI}/openat2.h: no entry of check-fields has RESOLVE_NOTHING",
        f"{UAPI}/perf_event.h: no entry of check-fields has PERF_FORMAT_ZEN",
        f"{UAPI}/xattr.h: not there any more",
    ]


def test_macros_and_enumerators_are_read() -> None:
    assert names_in("#define A 1\n#define GUARD\n#define A 1\n\tB\t= 2,\n/* C = 3 */\n") == ["A", "B"]


def test_every_family_belongs_to_an_entry() -> None:
    """A family that no entry has would be compared in vain."""
    names = names_of_entries()
    for families in FAMILIES.values():
        for family in families:
            assert any(name.startswith(family) for name in names), family
    assert table.NAMES


class kernel_thing(ctypes.Structure):
    _fields_ = (("size", ctypes.c_uint32), ("flags", ctypes.c_uint32))


def types_with(*members: tuple[str, int], name: str = "kernel_thing") -> btf.Btf:
    """BTF of one struct with 32-bit members at these offsets."""
    strings = b"\0"

    def string(text: str) -> int:
        nonlocal strings
        place = len(strings)
        strings += text.encode() + b"\0"
        return place

    types = struct.pack("=IIII", string("u32"), btf.BTF_KIND_INT << 24, 4, 32)
    size = max(offset for _, offset in members) + 4
    types += struct.pack("=III", string(name), btf.BTF_KIND_STRUCT << 24 | len(members), size)
    for member, offset in members:
        types += struct.pack("=III", string(member), 1, offset * 8)
    header = struct.pack(btf.HEADER, btf.BTF_MAGIC, 1, 0, btf.HEADER_SIZE, 0, len(types), len(types), len(strings))
    return btf.Btf(header + types + strings)


@pytest.mark.parametrize(
    ("members", "lines"),
    [
        ((("size", 0), ("flags", 4)), []),
        ((("size", 0), ("flags", 4), ("__spare", 8)), []),
        (
            (("size", 0), ("flags", 4), ("more", 8)),
            ["struct kernel_thing: more at 8, behind the 8 bytes that we know"],
        ),
        ((("size", 0), ("flags", 8)), ["struct kernel_thing: flags at 8, behind the 8 bytes that we know"]),
        ((("size", 0), ("mode", 4)), ["struct kernel_thing: no flags any more"]),
    ],
)
def test_fields_that_came_moved_or_went_are_told(members: tuple[tuple[str, int], ...], lines: list[str]) -> None:
    found = list(differences(kernel_thing, types_with(*members)))
    assert found[: len(lines)] == lines
    assert bool(found) == bool(lines)


def test_a_struct_that_is_gone_is_told() -> None:
    (line,) = differences(kernel_thing, types_with(("size", 0), name="another"))
    assert line == "struct kernel_thing: not in the kernel's types"


def image(payload: bytes) -> bytes:
    """A bzImage with two sectors of setup, and ten bytes before the payload."""
    start = bytearray(3 * SECTOR + 10)
    start[SETUP_SECTS] = 2
    struct.pack_into("<I", start, PAYLOAD_OFFSET, 10)
    struct.pack_into("<I", start, PAYLOAD_LENGTH, len(payload))
    return bytes(start) + payload + b"and more"


def test_an_image_is_unpacked() -> None:
    assert unpack_image(image(gzip.compress(b"\x7fELF...") + struct.pack("<I", 7))) == b"\x7fELF..."
    with pytest.raises(Error, match="not known here: 6e6f"):
        unpack_image(image(b"nothing"))
