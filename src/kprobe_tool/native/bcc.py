# SPDX-License-Identifier: GPL-2.0-or-later
"""iovisor's bcc, which only distributions ship (python3-bpfcc), found from any Python, and BPF compiled with it.

The project named ``bcc`` on the package index is an unrelated lattice library, so what was imported is looked at
before it is believed.

Programs compile without any kernel headers: bpf/include has the little that bcc itself needs, and offsets of the
kernel's structures come from its BTF (native/btf.py).
"""

from __future__ import annotations

import ctypes
import errno as errnos
import importlib.util
import os
import re
import struct
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kprobe_tool.errors import Error
from kprobe_tool.native import bpf, host, memory
from kprobe_tool.native.bpf import LoadAnswer, grow_log_until_whole
from kprobe_tool.native.closing import Closing
from kprobe_tool.native.libc import announce, text
from kprobe_tool.native.noise import capture_output, ending_with
from kprobe_tool.native.ringbuf import RingBuffer

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

DISTRIBUTION = Path("/usr/lib/python3/dist-packages/bcc/__init__.py")
MEMORY_HINT = "loading bcc and compiling takes some 300 MiB of address space; 'ulimit -a' shows what is allowed"
HINT = "install python3-bpfcc (Debian, Ubuntu) or python3-bcc (Fedora, openSUSE)"

SOURCES = Path(__file__).parents[1] / "bpf"
"""The BPF C sources, and below include/ what stands in for kernel headers."""

LIBRARY_SPACE = 512 << 20
"""Bytes of address space that are enough for libbcc with the libraries of LLVM (230 MiB with LLVM 14)."""
COMPILE_SPACE = 64 << 20
"""Bytes that are enough to compile our programs (30 MiB with LLVM 14)."""


class Bcc(NamedTuple):
    """The imported module, its version and where it was found."""

    module: Any
    version: str
    path: str


def load() -> Bcc:
    """Import bcc, from this interpreter's own path or else the distribution's. Raises Error."""
    with warnings.catch_warnings():
        # A newer Python than the distribution's own warns of escapes in older releases of bcc.
        warnings.simplefilter("ignore", SyntaxWarning)
        module = import_bcc() or from_distribution()
    if module is None:
        raise Error("bcc", f"not importable by {sys.executable}", hint=HINT)
    return Bcc(module, str(getattr(module, "__version__", "unknown")), str(module.__file__))


def import_bcc() -> Any | None:
    """``import bcc`` where that is iovisor's; another library of the name is taken out of the way again."""
    try:
        import bcc
    except ModuleNotFoundError:
        return None
    except OSError as error:
        raise load_error("bcc: libbcc", error) from error
    if hasattr(bcc, "BPF"):
        return bcc
    for name in [name for name in sys.modules if name == "bcc" or name.startswith("bcc.")]:
        del sys.modules[name]
    return None


def from_distribution() -> Any | None:
    """The distribution's bcc alone, without putting the rest of its site directory on sys.path.

    In a virtual environment, under pipx or another Python that directory is not searched; bcc itself is pure
    Python over libbcc.so and does not mind.
    """
    if not DISTRIBUTION.exists():
        return None
    spec = importlib.util.spec_from_file_location(
        "bcc", DISTRIBUTION, submodule_search_locations=[str(DISTRIBUTION.parent)]
    )
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError, SyntaxError) as error:
        del sys.modules["bcc"]
        raise load_error(f"bcc: {DISTRIBUTION}", error) from error
    return module


def load_error(subject: str, error: Exception) -> Error:
    """Why bcc is there and cannot be used. dlopen(3) has words for that and no errno, also where memory is short."""
    if isinstance(error, OSError) and not memory.has_room(LIBRARY_SPACE, COMPILE_SPACE):
        return Error(subject, errno=errnos.ENOMEM, hint=MEMORY_HINT)
    return Error(subject, str(error), hint=HINT)


def require_privileges(subject: str) -> None:
    """Raises Error where BPF will be refused for sure, before bcc is imported for nothing."""
    if not host.effective_capabilities() & {"CAP_BPF", "CAP_SYS_ADMIN"}:
        raise Error(subject, errno=errnos.EPERM, hint=bpf.refusal_hint())


def failure(subject: str, number: int, noise: str) -> Error:
    """The one line about a compilation or load that failed, out of what libbcc wrote about it."""
    # EACCES is the verifier's word for a program that it rejects, and lockdown's for all of them.
    denied = number == errnos.EPERM or os.strerror(errnos.EPERM) in noise
    if denied or (number == errnos.EACCES and host.lockdown() == "confidentiality"):
        return Error(subject, errno=errnos.EPERM, hint=bpf.refusal_hint())
    if re.search(r"(unknown func|cannot use helper) bpf_probe_read", noise):
        # The verifier has no other words for what lockdown or a missing capability takes away.
        locked = host.lockdown() == "confidentiality"
        hint = bpf.LOCKED_DOWN if locked else "needs CAP_PERFMON or CAP_SYS_ADMIN"
        return Error(subject, "may not read kernel memory", errno=errnos.EPERM, hint=hint)
    lines = [line.strip() for line in noise.splitlines() if line.strip()]
    causes = [line for line in lines if re.search(r"\berror:", line)] or [
        line for line in lines if not line.startswith(("processed ", "HINT:", "bpf: Failed to load program"))
    ][-1:]
    cause = causes[0] if causes else "libbcc does not say why"
    return Error(subject, cause, errno=number or None, hint="'kprobe-tool doctor' shows what BPF needs here")


