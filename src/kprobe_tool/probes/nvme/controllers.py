# SPDX-License-Identifier: GPL-2.0-or-later
"""What sysfs and debugfs say about NVMe controllers, each read for itself and none waited for.

drivers/nvme/host/sysfs.c (core.c before v6.5) has the controller's attributes, block/blk-mq-sysfs.c the queues',
block/blk-mq-debugfs.c their types. Every attribute read here only shows a field; none sends a command.
"""

from __future__ import annotations

import errno as errnos
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from kprobe_tool.errors import Error
from kprobe_tool.native import bounded
from kprobe_tool.native.sysfs import LIVE, Tree, cpu_list, cpu_ranges
from kprobe_tool.probes.nvme.split import HCTX_TYPES, HctxType
from kprobe_tool.probes.nvme.types import TypeSource, correct, deduce

CLASS = "class/nvme"
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

SECONDS = 3.0
"""What one controller gets to be read in. A healthy one takes milliseconds."""

VANISHED = frozenset({errnos.ENODEV, errnos.ENXIO})


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something of a controller is not known: an OSError, or text that makes no sense (no errno)."""

    subject: str
    reason: str
    errno: int | None = None

    def as_error(self) -> Error:
        return Error(self.subject, self.reason, errno=self.errno)


@dataclass(frozen=True, slots=True)
class Hctx:
    """``struct blk_mq_hw_ctx``. ``shown`` is the type that debugfs shows, ``type`` the true one, None where unknown.

    ``cut``: the kernel's page was full and ``cpus`` may lack some.
    """

    index: int
    cpus: tuple[int, ...]
    cut: bool
    nr_tags: int | None
    shown: HctxType | None
    type: HctxType | None


@dataclass(frozen=True, slots=True)
class Path:
    """The block device that queues hang on: the hidden one of a controller under multipath, otherwise the disk.

    ``io_poll`` is ``queue/io_poll``: poll queues were asked for. ``type_source`` is None where no type is known.
    """

    device: str
    hctxs: tuple[Hctx, ...]
    io_poll: bool | None = None
    type_source: TypeSource | None = None

    def count(self, kind: HctxType) -> int | None:
        return None if self.type_source is None else sum(1 for hctx in self.hctxs if hctx.type == kind)


@dataclass(frozen=True, slots=True)
class Controller:
    """``struct nvme_ctrl`` as its attributes show it. None is an attribute that is missing or makes no sense."""

    name: str
    transport: str | None = None
    state: str | None = None
    address: str | None = None
    subsysnqn: str | None = None
    cntrltype: str | None = None
    numa_node: int | None = None
    sqsize: int | None = None
    queue_count: int | None = None
    paths: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def instance(self) -> int:
        """The number in its name, ``ctrl->instance``."""
        return int(self.name.removeprefix("nvme"))

    @property
    def granted(self) -> int | None:
        """I/O queues: queue_count without the admin queue, which is 0 before the first connect."""
        return None if self.queue_count is None else max(0, self.queue_count - 1)

    @property
    def path(self) -> Path | None:
        """A path with queues. All namespaces of a controller share its tag set, so one stands for all."""
        return next((path for path in self.paths if path.hctxs), None)

    @property
    def fabrics(self) -> bool:
        return self.transport in {"rdma", "tcp", "fc", "loop"}


@dataclass(frozen=True)
class Cpus:
    """CPUs of the host that the queues are spread over; None where the list is missing or makes no sense."""

    possible: tuple[int, ...] | None
    online: tuple[int, ...] | None


@dataclass(frozen=True)
class Parameters:
    """nvme.ko's ``write_queues`` and ``poll_queues``; None where the module is not there."""

    write_queues: int | None
    poll_queues: int | None


def open_tree(directory: str | None) -> Tree:
    """The live sysfs, or a captured one: ``directory`` is the copy of /sys, or holds it as ``sys``.

    Raises Error where there is no such directory or it is no sysfs.
    """
    if directory is None:
        return checked(LIVE)
    try:
        return checked(f"{directory}/sys")
    except Error:
        return checked(directory)


def checked(root: str) -> Tree:
    try:
        tree = Tree(root, ATTRIBUTES)
    except OSError as error:
        raise Error.from_os(f"sysfs '{root}'", error) from error
    try:
        tree.names("class")
    except OSError as error:
        tree.close()
        raise Error(f"sysfs '{root}'", "no directory 'class' in it", hint="name a copy of /sys") from error
    return tree


def names(tree: Tree) -> list[str]:
    """The controllers' names in numerical order. Without the module there is no class, and no controller."""
    try:
        found = tree.names(CLASS)
    except FileNotFoundError:
        return []
    return sorted((name for name in found if NVME_NAME.fullmatch(name)), key=lambda name: int(name[4:]))


def survey(tree: Tree, wanted: list[str], seconds: float = SECONDS) -> Iterator[Controller]:
    """Read these controllers, one after the other; what keeps one from being read is in its ``problems``."""

    def read_one(name: str) -> Controller:
        return Reader(tree, name).controller()

    for name, answer in bounded.each(wanted, read_one, seconds):
        if isinstance(answer, TimeoutError):
            reason = f"reading its attributes did not end within {seconds:g} s; something holds its locks"
            yield Controller(name, problems=(Problem(name, reason, errnos.ETIMEDOUT),))
        elif isinstance(answer, ChildProcessError):
            yield Controller(name, problems=(Problem(name, "the process that read its attributes died"),))
        else:
            yield answer


def cpus(tree: Tree) -> Cpus:
    return Cpus(possible=cpu_file(tree, "possible"), online=cpu_file(tree, "online"))


