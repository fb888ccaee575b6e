# SPDX-License-Identifier: GPL-2.0-or-later
"""NVMe: large trees of sysfs, and a real controller on the loopback of a kernel."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import peers
from ..model import OURS, Case, Contenders, Place, at_most, linear, python, tool

QUEUES = 128
READS = "open, os.read, close"
LIST = "nvme list-subsys -o json"
MEMORY = Path("/dev/shm")
CONFIGFS = Path("/sys/kernel/config")
NQN = "nqn.2026-01.org.example:bench"

READ_ALL = """
import os, sys
with open(sys.argv[1], encoding="utf-8") as names:
    for name in names:
        fd = os.open(name[:-1], os.O_RDONLY)
        os.read(fd, 65536)
        os.close(fd)
"""


ATTRIBUTES = (
    "Half of it is system calls, 4.2 for an attribute where open, read and close are three: each attribute and "
    "each directory is looked at before it is opened, since a captured tree may have a device, a FIFO or a link "
    "there. The other half is not reading: names and lists of CPUs are checked, as they are anybody's bytes, "
    "128 queues a controller become records, come out of the child that read them (sysfs may hang), are judged, "
    "and become JSON. Ten controllers of 128 queues take 70 ms."
)


def write(path: str, text: str, names: list[str]) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, text.encode())
    os.close(fd)
    names.append(path)


def plant(root: str, controllers: int) -> list[str]:
    """Fabrics controllers with QUEUES queues each, one CPU a queue. Gives the attributes."""
    names: list[str] = []
    os.makedirs(f"{root}/class/nvme")
    os.makedirs(f"{root}/devices/system/cpu")
    for which in ("possible", "online"):
        write(f"{root}/devices/system/cpu/{which}", f"0-{QUEUES - 1}\n", names)
    for number in range(controllers):
        name = f"nvme{number}"
        directory = f"{root}/devices/virtual/nvme-fabrics/ctl/{name}"
        device = f"{directory}/{name}c{number}n1"
        os.makedirs(f"{device}/queue")
        os.makedirs(f"{device}/mq")
        os.symlink(f"../../devices/virtual/nvme-fabrics/ctl/{name}", f"{root}/class/nvme/{name}")
        values = {"transport": "tcp", "state": "live", "subsysnqn": f"{NQN}{number}", "queue_count": str(QUEUES + 1)}
        for attribute, value in values.items():
            write(f"{directory}/{attribute}", f"{value}\n", names)
        write(f"{device}/queue/io_poll", "0\n", names)
        for queue in range(QUEUES):
            os.mkdir(f"{device}/mq/{queue}")
            write(f"{device}/mq/{queue}/cpu_list", f"{queue}\n", names)
            write(f"{device}/mq/{queue}/nr_tags", "127\n", names)
    return names


@contextmanager
def tree(size: int) -> Iterator[Contenders]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as directory:
        root = f"{directory}/sys"
        names = Path(directory, "names")
        names.write_text("".join(f"{name}\n" for name in plant(root, size)), encoding="utf-8")
        yield {
            OURS: tool("nvme-queues", "--sysfs", root, "-o", "jsonl", codes=(0, 1, 3)),
            READS: python(READ_ALL, str(names)),
        }


def fabrics_device() -> Path:
    """/dev/nvme-fabrics, where nobody has made it yet."""
    major, minor = Path("/sys/class/misc/nvme-fabrics/dev").read_text(encoding="ascii").split(":")
    node = Path(tempfile.gettempdir(), "nvme-fabrics")
    node.unlink(missing_ok=True)
    os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(int(major), int(minor)))
    return node


@contextmanager
def controllers(size: int) -> Iterator[Contenders]:
    """So many controllers of this kernel's own target, connected over loop."""
    node = fabrics_device()
    target = CONFIGFS / "nvmet"
    made: list[Path] = []
    port = target / "ports/1"
    port.mkdir()
    (port / "addr_trtype").write_text("loop")
    for number in range(size):
        subsystem = target / f"subsystems/{NQN}{number}"
        subsystem.mkdir()
        made.append(subsystem)
        (subsystem / "attr_allow_any_host").write_text("1")
        (port / f"subsystems/{NQN}{number}").symlink_to(subsystem)
        with open(node, "r+b", buffering=0) as fabrics:
            fabrics.write(f"transport=loop,nqn={NQN}{number}".encode())
    try:
        yield {
            OURS: tool("nvme-queues", "-o", "jsonl", codes=(0, 1, 3)),
            LIST: peers.installed("nvme", "list-subsys", "-o", "json"),
        }
    finally:
        for controller in Path("/sys/class/nvme").iterdir():
            (controller / "delete_controller").write_text("1")
        deadline = time.monotonic() + 30
        while list(Path("/sys/class/nvme").iterdir()) and time.monotonic() < deadline:
            time.sleep(0.1)
        for subsystem in made:
            (port / "subsystems" / subsystem.name).unlink()
            subsystem.rmdir()
        port.rmdir()


CASES = (
    Case(
        "nvme-tree",
        10,
        f"`nvme-queues --sysfs DIR`, {QUEUES} queues a controller",
        tree,
        [at_most(OURS, READS, 1.5, 1_000, why=ATTRIBUTES), linear(OURS, why=ATTRIBUTES)],
        sizes=(0, 10, 100, 1_000),
        unit="controllers",
        rounds=3,
    ),
    Case(
        "nvme-controllers",
        10,
        "`nvme-queues`, real controllers over nvme-loop",
        controllers,
        sizes=(1, 8),
        unit="controllers",
        place=Place.UML,
        note="Without a mark: nvme-cli is C and starts at once, what it lists is less.",
    ),
)
