# SPDX-License-Identifier: GPL-2.0-or-later
"""All controllers of a host with what was asked for each, and which rule the kernel splits queues by."""

from __future__ import annotations

import errno as errnos
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kprobe_tool.errors import Error
from kprobe_tool.native import bounded, kallsyms, nvme_ioctl
from kprobe_tool.native.sysfs import Tree
from kprobe_tool.probes.nvme import attributes
from kprobe_tool.probes.nvme.controllers import Controller, Cpus, LoggedQueues
from kprobe_tool.probes.nvme.split import Algorithm

if TYPE_CHECKING:
    from kprobe_tool.probes.nvme.request import QueueRequest

QUERY_MS = 5000
"""Milliseconds a controller gets to answer an admin command; the reading process gets a second more."""


class Subject(NamedTuple):
    """One controller, with what it takes to judge it. ``nsqa`` is how many queues it says it has, where queried."""

    controller: Controller
    request: QueueRequest
    nsqa: int | None = None


class Survey(NamedTuple):
    """``algorithm`` is None for a captured tree, where nothing says which kernel it came from, and where there is no
    fabrics controller. ``release`` is the running kernel's, None for a captured tree. ``paths`` are granted queues by
    controller, by subsystem NQN. ``notes`` say why options could not be read from the kernel, to root."""

    cpus: Cpus
    algorithm: Algorithm | None
    subjects: tuple[Subject, ...]
    paths: Mapping[str, Mapping[str, int]]
    release: str | None = None
    errors: tuple[Error, ...] = ()
    notes: tuple[str, ...] = ()


def survey_host(directory: str | None = None, wanted: Sequence[str] = (), *, query: bool = False) -> Survey:
    """Read the live host, or a captured tree. ``query`` asks live controllers themselves, by an admin command.

    Raises Error: no such tree, or a wanted controller that is not there.
    """
    tree = attributes.open_tree(directory)
    try:
        return survey_tree(tree, wanted, live=directory is None, query=query)
    finally:
        tree.close()


def survey_sosreport(directory: str, wanted: Sequence[str] = ()) -> Survey:
    """An unpacked sosreport: its copy of sysfs, which lacks the queues, and what its kernel log says of them.

    The plugins ``kernel``, ``block`` and ``nvme`` of sos 4.0 copy parts of /sys, of which /sys/class is none.

    Raises Error: one of them is not there, or a wanted controller is in neither.
    """
    from kprobe_tool.probes.nvme.sosreport import read_kernel_log

    try:
        logged = read_kernel_log(directory)
        tree = attributes.open_unchecked(f"{directory}/sys")
    except Error as error:
        raise Error(f"sosreport '{directory}'", error.reason, errno=error.errno, hint=error.hint) from error
    try:
        return survey_tree(tree, wanted, logged=logged)
    finally:
        tree.close()


