# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON rows of ``nvme-queues``, and which parts of them people see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from kprobe_tool.report.document import Column, Row

if TYPE_CHECKING:
    from kprobe_tool.checks import Check, Finding
    from kprobe_tool.probes.nvme.ask import Subject, Survey
    from kprobe_tool.probes.nvme.controllers import Controller, Hctx, NvmePath
    from kprobe_tool.probes.nvme.simulate import Simulation

TYPES = ("default", "read", "poll")


def asked_cell(row: Row) -> str | None:
    """The figure; one that is inferred and not read has a question mark."""
    asked = row["asked"]
    if not isinstance(asked, dict) or asked["value"] is None:
        return None
    return f"{asked['value']}" if asked["exact"] else f"{asked['value']}?"


def source_cell(row: Row) -> object:
    asked = row["asked"]
    return asked["source"] if isinstance(asked, dict) else None


def mapped_cell(row: Row) -> object:
    """``2/4/0``, as the kernel logs default, read and poll queues; the bare number where types are not known."""
    mapped = row["mapped"]
    if not isinstance(mapped, dict):
        return None
    if mapped["default"] is None:
        return mapped["total"]
    return "/".join(str(mapped[name]) for name in TYPES)


def findings_cell(row: Row) -> object:
    findings = row["findings"]
    return len(findings) if isinstance(findings, list) else None


def findings_colour(value: object) -> str | None:
    return "red" if value else None


def devices_cell(row: Row) -> object:
    paths = row["paths"]
    return [path["device"] for path in paths] if isinstance(paths, list) else None


def hctxs_cell(row: Row) -> object:
    """The hctxs of the first path, each with its CPUs: all paths of a controller share them."""
    paths = row["paths"]
    if not isinstance(paths, list) or not paths:
        return None
    return " ".join(
        f"{hctx['index']}:{hctx['type'] or '?'}:{','.join(map(str, hctx['cpus'])) or '-'}"
        for hctx in paths[0]["hctxs"]
    )


CONTROLLER_COLUMNS = (
    Column("CONTROLLER", "controller"),
    Column("TRTYPE", "transport"),
    Column("STATE", "state"),
    Column("ASKED", asked_cell, right=True),
    Column("GRANTED", "granted", right=True),
    Column("MAPPED", mapped_cell, right=True),
    Column("FINDINGS", findings_cell, right=True, colour=findings_colour),
    Column("SOURCE", source_cell, wide=True),
    Column("NUMA", "numa_node", wide=True, right=True),
    Column("SQSIZE", "sqsize", wide=True, right=True),
    Column("ADDRESS", "address", wide=True),
    Column("SUBSYSNQN", "subsysnqn", wide=True),
    Column("PATHS", devices_cell, wide=True),
    Column("HCTXS", hctxs_cell, wide=True),
)

FINDING_COLUMNS = (
    Column("CONTROLLER", "controller"),
    Column("SEVERITY", "severity", wide=True),
    Column("ID", "id"),
    Column("FINDING", "reason", wrap=True),
)


def split_cell(row: Row) -> object:
    return mapped_cell({"mapped": row["io_queues"]})


def maps_cell(row: Row) -> object:
    """``read=4@2``: four queues from the third on."""
    maps = row["maps"]
    if not isinstance(maps, list):
        return None
    return " ".join(f"{each['type']}={each['nr_queues']}@{each['queue_offset']}" for each in maps)


def crash_colour(value: object) -> str:
    return "red" if value else "green"


SIMULATION_COLUMNS = (
    Column("KERNEL", "kernels"),
    Column("ASKED", "asked", right=True),
    Column("GRANTED", "granted", right=True),
    Column("D/R/P", split_cell, right=True),
    Column("CRASH", "crash", colour=crash_colour),
    Column("REASON", "reason", wrap=True),
    Column("MAPS", maps_cell, wide=True),
)


def hctx_row(hctx: Hctx) -> Row:
    return {
        "index": hctx.queue_num,
        "type": hctx.type,
        "shown": hctx.shown,
        "cpus": hctx.cpus,
        "cut": hctx.cut,
        "nr_tags": hctx.nr_tags,
        "submitters": hctx.submitters,
    }


