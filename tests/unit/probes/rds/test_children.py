"""What is not tried on a kernel that it could harm."""

import pytest

from kprobe_tool.probes.rds.children import connections_hold_namespace


@pytest.mark.parametrize(
    ("release", "hold"),
    [
        ("5.10.0-38-amd64", False),
        ("5.17.15", False),
        ("5.18.0", True),
        ("6.1.0-56-amd64", True),
        ("7.3-rc7", True),
        ("4.19.0", False),
        ("unknown", False),
    ],
)
def test_connections_hold_namespace(release: str, hold: bool) -> None:
    assert connections_hold_namespace(release) is hold
