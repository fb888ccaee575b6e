# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON objects of ``fleet``."""

from __future__ import annotations

from kprobe_tool.commands.fleet.merge import Fleet, HostReport, Outlier
from kprobe_tool.report.document import Row


def host_row(report: HostReport) -> Row:
    return {
        "hostname": report.hostname,
        "release": report.release,
        "version": report.version,
        "arch": report.arch,
        "time": report.time,
        "file": report.path,
        "checks": dict(report.buckets),
    }


def check_rows(fleet: Fleet) -> list[Row]:
    severities = fleet.severities()
    return [
        {"id": check, "severity": severities[check].value, "hosts": counts}
        for check, counts in fleet.counts().items()
    ]


def outlier_row(outlier: Outlier) -> Row:
    return {
        "id": outlier.check,
        "release": outlier.release,
        "arch": outlier.arch,
        "usual": {"status": outlier.usual, "hosts": outlier.agreeing},
        "others": [{"hostname": name, "status": status} for name, status in outlier.others.items()],
    }
