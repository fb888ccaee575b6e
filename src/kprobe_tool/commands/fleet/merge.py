# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports of many hosts (``audit -o json``) put together: the newest of each host, and who differs from its like.

A report is hostile input. Of each only what is counted is kept, so that ten thousand fit into memory.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kprobe_tool import files
from kprobe_tool.checks import Severity, Status
from kprobe_tool.commands.audit.run import BUCKETS, WAIVED
from kprobe_tool.errors import Error, FileError
from kprobe_tool.report.document import SCHEMA_VERSION

REPORT_MAX = 1 << 22
"""Bytes of a report that will be looked at. One of today has 30,000."""
CHECKS_MAX = 100
"""Checks in a report; there are twenty today."""
NAME_MAX = 255
"""Characters of a name: host names and kernel releases are 64 at most."""
ID_MAX = 64
"""Characters of the name of a check; the longest of today has 30."""
CHECK_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, slots=True)
class HostReport:
    """What one host said: for each check its status, or ``waived``, and how bad it would be."""

    path: str
    hostname: str
    release: str
    version: str
    arch: str
    time: str
    buckets: Mapping[str, str]
    severities: Mapping[str, Severity]

    @property
    def kernel(self) -> tuple[str, str, str]:
        """Hosts that have this in common run the same kernel."""
        return self.release, self.version, self.arch

    def count_affected(self, severity: Severity) -> int:
        return sum(
            bucket == Status.AFFECTED and self.severities[check] is severity for check, bucket in self.buckets.items()
        )

    def with_bucket(self, bucket: str) -> list[str]:
        return [check for check, found in self.buckets.items() if found == bucket]


@dataclass(frozen=True)
class Outlier:
    """A check on which hosts of one kernel disagree: what most of them say, and who says something else."""

    check: str
    release: str
    arch: str
    usual: str
    agreeing: int
    others: Mapping[str, str]


@dataclass(frozen=True)
class Fleet:
    """``reports`` are by host name, ``errors`` say which files were left out and why."""

    reports: tuple[HostReport, ...]
    errors: tuple[Error, ...]

    def severities(self) -> dict[str, Severity]:
        """Every check that a report has, worst first, else in the order of the reports; versions may differ."""
        found: dict[str, Severity] = {}
        for report in self.reports:
            for check, severity in report.severities.items():
                found.setdefault(check, severity)
        return dict(sorted(found.items(), key=lambda item: list(Severity).index(item[1])))

    def counts(self) -> dict[str, dict[str, int]]:
        """By check: how many hosts are in which bucket."""
        counts: dict[str, Counter[str]] = {check: Counter() for check in self.severities()}
        for report in self.reports:
            for check, bucket in report.buckets.items():
                counts[check][bucket] += 1
        return {check: {bucket: counter[bucket] for bucket in BUCKETS} for check, counter in counts.items()}

    def outliers(self) -> list[Outlier]:
        """Where hosts of one kernel disagree. One that a check does not apply to, or that waives it, says nothing."""
        kernels: dict[tuple[str, str, str], list[HostReport]] = {}
        for report in self.reports:
            kernels.setdefault(report.kernel, []).append(report)
        checks = list(self.severities())
        return [
            outlier
            for kernel, reports in sorted(kernels.items())
            for check in checks
            if (outlier := compare(check, kernel, reports)) is not None
        ]


def compare(check: str, kernel: tuple[str, str, str], reports: Iterable[HostReport]) -> Outlier | None:
    buckets = {
        report.hostname: bucket
        for report in reports
        if (bucket := report.buckets.get(check)) not in {None, Status.NOT_APPLICABLE, WAIVED}
    }
    counts = Counter(buckets.values())
    if len(counts) < 2:
        return None
    # Of two that are as frequent, the better one is usual, so that those who need a look are named.
    usual = min(counts, key=lambda bucket: (-counts[bucket], BUCKETS.index(bucket)))
    others = {name: bucket for name, bucket in sorted(buckets.items()) if bucket != usual}
    return Outlier(check, kernel[0], kernel[2], usual, counts[usual], others)


def expand(paths: Iterable[str]) -> Iterator[str]:
    """The files, and of a directory those in it that end in ``.json``. Raises FileError."""
    for path in paths:
        if not os.path.isdir(path):
            yield path
            continue
        try:
            names = sorted(os.listdir(path))
        except OSError as error:
            raise FileError.from_os(path, error) from error
        yield from (os.path.join(path, name) for name in names if name.endswith(".json"))


def merge(paths: Iterable[str]) -> Fleet:
    """The newest report of each host; what cannot be read, and what is older, is left out and named."""
    newest: dict[str, HostReport] = {}
    errors: list[Error] = []
    for path in expand(paths):
        try:
            report = load(path)
        except FileError as error:
            errors.append(error)
            continue
        other = newest.get(report.hostname)
        if other is not None and other.time >= report.time:
            errors.append(older_report_error(report, other))
            continue
        if other is not None:
            errors.append(older_report_error(other, report))
        newest[report.hostname] = report
    return Fleet(tuple(newest[name] for name in sorted(newest)), tuple(errors))


def older_report_error(report: HostReport, by: HostReport) -> FileError:
    return FileError(
        report.path, f"left out: of host '{report.hostname}' as {by.path} is, and not newer ({report.time})"
    )


def load(path: str) -> HostReport:
    """Raises FileError."""
    what = "the output of 'kprobe-tool audit -o json'"
    return files.read_document(path, REPORT_MAX, "audit", what, lambda document: parse(document, path))


def parse(document: Any, path: str) -> HostReport:
    """Raises ValueError, TypeError or KeyError for what is no document of audit."""
    version = document["schema_version"]
    if version != SCHEMA_VERSION:
        raise ValueError(f"schema_version {version!r:.20}, and this kprobe-tool reads {SCHEMA_VERSION}")
    host = document["host"]
    hostname, release, build, arch = (name(host[key]) for key in ("hostname", "release", "version", "arch"))
    time = host["time"]
    if not isinstance(time, str) or not TIME.fullmatch(time) or not is_date(time):
        raise ValueError("'time' is no time")
    rows = document["results"]
    if not isinstance(rows, list) or len(rows) > CHECKS_MAX:
        raise ValueError(f"'results' is not a list of up to {CHECKS_MAX}")
    buckets: dict[str, str] = {}
    severities: dict[str, Severity] = {}
    for row in rows:
        check = row["id"]
        if not isinstance(check, str) or len(check) > ID_MAX or not CHECK_ID.fullmatch(check):
            raise ValueError("'id' is no name of a check")
        if check in buckets:
            raise ValueError(f"check '{check}' is in it twice")
        status = Status(row["status"])
        counted_apart = row["waived"] is not None and status in {Status.AFFECTED, Status.UNKNOWN}
        buckets[sys.intern(check)] = WAIVED if counted_apart else status.value
        severities[sys.intern(check)] = Severity(row["severity"])
    return HostReport(path, hostname, release, build, arch, time, buckets, severities)


def is_date(time: str) -> bool:
    """Whether there is such a day and such a time: a report from the 99th would be newer than any other."""
    try:
        datetime.fromisoformat(time)
    except ValueError:
        return False
    return True


def name(value: object) -> str:
    """The same names come with every report: each is kept once."""
    if not isinstance(value, str) or not 0 < len(value) <= NAME_MAX:
        raise ValueError("a name of the host or its kernel is no text, is empty or is too long")
    return sys.intern(value)
