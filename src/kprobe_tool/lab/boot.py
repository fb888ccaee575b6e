# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot one kernel in QEMU with virtme-ng and run a command in it.

The guest's root is the host's own root directory, read-only over 9p. Software emulation unless KVM is asked for: it
is there on every machine, and behaves the same on all of them.
"""

import os
import selectors
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kprobe_tool.errors import Error
from kprobe_tool.lab import machines
from kprobe_tool.lab.machines import MACHINES, architecture_of

MEMORY = "2G"
MEMORY_OF_A_GUEST = 3 << 30
"""Bytes: what QEMU takes at most, and what its kernel makes this machine keep of its files."""
# On two cores, two guests of one CPU each run the four kernels in 47 s, one guest of two CPUs at a time in 76 s, and
# two guests of two CPUs each in 128 s.
CPUS = int(os.environ.get("KPROBE_TOOL_GUEST_CPUS", "1"))
# CPUs beyond CPUS are offline and cost nothing, until a test that looks at CPU maps brings them online.
POSSIBLE_CPUS = max(4, CPUS)

HOST = Path("/run/host")
"""Where the guest sees the host's root directory a second time, see _SCRIPT."""
NEEDED = "/run/needed"
"""Where a guest with a root directory of its own sees the host's needed_directories()."""
_SCRIPTS = Path("/run/script")
"""Where a guest sees its script: virtme-ng hides directories of the host's, /var/cache and /tmp among them."""

# Emulated hardware that no test needs. Its drivers are a third of the boot.
_UNUSED_DRIVERS = (
    "ahci,bochs,cdrom,floppy,i2c_i801,i6300esb,iTCO_wdt,intel_agp,joydev,kvm_amd,kvm_intel,lpc_ich,parport_pc,"
    "pcspkr,powernow_k8,psmouse,sr_mod,vmwgfx"
)

_KERNEL_OPTIONS = (
    f"modprobe.blacklist={_UNUSED_DRIVERS}",
    # A busy host can stop a virtual CPU for longer than these allow, which says nothing about the kernel.
    "nowatchdog",
    "rcupdate.rcu_cpu_stall_suppress=1",
)

# An NVMe device without anything behind it, that grants fewer I/O queues than there are CPUs. A mainframe has none.
_NVME = (
    "-blockdev",
    "driver=null-co,node-name=nvme,size=1048576,read-zeroes=on",
    "-device",
    "nvme,drive=nvme,serial=kprobe-tool,max_ioqpairs=2",
)

# virtme-ng has six serial devices of one port each. With the 31 ports that each of them may have, QEMU polls 390
# descriptors at each event instead of 42, a sixth of all that it does.
_SERIAL = ("-global", "virtio-serial-device.max_ports=2")

# virtme-ng mounts the root without any caching, so that each file is read over 9p again each time. The script puts
# the same directory, mounted with a cache, over the parts that Python is in: everything starts twice as fast.
# /usr becomes an overlay because it holds the directory that the modules have to be in. All of this exists in the
# guest's memory only.
_SCRIPT = """\
#!/bin/sh
set -e
{channel}
mkdir -p {host} /run/usr/upper /run/usr/work
mount -t 9p -o ro,cache=loose,trans=virtio,version=9p2000.L,msize=512000 kprobe-tool {host}
mount -t overlay -o lowerdir={usr},upperdir=/run/usr/upper,workdir=/run/usr/work overlay /usr
mount -t tmpfs -o mode=1777 tmpfs /tmp
for directory in {hidden}; do
    mount -t tmpfs -o mode=755 tmpfs "$directory"
done
for directory in {directories}; do
    test -d {needed}"$directory" || mkdir -p {needed}"$directory"
    mount --bind {host}"$directory" {needed}"$directory"
done
mkdir -p /usr/lib/modules /run/netns
rm -rf /usr/lib/modules/{release}
ln -s {host}{modules} /usr/lib/modules/{release}
ip link set lo up
cd {cwd}
exec env {environment} {command}
"""

# Standard output is the way back to the host. Everything else goes to the console log.
_CHANNEL = """\
exec 3>&1 1>&2
echo '{"event": "alive"}' >&3"""


@dataclass(frozen=True)
class Image:
    """A kernel, ready to boot."""

    release: str
    directory: Path
    """Holds boot/vmlinuz-RELEASE and lib/modules/RELEASE."""
    root: Path | None = None
    """The guest's root directory where it is not the host's: that of another architecture, see userland.py."""

    @property
    def vmlinuz(self) -> Path:
        return self.directory / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        return self.directory / "lib/modules" / self.release


