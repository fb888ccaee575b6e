"""The commands on this host, for real, whatever it is: asked as root and as nobody, and left as it was."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..nobody import as_nobody
from ..skips import skip

ARGV = [sys.executable, "-m", "kprobe_tool"]


def registered() -> bool:
    return any(line.startswith("RDS ") for line in Path("/proc/net/protocols").read_text().splitlines())


def state() -> dict[str, Any]:
    modules = Path("/proc/modules")
    return {
        "modules": sorted(line.split()[0] for line in modules.read_text().splitlines()) if modules.exists() else None,
        "sys_module": sorted(os.listdir("/sys/module")),
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "netns": sorted(os.listdir("/run/netns")) if Path("/run/netns").exists() else None,
        "protocols": sorted(line.split()[0] for line in Path("/proc/net/protocols").read_text().splitlines()),
        "tmp": sorted(name for name in os.listdir("/tmp") if "kprobe" in name),
    }


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ARGV, *args], check=False, capture_output=True, text=True, cwd="/")


def run_as_nobody(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(as_nobody([*ARGV, *args]), check=False, capture_output=True, text=True, cwd="/")


@pytest.mark.parametrize("runner", [run, run_as_nobody])
@pytest.mark.parametrize("command", ["audit", "doctor", "rds-info"])
def test_commands_change_nothing(command: str, runner: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    before = state()
    done = runner(command, "-o", "json")
    assert done.returncode in {0, 1}, done.stderr
    assert json.loads(done.stdout)["document"] == command
    assert "Traceback" not in done.stderr
    assert state() == before


def test_without_rds() -> None:
    if registered():
        skip("RDS is loaded here")
    audit = run("audit", "-o", "json")
    rows = [row for row in json.loads(audit.stdout)["results"] if row["system"] == "rds"]
    assert {row["status"] for row in rows} == {"not-applicable"}
    info = run("rds-info")
    assert info.returncode == 0
    assert info.stdout.startswith("RDS is not loaded")
    check = run("rds-info", "--leak-check")
    assert check.returncode == 0
    answer = run("rds-info", "--netns", "-o", "json")
    assert json.loads(answer.stdout)["results"] == []


def test_no_rds_socket_without_rds() -> None:
    """Not even one that fails: the call alone is what loads the module."""
    if registered():
        skip("RDS is loaded here")
    trace = ["strace", "-f", "-qq", "-e", "trace=socket", "-e", "signal=none"]
    for args in (["rds-info", "--all-netns"], ["rds-info", "--leak-check"], ["audit"], ["doctor"]):
        try:
            done = subprocess.run([*trace, *ARGV, *args], check=False, capture_output=True, text=True)
        except FileNotFoundError:
            skip("strace is not installed")
        if "ptrace" in done.stderr:
            skip("strace may not trace here")
        assert "AF_RDS" not in done.stderr and "socket(21" not in done.stderr


def test_a_misspelt_netns_leaves_nothing() -> None:
    before = state()
    done = run("rds-info", "--netns", "no-such-name")
    assert done.returncode == 2
    assert done.stderr == (
        "kprobe-tool: rds-info: netns 'no-such-name': No such file or directory (ENOENT); "
        "'ip netns list' shows the names\n"
    )
    assert state() == before
    assert not Path("/run/netns/no-such-name").exists()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("/etc/passwd", "not a namespace file (EINVAL)"),
        ("/proc/self/ns/mnt", "not a network namespace (EINVAL)"),
        ("/dev/null", "not a namespace file (EINVAL)"),
        ("/", "not a namespace file (EINVAL)"),
        ("/no/such", "ENOENT"),
        ("4194303", "no such process (ESRCH)"),
        ("99999999999", "ENOENT"),
        ("net:[99]", "ENOENT"),
        ("", "ENOENT"),
        ("..", "ENOENT"),
        ("a\0b", "holds a NUL"),
        ("x" * 5000, "ENAMETOOLONG"),
    ],
)
def test_netns_that_are_none(spec: str, words: str) -> None:
    from kprobe_tool.errors import Error
    from kprobe_tool.probes.namespaces import resolve

    with pytest.raises(Error) as caught:
        resolve(spec)
    assert words in str(caught.value)


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    done = subprocess.run(
        [*ARGV, "rds-info", "--netns", str(tmp_path / "fifo")],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "not a namespace file (EINVAL)" in done.stderr


def test_own_namespace_by_every_name() -> None:
    from kprobe_tool.probes.namespaces import current, resolve

    here = current()
    for spec in (str(os.getpid()), "/proc/self/ns/net", str(here.inode), f"net:[{here.inode}]"):
        assert resolve(spec).identity == here.identity


def test_every_namespace_once() -> None:
    from kprobe_tool.probes.namespaces import current, find_all

    spaces, _ = find_all()
    assert spaces[0].identity == current().identity
    assert len({space.identity for space in spaces}) == len(spaces)


def test_inside_runs_in_the_other_namespace_and_comes_back() -> None:
    if os.geteuid() != 0:
        skip("making a network namespace needs root")
    from kprobe_tool.native import netns, sched

    outside = os.readlink("/proc/thread-self/ns/net")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        sched.die_with_parent()
        sched.unshare(sched.CLONE_NEWNET)
        os.write(writer, b"x")
        os.close(writer)
        signal.pause()
    os.read(reader, 1)
    try:
        space = netns.from_path(f"/proc/{pid}/ns/net", pid=pid)
        seen = netns.call_inside(space, lambda: os.readlink("/proc/thread-self/ns/net"))
        assert seen == f"net:[{space.inode}]" != outside
        assert os.readlink("/proc/thread-self/ns/net") == outside
        with pytest.raises(ZeroDivisionError):
            netns.call_inside(space, lambda: 1 // 0)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    with pytest.raises(FileNotFoundError):
        netns.call_inside(space, os.getpid)


def test_a_child_does_not_outlive_its_parent() -> None:
    code = (
        "import os, time\n"
        "from kprobe_tool.native.child import Child\n"
        "child = Child(lambda request: {}, time.monotonic() + 60)\n"
        "child.ask()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert Path(f"/proc/{pid}").exists()
    process.kill()
    process.wait()
    process.stdout.close()
    for _ in range(500):
        try:
            status = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            break
        if status == "Z":
            # Dead; whoever adopted it has not looked yet.
            break
        time.sleep(0.01)
    else:
        pytest.fail("the child is still there")


def test_child_errors_reach_the_parent() -> None:
    from kprobe_tool.native.child import Child, Request

    def serve(request: Request) -> Request:
        if request["do"] == "error":
            raise OSError(13, "no", "there")
        if request["do"] == "hang":
            time.sleep(60)
        if request["do"] == "die":
            os._exit(3)
        return {"pid": os.getpid()}

    with Child(serve, time.monotonic() + 60) as child:
        assert child.ask(do="pid") == {"pid": child.pid}
        with pytest.raises(PermissionError, match="there"):
            child.ask(do="error")
        assert child.ask(do="pid") == {"pid": child.pid}
        with pytest.raises(ConnectionError):
            child.ask(do="die")
    with Child(serve, time.monotonic() + 0.2) as child, pytest.raises(TimeoutError):
        child.ask(do="hang")
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, 0)


def test_doctor_tells_how_to_get_bcc() -> None:
    """In a Python that finds no bcc: nothing fails, and one line says what to install."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from kprobe_tool.native import bcc\n"
        "bcc.DISTRIBUTION = Path('/nonexistent')\n"
        "sys.modules['bcc'] = None\n"
        "sys.argv = ['kprobe-tool', 'doctor', '-o', 'json']\n"
        "from kprobe_tool.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = [row for row in json.loads(done.stdout)["results"] if row["name"] == "bcc"]
    assert row["available"] is False
    assert "python3-bpfcc" in row["hint"]


