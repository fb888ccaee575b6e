# SPDX-License-Identifier: GPL-2.0-or-later
"""Make each test of guest/ one pytest item per kernel, run in a guest that boots once for all of them.

On the host, the items are not run: their reports are fetched from the guest. In the guest, the same files are
collected again, for that one kernel, and run for real.
"""

import os
from pathlib import Path

import pytest

from kprobe_tool.lab.machines import architecture_of
from kprobe_tool.lab.offers import Kernel

from ..corpus import objects
from . import in_guest
from .session import Lab, placeholders

GUEST_TESTS = Path(__file__).parent / "guest"

_lab = pytest.StashKey[Lab]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "kernels: runs in a guest of the kernel lab (set on all of them)")
    config.addinivalue_line("markers", "limit(seconds): how long the test may take in its guest")
    config.addinivalue_line("markers", "no_bpf: needs no BPF program of ours, and runs on an s390x, too")
    config.addinivalue_line("markers", "last: runs after the other tests of its kernel")
    if in_guest.release() is not None:
        config.pluginmanager.register(in_guest.GuestPlugin(config), "kernel-lab-guest")
    else:
        config.stash[_lab] = Lab(config.rootpath, config.inipath)


def is_guest_test(item: pytest.Item) -> bool:
    return item.path.is_relative_to(GUEST_TESTS)


def kernel_of(item: pytest.Item) -> Kernel:
    assert isinstance(item, pytest.Function)
    kernel = item.callspec.params["kernel"]
    assert isinstance(kernel, Kernel)
    return kernel


def available_kernels(config: pytest.Config) -> list[Kernel]:
    if in_guest.release() is not None:
        return [in_guest.plan().kernel]
    # Whoever leaves these tests out need not wait for the mirror.
    if "not kernels" in config.option.markexpr:
        return placeholders()
    return config.stash[_lab].kernels()


# First, wherever this file was loaded from: the order of parameters is part of a test's name, here and in the guest.
@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if not metafunc.definition.path.is_relative_to(GUEST_TESTS):
        return
    is_for_all = metafunc.definition.get_closest_marker("no_bpf") is not None
    kernels = [k for k in available_kernels(metafunc.config) if is_for_all or architecture_of(k.release) != "s390x"]
    # By role, which stays where the release changes from day to day.
    metafunc.parametrize("kernel", kernels, ids=[k.role for k in kernels], indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    if is_guest_test(item):
        item.add_marker("kernels")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the guest tests by kernel, after all others; of each kernel, what looks at the kernel log last.

    The newest kernels first: they take longest, and nothing is left to run beside the last one.
    """
    if in_guest.release() is not None:
        return

    def place(item: pytest.Item) -> tuple[int, int, bool]:
        if not is_guest_test(item):
            return (0, 0, False)
        index = config.stash[_lab].kernels().index(kernel_of(item))
        return (1, -index, item.get_closest_marker("last") is not None)

    if any(is_guest_test(item) for item in items) and "not kernels" not in config.option.markexpr:
        items.sort(key=place)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Boot the kernels while the tests run that need none, which come first."""
    tests: dict[Kernel, list[str]] = {}
    for item in session.items:
        if is_guest_test(item):
            tests.setdefault(kernel_of(item), []).append(item.nodeid)
    if not tests or session.testsfailed or in_guest.release() is not None or session.config.option.collectonly:
        return
    objects.build()
    session.config.stash[_lab].start(tests)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    if not is_guest_test(item) or in_guest.release() is not None:
        return None
    lab = item.config.stash[_lab]
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in reports_of(item, lab):
        item.ihook.pytest_runtest_logreport(report=report)
        lab.news += [str(text) for name, text in report.user_properties if name == "news"]
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def reports_of(item: pytest.Item, lab: Lab) -> list[pytest.TestReport]:
    role = kernel_of(item).role
    data = lab.results(role, item.nodeid)
    if data is not None:
        return [load_report(item.config, each) for each in data]
    guest = lab.guests[role]
    if guest.unavailable is None:
        return [make_report(item, "call", "failed", guest.epitaph(item.nodeid))]
    reason = f"kernel lab: {guest.unavailable}"
    if os.environ.get("KPROBE_TOOL_REQUIRE") == "1":
        return [make_report(item, "setup", "failed", reason)]
    return [make_report(item, "setup", "skipped", reason)]


def load_report(config: pytest.Config, data: dict[str, object]) -> pytest.TestReport:
    # JSON has no tuples, and pytest wants the place of a skip to be one.
    if isinstance(data["longrepr"], list):
        data["longrepr"] = tuple(data["longrepr"])
    report = config.hook.pytest_report_from_serializable(config=config, data=data)
    assert isinstance(report, pytest.TestReport)
    return report


def make_report(item: pytest.Item, when: str, outcome: str, text: str) -> pytest.TestReport:
    path, line, _ = item.location
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome=outcome,  # type: ignore[arg-type]
        longrepr=(path, (line or 0) + 1, f"Skipped: {text}") if outcome == "skipped" else text,
        when=when,  # type: ignore[arg-type]
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    if lab := config.stash.get(_lab, None):
        lab.stop()


# The name is quoted because pytest 7 does not have it.
def pytest_terminal_summary(terminalreporter: "pytest.TerminalReporter", config: pytest.Config) -> None:
    lab = config.stash.get(_lab, None)
    if lab is None or not lab.guests:
        return
    lab.finish()
    terminalreporter.section("kernels")
    if lab.unavailable:
        terminalreporter.line(f"none: {lab.unavailable}")
        return
    for problem in lab.archive.problems:
        terminalreporter.line(f"warning: {problem}")
    for guest in lab.guests.values():
        k = guest.kernel
        terminalreporter.line(
            f"{', '.join(k.roles)}: {k.release} ({k.version}, {k.suite}), {guest.seconds:.0f} s, "
            f"{guest.boots} boot{'s' if guest.boots != 1 else ''}"
        )
        for note in (*k.notes, *guest.trouble, guest.unavailable):
            if note:
                terminalreporter.line(f"    {note.splitlines()[-1]}")
    if lab.news:
        terminalreporter.line("news, of kernels that are newer than what kprobe_tool.checks.history knows:")
    for text in lab.news:
        terminalreporter.line(f"    {text}")
    directory = next(iter(lab.guests.values())).directory.parent
    terminalreporter.line(f"consoles and kernel logs: {directory}")