@dataclass(frozen=True)
class GuestLimits:
    first_output: float = 240
    """Seconds until anything must have been written, to the console or by the script: a kernel takes 5."""
    first_sign_of_life: float = 240
    """Seconds until the guest's script must have started. A boot takes 12 on an idle machine."""
    total: float = float(os.environ.get("KPROBE_TOOL_GUEST_TIMEOUT", "3600"))
    """Seconds for everything. All tests of the slowest kernel took 1260, beside another guest on two cores."""


DEFAULT_LIMITS = GuestLimits()
OTHER_MACHINE_LIMITS = GuestLimits(first_sign_of_life=1200, total=4 * DEFAULT_LIMITS.total)
"""An s390x boots in 250 s where an x86-64 takes 30."""


@dataclass(frozen=True)
class Ending:
    """How a guest ended: by itself (neither ``hung`` nor ``stopped``), killed as it took too long, or on request."""

    seconds: float
    hung: str = ""
    stopped: bool = False


def missing(architecture: str = machines.OWN) -> list[str]:
    """What this machine lacks to boot a guest, in words."""
    if machines.OWN not in machines.BOOTING:
        return [f"an x86-64 or arm64 machine (this is {machines.OWN})"]
    machine = MACHINES[architecture]
    needed = {
        machine.emulator: f"QEMU (package {machine.package})",
        "virtme-run": "virtme-ng (pip install virtme-ng)",
        "depmod": "kmod",
        "modprobe": "kmod",
        "busybox": "static busybox (package busybox-static)",
        "ip": "iproute2",
        "udevadm": "udev",
        # virtme-ng finds out a kernel's release with it: file(1) knows that of images for x86 only.
        **({"file": "file"} if architecture == "amd64" else {"strings": "binutils"}),
        "setpriv": "util-linux",
    }
    return sorted({what for tool, what in needed.items() if shutil.which(tool, path=_path()) is None})


def _path() -> str:
    # virtme-run stands beside the interpreter of its virtual environment, which need not be activated.
    return f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def needed_directories(*more: Path) -> list[Path]:
    """Where Python is, and what else a guest must be able to see."""
    return [*more, *{Path(p) for p in (sys.prefix, sys.base_prefix)}]


def closed_parent(directory: Path) -> Path | None:
    """The topmost directory above this one that not everyone may enter."""
    for parent in reversed(directory.parents):
        if not parent.stat().st_mode & stat.S_IXOTH:
            return parent
    return None


def path_in_guest(image: Image, path: Path) -> Path:
    """Where the guest finds one of the needed_directories() of the host, or what is in it."""
    return path if image.root is None else Path(f"{NEEDED}{path}")


def interpreter_in_guest(image: Image) -> tuple[list[str], dict[str, str]]:
    """(command, environment) of the guest's Python, which imports what this one imports."""
    if image.root is None:
        return [sys.executable], {}
    paths = [path for path in sys.path if Path(path).is_dir() and not path.startswith(f"{sys.base_prefix}/lib")]
    return ["/usr/bin/python3"], {"PYTHONPATH": ":".join(str(path_in_guest(image, Path(path))) for path in paths)}


def guest_script(
    image: Image,
    command: Sequence[str],
    *,
    cwd: Path,
    environment: dict[str, str],
    directories: Sequence[Path],
    interactive: bool = False,
) -> str:
    """The script that the guest runs as root. ``directories`` are what the command needs besides /usr."""
    of_interpreter = "" if image.root else f"{Path(sys.executable).parent}:"
    defaults = {
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "PATH": f"{of_interpreter}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": "/tmp",
    }
    beside_usr = sorted({str(d) for d in directories if not d.is_relative_to("/usr")})
    # Tests run as nobody too, who must get to the checkout and the interpreter where a home directory holds them.
    hidden = {str(parent) for d in directories if not image.root and (parent := closed_parent(d)) is not None}
    return _SCRIPT.format(
        channel="" if interactive else _CHANNEL,
        host=HOST,
        usr=shlex.quote(f"{HOST}{image.root or ''}/usr"),
        hidden=shlex.join(sorted(hidden)),
        directories=shlex.join(beside_usr),
        needed=NEEDED if image.root else "",
        release=shlex.quote(image.release),
        modules=shlex.quote(str(image.modules)),
        cwd=shlex.quote(str(path_in_guest(image, cwd))),
        environment=shlex.join(f"{k}={v}" for k, v in (defaults | environment).items()),
        command=shlex.join(command),
    )


