# SPDX-License-Identifier: GPL-2.0-or-later
"""An unpacked sosreport: what its kernel log says of queues, as its copy of sysfs lacks ``mq``.

drivers/nvme/host logs "creating N I/O queues." and "mapped D/R/P default/read/poll queues." (rdma.c, tcp.c), and
"D/R/P default/read/poll queues" (pci.c), each time that a controller is connected or reset.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from itertools import islice

from kprobe_tool.errors import Error
from kprobe_tool.probes.nvme.controllers import LoggedQueues
from kprobe_tool.probes.nvme.split import Split

LOGS = (
    "sos_commands/kernel/dmesg",
    "sos_commands/kernel/dmesg_-T",
    "sos_commands/general/dmesg",
    "dmesg",
    "sos_commands/logs/journalctl_--no-pager_--boot",
    "var/log/dmesg",
)
"""Where a kernel log may be, the one that is only of the last boot first."""

LINES_MAX = 1 << 22
LINE_MAX = 1 << 12

LINE = re.compile(
    r"nvme (?P<name>nvme\d{1,7}): (?:"
    r"creating (?P<created>\d{1,5}) I/O queues"
    r"|(?P<mapped>mapped )?(?P<default>\d{1,5})/(?P<read>\d{1,5})/(?P<poll>\d{1,5}) default/read/poll queues"
    r"|(?P<pci>pci function )"
    r"|(?P<removed>Removing ctrl)"
    r")"
)


def read_kernel_log(directory: str) -> dict[str, LoggedQueues]:
    """What the log of a sosreport says last of each controller that was still there at its end.

    Raises Error where the directory has no kernel log or one that cannot be read, or is none.
    """
    try:
        os.close(os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    except NotADirectoryError as error:
        raise Error(directory, errno=error.errno, hint="unpack it first, such as with 'tar xf'") from error
    except OSError as error:
        raise Error.from_os(directory, error) from error
    for name in LOGS:
        try:
            with open(f"{directory}/{name}", encoding="utf-8", errors="replace") as file:
                return parse_kernel_log(islice(iter(lambda: file.readline(LINE_MAX), ""), LINES_MAX))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise Error.from_os(name, error) from error
    raise Error(f"sosreport '{directory}'", "no kernel log in it", hint=f"it should have {LOGS[0]}")


def parse_kernel_log(lines: Iterable[str]) -> dict[str, LoggedQueues]:
    """By name. A "creating" begins a connect, whose "mapped" may never come."""
    found: dict[str, LoggedQueues] = {}
    for line in lines:
        match = LINE.search(line)
        if match is None:
            continue
        name = match["name"]
        queues = found.get(name, LoggedQueues())
        if match["removed"]:
            found.pop(name, None)
        elif match["pci"]:
            found[name] = LoggedQueues(transport="pcie")
        elif match["created"]:
            found[name] = queues._replace(granted=int(match["created"]), split=None)
        else:
            split = Split(int(match["default"]), int(match["read"]), int(match["poll"]))
            granted = queues.granted if match["mapped"] else split.total
            transport = queues.transport if match["mapped"] else "pcie"
            found[name] = LoggedQueues(transport, granted, split)
    return found
