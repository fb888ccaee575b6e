# SPDX-License-Identifier: GPL-2.0-or-later
"""What loaders write around a log: how to recognise and remove it, and the errno and program that it names.

A line is cut at LINE_MAX before anything looks at it, and every repetition here is bounded: a hostile line costs no
more than a long one.
"""

from __future__ import annotations

import errno as errnos
import os
import re

from kprobe_tool.errors import ERRNO_NAMES
from kprobe_tool.probes.verifier.log.wrapping import BARE, CONTROL, Wrapping

LINE_MAX = 4096
"""Bytes of a line that are looked at. The kernel's own lines end at 1024 (BPF_VERIFIER_TMP_LOG_SIZE)."""

LOADERS = (
    "libbpf:",
    "bpf: Failed to load program",
    "Error: failed to load",
    "Error fetching program/map!",
    "Warning: bpftool is now running in libbpf strict mode",
    "If it used to work for this object file but now doesn't",
    "-- BEGIN PROG LOAD LOG --",
    "-- BEGIN DUMP LOG --",
    "-- END PROG LOAD LOG --",
    "-- END LOG --",
    "Traceback (most recent call last):",
    "Prog section '",
    "Verifier analysis:",
    "HINT: ",
)
"""How the lines of loaders begin."""

BEGIN = re.compile(r"-- BEGIN (?:PROG LOAD|DUMP) LOG --")
END = re.compile(r"-- END (?:PROG LOAD )?LOG --")
OMITTED = re.compile(r" ?\((?:truncated, )?\d{1,9} line\(s\) omitted.*$", re.DOTALL)
"""What cilium/ebpf puts behind a log of which it shows one line; fields of the logger may follow."""
PROGRAM = re.compile(r"prog '([^']{1,128})'")
FAILED = re.compile(
    r"(?:load failed: |program failed: |[Ff]ailed to load (?:BPF )?program[^:\n]{0,64}: |load program: "
    r"|failed to load: |Prog section '[^'\n]{0,128}' rejected: |(?<![a-z])bpf: (?!Failed )|strerror_r\(|os error )"
    r"(?:(?P<number>-?\d{1,4})|-?(?P<name>E[A-Z0-9]{2,14})\b|(?P<text>[A-Za-z ]{3,64}))"
)
FAILED_WORDS = ("failed", "Failed", "rejected: ", "load program: ", "bpf: ", "strerror_r(", "os error ")
"""Every text that FAILED matches has one of these; without them the search, which is slow, is left out."""
LOAD_ERRNOS = (
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
"""What loads end with, to find an errno by the text of strerror()."""
EDGE = 1 << 16
"""Bytes at both ends of a log in which loaders are looked for."""


def clean(raw: bytes, wrapping: Wrapping = BARE) -> str:
    """One line as the kernel wrote it: without carriage return, colours, its wrapping, and tabs at the beginning."""
    text = raw[:LINE_MAX].decode("utf-8", "backslashreplace").rstrip("\r\n\0")
    if "\x1b" in text:
        text = CONTROL.sub("", text)
    text = (text if wrapping is BARE else wrapping.strip(text)).lstrip("\t")
    # In a forum the message may be in bold.
    return text[2:-2] if text[:2] == "**" and text.endswith("**") else text


def is_loader(text: str) -> bool:
    """Whether a line is a loader's own."""
    return text.startswith(LOADERS)


def errno_of(text: str) -> str | None:
    """The name of an errno that is written as its name, its number or its text."""
    text = text.strip()
    if text.upper() in ERRNO_NAMES.values():
        return text.upper()
    try:
        number = abs(int(text))
    except ValueError:
        return next(
            (errnos.errorcode[each] for each in LOAD_ERRNOS if os.strerror(each).lower() == text.lower().rstrip(".")),
            None,
        )
    return ERRNO_NAMES.get(number)


def program_and_errno(edges: str) -> tuple[str | None, str | None]:
    """(program, errno) from the loader's own lines, the last of each; None where no line has it."""
    program = None
    for found in PROGRAM.finditer(edges):
        program = found[1]
    errno = None
    for found in FAILED.finditer(edges) if any(word in edges for word in FAILED_WORDS) else ():
        errno = errno_of(found["number"] or found["name"] or found["text"]) or errno
    return program, errno
