# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the guest tests."""

import os
import pickle
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from kprobe_tool.lab.machines import architecture_of
from kprobe_tool.lab.offers import Kernel
from kprobe_tool.native import bcc

from .. import in_guest
from .expected import Expected

NOBODY = 65534

Run = Callable[[Sequence[str]], subprocess.CompletedProcess[str]]
Call = Callable[[Callable[[], Any]], Any]


def has_btf(kernel: Kernel) -> bool:
    """Whether Debian builds it with the kernel's types."""
    return architecture_of(kernel.release) != "s390x"


@pytest.fixture(scope="session", autouse=True)
def drivers() -> None:
    """What udev loads for an emulated x86-64 and not for an arm64: an NVMe driver, and a fast gcm(aes)."""
    if os.uname().machine == "aarch64":
        subprocess.run(["modprobe", "-a", "nvme", "ghash-ce"], check=True)


@pytest.fixture(scope="session", autouse=True)
def compiler(request: pytest.FixtureRequest) -> None:
    """Compile once: forks of this process find LLVM read and linked, a quarter of the time of all that need it."""
    if any(item.get_closest_marker("no_bpf") is None for item in request.session.items):
        bcc.Object("doctor.c").close()


@pytest.fixture(scope="session", autouse=True)
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """The kernel the test runs on: release, version, roles."""
    assert in_guest.release() is not None, "guest tests run in guests only"
    assert isinstance(request.param, Kernel)
    return request.param


@pytest.fixture
def expected(kernel: Kernel, request: pytest.FixtureRequest) -> Expected:
    """What is expected of the kernel's release. A failure on one newer than those compared is news, see in_guest."""
    table = Expected(kernel)
    request.node.stash[in_guest.EXPECTED] = table
    return table


@pytest.fixture(scope="session")
def modprobe() -> Callable[..., None]:
    """Load kernel modules: the test is skipped if the kernel has no such module, and fails if it cannot be loaded."""

    def load(*modules: str) -> None:
        assert in_guest.release() is not None
        for module in modules:
            dry_run = subprocess.run(["modprobe", "-n", "-q", module], check=False)
            if dry_run.returncode != 0:
                pytest.skip(f"{os.uname().release} has no module {module}")
            done = subprocess.run(["modprobe", module], check=False, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr

    return load


@pytest.fixture(scope="session")
def run_as_nobody() -> Run:
    """Run a command as a user without any privilege."""

    def run(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, check=False, capture_output=True, text=True, user=NOBODY, group=NOBODY, extra_groups=[]
        )

    return run


@pytest.fixture(scope="session")
def call_as_nobody() -> Call:
    """Call a function as a user without any privilege, in a child: it returns or raises what the function does."""

    def call(function: Callable[[], Any]) -> Any:
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            # Whatever happens, this process must not go on to run the rest of the tests.
            try:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
                answer: tuple[bool, Any]
                try:
                    answer = (True, function())
                except Exception as e:
                    answer = (False, e)
                with open(theirs, "wb") as f:
                    f.write(pickle.dumps(answer))
            finally:
                os._exit(0)
        os.close(theirs)
        with open(ours, "rb") as f:
            data = f.read()
        os.waitpid(child, 0)
        assert data, "the child died, or its result cannot be pickled"
        fine, value = pickle.loads(data)
        if not fine:
            raise value
        return value

    return call


@pytest.fixture
def netns(request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    """Make named network namespaces with a working loopback, which go when the test is over."""
    made = []

    def add(name: str) -> str:
        subprocess.run(["ip", "netns", "add", name], check=True)
        made.append(name)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        return name

    yield add
    for name in made:
        subprocess.run(["ip", "netns", "del", name], check=True)


_expected = pytest.StashKey[list[re.Pattern[str]]]()


@pytest.fixture
def expect_complaint(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Expect a complaint in the kernel's log, by a regular expression for its line."""

    def expect(pattern: str) -> None:
        request.config.stash.setdefault(_expected, []).append(re.compile(pattern))

    return expect


@pytest.fixture
def expected_complaints(request: pytest.FixtureRequest) -> list[re.Pattern[str]]:
    return request.config.stash.get(_expected, [])
