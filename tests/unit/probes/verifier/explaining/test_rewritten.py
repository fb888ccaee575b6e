# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of a C file for bcc, from a log with those of the text that bcc made of it (6.18.44)."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.explaining.explain import explain_bytes
from kprobe_tool.probes.verifier.explaining.rewritten import restore_lines

SOURCE = """\
#include <uapi/linux/ptrace.h>

BPF_HASH(counts, u64, u64);

int count(struct pt_regs *ctx)
{
	u64 key = 1;
	u64 *value = counts.lookup(&key);

	*value += 1;
	return 0;
}
"""
LOG = b"""\
0: R1=ctx() R10=fp0
; int count(struct pt_regs *ctx) @ main.c:16
0: (b7) r1 = 1                        ; R1=1
; u64 key = 1; @ main.c:19
1: (7b) *(u64 *)(r10 -8) = r1         ; R1=1 R10=fp0 fp-8=1
; u64 *value = bpf_map_lookup_elem((void *)bpf_pseudo_fd(1, -1), &key); @ main.c:20
2: (18) r1 = 0xffff888104360c00       ; R1=map_ptr(map=counts,ks=8,vs=8)
4: (bf) r2 = r10                      ; R2=fp0 R10=fp0
;  @ main.c:0
5: (07) r2 += -8                      ; R2=fp-8
; u64 *value = bpf_map_lookup_elem((void *)bpf_pseudo_fd(1, -1), &key); @ main.c:20
6: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,map=counts,ks=8,vs=8)
; *value += 1; @ main.c:22
7: (79) r1 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""


def without_numbers(log: bytes) -> bytes:
    """As kernels before Linux v6.10 write it."""
    return b"\n".join(line.partition(b" @ ")[0] for line in log.split(b"\n"))


@pytest.mark.parametrize("log", [LOG, without_numbers(LOG)], ids=["6.10", "before"])
def test_the_place_is_in_the_file_that_the_user_wrote(log: bytes) -> None:
    diagnosis = restore_lines(explain_bytes(log), "/tmp/prog.c", SOURCE, log)
    place = diagnosis.place
    assert (place.file, place.line, place.source) == ("prog.c", 10, "*value += 1;")
    assert [line.number for line in place.source_context] == [8, 10, 11, 12]


def test_a_line_that_was_written_anew_is_found_by_its_number() -> None:
    """Only the numbers tell which line it was: one behind that with the key."""
    diagnosis = restore_lines(explain_bytes(LOG), "prog.c", SOURCE, LOG)
    (event,) = diagnosis.path
    assert (event.place.file, event.place.line) == ("prog.c", 8)
    assert event.place.source == "u64 *value = counts.lookup(&key);"


def test_lines_of_another_file_stay_as_they_are() -> None:
    """Nothing is said of lines that are not the file's: those of a header, or of a file that has changed."""
    other = LOG.replace(b"main.c", b"helpers.h")
    assert restore_lines(explain_bytes(other), "prog.c", SOURCE, other) == explain_bytes(other)
    assert restore_lines(explain_bytes(LOG), "prog.c", "int other;\n", LOG) == explain_bytes(LOG)