def path_row(path: NvmePath) -> Row:
    return {
        "device": path.device,
        "io_poll": path.io_poll,
        "type_source": path.type_source,
        "hctxs": [hctx_row(hctx) for hctx in path.hctxs],
    }


def findings_on(survey: Survey, subject: Subject) -> Iterator[tuple[Check, Finding]]:
    """Every check's finding on one controller."""
    from kprobe_tool.checks import CHECKS
    from kprobe_tool.probes.nvme.judge import judge_controller

    checks = {check.id: check for check in CHECKS}
    return ((checks[name], finding) for name, finding in judge_controller(survey, subject).items())


def controller_findings(survey: Survey) -> Iterator[tuple[Check, Finding]]:
    """Every check's finding on every controller."""
    return (each for subject in survey.subjects for each in findings_on(survey, subject))


def finding_row(check: Check, finding: Finding) -> Row:
    """A finding, with the severity of the check that it belongs to."""
    return {
        "id": check.id,
        "severity": check.severity.value,
        "method": finding.method.value,
        "reason": finding.reason,
        "evidence": dict(finding.evidence),
    }


def mapped_row(controller: Controller) -> Row | None:
    """How many queues are mapped, by type, as sysfs or the kernel log says."""
    path, split = controller.path, controller.split
    by_type = {name: None if split is None else getattr(split, name) for name in TYPES}
    if path is not None and path.complete:
        return {"total": len(path.hctxs), **by_type, "source": "sysfs"}
    return None if split is None else {"total": split.total, **by_type, "source": "kernel-log"}


def controller_row(survey: Survey, subject: Subject) -> Row:
    """The JSON object of one controller."""
    from kprobe_tool.checks import Status

    controller, request = subject.controller, subject.request
    options = request.options
    return {
        "controller": controller.name,
        "transport": controller.transport,
        "state": controller.state,
        "address": controller.address,
        "subsysnqn": controller.subsysnqn,
        "cntrltype": controller.cntrltype,
        "numa_node": controller.numa_node,
        "sqsize": controller.sqsize,
        "queue_count": controller.queue_count,
        "asked": {
            "value": request.value,
            "source": request.source,
            "at_least": request.at_least,
            "at_most": request.at_most,
            "exact": request.exact,
            "doubt": request.doubt,
            "detail": request.detail,
            "next": request.next,
            "nr_io_queues": options.nr_io_queues if options else None,
            "nr_write_queues": options.nr_write_queues if options else None,
            "nr_poll_queues": options.nr_poll_queues if options else None,
            "num_comp_vectors": request.num_comp_vectors,
            "io_queues": None if request.io_queues is None else dict(zip(TYPES, request.io_queues, strict=True)),
        },
        "granted": controller.granted,
        "nsqa": subject.nsqa,
        "mapped": mapped_row(controller),
        "paths": [path_row(each) for each in controller.paths],
        "findings": [
            finding_row(check, finding)
            for check, finding in findings_on(survey, subject)
            if finding.status is Status.AFFECTED
        ],
    }


def finding_rows(rows: Iterable[Row]) -> Iterator[Row]:
    """All findings, one a row, for people."""
    for row in rows:
        findings = row["findings"]
        if isinstance(findings, list):
            for finding in findings:
                yield {"controller": row["controller"], **finding}


def simulation_row(simulation: Simulation) -> Row:
    """The JSON object of what one algorithm would do."""
    outcome = simulation.outcome
    return {
        "algorithm": simulation.algorithm.value,
        "kernels": simulation.kernels,
        "asked": outcome.asked,
        "granted": outcome.nr_hw_queues,
        "io_queues": {name: getattr(outcome.io_queues, name) for name in TYPES},
        "maps": [
            {"type": each.type, "nr_queues": each.nr_queues, "queue_offset": each.queue_offset}
            for each in outcome.maps
        ],
        "hctxs": list(outcome.types),
        "missing_hctxs": list(outcome.missing),
        "crash": outcome.crashes,
        "reason": simulation.reason,
    }


class ControllerRows:
    """The row of each controller, made when it is looked at: a thousand of them with all their hctxs are large."""

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    def __len__(self) -> int:
        return len(self.survey.subjects)

    def __iter__(self) -> Iterator[Row]:
        return (controller_row(self.survey, subject) for subject in self.survey.subjects)