class Object(Closing):
    """One compiled BPF C source, its maps and the programs loaded from it.

    ``name`` is a file in bpf/. ``defines`` become macros; with NAME_OFFSET and NAME_SIZE of the kernel's fields from
    ``field_macros()`` the READ macro of kprobe_tool.h reads them. Nothing is pinned and everything hangs on file
    descriptors of this process, so it goes with the ``with`` block, and with the process however that ends.

    LLVM ends the process where it cannot go on (a stack above 512 bytes, no memory), here with a line that says so.
    What anybody may have written is compiled in a child, whose parent says it out of ``noise``, a
    :func:`~.noise.noise_file`.

    Raises Error: no bcc, no privilege, what does not compile, maps that cannot be made.
    """

    def __init__(self, name: str, defines: Mapping[str, int] | None = None, noise: int | None = None) -> None:
        subject = f"BPF program {name}"
        require_privileges(subject)
        self.name = name
        self._fds: list[int] = []
        bcc = load().module
        if not memory.has_room(COMPILE_SPACE, COMPILE_SPACE):
            # Where LLVM gets none it ends the process.
            raise Error(subject, errno=errnos.ENOMEM, hint=MEMORY_HINT)
        self._lib = bcc.lib
        self._callback_type = bcc.libbcc._RINGBUF_CB_TYPE
        system = os.uname()
        version = [int(part) for part in re.findall(r"\d+", system.release)[:3]]
        major, minor, patch = (*version, 0, 0, 0)[:3]
        macros = {
            "LINUX_VERSION_CODE": (major << 16) + (minor << 8) + min(patch, 255),
            "PAGE_SIZE": os.sysconf("SC_PAGESIZE"),
            f"MACHINE_{system.machine}": 1,
            **(defines or {}),
        }
        flags = [f"-D{key}={value}".encode() for key, value in macros.items()]
        end = ending_with(lambda: failure(subject, 0, output())) if noise is None else nullcontext()
        with sources() as directory, end, capture_output(noise) as output, kernel_source(directory):
            ctypes.set_errno(0)
            self._module = self._lib.bpf_module_create_c_from_string(
                (directory / name).read_bytes(), 0, (ctypes.c_char_p * len(flags))(*flags), len(flags), True, None
            )
            printed, number = output(), ctypes.get_errno()
        if not self._module:
            # errno is left over from anything that LLVM tried; only the kernel's refusal is worth telling.
            raise failure(subject, number if number == errnos.EPERM else 0, printed)

    def load(self, function: str, prog_type: int, attach_type: int = -1) -> int:
        """Load one function as a program: a file descriptor that belongs to this object. Raises Error."""
        announce("bpf(BPF_PROG_LOAD) of %s in %s", function, self.name)
        lib, symbol = self._lib, function.encode()
        with capture_output() as noise:
            ctypes.set_errno(0)
            fd = lib.bcc_func_load(
                self._module,
                prog_type,
                symbol,
                lib.bpf_function_start(self._module, symbol),
                lib.bpf_function_size(self._module, symbol),
                lib.bpf_module_license(self._module),
                lib.bpf_module_kern_version(self._module),
                0,
                None,
                0,
                None,
                attach_type,
            )
            number = ctypes.get_errno()
            printed = noise()
        if fd < 0:
            raise failure(f"BPF program {self.name}: {function}", number, printed)
        self._fds.append(fd)
        return int(fd)

    def functions(self) -> list[str]:
        """The names of all functions that can be loaded as programs."""
        count = self._lib.bpf_num_functions(self._module)
        return [text(self._lib.bpf_function_name(self._module, index)) for index in range(count)]

    def ask(self, function: str, prog_type: int, log_level: int) -> tuple[LoadAnswer, int]:
        """What the kernel says about one function as a program, which is closed at once; and its instructions."""
        announce("bpf(BPF_PROG_LOAD) of %s in %s", function, self.name)
        lib, symbol = self._lib, function.encode()
        size = lib.bpf_function_size(self._module, symbol)

        def attempt(log_size: int) -> LoadAnswer:
            log = ctypes.create_string_buffer(log_size)
            with capture_output():
                ctypes.set_errno(0)
                fd = lib.bcc_func_load(
                    self._module,
                    prog_type,
                    symbol,
                    lib.bpf_function_start(self._module, symbol),
                    size,
                    lib.bpf_module_license(self._module),
                    lib.bpf_module_kern_version(self._module),
                    log_level,
                    log if log_level else None,
                    log_size if log_level else 0,
                    None,
                    -1,
                )
                number = ctypes.get_errno()
            if fd >= 0:
                os.close(fd)
            written = log.value
            complete = len(written) + 1 < log_size and (fd >= 0 or number != errnos.ENOSPC)
            return LoadAnswer(0 if fd >= 0 else number, written, complete, None)

        return grow_log_until_whole(attempt), size // 8

    def map(self, name: str) -> int:
        """The file descriptor of a map, which belongs to this object. Raises KeyError."""
        fd = self._lib.bpf_table_fd(self._module, name.encode())
        if fd < 0:
            raise KeyError(name)
        return int(fd)

    def update(self, name: str, key: bytes, value: bytes) -> None:
        """BPF_MAP_UPDATE_ELEM on a map by name. Raises OSError."""
        if self._lib.bpf_update_elem(self.map(name), key, value, 0) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), f"BPF map {name}")

    def lookup(self, name: str, key: bytes, size: int) -> bytes:
        """BPF_MAP_LOOKUP_ELEM: ``size`` bytes, for a per-CPU map those of all possible CPUs. Raises OSError."""
        value = ctypes.create_string_buffer(size)
        if self._lib.bpf_lookup_elem(self.map(name), key, value) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), f"BPF map {name}")
        return value.raw

    def per_cpu_sums(self, name: str, entries: int) -> list[int]:
        """Each of the first ``entries`` u64 of a BPF_PERCPU_ARRAY, summed over all CPUs. Raises OSError."""
        values = struct.Struct(f"={host.possible_cpus()}Q")
        return [sum(values.unpack(self.lookup(name, struct.pack("=I", n), values.size))) for n in range(entries)]

    def zero_per_cpu(self, name: str, entries: int) -> None:
        """Set each of the first ``entries`` u64 of a BPF_PERCPU_ARRAY to 0 on all CPUs. Raises OSError."""
        for n in range(entries):
            self.update(name, struct.pack("=I", n), bytes(8 * host.possible_cpus()))

    def attach_to_map(self, program: int, name: str, attach_type: int) -> None:
        """BPF_PROG_ATTACH to a map of this object (a sockmap), which ends with the map. Raises OSError."""
        announce("bpf(BPF_PROG_ATTACH) to map %s", name)
        if self._lib.bpf_prog_attach(program, self.map(name), attach_type, 0) < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), f"BPF map {name}")

    def attach_raw_tracepoint(self, program: int, tracepoint: str) -> None:
        """BPF_RAW_TRACEPOINT_OPEN; detached when this object is closed. Raises OSError."""
        announce("bpf(BPF_RAW_TRACEPOINT_OPEN) of %s", tracepoint)
        fd = self._lib.bpf_attach_raw_tracepoint(program, tracepoint.encode())
        if fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), f"raw tracepoint {tracepoint}")
        self._fds.append(fd)

    def attach_fentry(self, program: int) -> None:
        """A BPF_PROG_TYPE_TRACING program to the function it was loaded for; detached when this object is closed.

        libbcc takes the function of the kernel (not of a module) and the kind from the program's name, which is what
        its KFUNC_PROBE and KRETFUNC_PROBE make of them. Raises OSError.
        """
        announce("bpf(BPF_RAW_TRACEPOINT_OPEN) of an fentry program")
        fd = self._lib.bpf_attach_kfunc(program)
        if fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), "fentry")
        self._fds.append(fd)

    def own(self, fd: int) -> None:
        """Close ``fd`` together with this object: what a program is attached by."""
        self._fds.append(fd)

    def ring_buffer(self, *names: str) -> RingBuffer:
        """A reader of maps that BPF_RINGBUF_OUTPUT declares, each read to its end before the next. Raises OSError."""
        return RingBuffer(self._lib, self._callback_type, [self.map(name) for name in names])

    def close_programs(self) -> None:
        """Detach and unload the programs; the maps and what is in them stay."""
        while self._fds:
            os.close(self._fds.pop())

    def close(self) -> None:
        """Detach and unload everything."""
        self.close_programs()
        if self._module:
            self._lib.bpf_module_destroy(self._module)
            self._module = None


@contextmanager
def sources() -> Iterator[Path]:
    """SOURCES as a directory that libbcc can read, also where this program is one zip file. Raises OSError."""
    if SOURCES.is_dir():
        yield SOURCES
        return
    from importlib.resources import files

    from kprobe_tool.native.tmpfs import detached_tmpfs

    with detached_tmpfs() as directory:
        copy_files(files("kprobe_tool").joinpath(SOURCES.name), directory)
        yield directory


def copy_files(source: Traversable, directory: Path) -> None:
    for each in source.iterdir():
        if each.is_dir():
            (directory / each.name).mkdir()
            copy_files(each, directory / each.name)
        else:
            (directory / each.name).write_bytes(each.read_bytes())


@contextmanager
def kernel_source(directory: Path) -> Iterator[None]:
    """Have bcc look for kernel headers in ``directory``: bcc changes into it and back, so there must be
    a directory to come back to.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        os.chdir("/")
    before = os.environ.get("BCC_KERNEL_SOURCE")
    os.environ["BCC_KERNEL_SOURCE"] = str(directory)
    try:
        yield
    finally:
        if before is None:
            del os.environ["BCC_KERNEL_SOURCE"]
        else:
            os.environ["BCC_KERNEL_SOURCE"] = before
