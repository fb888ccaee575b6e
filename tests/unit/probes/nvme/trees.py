# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees of sysfs to read: captured from booted Debian kernels, and made up.

tests/unit/data/nvme/RELEASE.json holds what guests with four CPUs and that kernel showed as root, a tree for each
way of connecting (tests/kernels/guest/nvmet.py does the connecting): the symbolic links, and the attributes that the
tool reads. ``rdma`` is rdma_rxe on a dummy device, ``pci`` QEMU's controller with max_ioqpairs=2.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[2] / "data/nvme"

ISOLATED = "../nvme-isolated/6.12.43+deb12-amd64"
"""The same with isolcpus=2-3 nohz_full=3 on the kernel's command line: a "release" of :func:`plant`."""

RELEASES = sorted(path.stem for path in DATA.glob("*.json"))


@cache
def load_captures(release: str) -> Any:
    return json.loads((DATA / f"{release}.json").read_text(encoding="utf-8"))


def all_trees() -> list[tuple[str, str]]:
    """(release, name) of each captured tree."""
    return [(release, name) for release in RELEASES for name in load_captures(release)]


def plant(root: Path, release: str, name: str, *, debugfs: bool = True) -> Path:
    """A captured tree on disk; without ``debugfs`` as others than root see it."""
    tree = load_captures(release)[name]
    for path, content in tree["files"].items():
        if debugfs or not path.startswith("kernel/debug/"):
            file(root, path, content)
    for path, target in tree["links"].items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(target)
    return root


def file(root: Path, path: str, content: str | bytes) -> Path:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content.encode() if isinstance(content, str) else content)
    return place


def controller(
    root: Path,
    name: str = "nvme0",
    *,
    queue_count: int = 3,
    lists: tuple[str, ...] = ("0, 1", "2, 3"),
    **attributes: str,
) -> Path:
    """A fabrics controller with one path device, all that is optional left out. Gives its directory."""
    directory = f"devices/virtual/nvme-fabrics/ctl/{name}"
    values = {
        "transport": "tcp",
        "state": "live",
        "subsysnqn": f"nqn.2026-01.org.example:{name}",
        "queue_count": str(queue_count),
        **attributes,
    }
    for attribute, value in values.items():
        file(root, f"{directory}/{attribute}", f"{value}\n")
    for index, cpus in enumerate(lists):
        where = f"{directory}/{name}c0n1/mq/{index}"
        file(root, f"{where}/cpu_list", f"{cpus}\n")
        file(root, f"{where}/nr_tags", "127\n")
    file(root, f"{directory}/{name}c0n1/queue/io_poll", "0\n")
    (root / "class/nvme").mkdir(parents=True, exist_ok=True)
    (root / "class/nvme" / name).symlink_to(f"../../{directory}")
    file(root, "devices/system/cpu/possible", "0-3\n")
    file(root, "devices/system/cpu/online", "0-3\n")
    return root / directory
