# SPDX-License-Identifier: GPL-2.0-or-later
"""verifier-log watch on this host, with loaders of all kinds in processes of their own.

Others load programs here as well, so only what our own processes did is looked at.
"""

import errno as errnos
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kprobe_tool.commands.verifier_log.watch import describe_missing, report_lines, report_row
from kprobe_tool.native import bpf, cgroup, host
from kprobe_tool.probes.verifier.watching.watch import (
    ControlGroup,
    ControlGroups,
    LoadFilter,
    LoadWatch,
    LogSource,
    explain_report,
    wall_clock,
)

from .. import loads, odd_loads
from ..loads import SeenLoad, collect
from ..skips import skip
from .conftest import MAX_LOG


def test_failing_loads_of_three_loaders_are_reported(watch: LoadWatch) -> None:
    """A prime number of failing loads: each is reported, with the log that its loader saw, and explained."""
    watch.start(LoadFilter())
    by_hand, by_libbpf, by_bcc = loads.load_by_hand(13), loads.load_by_libbpf(11), loads.load_by_bcc(7)
    seen = [*by_hand, *by_libbpf, *by_bcc]
    reports, counters = collect(watch, {each.pid for each in seen})
    assert counters.seen == counters.emitted
    assert counters.dropped == 0
    assert len(reports) == len(seen) == 31
    for report, each in zip(reports, seen, strict=True):
        loads.assert_agrees(report, each)
        assert len(report.attempts) == (1 if each in by_hand else 2)
        found = explain_report(report)
        assert found.source is LogSource.LOADER
        assert found.diagnosis is not None
        assert found.diagnosis.recognised
        assert found.diagnosis.category


def test_types_have_the_kernel_s_names(watch: LoadWatch) -> None:
    """Of this kernel's own types; a number that has none stays one."""
    types = [watch.names.prog_type(number) for number in range(len(bpf.PROG_TYPES))]
    assert types[:31] == list(bpf.PROG_TYPES[:31])
    assert watch.names.prog_type(9999) == "9999"
    assert (watch.names.attach_type(0), watch.names.attach_type(37)) == ("cgroup_inet_ingress", "xdp")


def test_own_loads_are_not_reported(watch: LoadWatch) -> None:
    watch.start(LoadFilter())
    for text, _ in loads.REFUSED:
        assert bpf.load_once(loads.program(text, "own"), 1, loads.LOG_SIZE).errno
    reports, _ = collect(watch, {os.getpid()})
    assert reports == []


def test_a_log_of_46_megabytes_is_read_from_its_end(watch: LoadWatch) -> None:
    """As much of it as --max-log says."""
    watch.start(LoadFilter())
    seen = loads.load_with_attr(loads.LONG.format(count=27_000), 2, 1 << 26)
    (report,), _ = collect(watch, {seen.pid})
    load = report.last.load
    assert load.length > 46_000_000
    assert load.true_size == load.length + 1
    assert (load.captured, load.missing) == (MAX_LOG, "limit")
    assert len(seen.log) == load.length
    assert report.last.log == seen.log[-MAX_LOG:]
    found = explain_report(report).diagnosis
    assert found is not None
    assert found.message == "R2 !read_ok"


@pytest.mark.parametrize("max_log", [0, 1, 2047, 2048, 2049, 2048 + 32768, 100_003, 16 << 20])
@pytest.mark.slow
def test_max_log_is_read_of_the_log_s_end(max_log: int, needs_bpf: None) -> None:
    with LoadWatch(max_log) as watch:
        watch.start(LoadFilter())
        seen = loads.load_with_attr(loads.LONG.format(count=503), 2, 1 << 20)
        (report,), _ = collect(watch, {seen.pid})
    load = report.last.load
    assert load.captured == min(max_log, len(seen.log))
    assert report.last.log == seen.log[len(seen.log) - load.captured :]
    assert load.length == (len(seen.log) if max_log else 0)
    assert load.true_size == len(seen.log) + 1
    assert load.missing == ("limit" if 0 < max_log < len(seen.log) else None)


