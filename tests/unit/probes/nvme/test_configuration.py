# SPDX-License-Identifier: GPL-2.0-or-later
"""What configuration files say about queue counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kprobe_tool.probes.nvme.configuration import Configuration, read_configurations
from kprobe_tool.probes.nvme.split import Options

CONFIG_JSON = [
    {
        "hostnqn": "nqn.host",
        "subsystems": [
            {
                "nqn": "nqn.one",
                "ports": [
                    {"transport": "tcp", "traddr": "10.77.0.1", "trsvcid": "4420", "nr_io_queues": 2},
                    {"transport": "rdma", "traddr": "10.77.0.2", "nr_io_queues": 3, "nr_poll_queues": 1},
                    {"transport": "tcp", "traddr": "10.77.0.3"},
                ],
            }
        ],
    }
]


def etc(root: Path, **files: str) -> str:
    for name, content in files.items():
        directory, _, file = name.partition("__")
        (root / directory).mkdir(exist_ok=True)
        (root / directory / file.replace("_json", ".json").replace("_conf", ".conf")).write_text(content)
    return str(root)


def test_config_json_is_read(tmp_path: Path) -> None:
    for document in (CONFIG_JSON, {"hosts": CONFIG_JSON}):
        found = read_configurations(etc(tmp_path, nvme__config_json=json.dumps(document)))
        path = str(tmp_path / "nvme/config.json")
        assert found == [
            Configuration(path, {"nr_io_queues": 2}, "tcp", "10.77.0.1", "nqn.one"),
            Configuration(path, {"nr_io_queues": 3, "nr_poll_queues": 1}, "rdma", "10.77.0.2", "nqn.one"),
        ]


def test_discovery_conf_is_read(tmp_path: Path) -> None:
    content = (
        "# comment -i 9\n--transport=tcp --traddr=10.77.0.1 --nr-io-queues=2 -W 1\n-t rdma -a 10.77.0.2\n'broken\n"
    )
    (found,) = read_configurations(etc(tmp_path, nvme__discovery_conf=content))
    assert (found.transport, found.counts) == ("tcp", {"nr_io_queues": 2, "nr_write_queues": 1})


def test_stacd_conf_is_read(tmp_path: Path) -> None:
    content = "[Global]\n#nr-io-queues=9\nnr-io-queues = 2\nnr-poll-queues=1\n[Controllers]\nnr-write-queues=7\n"
    (found,) = read_configurations(etc(tmp_path, stas__stacd_conf=content))
    assert found.counts == {"nr_io_queues": 2, "nr_poll_queues": 1}
    assert found.options(online=4) == Options(2, 0, 1)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[1]", "null", '{"hosts": 5}', '[{"subsystems": [{"ports": {"nr_io_queues": 1}}]}]', "[" * 5000],
)
def test_broken_config_json_configures_nothing(tmp_path: Path, content: str) -> None:
    assert read_configurations(etc(tmp_path, nvme__config_json=content)) == []


@pytest.mark.parametrize("value", ["-1", "0", "many", "٣", "", "1.5"])
def test_counts_that_are_no_numbers_configure_nothing(tmp_path: Path, value: str) -> None:
    assert read_configurations(etc(tmp_path, stas__stacd_conf=f"[Global]\nnr-io-queues={value}\n")) == []