def cpu_file(tree: Tree, name: str) -> tuple[int, ...] | None:
    try:
        return cpu_ranges(tree.read(CPU, name))
    except (OSError, ValueError):
        return None


def parameters(tree: Tree) -> Parameters:
    return Parameters(parameter(tree, "write_queues"), parameter(tree, "poll_queues"))


def parameter(tree: Tree, name: str) -> int | None:
    try:
        return whole(tree.read(PARAMETERS, name))
    except (OSError, ValueError):
        return None


def whole(value: str) -> int:
    """A count. Raises ValueError on anything else, also on what int() would take."""
    if not re.fullmatch(r"[0-9]{1,10}", value):
        raise ValueError(f"{value[:40]!r} is no number")
    return int(value)


def node(value: str) -> int:
    """A NUMA node; -1 is NUMA_NO_NODE. Raises ValueError."""
    return -1 if value == "-1" else whole(value)


class Reader:
    """Reads one controller and remembers what could not be read."""

    def __init__(self, tree: Tree, name: str) -> None:
        self.tree = tree
        self.name = name
        self.problems: list[Problem] = []

    def controller(self) -> Controller:
        try:
            # Once here, and not again for each attribute.
            directory = self.tree.resolve(f"{CLASS}/{self.name}")
            entries = self.tree.names(directory)
        except OSError as error:
            return Controller(self.name, problems=(self.problem(self.name, error),))
        controller = Controller(
            name=self.name,
            transport=self.text(directory, "transport"),
            state=self.text(directory, "state"),
            address=self.text(directory, "address", optional=True),
            subsysnqn=self.text(directory, "subsysnqn"),
            # Attributes that older kernels lack: cntrltype came in v5.17, numa_node in v4.19.
            cntrltype=self.text(directory, "cntrltype", optional=True),
            numa_node=self.number(directory, "numa_node", optional=True, parse=node),
            sqsize=self.number(directory, "sqsize", optional=True),
            queue_count=self.number(directory, "queue_count"),
            paths=tuple(self.paths(directory, entries)),
        )
        return replace(controller, problems=self.vanished(directory) or tuple(self.problems))

    def vanished(self, directory: str) -> tuple[Problem, ...]:
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

    def paths(self, directory: str, entries: list[str]) -> Iterator[Path]:
        for device in entries:
            if PATH_NAME.fullmatch(device):
                path = self.path(f"{directory}/{device}", device)
                if path is not None:
                    yield path

    def path(self, directory: str, device: str) -> Path | None:
        try:
            found = self.tree.names(f"{directory}/mq")
        except FileNotFoundError:
            # A namespace's character device, or a disk whose queues hang elsewhere.
            return None
        except OSError as error:
            self.problems.append(self.problem(f"{device}/mq", error))
            return Path(device, ())
        indices = sorted(int(name) for name in found if HCTX_NAME.fullmatch(name))
        shown = [self.shown(device, index) for index in indices] if self.debugfs(device) else [None] * len(indices)
        read = (self.hctx(directory, device, index, kind) for index, kind in zip(indices, shown, strict=True))
        hctxs = [hctx for hctx in read if hctx is not None]
        io_poll = self.number(directory, "queue/io_poll", optional=True)
        return with_types(Path(device, tuple(hctxs), None if io_poll is None else io_poll != 0), whole=len(indices))

    def hctx(self, directory: str, device: str, index: int, shown: HctxType | None) -> Hctx | None:
        where = f"{directory}/mq/{index}"
        value = self.text(where, "cpu_list", subject=f"{device}/mq/{index}/cpu_list")
        if value is None:
            return None
        try:
            found = cpu_list(value)
        except ValueError as error:
            self.problems.append(Problem(f"{self.name}: {device}/mq/{index}/cpu_list", str(error)))
            return None
        nr_tags = self.number(where, "nr_tags", subject=f"{device}/mq/{index}/nr_tags")
        return Hctx(index, found.cpus, found.cut, nr_tags, shown, None)

    def debugfs(self, device: str) -> bool:
        """Whether debugfs has this device for us. It is closed to all but root, and may not be mounted at all."""
        try:
            return bool(self.tree.names(f"{DEBUGFS}/{device}"))
        except OSError:
            return False

    def shown(self, device: str, index: int) -> HctxType | None:
        """The type that debugfs shows."""
        try:
            value = self.tree.read(f"{DEBUGFS}/{device}/hctx{index}", "type")
        except OSError:
            return None
        return next((name for name in HCTX_TYPES if name == value), None)

    def text(
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

    def number(
        self,
        directory: str,
        attribute: str,
        *,
        optional: bool = False,
        subject: str | None = None,
        parse: Callable[[str], int] = whole,
    ) -> int | None:
        value = self.text(directory, attribute, optional=optional, subject=subject)
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


def with_types(path: Path, whole: int) -> Path:
    """The path with the type of each hctx, as far as it can be told. ``whole`` hctxs are in sysfs."""
    hctxs = path.hctxs
    # An hctx that could not be read makes a gap that the deduction knows nothing of.
    if not hctxs or len(hctxs) != whole:
        return path
    shown = [hctx.shown for hctx in hctxs if hctx.shown is not None]
    types: list[HctxType] | None
    if len(shown) == len(hctxs) and hctxs[0].index == 0:
        types, source = correct(shown), TypeSource.DEBUGFS
    elif any(hctx.cut for hctx in hctxs):
        return path
    else:
        types, source = deduce([hctx.cpus for hctx in hctxs], path.io_poll), TypeSource.CPU_LISTS
    if types is None:
        return path
    typed = tuple(replace(hctx, type=kind) for hctx, kind in zip(hctxs, types, strict=True))
    return replace(path, hctxs=typed, type_source=source)
