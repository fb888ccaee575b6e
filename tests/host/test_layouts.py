# SPDX-License-Identifier: GPL-2.0-or-later
"""The structures as declared against those of the running kernel: offsets, sizes, names."""

from __future__ import annotations

import ctypes

import pytest

from kprobe_tool.native import (
    btf,
    clone3,
    fileattr,
    io_uring,
    landlock,
    mount,
    openat2,
    perf_event,
    pidfd,
    sched_types,
    xattr,
)

from ..skips import skip

STRUCTS: tuple[type[ctypes.Structure], ...] = (
    openat2.open_how,
    clone3.clone_args,
    mount.mount_attr,
    mount.mnt_id_req,
    mount.statmount,
    sched_types.sched_attr,
    perf_event.perf_event_attr,
    landlock.landlock_ruleset_attr,
    xattr.xattr_args,
    fileattr.file_attr,
    pidfd.pidfd_info,
    io_uring.io_uring_query_hdr,
    io_uring.io_uring_query_opcode,
)
# One bit each in the kernel, one number here.
BITFIELDS = {"perf_event_attr": {"bits"}}


@pytest.fixture(scope="module")
def types() -> btf.Btf:
    try:
        return btf.vmlinux()
    except OSError as error:
        skip(f"no BTF: {error}")


@pytest.mark.parametrize("struct", STRUCTS)
def test_our_structures_are_laid_out_as_the_kernel_s(types: btf.Btf, struct: type[ctypes.Structure]) -> None:
    kernels = types.struct(struct.__name__)
    if kernels is None:
        pytest.skip(f"this kernel has no struct {struct.__name__}")
    for name, *_ in struct._fields_:
        place = getattr(struct, name)
        member = kernels.member(name)
        if name in BITFIELDS.get(struct.__name__, ()) or (member is None and place.offset >= kernels.size):
            continue
        at_offset = {one.name for one in kernels.members if one.offset == place.offset}
        if member is None and at_offset and all("spare" in one or "reserved" in one for one in at_offset):
            # Room that a later kernel gave a name.
            continue
        assert member is not None, f"{name}: {at_offset} in this kernel"
        assert (member.offset, member.size) == (place.offset, place.size), name


def test_a_pointer_has_4_or_8_bytes(types: btf.Btf) -> None:
    assert types.pointer_size in {4, 8}


def test_task_struct_is_read_with_all_its_members(types: btf.Btf) -> None:
    """A large struct, with anonymous ones inside and bitfields."""
    task = types.struct("task_struct")
    assert task is not None
    comm = task.member("comm")
    assert comm is not None
    assert comm.size == 16
    assert all(0 <= one.offset < task.size or one.size == 0 for one in task.members)
