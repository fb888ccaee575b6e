# SPDX-License-Identifier: GPL-2.0-or-later
"""``kprobe-tool nvme-queues``: asked, granted, mapped, and what breaks at the next reconnect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kprobe_tool.commands.completion import complete, controller_names
from kprobe_tool.commands.findings import FailOn, exit_code, fail_on_option
from kprobe_tool.commands.nvme_queues.picture import pictures
from kprobe_tool.commands.nvme_queues.rows import (
    CONTROLLER_COLUMNS,
    FINDING_COLUMNS,
    SIMULATION_COLUMNS,
    ControllerRows,
    controller_findings,
    finding_rows,
    simulation_row,
)
from kprobe_tool.commands.options import output_option
from kprobe_tool.errors import ExitCode
from kprobe_tool.lazy import examples
from kprobe_tool.probes import host
from kprobe_tool.report.document import Document, Table
from kprobe_tool.report.output import Output, emit

if TYPE_CHECKING:
    from kprobe_tool.probes.nvme.ask import Survey

NONE = "no NVMe controller"


def simulation_document(specification: str) -> Document:
    from kprobe_tool.probes.nvme.simulate import parse, simulate

    question = parse(specification)
    rows = [simulation_row(each) for each in simulate(question)]
    return Document(
        "nvme-queues-simulate",
        host.identity(),
        [Table(SIMULATION_COLUMNS, rows)],
        more={"simulate": question.as_dict()},
    )


def map_document(survey: Survey) -> Document:
    lines = list(pictures(survey.subjects, survey.cpus)) if survey.subjects else [NONE]
    return Document("nvme-queues", host.identity(), [], survey.errors, summary=lines)


def survey_document(survey: Survey, directory: str | None, *, people: bool) -> Document:
    """The controllers; for people, their findings once more in a table of their own."""
    rows = ControllerRows(survey)
    found = list(finding_rows(rows)) if people else []
    controllers = [subject.controller for subject in survey.subjects]
    guessed = any(not subject.request.exact and subject.request.value is not None for subject in survey.subjects)
    summary = []
    if any(controller.split for controller in controllers):
        summary.append("MAPPED: queues for all I/O (or for writes), for reads, and for polled I/O.")
    if guessed:
        summary.append("ASKED with '?' may have been another number; -o wide shows where it is from.")
    if any(controller.logged for controller in controllers):
        summary.append("GRANTED and MAPPED are from the kernel log where sysfs was not collected.")
    return Document(
        "nvme-queues",
        host.identity(),
        [Table(CONTROLLER_COLUMNS, rows, empty=NONE)],
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


@click.command(
    short_help="Show NVMe I/O queues, and what breaks at the next reconnect.",
    epilog=examples(
        "kprobe-tool nvme-queues",
        "kprobe-tool nvme-queues --map nvme1",
        "kprobe-tool nvme-queues --simulate io=2,write=2,poll=2,cpus=4,previous=6,granted=3",
    ),
)
@click.argument("controllers", metavar="[CONTROLLER]...", nargs=-1, shell_complete=complete(controller_names))
@click.option(
    "--sysfs", "directory", metavar="DIR", type=click.Path(), help="Read a captured copy of /sys, not the live one."
)
@click.option(
    "--from-sos",
    "sosreport",
    metavar="DIR",
    type=click.Path(),
    help="Read an unpacked sosreport: its kernel log says what its copy of /sys lacks.",
)
@click.option("--map", "picture", is_flag=True, help="Draw which CPUs each queue serves.")
@click.option(
    "--simulate",
    metavar="io=N[,write=N][,poll=N][,granted=N]...",
    help="Ask no kernel; show what kernels would make of such a request. Also cpus=N, vectors=N, previous=N.",
)
@click.option(
    "--query-controller", is_flag=True, help="Ask live controllers for their limit, by an admin command (as root)."
)
@fail_on_option(FailOn.MEDIUM)
@output_option()
def command(
    *,
    controllers: tuple[str, ...],
    directory: str | None,
    sosreport: str | None,
    picture: bool,
    simulate: str | None,
    query_controller: bool,
    fail_on: FailOn,
    output: Output,
) -> ExitCode:
    """Show how many I/O queues each NVMe controller has, and what would break at its next reconnect.

    CONTROLLER is a name as in /sys/class/nvme; all are shown without one. Nothing but --query-controller sends a
    command to a controller. As root, what the host asked for is read from the running kernel.
    """
    if simulate is not None:
        if controllers or directory or sosreport or picture or query_controller:
            raise click.UsageError("--simulate asks no kernel and goes with -o only")
        emit(simulation_document(simulate), output)
        return ExitCode.OK
    people = output.for_people
    if picture and not people:
        raise click.UsageError("--map draws for people; -o json has the CPUs of each hctx")
    if directory is not None and sosreport is not None:
        raise click.UsageError("--sysfs and --from-sos name two captured trees; one is read at a time")
    if query_controller and (directory is not None or sosreport is not None):
        raise click.UsageError("--query-controller asks live controllers, not a captured tree")
    from kprobe_tool.probes.nvme.ask import survey_host, survey_sosreport

    if sosreport is not None:
        survey = survey_sosreport(sosreport, controllers)
    else:
        survey = survey_host(directory, controllers, query=query_controller)
    captured = directory if sosreport is None else sosreport
    emit(map_document(survey) if picture else survey_document(survey, captured, people=people), output)
    code = exit_code(controller_findings(survey), fail_on)
    return ExitCode.CANNOT_TELL if survey.errors and code is ExitCode.OK else code
