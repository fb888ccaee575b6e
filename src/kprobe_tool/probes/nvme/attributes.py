# SPDX-License-Identifier: GPL-2.0-or-later
"""What sysfs and debugfs say about NVMe controllers, each read for itself and none waited for.

drivers/nvme/host/sysfs.c (core.c before v6.5) has the controller's attributes, block/blk-mq-sysfs.c the queues',
block/blk-mq-debugfs.c their types. Every attribute read here only shows a field; none sends a command.
"""

from __future__ import annotations

import errno as errnos
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing

from kprobe_tool.errors import Error
from kprobe_tool.native import bounded
from kprobe_tool.native.sysfs import LIVE, Tree, cpu_list, cpu_ranges
from kprobe_tool.probes.nvme.controllers import Controller, Cpus, Hctx, NvmePath, Parameters, Problem
from kprobe_tool.probes.nvme.split import HCTX_TYPES, HctxType
from kprobe_tool.probes.nvme.types import TypeSource, correct_types, deduce_types

CLASS = "class/nvme"

CLASSES = (CLASS, "class/nvme-fabrics/ctl")
"""Where controllers are listed; a sosreport may have only the second."""
DEBUGFS = "kernel/debug/block"
CPU = "devices/system/cpu"
PARAMETERS = "module/nvme/parameters"

ATTRIBUTES = frozenset(
    {
        *("queue_count", "state", "transport", "address", "subsysnqn", "numa_node", "sqsize", "cntrltype"),
        *("cpu_list", "nr_tags", "type", "queue/io_poll"),
        *("possible", "online", "write_queues", "poll_queues"),
    }
)
"""All that may be read. Not nuse and not hwmon: showing those sends Identify and Get Log Page, which a controller
that is connecting does not answer."""

NVME_NAME = re.compile(r"nvme\d{1,7}")
PATH_NAME = re.compile(r"nvme\d{1,7}(c\d{1,7})?n\d{1,10}")
HCTX_NAME = re.compile(r"\d{1,5}")
CTX_NAME = re.compile(r"cpu\d{1,5}")

SECONDS = 3.0
"""Seconds to read one controller in. A healthy one takes milliseconds."""
BUSY_SECONDS = 60.0
"""Seconds more where it is the processors that keep it waiting, and no lock."""

VANISHED = frozenset({errnos.ENODEV, errnos.ENXIO})


def open_tree(directory: str | None) -> Tree:
    """The live sysfs, or a captured one: ``directory`` is the copy of /sys, or holds it as ``sys``.

    Raises Error where there is no such directory or it is no sysfs.
    """
    if directory is None:
        return open_checked(LIVE)
    try:
        return open_checked(f"{directory}/sys")
    except Error:
        return open_checked(directory)


def open_unchecked(root: str) -> Tree:
    """A copy of /sys of which any part may be missing. Raises Error where there is no such directory."""
    try:
        return Tree(root, ATTRIBUTES)
    except OSError as error:
        raise Error.from_os(f"sysfs '{root}'", error) from error


def open_checked(root: str) -> Tree:
    tree = open_unchecked(root)
    try:
        tree.names("class")
    except OSError as error:
        tree.close()
        raise Error(f"sysfs '{root}'", "no directory 'class' in it", hint="name a copy of /sys") from error
    return tree


def list_controllers(tree: Tree) -> list[str]:
    """The controllers' names. Without the module there is no class, and no controller."""
    found: set[str] = set()
    for directory in CLASSES:
        try:
            found.update(tree.names(directory))
        except FileNotFoundError:
            continue
    return sort_controllers(name for name in found if NVME_NAME.fullmatch(name))


def sort_controllers(names: Iterable[str]) -> list[str]:
    """Names of controllers in numerical order."""
    return sorted(names, key=lambda name: int(name.removeprefix("nvme")))


def read_controllers(tree: Tree, wanted: Sequence[str], seconds: float = SECONDS) -> Iterator[Controller]:
    """Read these controllers, one after the other; what keeps one from being read is in its ``problems``.

    The driver's attributes and the queues are read separately. Only the attributes of queues take locks that a hung
    controller can hold, so everything else about it is still known.
    """

    def read_part(part: tuple[str, bool]) -> Controller:
        name, queues = part
        reader = ControllerReader(tree, name)
        return reader.read_queues() if queues else reader.read_controller()

    parts = [(name, queues) for name in wanted for queues in (False, True)]
    with closing(bounded.run_each(parts, read_part, seconds, BUSY_SECONDS)) as answers:
        for name in wanted:
            controller, queues = (
                controller_or_problem(name, what, next(answers)[1], seconds) for what in ("attributes", "queues")
            )
            # A problem that kept both from being read is reported once.
            problems = {each.subject: each for each in (*queues.problems, *controller.problems)}
            yield controller._replace(
                paths=queues.paths, paths_read=queues.paths_read, problems=tuple(problems.values())
            )


