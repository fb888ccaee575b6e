# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernels a machine's lab has."""

from kprobe_tool.lab.machines import MACHINES, OWN
from kprobe_tool.lab.roles import ROLES, roles_of


def test_this_machine_has_all_roles() -> None:
    assert roles_of(OWN) == ROLES
    assert {role.architecture for role in ROLES} == {OWN}
    others = [name for name in MACHINES if name != OWN]
    assert {role.architecture for name in others for role in roles_of(name)} == {*others} - {"amd64"}


def test_a_pinned_release_is_the_same_on_each_machine() -> None:
    (role,) = (role for role in ROLES if role.pin is not None)
    assert role.is_pinned("6.12.43+deb12-amd64") and role.is_pinned("6.12.43+deb12-arm64")
    assert not role.is_pinned("6.12.43+deb12-rt-amd64") and not role.is_pinned("6.12.43")
    assert not any(other.is_pinned("6.12.43+deb12-amd64") for other in ROLES if other is not role)