def virtme_run(image: Image, script: Path, *, interactive: bool = False, kvm: bool = False) -> list[str]:
    argv = ["virtme-run", "--kimg", str(image.vmlinuz), "--mods=auto", "--force-9p"]
    argv += [] if kvm else ["--disable-kvm"]
    if image.root is not None:
        argv += ["--arch", MACHINES[architecture_of(image.release)].name, "--root", str(image.root)]
        argv += ["--busybox", str(image.root / "bin/busybox")]
    argv += ["--rodir", f"{_SCRIPTS}={script.parent}"]
    script = _SCRIPTS / script.name
    argv += ["--memory", MEMORY, "--cpus", str(POSSIBLE_CPUS), "--name", "kprobe-tool"]
    for directory in ("/etc", "/lib", "/var"):
        argv += ["--overlay-rwdir", directory]
    for option in (*_KERNEL_OPTIONS, f"maxcpus={CPUS}"):
        argv += ["--kopt", option]
    if interactive:
        argv += ["--user", "root", "--shell", str(script)]
    else:
        argv += ["--show-boot-console", "--verbose", "--script-sh", f"exec sh {shlex.quote(str(script))}"]
    # Takes all the rest of the line.
    # One host thread for all virtual CPUs: with one each, emulation may run an instruction that another CPU is just
    # patching (ftrace, kprobes), and the kernel dies of a breakpoint that is not its own.
    argv += ["--qemu-opts", *([] if kvm else ["-accel", "tcg,thread=single"]), "-virtfs"]
    argv += ["local,path=/,mount_tag=kprobe-tool,security_model=none,readonly=on,multidevs=remap"]
    # On its arm64 machine QEMU gives all ports to one of the devices.
    argv += _SERIAL if architecture_of(image.release) != "arm64" else []
    argv += _NVME if architecture_of(image.release) != "s390x" else []
    return argv


def guests_at_a_time() -> int:
    """One more than there are processors, since each guest waits now and then; fewer where memory is short."""
    if "KPROBE_TOOL_GUESTS" in os.environ:
        return int(os.environ["KPROBE_TOOL_GUESTS"])
    processors = len(os.sched_getaffinity(0)) // CPUS
    return max(1, min(processors + 1, available_memory() // MEMORY_OF_A_GUEST))


def available_memory() -> int:
    """Bytes that can be had without swapping (proc_meminfo(5))."""
    for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) << 10
    return 0


def has_kvm() -> bool:
    """Whether QEMU can run a CPU under KVM: the device may be there, and the CPU below it not fit."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    machine = MACHINES[machines.OWN]
    argv = [machine.emulator, "-accel", "kvm", "-cpu", "host", *machine.kvm, "-nodefaults", "-display", "none"]
    # Stopped before the first instruction; the monitor ends it.
    argv += ["-S", "-monitor", "stdio"]
    try:
        done = subprocess.run(argv, env=environment(), input=b"quit\n", capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def environment() -> dict[str, str]:
    """What virtme-run itself is to be started with."""
    return dict(os.environ, PATH=_path())


def run(
    argv: Sequence[str],
    console: Path,
    line: Callable[[bytes], None],
    stop: threading.Event,
    limits: GuestLimits = DEFAULT_LIMITS,
    *,
    temporary: Path | None = None,
) -> Ending:
    """Boot with virtme_run()'s command, call ``line`` for each line that comes back, return when the guest is gone.

    virtme-run puts its temporary files into ``temporary``.
    """
    # setpriv(1) is for the case that this process is killed and cannot clean up: timeout(1) hands the signal on.
    argv = ["setpriv", "--pdeathsig", "TERM", "timeout", "--kill-after=10", str(limits.total + 30), *argv]
    start = time.monotonic()
    with open(console, "ab", buffering=0) as log:
        try:
            process = subprocess.Popen(
                argv,
                env=environment() | ({"TMPDIR": str(temporary)} if temporary is not None else {}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as e:
            raise Error(e.filename, "not installed") from e
        try:
            hung = _pump(process, log.write, line, stop, limits)
        finally:
            _kill(process)
    return Ending(time.monotonic() - start, hung, stop.is_set())


def _pump(
    process: subprocess.Popen[bytes],
    log: Callable[[bytes], object],
    line: Callable[[bytes], None],
    stop: threading.Event,
    limits: GuestLimits,
) -> str:
    assert process.stdout is not None and process.stderr is not None
    start = time.monotonic()
    has_output = has_started = False
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stderr, selectors.EVENT_READ)
        while selector.get_map() and not stop.is_set():
            seconds = time.monotonic() - start
            if seconds > limits.total:
                return f"not done after {limits.total:.0f} s"
            if not has_output and seconds > limits.first_output:
                return f"it did not boot: nothing on its console after {limits.first_output:.0f} s"
            if not has_started and seconds > limits.first_sign_of_life:
                return f"no sign of life after {limits.first_sign_of_life:.0f} s"
            for key, _ in selector.select(timeout=0.5):
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stderr:
                    has_output = True
                    log(data)
                else:
                    has_output = has_started = True
                    *lines, rest = (rest + data).split(b"\n")
                    for one in lines:
                        line(one)
    return ""


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End virtme-run and QEMU, which are a process group of their own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