def controller_or_problem(name: str, what: str, answer: Controller | bounded.Lost, seconds: float) -> Controller:
    """What a part of a controller gave, or the controller with nothing but the problem."""
    if isinstance(answer, Controller):
        return answer
    reason, errno = f"could not be read in a process of its own: {answer.strerror}", answer.errno
    if isinstance(answer, TimeoutError):
        reason = f"not read within {seconds:g} s: something in the kernel holds their locks"
        errno = errnos.ETIMEDOUT
    elif isinstance(answer, ChildProcessError):
        reason, errno = "the process that read them died", None
    return Controller(name, paths_read=False, problems=(Problem(f"{name}: {what}", reason, errno),))


def read_cpus(tree: Tree) -> Cpus:
    online = read_cpu_ranges(tree, "online")
    born = {}
    for cpu in online or () if tree.live else ():
        try:
            born[cpu] = tree.inode(f"{CPU}/cpu{cpu}/topology")
        except OSError:
            # Without a number this CPU does not count as one that has been online all the time.
            continue
    return Cpus(read_cpu_ranges(tree, "possible"), online, born)


def read_cpu_ranges(tree: Tree, name: str) -> tuple[int, ...] | None:
    try:
        return cpu_ranges(tree.read(CPU, name))
    except (OSError, ValueError):
        return None


def read_parameters(tree: Tree) -> Parameters:
    return Parameters(read_parameter(tree, "write_queues"), read_parameter(tree, "poll_queues"))


def read_parameter(tree: Tree, name: str) -> int | None:
    try:
        return parse_count(tree.read(PARAMETERS, name))
    except (OSError, ValueError):
        return None


def parse_count(value: str) -> int:
    """A count. Raises ValueError on anything else, also on what int() would take."""
    if not re.fullmatch(r"[0-9]{1,10}", value):
        raise ValueError(f"{value[:40]!r} is no number")
    return int(value)


def parse_node(value: str) -> int:
    """A NUMA node; -1 is NUMA_NO_NODE. Raises ValueError."""
    return -1 if value == "-1" else parse_count(value)