def test_the_longest_log_comes_whole(needs_bpf: None) -> None:
    """All 16 MiB come while nobody reads."""
    with LoadWatch(16 << 20) as watch:
        watch.start(LoadFilter())
        seen = loads.load_with_attr(loads.LONG.format(count=11_000), 2, 1 << 25)
        (report,), _ = collect(watch, {seen.pid})
    assert report.last.load.length > 16 << 20
    assert report.last.log == seen.log[-(16 << 20) :]


def test_an_attr_without_log_true_size_is_read(watch: LoadWatch) -> None:
    """The end of the log is found all the same, here behind two megabytes."""
    watch.start(LoadFilter())
    seen = loads.load_with_attr(loads.LONG.format(count=1511), 2, 1 << 22, attr_size=loads.OLD_ATTR_SIZE)
    (report,), _ = collect(watch, {seen.pid})
    load = report.last.load
    assert load.true_size is None
    assert load.length == len(seen.log) > 2 << 20
    assert report.last.log == seen.log[-MAX_LOG:]


def test_an_attempt_with_more_room_follows_one_with_too_little(watch: LoadWatch) -> None:
    """ENOSPC: the next attempt, with more room, is the one that counts."""
    watch.start(LoadFilter())
    seen = loads.load_with_growing_logs(loads.LONG.format(count=97), 1000, 1 << 20)
    (report,), counters = collect(watch, {seen.pid})
    assert [errnos.errorcode[each.load.errno] for each in report.attempts] == ["ENOSPC", "EACCES"]
    assert report.last.log == seen.log
    assert counters.emitted >= 2


def test_a_buffer_that_is_nowhere_gives_no_log(watch: LoadWatch) -> None:
    """The kernel cannot write there, and neither can we read."""
    watch.start(LoadFilter())
    seen = loads.load_with_attr(loads.REFUSED[0][0], 1, loads.LOG_SIZE, address=4096)
    (report,), _ = collect(watch, {seen.pid})
    load = report.last.load
    assert load.errno == errnos.EFAULT
    assert report.last.log == b""
    assert load.captured == 0


def test_an_attr_in_memory_never_touched_is_read_at_the_end(watch: LoadWatch) -> None:
    """The attr cannot be read when the call begins."""
    watch.start(LoadFilter())
    seen = odd_loads.load_from_untouched_memory(loads.REFUSED[0][0])
    (report,), _ = collect(watch, {seen.pid})
    loads.assert_agrees(report, seen)
    load = report.last.load
    assert (load.attr_read, load.name, load.start is not None) == (True, "untouched", True)


def test_an_attr_that_is_nowhere_is_reported_as_unread(watch: LoadWatch) -> None:
    """Nothing is known of the program, and that is said."""
    watch.start(LoadFilter())
    seen = odd_loads.load_from_nowhere()
    (report,), _ = collect(watch, {seen.pid})
    assert (report.last.load.errno, report.last.load.attr_read) == (errnos.EFAULT, False)
    row = dict(report_row(watch, explain_report(report)))
    assert (row["attr_read"], row["prog_type"], row["insn_cnt"]) == (False, None, None)
    head, *_ = report_lines(row, None)
    assert "unknown program" in head
    assert "could not be read" in "".join(describe_missing(row))


@pytest.mark.parametrize("errno", [errnos.EPERM, errnos.ENOSYS])
def test_a_load_that_seccomp_refuses_is_reported(watch: LoadWatch, errno: int) -> None:
    """The system call never begins, and its end is seen."""
    watch.start(LoadFilter())
    seen = odd_loads.load_behind_seccomp(errno)
    assert seen.errno == errno
    (report,), counters = collect(watch, {seen.pid})
    load = report.last.load
    assert (load.errno, load.start, load.seccomp, load.name) == (errno, None, True, "filtered")
    assert "seccomp" in "".join(describe_missing(dict(report_row(watch, explain_report(report)))))
    assert counters.seen == counters.emitted + counters.dropped


def test_a_load_without_a_log_is_not_taken_for_seccomp_s(watch: LoadWatch) -> None:
    watch.start(LoadFilter())
    seen = loads.load_silently(loads.REFUSED[0][0])
    (report,), _ = collect(watch, {seen.pid})
    assert report.last.load.start is not None
    assert "seccomp" not in "".join(describe_missing(dict(report_row(watch, explain_report(report)))))


