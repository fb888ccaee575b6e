# SPDX-License-Identifier: GPL-2.0-or-later
"""What has changed since an earlier ``audit -o json``: statuses, and nothing else, so that times never differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kprobe_tool import files
from kprobe_tool.checks import Status
from kprobe_tool.report.document import SCHEMA_VERSION

FILE_MAX = 1 << 26
"""Bytes of a file that will be looked at."""


class StatusChange(NamedTuple):
    """A check whose status is another than it was: ``before`` is None where it is new, ``now`` where it is gone."""

    id: str
    before: str | None
    now: str | None

    @property
    def kind(self) -> str:
        return "new" if self.before is None else "gone" if self.now is None else "changed"

    def as_dict(self) -> dict[str, object]:
        return {"id": self.id, "change": self.kind, "before": self.before, "now": self.now}


class Baseline(NamedTuple):
    """An earlier run: who was asked and when, and the status of each check."""

    hostname: str
    release: str
    time: str
    statuses: Mapping[str, str]

    def as_dict(self, changes: Sequence[StatusChange]) -> dict[str, object]:
        return {
            "hostname": self.hostname,
            "release": self.release,
            "time": self.time,
            "changes": [change.as_dict() for change in changes],
        }

    def compare(self, now: Mapping[str, str], left_out: Sequence[str]) -> list[StatusChange]:
        """What differs, in the order of the checks, those that are gone last. ``left_out`` were not asked now."""
        names = dict.fromkeys((*now, *(name for name in self.statuses if name not in left_out)))
        found = [StatusChange(name, self.statuses.get(name), now.get(name)) for name in names]
        return [change for change in found if change.before != change.now]


def load(path: str) -> Baseline:
    """The document of an earlier ``audit -o json``. The file is hostile input. Raises Error."""
    return files.read_document(path, FILE_MAX, "audit", "the output of 'kprobe-tool audit -o json'", parse)


def parse(document: Any) -> Baseline:
    """Raises ValueError, TypeError or KeyError for what is no document of audit."""
    version = document["schema_version"]
    if version != SCHEMA_VERSION:
        raise ValueError(f"schema_version {version!r:.20}, and this kprobe-tool writes {SCHEMA_VERSION}")
    host = document["host"]
    hostname, release, time = (host[key] for key in ("hostname", "release", "time"))
    statuses = {row["id"]: Status(row["status"]).value for row in document["results"]}
    if not all(isinstance(name, str) for name in (hostname, release, time, *statuses)):
        raise TypeError("a name that is no text")
    return Baseline(hostname, release, time, statuses)