def test_bcc_is_found_outside_its_own_python() -> None:
    """As from pipx or a virtual environment without system packages: -S leaves the site directories out."""
    from kprobe_tool.native import bcc

    if not bcc.DISTRIBUTION.exists():
        skip("python3-bpfcc is not installed")
    source = Path(bcc.__file__).parents[2]
    code = (
        f"import sys; sys.path.insert(0, {str(source)!r})\n"
        "from kprobe_tool.native import bcc\n"
        "found = bcc.load()\n"
        "assert hasattr(found.module, 'BPF') and 'dist-packages' not in ''.join(sys.path)\n"
        "print(found.path)\n"
    )
    done = subprocess.run(["/usr/bin/python3", "-S", "-c", code], check=False, capture_output=True, text=True)
    assert done.stdout.strip() == str(bcc.DISTRIBUTION), done.stderr


def test_a_foreign_bcc_is_not_believed(tmp_path: Path) -> None:
    """The package index has another project of that name; it must not be taken for iovisor's."""
    (tmp_path / "bcc.py").write_text("class Lattice: pass\n")
    code = (
        "from kprobe_tool.native import bcc\n"
        "from kprobe_tool.errors import Error\n"
        "try:\n"
        "    print(bcc.load().path)\n"
        "except Error as error:\n"
        "    print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) not in done.stdout