def test_a_log_that_changes_while_it_is_read_stays_within_its_buffer(watch: LoadWatch) -> None:
    """Whatever stands there, it is bounded by the buffer; nobody reads meanwhile, so the rings may be too small."""
    watch.start(LoadFilter())
    seen = odd_loads.load_while_scribbled(307)
    reports, counters = collect(watch, {seen.pid})
    assert len(reports) == 307
    assert counters.dropped == 0
    for report in reports:
        load = report.last.load
        assert len(report.last.log) == load.captured <= load.length <= loads.LOG_SIZE
        assert load.missing == ("room" if load.captured < load.length else None)


def test_loads_without_a_log_are_reported_one_by_one(watch: LoadWatch) -> None:
    """Nothing tells that they belong together, so each is reported."""
    watch.start(LoadFilter())
    seen = loads.load_silently(loads.REFUSED[0][0], 17)
    reports, _ = collect(watch, {seen.pid})
    assert [len(report.attempts) for report in reports] == [1] * 17
    for report in reports:
        found = explain_report(report)
        assert (found.source, found.log) == (None, b"")
        assert found.diagnosis is not None
        assert found.diagnosis.errno == "EACCES"


def test_accepted_loads_are_reported_where_all_are_asked_for(watch: LoadWatch) -> None:
    watch.start(LoadFilter())
    seen = loads.load_silently(loads.FINE)
    assert seen.errno == 0
    assert collect(watch, {seen.pid})[0] == []
    watch.start(LoadFilter(everything=True))
    seen = loads.load_silently(loads.FINE)
    (report,), _ = collect(watch, {seen.pid})
    assert (report.last.load.errno, report.last.load.insn_cnt) == (0, 2)
    assert explain_report(report).diagnosis is None


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        (LoadFilter(pid=os.getpid()), False),
        (LoadFilter(comm=loads.OWN_COMM), True),
        (LoadFilter(comm="another"), False),
        (LoadFilter(prog_type=loads.SOCKET_FILTER), True),
        (LoadFilter(prog_type=0), False),
    ],
)
def test_loads_that_filters_leave_out_are_counted(watch: LoadWatch, filters: LoadFilter, shown: bool) -> None:
    watch.start(filters)
    seen = loads.load_by_hand(3)
    reports, counters = collect(watch, {seen[0].pid})
    assert len(reports) == (3 if shown else 0)
    assert counters.filtered >= (0 if shown else 3)


def test_one_process_is_watched(watch: LoadWatch) -> None:
    with loads.child(lambda: loads.load_here(3)) as one, loads.child(lambda: loads.load_here(3)) as other:
        watch.start(LoadFilter(pid=one.pid))
        for each in (other, one):
            each.start()
            each.answer()
        reports, _ = collect(watch, {one.pid, other.pid})
    assert [report.last.load.pid for report in reports] == [one.pid] * 3


@pytest.mark.parametrize("offset", [863_913_600, -1])
def test_times_are_those_of_the_host_in_a_time_namespace(offset: int) -> None:
    """BPF programs read the clock of the initial time namespace."""
    code = (
        "import sys; from kprobe_tool.probes.verifier.watching.watch import wall_clock;"
        "print(wall_clock(int(sys.argv[1])).timestamp())"
    )
    command = ["unshare", "--fork", "--time", "--monotonic", str(offset), sys.executable, "-c", code]
    done = subprocess.run(
        [*command, str(host.kernel_monotonic_ns())], check=False, capture_output=True, text=True, timeout=60
    )
    if "unshare" in done.stderr:
        skip(done.stderr)
    assert abs(float(done.stdout) - time.time()) < 60


