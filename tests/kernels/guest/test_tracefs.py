# SPDX-License-Identifier: GPL-2.0-or-later
"""A kprobe event of ours goes with its block, and with its process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kprobe_tool.native import tracefs

CODE = """
import os, time
from kprobe_tool.native import tracefs
with tracefs.kprobe("do_sys_openat2", "dfd=$arg1:s32") as events:
    os.stat("/")
    open("/dev/null").close()
    assert events.fields(), "not hit"
    print("there", flush=True)
    time.sleep(600)
"""


def events_and_instances() -> tuple[str, list[str]]:
    root = Path(tracefs.directory())
    return (root / "kprobe_events").read_text(), os.listdir(root / "instances")


def test_an_event_goes_with_its_block() -> None:
    with tracefs.kprobe("do_sys_openat2", "dfd=$arg1:s32") as events:
        open("/dev/null").close()
        assert events.fields()
        assert events_and_instances() != ("", [])
    assert events_and_instances() == ("", [])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_event_goes_with_its_process(number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline() == b"there\n"
    assert events_and_instances() != ("", [])
    process.send_signal(number)
    process.wait()
    process.stdout.close()
    end = time.monotonic() + 60
    while events_and_instances() != ("", []) and time.monotonic() < end:
        time.sleep(0.1)
    assert events_and_instances() == ("", [])


def test_what_the_kernel_refuses_leaves_nothing() -> None:
    for symbol, arguments in (("no_such_function_anywhere", ""), ("do_sys_openat2", "x=%nonsense")):
        with pytest.raises(OSError), tracefs.kprobe(symbol, arguments):
            pass
    assert events_and_instances() == ("", [])