class ControllerReader:
    """A reader of one controller, which remembers what could not be read."""

    def __init__(self, tree: Tree, name: str) -> None:
        self.tree = tree
        self.name = name
        self.problems: list[Problem] = []

    def read_controller(self) -> Controller:
        """All but its queues."""
        try:
            # Once here, and not again for each attribute.
            directory = self.find_directory()
            born = self.tree.inode(directory) if self.tree.live else None
        except OSError as error:
            return Controller(self.name, problems=(self.problem(self.name, error),))
        controller = Controller(
            name=self.name,
            transport=self.read_text(directory, "transport"),
            state=self.read_text(directory, "state"),
            address=self.read_text(directory, "address", optional=True),
            subsysnqn=self.read_text(directory, "subsysnqn"),
            # Attributes that older kernels lack: cntrltype came in v5.17, numa_node in v4.19.
            cntrltype=self.read_text(directory, "cntrltype", optional=True),
            numa_node=self.read_number(directory, "numa_node", optional=True, parse=parse_node),
            sqsize=self.read_number(directory, "sqsize", optional=True),
            queue_count=self.read_number(directory, "queue_count"),
            born=born,
        )
        return controller._replace(problems=self.find_vanished(directory) or tuple(self.problems))

    def find_directory(self) -> str:
        """Raises OSError."""
        try:
            return self.tree.resolve(f"{CLASS}/{self.name}")
        except FileNotFoundError:
            if self.tree.live:
                raise
        return self.tree.resolve(f"{CLASSES[1]}/{self.name}")

    def read_queues(self) -> Controller:
        """Its block devices and their queues, and nothing else of it."""
        try:
            directory = self.find_directory()
            entries = self.tree.names(directory)
        except OSError as error:
            return Controller(self.name, paths_read=False, problems=(self.problem(self.name, error),))
        paths = tuple(self.read_paths(directory, entries))
        vanished = self.find_vanished(directory)
        return Controller(
            self.name,
            paths=paths,
            paths_read=not vanished and all(path.complete for path in paths),
            problems=vanished or tuple(self.problems),
        )

    def find_vanished(self, directory: str) -> tuple[Problem, ...]:
        """One problem in place of many where the controller went away while it was read."""
        gone = any(problem.errno in VANISHED for problem in self.problems)
        if self.problems and not gone:
            try:
                self.tree.names(directory)
            except FileNotFoundError:
                gone = True
            except OSError:
                return ()
        return (Problem(self.name, "went away while it was read", errnos.ENODEV),) if gone else ()

    def read_paths(self, directory: str, entries: list[str]) -> Iterator[NvmePath]:
        for device in entries:
            if PATH_NAME.fullmatch(device):
                path = self.read_path(f"{directory}/{device}", device)
                if path is not None:
                    yield path

    def read_path(self, directory: str, device: str) -> NvmePath | None:
        try:
            found = self.tree.names(f"{directory}/mq")
        except FileNotFoundError:
            # A namespace's character device, or a disk whose queues hang elsewhere.
            return None
        except OSError as error:
            self.problems.append(self.problem(f"{device}/mq", error))
            return NvmePath(device, (), complete=False)
        indices = sorted(int(name) for name in found if HCTX_NAME.fullmatch(name))
        shown = (
            [self.read_shown_type(device, index) for index in indices]
            if self.has_debugfs(device)
            else [None] * len(indices)
        )
        read = (self.read_hctx(directory, device, index, kind) for index, kind in zip(indices, shown, strict=True))
        hctxs = [hctx for hctx in read if hctx is not None]
        io_poll = self.read_number(directory, "queue/io_poll", optional=True)
        path = NvmePath(
            device, tuple(hctxs), None if io_poll is None else io_poll != 0, complete=len(hctxs) == len(indices)
        )
        return with_types(path)

    def read_hctx(self, directory: str, device: str, index: int, shown: HctxType | None) -> Hctx | None:
        where = f"{directory}/mq/{index}"
        value = self.read_text(where, "cpu_list", subject=f"{device}/mq/{index}/cpu_list")
        if value is None:
            return None
        try:
            found = cpu_list(value)
        except ValueError as error:
            self.problems.append(Problem(f"{self.name}: {device}/mq/{index}/cpu_list", str(error)))
            return None
        nr_tags = self.read_number(where, "nr_tags", subject=f"{device}/mq/{index}/nr_tags")
        submitters = None if shown is None else self.read_submitters(device, index)
        return Hctx(index, found.cpus, found.cut, nr_tags, shown, None, submitters)

    def has_debugfs(self, device: str) -> bool:
        """Whether debugfs has this device for us. It is closed to all but root, and may not be mounted at all."""
        try:
            return bool(self.tree.names(f"{DEBUGFS}/{device}"))
        except OSError:
            return False

    def read_shown_type(self, device: str, index: int) -> HctxType | None:
        """The type that debugfs shows."""
        try:
            value = self.tree.read(f"{DEBUGFS}/{device}/hctx{index}", "type")
        except OSError:
            return None
        return next((name for name in HCTX_TYPES if name == value), None)

    def read_submitters(self, device: str, index: int) -> tuple[int, ...] | None:
        """The CPUs whose software queues feed this hctx: debugfs has a directory for each."""
        try:
            found = self.tree.names(f"{DEBUGFS}/{device}/hctx{index}")
        except OSError:
            return None
        return tuple(sorted(int(name.removeprefix("cpu")) for name in found if CTX_NAME.fullmatch(name)))

    def read_text(
        self, directory: str, attribute: str, *, optional: bool = False, subject: str | None = None
    ) -> str | None:
        try:
            value = self.tree.read(directory, attribute)
        except FileNotFoundError as error:
            if not optional:
                self.problems.append(self.problem(subject or attribute, error))
            return None
        except OSError as error:
            self.problems.append(self.problem(subject or attribute, error))
            return None
        if not value and not optional and attribute != "cpu_list":
            self.problems.append(Problem(f"{self.name}: {subject or attribute}", "empty"))
            return None
        return value

    def read_number(
        self,
        directory: str,
        attribute: str,
        *,
        optional: bool = False,
        subject: str | None = None,
        parse: Callable[[str], int] = parse_count,
    ) -> int | None:
        value = self.read_text(directory, attribute, optional=optional, subject=subject)
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError as error:
            self.problems.append(Problem(f"{self.name}: {subject or attribute}", str(error)))
            return None

    def problem(self, subject: str, error: OSError) -> Problem:
        where = self.name if subject == self.name else f"{self.name}: {subject}"
        return Problem(where, error.strerror or str(error), error.errno)


def with_types(path: NvmePath) -> NvmePath:
    """The path with the type of each hctx, as far as it can be deduced."""
    hctxs = path.hctxs
    # An hctx that could not be read makes a gap that the deduction knows nothing of.
    if not hctxs or not path.complete:
        return path
    shown = [hctx.shown for hctx in hctxs if hctx.shown is not None]
    types: list[HctxType] | None
    if len(shown) == len(hctxs) and hctxs[0].queue_num == 0:
        types, source = correct_types(shown), TypeSource.DEBUGFS
    elif any(hctx.cut for hctx in hctxs):
        return path
    else:
        types, source = deduce_types([hctx.cpus for hctx in hctxs], path.io_poll), TypeSource.CPU_LISTS
    if types is None:
        return path
    typed = tuple(hctx._replace(type=kind) for hctx, kind in zip(hctxs, types, strict=True))
    return path._replace(hctxs=typed, type_source=source)
