# SPDX-License-Identifier: GPL-2.0-or-later
"""What loaders, dmesg and the journal put around a log, and how to get rid of it.

A line is cut at LINE_MAX before anything looks at it, and every repetition here is bounded: a hostile line costs no
more than a long one.
"""

from __future__ import annotations

import errno as errnos
import os
import re

from kprobe_tool.errors import ERRNO_NAMES

LINE_MAX = 4096
"""Bytes of a line that are looked at. The kernel's own lines end at 1024 (BPF_VERIFIER_TMP_LOG_SIZE)."""

CONTROL = re.compile(r"\x1b\[[0-9;]{0,16}[A-Za-z]")
STAMPS = (
    # dmesg: [   12.345678] or [   12.345678][  T123]
    re.compile(r"(?:<\d{1,3}>)?\[ {0,8}\d{1,10}\.\d{6}\](?:\[ {0,6}[TC]\d{1,8}\])? ?"),
    # the journal: Nov 21 07:43:30 host name[123]:
    re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,6})? \S{1,64} [^\s:]{1,64}: ?"),
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S{0,16} \S{1,64} [^\s:]{1,64}: ?"),
)
BAR = re.compile(r"[ \t]{0,8}\| (?=\S)")
"""cilium/ebpf and others draw a bar before each line. The kernel's own bars stand after more blanks or a number."""

LOADERS = (
    "libbpf: ",
    "bpf: Failed to load program",
    "Error: failed to load",
    "Error fetching program/map!",
    "Warning: bpftool is now running in libbpf strict mode",
    "If it used to work for this object file but now doesn't",
    "-- BEGIN PROG LOAD LOG --",
    "-- END PROG LOAD LOG --",
    "Traceback (most recent call last):",
    "Prog section '",
    "Verifier analysis:",
    "HINT: ",
)
"""How the lines of loaders begin."""

BEGIN = b"-- BEGIN PROG LOAD LOG --"
PROGRAM = re.compile(r"prog '([^']{1,128})'")
FAILED = re.compile(
    r"(?:load failed: |[Ff]ailed to load program[^:]{0,64}: |load program: |failed to load: )"
    r"(?:(?P<number>-\d{1,4})|(?P<text>[A-Za-z ]{3,64}))"
)
LIKELY = (
    errnos.EACCES,
    errnos.EPERM,
    errnos.EINVAL,
    errnos.E2BIG,
    errnos.ENOSPC,
    errnos.EFAULT,
    errnos.ENOMEM,
    errnos.ENOENT,
    errnos.EBADF,
    errnos.ELOOP,
    errnos.EOPNOTSUPP,
    errnos.ENOTSUP,
    errnos.ESRCH,
    errnos.EAGAIN,
    errnos.EEXIST,
    errnos.ERANGE,
    errnos.EPROTO,
    errnos.EDEADLK,
    errnos.EBUSY,
)
EDGE = 1 << 16
"""Bytes at both ends of a log in which loaders are looked for."""


def clean(raw: bytes) -> str:
    """One line without what is not the kernel's: carriage return, colours, time stamps, bars, tabs in front."""
    text = raw[:LINE_MAX].decode("utf-8", "backslashreplace").rstrip("\r\n\0")
    if "\x1b" in text:
        text = CONTROL.sub("", text)
    if text[:1] in "<[" or text[:1].isupper() or text[:2] == "20":
        for stamp in STAMPS:
            found = stamp.match(text)
            if found is not None:
                text = text[found.end() :]
                break
    text = text.lstrip("\t")
    if "|" in text[:10]:
        found = BAR.match(text)
        if found is not None and not text[found.end() :].startswith("^-- "):
            text = text[found.end() :]
    return text


def is_loader(text: str) -> bool:
    """Whether a line is a loader's own."""
    return text.startswith(LOADERS) or text.endswith("line(s) omitted)")


def errno_of(text: str) -> str | None:
    """The name of an errno that is written as its name, its number or its text."""
    text = text.strip()
    if text.upper() in ERRNO_NAMES.values():
        return text.upper()
    try:
        number = abs(int(text))
    except ValueError:
        return next(
            (errnos.errorcode[each] for each in LIKELY if os.strerror(each).lower() == text.lower().rstrip(".")), None
        )
    return ERRNO_NAMES.get(number)


def program_and_errno(edges: str) -> tuple[str | None, str | None]:
    """(program, errno) as far as the loader's own lines tell, the last one first."""
    program = None
    for found in PROGRAM.finditer(edges):
        program = found[1]
    errno = None
    for found in FAILED.finditer(edges):
        errno = errno_of(found["number"] or found["text"]) or errno
    return program, errno
