# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool nvme-queues``: asked, granted, mapped, and what breaks at the next reconnect."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

import click

from kprobe_tool.commands.nvme_queues.picture import pictures
from kprobe_tool.commands.options import output_option
from kprobe_tool.errors import ExitCode
from kprobe_tool.probes import host
from kprobe_tool.report.document import Column, Document, Row, Table
from kprobe_tool.report.output import Output, emit

if TYPE_CHECKING:
    from kprobe_tool.checks import Finding
    from kprobe_tool.probes.nvme.ask import Subject, Survey
    from kprobe_tool.probes.nvme.controllers import Hctx, Path
    from kprobe_tool.probes.nvme.simulate import Simulation

NONE = "no NVMe controller"

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


COLUMNS = (
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
        "index": hctx.index,
        "type": hctx.type,
        "shown": hctx.shown,
        "cpus": hctx.cpus,
        "cut": hctx.cut,
        "nr_tags": hctx.nr_tags,
    }


def path_row(path: Path) -> Row:
    return {
        "device": path.device,
        "io_poll": path.io_poll,
        "type_source": path.type_source,
        "hctxs": [hctx_row(hctx) for hctx in path.hctxs],
    }


def found_rows(findings: dict[str, Finding]) -> list[Row]:
    """The findings of one controller that are ``affected``, with the severity of the check they belong to."""
    from kprobe_tool.checks import CHECKS, Status

    checks = {check.id: check for check in CHECKS}
    return [
        {
            "id": name,
            "severity": checks[name].severity.value,
            "method": finding.method.value,
            "reason": finding.reason,
            "evidence": dict(finding.evidence),
        }
        for name, finding in findings.items()
        if finding.status is Status.AFFECTED
    ]


def controller_row(survey: Survey, subject: Subject) -> Row:
    """The JSON object of one controller."""
    from kprobe_tool.probes.nvme.judge import judge

    controller, asked = subject.controller, subject.asked
    path = controller.path
    options = asked.options
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
            "value": asked.value,
            "source": asked.source,
            "exact": asked.exact,
            "detail": asked.detail,
            "next": asked.next,
            "nr_io_queues": options.nr_io_queues if options else None,
            "nr_write_queues": options.nr_write_queues if options else None,
            "nr_poll_queues": options.nr_poll_queues if options else None,
            "num_comp_vectors": asked.num_comp_vectors,
            "io_queues": None if asked.io_queues is None else dict(zip(TYPES, asked.io_queues, strict=True)),
        },
        "granted": controller.granted,
        "nsqa": subject.nsqa,
        "mapped": None
        if path is None
        else {
            "total": len(path.hctxs),
            "default": path.count("default"),
            "read": path.count("read"),
            "poll": path.count("poll"),
        },
        "paths": [path_row(each) for each in controller.paths],
        "findings": found_rows(judge(survey, subject)),
    }


def finding_rows(rows: Sequence[Row]) -> Iterator[Row]:
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


def simulated(specification: str) -> Document:
    from kprobe_tool.probes.nvme.simulate import parse, simulate

    question = parse(specification)
    rows = [simulation_row(each) for each in simulate(question)]
    return Document(
        "nvme-queues-simulate",
        host.identity(),
        [Table(SIMULATION_COLUMNS, rows)],
        more={"simulate": question.as_dict()},
    )


class Rows(Sequence[Row]):
    """The row of each controller, made when it is looked at: a thousand of them with all their hctxs are large."""

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    def __len__(self) -> int:
        return len(self.survey.subjects)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [controller_row(self.survey, subject) for subject in self.survey.subjects[index]]
        return controller_row(self.survey, self.survey.subjects[index])


def drawn(survey: Survey) -> Document:
    lines = list(pictures(survey.subjects, survey.cpus)) if survey.subjects else [NONE]
    return Document("nvme-queues", host.identity(), [], survey.errors, summary=lines)


def surveyed(survey: Survey, directory: str | None, *, people: bool) -> Document:
    """The controllers; for people, their findings once more in a table of their own."""
    rows = Rows(survey)
    found = list(finding_rows(rows)) if people else []
    inferred = any(not subject.asked.exact and subject.asked.value is not None for subject in survey.subjects)
    summary = ["ASKED with '?' is inferred, not read (-o wide shows from what)"] if inferred else []
    return Document(
        "nvme-queues",
        host.identity(),
        [Table(COLUMNS, rows, empty=NONE)],
        survey.errors,
        more={
            "sysfs": directory,
            "cpus": {"possible": survey.cpus.possible, "online": survey.cpus.online},
            "algorithm": survey.algorithm,
        },
        aside=[Table(FINDING_COLUMNS, found, title="Findings")] if found else [],
        summary=summary,
        warnings=[f"options cannot be read from the kernel: {note}" for note in survey.notes],
    )


def complete_controller(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The names that shell completion offers."""
    try:
        return sorted(name for name in os.listdir("/sys/class/nvme") if name.startswith(incomplete))
    except FileNotFoundError:
        return []


@click.command(short_help="Show asked, granted and mapped NVMe I/O queues.")
@click.argument("controllers", metavar="[CONTROLLER]...", nargs=-1, shell_complete=complete_controller)
@click.option(
    "--sysfs", "directory", metavar="DIR", type=click.Path(), help="Read a captured copy of /sys, not the live one."
)
@click.option("--map", "picture", is_flag=True, help="Draw which CPUs each queue serves.")
@click.option(
    "--simulate",
    metavar="io=N[,write=N][,poll=N][,granted=N]...",
    help="Ask no kernel; show how kernels split such a request. Also cpus=N, vectors=N and previous=N.",
)
@click.option(
    "--query-controller", is_flag=True, help="Ask live controllers for their limit, by an admin command (as root)."
)
@output_option()
def command(
    *,
    controllers: tuple[str, ...],
    directory: str | None,
    picture: bool,
    simulate: str | None,
    query_controller: bool,
    output: Output,
) -> ExitCode:
    """Show how many I/O queues were asked for, granted and mapped, and what breaks at the next reconnect.

    CONTROLLER is a name as in /sys/class/nvme; all are shown without one. Nothing but --query-controller sends a
    command to a controller. As root, the options of fabrics controllers are read from the running kernel.
    """
    if simulate is not None:
        if controllers or directory or picture or query_controller:
            raise click.UsageError("--simulate asks no kernel and goes with -o only")
        emit(simulated(simulate), output)
        return ExitCode.OK
    people = output in {Output.TABLE, Output.WIDE}
    if picture and not people:
        raise click.UsageError("--map draws for people; -o json has the CPUs of each hctx")
    if directory is not None and query_controller:
        raise click.UsageError("--query-controller asks live controllers, --sysfs reads a captured tree")
    from kprobe_tool.probes.nvme.ask import take

    survey = take(directory, controllers, query=query_controller)
    emit(drawn(survey) if picture else surveyed(survey, directory, people=people), output)
    return ExitCode.CANNOT_TELL if survey.errors else ExitCode.OK
