# SPDX-License-Identifier: GPL-2.0-or-later
"""A real NVMe target (nvmet) in the guest, and connections of the same kernel's host side to it.

All traffic stays on a dummy device and loopback of the guest. Everything made here goes with :meth:`Target.close`.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

ADDRESS = "10.77.0.1"
HOSTNQN = "nqn.2014-08.org.nvmexpress:uuid:5d3c9b0e-9f2a-4f0e-8d77-0c6a4f1f0a01"
HOSTID = "5d3c9b0e-9f2a-4f0e-8d77-0c6a4f1f0a01"
CONFIGFS = Path("/sys/kernel/config")
NVMET = CONFIGFS / "nvmet"
CLASS = Path("/sys/class/nvme")
CPUS = Path("/sys/devices/system/cpu")

MODULES = {
    "rdma": ("rdma_rxe", "nvmet-rdma", "nvme-rdma"),
    "tcp": ("nvmet-tcp", "nvme-tcp"),
    "loop": ("nvme-loop",),
}
PORTS = {"rdma": "4420", "tcp": "4421"}
EVERY = 128
"""What a target grants unless it is told otherwise (drivers/nvme/target/nvmet.h, NVMET_NR_QUEUES)."""


@contextmanager
def every_cpu_online() -> Iterator[None]:
    """Take all four CPUs of the guest online: the queues that a connect gets depend on them."""
    assert (CPUS / "possible").read_text() == "0-3\n"
    offline = [path for path in CPUS.glob("cpu[0-9]/online") if path.read_text() == "0\n"]
    for path in offline:
        path.write_text("1")
    yield
    for path in offline:
        path.write_text("0")


def wait_until(done: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Poll for a state of the kernel that it announces to nobody. Fails loudly past the deadline."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"{what}: not after {seconds:.0f} s"
        time.sleep(0.1)


def attribute(controller: str, name: str) -> str:
    return (CLASS / controller / name).read_text(encoding="ascii").strip()


def is_gone(controller: str) -> bool:
    return not (CLASS / controller).exists()


class Target:
    """One nvmet subsystem a name, all of them on null_blk, offered on the ports that :meth:`offer` makes."""

    def __init__(self, modprobe: Callable[..., None]) -> None:
        self.modprobe = modprobe
        modprobe("configfs", "null_blk", "nvmet", "nvme-fabrics")
        if not NVMET.is_dir():
            subprocess.run(["mount", "-t", "configfs", "none", str(CONFIGFS)], check=True)
        self.connected: list[str] = []

    def add_network(self) -> None:
        """Make the dummy device with the target's address, on which a real RDMA device can be put."""
        if Path("/sys/class/net/nvmet0").exists():
            return
        self.modprobe("dummy")
        for command in (
            ("ip", "link", "add", "nvmet0", "type", "dummy"),
            ("ip", "link", "set", "nvmet0", "up"),
            ("ip", "addr", "add", f"{ADDRESS}/24", "dev", "nvmet0"),
        ):
            subprocess.run(command, check=True)

    def port(self, transport: str) -> Path:
        """The port of a transport, made when it is first asked for."""
        port = NVMET / "ports" / str(1 + list(MODULES).index(transport))
        if port.exists():
            return port
        if transport in PORTS:
            self.add_network()
        self.modprobe(*MODULES[transport])
        if transport == "rdma":
            subprocess.run(["rdma", "link", "add", "rxe0", "type", "rxe", "netdev", "nvmet0"], check=True)
        port.mkdir()
        (port / "addr_trtype").write_text(transport)
        if transport in PORTS:
            (port / "addr_adrfam").write_text("ipv4")
            (port / "addr_traddr").write_text(ADDRESS)
            (port / "addr_trsvcid").write_text(PORTS[transport])
        return port

    def subsystem(self, nqn: str) -> Path:
        """A subsystem with one namespace, made when it is first asked for."""
        subsystem = NVMET / "subsystems" / nqn
        if not subsystem.exists():
            subsystem.mkdir()
            (subsystem / "attr_allow_any_host").write_text("1")
            namespace = subsystem / "namespaces/1"
            namespace.mkdir()
            (namespace / "device_path").write_text("/dev/nullb0")
            (namespace / "enable").write_text("1")
        return subsystem

    def offer(self, nqn: str, transport: str, qid_max: int = EVERY) -> None:
        """Offer a subsystem on a port, with at most ``qid_max`` I/O queues. Skips the test if none can be set."""
        limit = self.subsystem(nqn) / "attr_qid_max"
        if not limit.exists():
            if qid_max != EVERY:
                pytest.skip(f"the target of Linux {os.uname().release} cannot be told to grant fewer queues")
        # Newer targets drop all connections of a subsystem when this is written.
        elif limit.read_text(encoding="ascii").strip() != str(qid_max):
            limit.write_text(str(qid_max))
        link = self.port(transport) / "subsystems" / nqn
        if not link.is_symlink():
            link.symlink_to(self.subsystem(nqn))

    def withdraw(self, nqn: str, transport: str) -> None:
        """Take a subsystem off a port: its connections break, and reconnecting is refused.

        Not before udev has read what it reads of a new device. That would wait for the controller, and Linux 5.10
        hands it to queues without a socket when the controller is deleted: an oops in kernel_sendpage().
        """
        subprocess.run(["udevadm", "settle"], check=True)
        (self.port(transport) / "subsystems" / nqn).unlink()

    def connect(self, nqn: str, transport: str, **options: int) -> str:
        """Connect and wait until the namespace's queues are there. Returns the controller's name."""
        words = [f"nqn={nqn}", f"transport={transport}", f"hostnqn={HOSTNQN}", f"hostid={HOSTID}"]
        if transport in PORTS:
            words += [f"traddr={ADDRESS}", f"trsvcid={PORTS[transport]}"]
        words += [f"{name}={value}" for name, value in options.items()]
        fd = os.open("/dev/nvme-fabrics", os.O_RDWR)
        try:
            os.write(fd, ",".join(words).encode())
            answer = os.read(fd, 256).decode()
        finally:
            os.close(fd)
        fields = dict(word.split("=") for word in answer.strip().split(","))
        name = f"nvme{fields['instance']}"
        self.connected.append(name)
        wait_until(lambda: any(CLASS.glob(f"{name}/nvme*n*/mq/0")), f"{name}: a namespace with queues")
        return name

    def disconnect(self) -> None:
        """Delete every controller that this object connected."""
        for name in self.connected:
            if (CLASS / name).exists():
                (CLASS / name / "delete_controller").write_text("1")
            wait_until(partial(is_gone, name), f"{name}: deleted")
        self.connected.clear()

    def close(self) -> None:
        """Disconnect, and take the whole target down."""
        self.disconnect()
        for link in NVMET.glob("ports/*/subsystems/*"):
            link.unlink()
        for namespace in NVMET.glob("subsystems/*/namespaces/*"):
            (namespace / "enable").write_text("0")
            namespace.rmdir()
        for directory in (*NVMET.glob("subsystems/*"), *NVMET.glob("ports/*")):
            directory.rmdir()
        if Path("/sys/class/net/nvmet0").exists():
            if Path("/sys/class/infiniband/rxe0").exists():
                subprocess.run(["rdma", "link", "del", "rxe0"], check=True)
            subprocess.run(["ip", "link", "del", "nvmet0"], check=True)