@pytest.mark.parametrize("seconds", [10**6, 253_402_300_800, -(10**12), 10**18])
def test_a_clock_that_is_wrong_gives_a_date_all_the_same(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time of day that no datetime can hold is none that it could be."""
    monkeypatch.setattr(time, "time_ns", lambda: seconds * 10**9)
    assert 1970 <= wall_clock(time.monotonic_ns()).astimezone().year <= 9998


def test_pid_is_that_of_the_own_namespace(needs_bpf: None) -> None:
    """Processes of namespaces below have a number in our own as well."""
    one, by_pid, (below,) = odd_loads.call_in_new_pid_namespace(odd_loads.watch_in_pid_namespace)
    assert by_pid == [one]
    assert 1 < one < below < 100


def test_loads_that_find_no_room_are_counted(watch: LoadWatch) -> None:
    """Nobody reads meanwhile: what the rings have no room for is counted to the last load."""
    watch.start(LoadFilter(comm=odd_loads.FLOOD))
    seen = odd_loads.flood(20_011)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reports, counters = collect(watch, {seen.pid})
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert counters.seen == 20_011
    assert counters.seen == counters.emitted + counters.dropped
    assert counters.emitted == len(reports)
    assert counters.dropped > 0
    assert all(report.last.log == seen.log for report in reports if not report.last.load.missing)
    # In KiB: the rings hold 13 MiB.
    assert after - before < 64 << 10


def test_a_load_of_a_killed_loader_is_reported(watch: LoadWatch) -> None:
    """The verifier gives up, and that is what is reported."""
    watch.start(LoadFilter())
    child = odd_loads.load_and_kill(loads.LONG.format(count=480_000))
    (report,), _ = collect(watch, {child})
    assert report.last.load.errno == errnos.EAGAIN


def test_a_32_bit_system_call_is_reported(watch: LoadWatch) -> None:
    watch.start(LoadFilter())
    try:
        seen = odd_loads.load_by_int80(loads.REFUSED[0][0])
    except EOFError:
        skip("this kernel has no 32-bit system calls")
    (report,), _ = collect(watch, {seen.pid})
    assert report.last.load.compat
    loads.assert_agrees(report, seen)


def test_a_load_without_a_log_is_loaded_again(watch: LoadWatch) -> None:
    """The loader's own map is used, while it is there."""

    def load() -> SeenLoad:
        fd = bpf.bpf(loads.BPF_MAP_CREATE, loads.array_map())
        return loads.load_silently_here(f"r1 = map {fd}; r0 = r2; exit", lambda kind, name: int(name))

    watch.start(LoadFilter())
    with loads.child(load) as child:
        child.start()
        seen = child.answer()
        (report,), _ = collect(watch, {seen.pid})
        found = explain_report(report, again=True)
        assert (found.source, found.note) == (LogSource.RELOAD, None)
        assert b"R2 !read_ok" in found.log
        assert found.diagnosis is not None
        assert found.diagnosis.message == "R2 !read_ok"
    again = explain_report(report, again=True)
    assert (again.source, again.note) == (None, "the loader is gone, and its maps with it")


def test_a_program_without_maps_is_loaded_again_when_its_loader_is_gone(watch: LoadWatch) -> None:
    watch.start(LoadFilter())
    seen = loads.load_silently("; ".join(["r0 = 0", *["r0 += 1"] * 20_000, "r0 = r2", "exit"]))
    (report,), _ = collect(watch, {seen.pid})
    assert len(report.last.insns) == 20_003 * 8
    assert explain_report(report, again=True).source is LogSource.RELOAD
    assert explain_report(report).source is None


def test_the_control_group_of_a_loader_is_named(watch: LoadWatch) -> None:
    mount = cgroup.mount_point()
    if mount is None:
        skip("no version 2 hierarchy of control groups is mounted")
    container = f"{os.getpid():064x}"
    path = Path(mount, f"docker-{container}.scope")
    path.mkdir()
    try:

        def load() -> list[SeenLoad]:
            (path / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
            return loads.load_here(1)

        watch.start(LoadFilter())
        seen = loads.call_in_child(load)
        (report,), _ = collect(watch, {seen[0].pid})
        number = report.last.load.cgroup
        assert number == path.stat().st_ino
        assert ControlGroups().find(number) == ControlGroup(number, f"/{path.name}", container)
    finally:
        path.rmdir()
    assert ControlGroups().find(number) == ControlGroup(number, None, None)
