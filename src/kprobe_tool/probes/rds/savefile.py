# SPDX-License-Identifier: GPL-2.0-or-later
"""The file that ``rds-info --save`` writes and ``--from`` reads: a capture, raw, with who it was taken from.

It is one JSON object, described by schemas/rds-capture.json. The rows are in it as the kernel gave them, base64
and undecoded, so that a later version of this tool understands more of them than the one that took them.
"""

from __future__ import annotations

import base64
import binascii
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kprobe_tool import __version__, files
from kprobe_tool.errors import Error
from kprobe_tool.native import rds_info
from kprobe_tool.native.netns import Netns
from kprobe_tool.native.procfs import Process
from kprobe_tool.native.rds import InfoAnswer
from kprobe_tool.probes.rds.ask import Capture, Reading

NAME = "rds-capture"
"""Of the document, and of its schema."""
SCHEMA_VERSION = 1
FILE_MAX = 1 << 29
"""Bytes of a file that will be looked at."""

T = TypeVar("T")


def dump(capture: Capture, host: Mapping[str, object]) -> str:
    """The file's text."""
    return json.dumps(
        {
            "schema_version": SCHEMA_VERSION,
            "document": NAME,
            "tool": {"name": "kprobe-tool", "version": __version__},
            "host": dict(host),
            "byteorder": sys.byteorder,
            "leaking": capture.leaking,
            "selected": [dump_netns(space) for space in capture.selected],
            "readings": [
                {
                    "netns": None if reading.netns is None else reading.netns.inode,
                    "own_inodes": sorted(reading.own_inodes),
                    "answers": [
                        {
                            "optname": answer.option.name,
                            "record_size": answer.record_size,
                            "data": base64.b64encode(answer.data).decode(),
                        }
                        for answer in reading.answers.values()
                    ],
                    "failures": dict(reading.failures),
                }
                for reading in capture.readings
            ],
            "local_addresses": [
                {"netns": inode, "addresses": sorted(addresses)}
                for inode, addresses in capture.local_addresses.items()
            ],
            "holders": [
                {
                    "inode": inode,
                    "processes": [{"pid": item.pid, "comm": item.comm, "netns": item.netns} for item in processes],
                }
                for inode, processes in capture.holders.items()
            ],
            "errors": [error.as_dict() for error in capture.errors],
        },
        indent=1,
    )


def dump_netns(space: Netns) -> dict[str, object]:
    return {"dev": space.dev, "inode": space.inode, "name": space.name, "pid": space.pid}


def save(path: str, capture: Capture, host: Mapping[str, object]) -> None:
    """Write the file, readable by its owner only, since root's capture tells of every namespace. Raises Error."""
    files.replace(path, [dump(capture, host)], mode=0o600)


def load(path: str) -> tuple[Capture, dict[str, object]]:
    """A capture and the ``host`` it was taken from. The file is hostile input. Raises Error."""
    return files.read_document(path, FILE_MAX, NAME, "a capture of rds-info --save", parse)


def expect(kind: type[T], value: Any, what: str) -> T:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{what} is no {kind.__name__}")
    return value


def optional(kind: type[T], value: Any, what: str) -> T | None:
    return None if value is None else expect(kind, value, what)


def parse_list(value: Any, what: str, parse_item: Callable[[dict[str, Any]], T]) -> list[T]:
    return [parse_item(expect(dict, item, what)) for item in expect(list, value, what)]


def parse(document: Any) -> tuple[Capture, dict[str, object]]:
    """Raises ValueError, TypeError or KeyError for what is no capture."""
    expect(dict, document, "the file")
    if document["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema_version {document['schema_version']!r:.40}, this tool knows {SCHEMA_VERSION}")
    if document["byteorder"] != sys.byteorder:
        raise ValueError(f"taken on a host of the other byte order ({document['byteorder']!r:.20})")
    host: dict[str, object] = {
        key: optional(str, value, key) for key, value in expect(dict, document["host"], "host").items()
    }
    selected = parse_list(document["selected"], "selected", parse_netns)
    spaces = {space.inode: space for space in selected}
    return (
        Capture(
            readings=parse_list(document["readings"], "readings", lambda item: parse_reading(item, spaces)),
            selected=selected,
            leaking=optional(bool, document["leaking"], "leaking"),
            local_addresses=dict(
                parse_list(
                    document["local_addresses"],
                    "local_addresses",
                    lambda item: (
                        expect(int, item["netns"], "netns"),
                        frozenset(
                            expect(str, text, "address") for text in expect(list, item["addresses"], "addresses")
                        ),
                    ),
                )
            ),
            holders=dict(
                parse_list(
                    document["holders"],
                    "holders",
                    lambda item: (
                        expect(int, item["inode"], "inode"),
                        parse_list(item["processes"], "processes", parse_process),
                    ),
                )
            ),
            errors=parse_list(document["errors"], "errors", parse_error),
        ),
        host,
    )


def parse_netns(item: dict[str, Any]) -> Netns:
    return Netns(
        expect(int, item["dev"], "dev"),
        expect(int, item["inode"], "inode"),
        name=optional(str, item["name"], "name"),
        pid=optional(int, item["pid"], "pid"),
    )


def parse_process(item: dict[str, Any]) -> Process:
    return Process(
        expect(int, item["pid"], "pid"), expect(str, item["comm"], "comm"), optional(int, item["netns"], "netns")
    )


def parse_error(item: dict[str, Any]) -> Error:
    """The name of the errno goes into the text, without the number, which may be another errno on this machine."""
    reason = expect(str, item["reason"], "reason")
    name = optional(str, item["errno"], "errno")
    return Error(
        expect(str, item["subject"], "subject"),
        reason if name is None else f"{reason} ({name})",
        hint=optional(str, item["hint"], "hint"),
    )


def parse_reading(item: dict[str, Any], spaces: Mapping[int, Netns]) -> Reading:
    inode = optional(int, item["netns"], "netns")
    answers = parse_list(item["answers"], "answers", parse_answer)
    return Reading(
        netns=None if inode is None else spaces[inode],
        answers={answer.option.name: answer for answer in answers},
        failures={
            expect(str, name, "optname"): expect(str, errno, "errno")
            for name, errno in expect(dict, item["failures"], "failures").items()
        },
        own_inodes=frozenset(
            expect(int, number, "inode") for number in expect(list, item["own_inodes"], "own_inodes")
        ),
    )


def parse_answer(item: dict[str, Any]) -> InfoAnswer:
    name = expect(str, item["optname"], "optname")
    if name not in rds_info.OPTIONS:
        raise ValueError(f"unknown optname {name!r:.60}")
    size = expect(int, item["record_size"], "record_size")
    rds_info.OPTIONS[name].check_record_size(size)
    try:
        data = base64.b64decode(expect(str, item["data"], "data"), validate=True)
    except binascii.Error as error:
        raise ValueError(f"data of {name}: {error}") from error
    if len(data) % size:
        raise ValueError(f"{name}: {len(data)} bytes are no whole records of {size}")
    return InfoAnswer(rds_info.OPTIONS[name], size, data)
