# SPDX-License-Identifier: GPL-2.0-or-later
"""Text that was encoded on its way: UTF-16, JSON, escapes of programming languages, HTML, quoted-printable.

No logger is recognised by its name: an encoding is undone where the text shows that it is there. Of a long log only
the last WINDOW bytes are decoded.
"""

from __future__ import annotations

import binascii
import re
from collections import Counter
from collections.abc import Iterator

from kprobe_tool.probes.verifier.log.wrapping import Data

WINDOW = 1 << 23
"""Bytes from the end that are decoded."""
SAMPLE = 1 << 16
"""Bytes at both ends in which encodings are looked for."""
NESTED_MAX = 3
"""Encodings within each other: JSON within a string of Rust within a page of HTML."""
DEPTH_MAX = 8
"""Objects within each other that are looked into for strings."""

MARK = rb"(?:\d{1,7}: ?\([0-9a-f]{2}\) |processed \d{1,9} insns|R\d{1,2} )"
"""What a line of the verifier's can begin with."""
ESCAPED = re.compile(rb"\\n[ \t:]{0,8}(?:\\t){0,8}(?:; |" + MARK + rb"|$)|" + MARK + rb"[^\n]{0,300}\\n")
ESCAPE = re.compile(rb'\\(?:([ntr"\'\\/])|x([0-9a-fA-F]{2})|u\{?([0-9a-fA-F]{2,4})\}?)')
PLAIN = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}
ENTITY = re.compile(rb"&(?:gt|lt|amp|quot|apos|nbsp|#\d{1,5}|#x[0-9a-fA-F]{1,4});")
QUOTED = re.compile(rb"(?:R\d{1,2}(?:_\w{1,4})?|[rw]\d{1,2} [-+*/|&^<>s]{0,4})=3D|=3D[^\n]{0,80}=\r?\n")
BREAK = re.compile(rb"<(?:br|/p|/div|p|pre|/pre|code|/code)(?: [^<>]{0,80})?/?>")


def decode(data: Data) -> Data:
    """The log as the kernel wrote it, or its end; the same object where nothing is encoded."""
    data = from_utf16(data)
    for _ in range(NESTED_MAX):
        sample = data[:SAMPLE] + b"\n" + data[max(0, len(data) - SAMPLE) :]
        if looks_like_json(sample):
            data = from_json(last_bytes(data)) or data
        elif rb"\n" in sample and ESCAPED.search(sample):
            data = ESCAPE.sub(unescape, last_bytes(data))
        elif b"=3D" in sample and QUOTED.search(sample):
            data = binascii.a2b_qp(last_bytes(data))
        elif ENTITY.search(sample):
            import html

            text = last_bytes(data).decode("utf-8", "surrogateescape")
            data = BREAK.sub(b"\n", html.unescape(text).encode("utf-8", "surrogateescape"))
        else:
            break
    return data


def last_bytes(data: Data) -> bytes:
    """The last WINDOW bytes, from the beginning of a line on if there is one."""
    begin = max(0, len(data) - WINDOW)
    found = data.find(b"\n", begin, begin + SAMPLE) if begin else -1
    return data[found + 1 if found >= 0 else begin :]


def from_utf16(data: Data) -> Data:
    """UTF-16, with or without a byte order mark, becomes UTF-8; a byte order mark before UTF-8 is removed."""
    sample = data[:1024]
    if sample.startswith(b"\xef\xbb\xbf") and len(data) <= WINDOW:
        return data[3:]
    order = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(sample[:2])
    if order is None and len(sample) >= 16:
        if sample[1::2].count(0) > len(sample) * 0.4 and sample[::2].count(0) == 0:
            order = "utf-16-le"
        elif sample[::2].count(0) > len(sample) * 0.4 and sample[1::2].count(0) == 0:
            order = "utf-16-be"
    if order is None:
        return data
    begin = max(0, len(data) - WINDOW) & ~1
    return data[begin:].decode(order, "replace").removeprefix("\ufeff").encode("utf-8", "replace")


def looks_like_json(sample: bytes) -> bool:
    """Whether at least half of the lines are JSON objects."""
    if b"{" not in sample:
        return False
    lines = [line.strip() for line in sample.splitlines() if line.strip()]
    objects = sum(line[:1] == b"{" and line[-1:] == b"}" and b'"' in line for line in lines)
    return objects > 0 and objects * 2 >= len(lines)


def from_json(data: bytes) -> bytes | None:
    """The log from lines of JSON objects: the strings of the member in which most lines of a log are."""
    import json

    found: list[tuple[str, str]] = []
    for line in data.splitlines():
        try:
            thing = json.loads(line)
        except (ValueError, RecursionError):
            continue
        found += strings(thing, "", 0)
    marked = Counter(name for name, text in found if re.search(MARK, text.encode("utf-8", "replace")))
    if not found:
        return None
    wanted = {marked.most_common(1)[0][0]} if marked else {name for name, _ in found}
    lines = [text if text.endswith("\n") else text + "\n" for name, text in found if name in wanted]
    return "".join(lines).encode("utf-8", "replace")


def strings(thing: object, name: str, depth: int) -> Iterator[tuple[str, str]]:
    """(path of member names, text) of every string within a JSON value."""
    if isinstance(thing, str):
        yield name, thing
    elif isinstance(thing, dict) and depth < DEPTH_MAX:
        for key, inside in thing.items():
            yield from strings(inside, f"{name}.{key}", depth + 1)
    elif isinstance(thing, list) and depth < DEPTH_MAX:
        for inside in thing:
            yield from strings(inside, name, depth + 1)


def unescape(found: re.Match[bytes]) -> bytes:
    """One escape of C, Rust, Go, Python or JSON."""
    if found[1]:
        return PLAIN.get(found[1], found[1])
    return chr(int(found[2] or found[3], 16)).encode("utf-8", "replace")