def choose(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """The wanted ones, or all. Raises Error."""
    for name in wanted:
        if name not in names:
            there = f"there is {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else None
            raise Error(f"controller '{name}'", "no such NVMe controller", hint=there)
    return [name for name in names if not wanted or name in wanted]


def add_log(controller: Controller, logged: LoggedQueues | None) -> Controller:
    """A controller of a sosreport. That its attributes and queues were not collected is no problem of it."""
    problems = tuple(problem for problem in controller.problems if problem.errno != errnos.ENOENT)
    transport = controller.transport or (logged.transport if logged else None)
    paths_read = controller.paths_read and controller.path is not None
    return controller._replace(transport=transport, logged=logged, paths_read=paths_read, problems=problems)


def survey_tree(
    tree: Tree,
    wanted: Sequence[str],
    *,
    live: bool = False,
    query: bool = False,
    logged: Mapping[str, LoggedQueues] | None = None,
) -> Survey:
    names = attributes.list_controllers(tree)
    if logged is None:
        found = list(attributes.read_controllers(tree, choose(names, wanted)))
    else:
        # Where sysfs lists controllers, one that is in the log only is gone.
        chosen = choose(names or attributes.sort_controllers(logged), wanted)
        found = [add_log(each, logged.get(each.name)) for each in attributes.read_controllers(tree, chosen)]
    cpus, parameters = attributes.read_cpus(tree), attributes.read_parameters(tree)
    release = os.uname().release if live else None
    if not found:
        return Survey(cpus, None, (), {}, release)
    # Imported only here, as a host without NVMe needs none of it.
    from kprobe_tool.probes.nvme.configuration import read_configurations
    from kprobe_tool.probes.nvme.request import Context, find_request, read_kernel_options

    algorithm = running_algorithm() if live and any(each.fabrics for each in found) else None
    running, notes = read_kernel_options(tree, found) if live else ({}, [])
    context = Context(cpus, parameters, algorithm, running, read_configurations() if live else ())
    answers = dict(ask_controllers(found)) if live and query else {}
    subjects = []
    errors = [problem.as_error() for each in found for problem in each.problems]
    for each in found:
        answer = answers.get(each.name)
        if isinstance(answer, Error):
            errors.append(answer)
        subjects.append(Subject(each, find_request(each, context), answer if isinstance(answer, int) else None))
    return Survey(cpus, algorithm, tuple(subjects), group_paths(subjects), release, tuple(errors), tuple(notes))


def group_paths(subjects: Sequence[Subject]) -> dict[str, dict[str, int]]:
    """Granted queues by controller name, by subsystem NQN. A controller that never has I/O queues is no path."""
    from kprobe_tool.probes.nvme.request import has_no_io_queues

    found: dict[str, dict[str, int]] = {}
    for subject in subjects:
        controller = subject.controller
        if controller.subsysnqn and controller.granted is not None and not has_no_io_queues(controller):
            found.setdefault(controller.subsysnqn, {})[controller.name] = controller.granted
    return found


def running_algorithm() -> Algorithm | None:
    """Which rule this kernel has, by its symbols; v5.0 and v5.1 differ from later ones in no symbol of rdma.c, so
    there the release decides. None where nvme-fabrics is not loaded."""
    try:
        symbols = kallsyms.kernel_symbols({"nvmf_set_io_queues", "nvmf_connect_io_queue"})
    except OSError:
        return None
    if "nvmf_set_io_queues" in symbols:
        return Algorithm.FABRICS
    if "nvmf_connect_io_queue" not in symbols:
        return None
    return Algorithm.REQUEST if re.match(r"5\.[01]\D", os.uname().release) else Algorithm.TRANSPORT


def ask_controllers(found: Sequence[Controller]) -> list[tuple[str, int | Error]]:
    """Get Features (Number of Queues) of each controller that is live; another state never answers."""
    names = [each.name for each in found if each.state == "live"]

    def ask(name: str) -> int | tuple[int | None, str]:
        try:
            return nvme_ioctl.number_of_queues(name, QUERY_MS)
        except OSError as error:
            return error.errno, error.strerror or str(error)

    answers: list[tuple[str, int | Error]] = []
    for name, answer in bounded.run_each(names, ask, QUERY_MS / 1000 + 1):
        if isinstance(answer, TimeoutError):
            answers.append((name, Error(f"{name}: Get Features", "no answer from the controller")))
        elif isinstance(answer, ChildProcessError):
            answers.append((name, Error(f"{name}: Get Features", str(answer))))
        elif isinstance(answer, OSError):
            answers.append((name, Error.from_os(f"{name}: Get Features", answer)))
        elif isinstance(answer, int):
            answers.append((name, answer))
        else:
            errno, reason = answer
            hint = "needs root" if errno in {errnos.EACCES, errnos.EPERM} else None
            answers.append((name, Error(f"{name}: Get Features", reason, errno=errno, hint=hint)))
    return answers
