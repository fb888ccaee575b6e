# SPDX-License-Identifier: GPL-2.0-or-later
"""What an object file needs of the kernel."""

from __future__ import annotations

import pytest

from kprobe_tool.probes.verifier.floor.uses import ObjectUses, Stage, section_uses
from tests.unit.documents import OBJECT


@pytest.mark.parametrize(
    ("section", "kind", "attach", "stage"),
    [
        ("xdp", "xdp", "BPF_XDP", Stage.OPTIONAL),
        ("?xdp", "xdp", "BPF_XDP", Stage.OPTIONAL),
        ("xdp.frags", "xdp", "BPF_XDP", Stage.OPTIONAL),
        ("kprobe/do_exit", "kprobe", None, None),
        ("kprobe.multi/do_*", "kprobe", "BPF_TRACE_KPROBE_MULTI", Stage.ATTACH),
        ("tcx/ingress", "sched_cls", "BPF_TCX_INGRESS", Stage.ATTACH),
        ("fentry.s/do_exit", "tracing", "BPF_TRACE_FENTRY", Stage.LOAD),
        ("cgroup/connect4", "cgroup_sock_addr", "BPF_CGROUP_INET4_CONNECT", Stage.LOAD),
        ("cgroup_skb/egress", "cgroup_skb", "BPF_CGROUP_INET_EGRESS", Stage.ATTACH),
        ("no/such/section", None, None, None),
        ("xdpx", None, None, None),
    ],
)
def test_sections_give_types_of_programs(
    section: str, kind: str | None, attach: str | None, stage: Stage | None
) -> None:
    found, uses = section_uses(section)
    assert found == kind
    attaching = [use for use in uses if use.kind == "attach type"]
    assert [(use.name, use.stage) for use in attaching] == ([] if attach is None else [(attach, stage)])
    assert all(use.since is not None for use in uses) == (kind is not None)


def test_the_licence_of_an_object_is_read() -> None:
    assert ObjectUses(OBJECT.read_bytes()).licence == "GPL"
