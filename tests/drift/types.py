# SPDX-License-Identifier: GPL-2.0-or-later
"""The types of a kernel's image and modules, and where ours, or the places that we look at, differ from them."""

import ctypes
import lzma
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from kprobe_tool.errors import Error
from kprobe_tool.native import btf, elf, nvme, rds_info, sk_msg
from kprobe_tool.native.field_macros import field_macros
from kprobe_tool.probes.skmsg import watch as skmsg_watch
from kprobe_tool.probes.verifier.watching import watch as verifier_watch
from tests.host.test_layouts import BITFIELDS, STRUCTS

RDS_MODULES = ("rds", "rds_tcp", "rds_rdma")
NVME_MODULES = ("nvme_core", "nvme_fabrics", "nvme", "nvme_tcp", "nvme_rdma", "nvme_fc")
MODULES = (*RDS_MODULES, *NVME_MODULES, "tls")
"""The modules whose types we read."""
RESERVED = re.compile("spare|reserved|^_")
TRACEPOINTS = ("sys_enter", "sys_exit")
FUNCTIONS = frozenset({btf.BTF_KIND_FUNC})
TYPEDEFS = frozenset({btf.BTF_KIND_TYPEDEF})

# Documentation/arch/x86/boot.rst: offsets in the first sector of a bzImage, and the size of one.
SETUP_SECTS, PAYLOAD_OFFSET, PAYLOAD_LENGTH = 0x1F1, 0x248, 0x24C
SECTOR = 512
UNPACKERS = {
    b"\xfd7zXZ": ["xz", "-dc", "--single-stream"],
    b"\x28\xb5\x2f\xfd": ["zstd", "-dc"],
    b"\x1f\x8b": ["gzip", "-dc"],
}
"""How compressed payloads begin, and what unpacks them."""


def unpack_image(image: bytes) -> bytes:
    """The ELF file in a bzImage. Raises Error."""
    start = (image[SETUP_SECTS] + 1) * SECTOR + int.from_bytes(image[PAYLOAD_OFFSET : PAYLOAD_OFFSET + 4], "little")
    payload = image[start : start + int.from_bytes(image[PAYLOAD_LENGTH : PAYLOAD_LENGTH + 4], "little")]
    for magic, command in UNPACKERS.items():
        if payload.startswith(magic):
            # The kernel appends the size, which gzip and zstd take for rubbish behind the end.
            done = subprocess.run(command, input=payload, capture_output=True, check=False)
            if done.stdout:
                return done.stdout
            raise Error("the kernel's image", done.stderr.decode(errors="replace").strip())
    raise Error("the kernel's image", f"compressed in a way that is not known here: {payload[:6].hex()}")


def btf_section(file: bytes) -> bytes | None:
    return next((section.data for section in elf.sections(file) if section.name == ".BTF"), None)


def write_types(image: Path, modules: Path, directory: Path) -> None:
    """Types as /sys/kernel/btf has them in a booted kernel: a file for the image, and one for each module."""
    types = btf_section(unpack_image(image.read_bytes()))
    if types is None:
        raise Error(str(image), "no BTF in it")
    (directory / "vmlinux").write_bytes(types)
    for path in modules.rglob("*.ko*"):
        name = path.name.partition(".ko")[0].replace("-", "_")
        if name in MODULES:
            data = path.read_bytes()
            types = btf_section(lzma.decompress(data) if path.suffix == ".xz" else data)
            if types is not None:
                (directory / name).write_bytes(types)


def rds_structs() -> list[type[ctypes.Structure]]:
    return [
        value
        for name, value in vars(rds_info).items()
        if isinstance(value, type) and issubclass(value, ctypes.Structure) and name.startswith("rds")
    ]


def differences(struct: type[ctypes.Structure], types: btf.Btf) -> Iterator[str]:
    """A line for each difference of our structure from the kernel's; fields that are only reserved do not count."""
    name = struct.__name__
    kernels = types.struct(name)
    if kernels is None:
        yield f"struct {name}: not in the kernel's types"
        return
    size = ctypes.sizeof(struct)
    for member in kernels.members:
        # What follows a struct (char str[]) has no size.
        if member.offset >= size and member.size != 0 and not RESERVED.search(member.name):
            yield f"struct {name}: {member.name} at {member.offset}, behind the {size} bytes that we know"
    for field, *_ in struct._fields_:
        if field in BITFIELDS.get(name, ()) or field.startswith("__"):
            continue
        ours, theirs = getattr(struct, field), kernels.member(field)
        if theirs is None:
            yield f"struct {name}: no {field} any more"
        elif (theirs.offset, theirs.size) != (ours.offset, ours.size):
            place = f"{theirs.size} bytes at {theirs.offset}, not {ours.size} at {ours.offset}"
            yield f"struct {name}: {field} is {place}"


def changed_layouts() -> Iterator[str]:
    """A line for each difference of our structures: system calls' are in the image, those of RDS in its modules."""
    for struct in STRUCTS:
        yield from differences(struct, btf.vmlinux())
    for struct in rds_structs():
        found = [list(differences(struct, btf.module(name))) for name in RDS_MODULES]
        # A module has only the types that it uses: the one with most of them counts.
        yield from min(found, key=lambda each: sum("not in the kernel's types" in line for line in each))


def missing_fields() -> Iterator[str]:
    """A line for each field that our programs or nvme-queues would not find by the kernel's types."""
    try:
        nvme.layout(("pcie", "rdma", "tcp", "fc"))
        for name in ("rdma", "tcp", "fc"):
            nvme.transport_offsets(name)
    except LookupError as error:
        yield f"nvme-queues: {error}"
    if nvme.pci_device(btf.module("nvme_core")) is None:
        yield "nvme-queues: struct nvme_dev is unlike those known"
    for what, fields in (
        ("skmsg check", sk_msg.FIELDS),
        ("skmsg watch", skmsg_watch.FIELDS | skmsg_watch.V6_FIELDS),
        ("verifier-log watch", verifier_watch.FIELDS | verifier_watch.SECCOMP_FIELDS),
    ):
        for name, paths in fields.items():
            try:
                field_macros({name: paths}, btf.vmlinux())
            except Error as error:
                yield f"{what}: {error}"


def missing_attach_points() -> Iterator[str]:
    """A line for each function or tracepoint that our programs could not attach to."""
    wanted = {(function.name, function.module) for function in skmsg_watch.FUNCTIONS}
    wanted |= {(name, None) for name in verifier_watch.MESSAGE_FUNCTIONS - {"verbose", "bpf_verifier_log_write"}}
    wanted |= {(nvme.SHOW_TRANSPORT, "nvme_core")}
    for name, module in sorted(wanted, key=str):
        if (btf.module(module) if module else btf.vmlinux()).find(name, FUNCTIONS) is None:
            yield f"function {name}: not in {module or 'the kernel'}"
    for tracepoint in TRACEPOINTS:
        if btf.vmlinux().find(f"btf_trace_{tracepoint}", TYPEDEFS) is None:
            yield f"tracepoint {tracepoint}: not in the kernel"


def changed_types(directory: Path) -> Iterator[str]:
    """A line for each change in the types of ``directory``. This process reads no other kernel's types any more."""
    btf.DIRECTORY = str(directory)
    yield from changed_layouts()
    yield from missing_fields()
    yield from missing_attach_points()
