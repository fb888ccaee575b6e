# SPDX-License-Identifier: GPL-2.0-or-later
"""The tests that boot nothing, started in ways that must not matter.

python -m tests.anyhow [WAY...]: all of them, or those that are named. Exits with 1 if the tests of one failed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.nobody import NOBODY

ROOT = Path(__file__).parents[1]
PYTEST = ["-m", "pytest", "-q", "tests/unit", "tests/host"]
LOOPS = 4


def run_pytest(*options: str, under: Sequence[str] = ()) -> int:
    return subprocess.run([*under, sys.executable, *PYTEST, *options], cwd=ROOT, check=False).returncode


def run_later() -> int:
    """More than a year from now.

    Not by faketime(1): that moves the monotonic clock and the times of files as well, which for the kernel and BPF
    programs stay where they are, and takes file descriptors that a test has closed.
    """
    with tempfile.TemporaryDirectory(prefix="anyhow-") as directory:
        # Some tests run commands as nobody.
        os.chmod(directory, 0o755)
        library = f"{directory}/later.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, str(ROOT / "tests/later.c")], check=True)
        return run_pytest(under=["env", f"LD_PRELOAD={library}"])


def run_in_background() -> int:
    """As a script starts it in the background: SIGINT and SIGHUP are ignored, there is no terminal."""
    with tempfile.TemporaryFile() as output:
        command = ["sh", "-c", 'nohup "$@" & wait $!', "sh", sys.executable, *PYTEST]
        done = subprocess.run(
            command, cwd=ROOT, check=False, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        output.seek(0)
        shutil.copyfileobj(output, sys.stdout.buffer)
    return done.returncode


def run_with_stdin_closed() -> int:
    """With standard input closed."""
    return run_pytest(under=["sh", "-c", 'exec "$@" <&-', "sh"])


@contextmanager
def readable_copy() -> Iterator[Path]:
    """This checkout with its virtual environment, where everyone may read and write it."""
    with tempfile.TemporaryDirectory(prefix="anyhow-") as directory:
        copy = Path(directory) / "checkout"
        caches = shutil.ignore_patterns(".git", ".*_cache", ".hypothesis", "__pycache__", ".venv-*")
        shutil.copytree(ROOT, copy, symlinks=True, ignore=caches)
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", directory], check=True)
        yield copy


def run_unprivileged() -> int:
    """As a user without any privilege."""
    if os.geteuid() != 0:
        return run_pytest()
    with readable_copy() as copy:
        # The package is installed as where the checkout was.
        environment = {"HOME": str(copy.parent), "PYTHONPATH": str(copy / "src"), "PATH": os.environ["PATH"]}
        user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs"]
        interpreter = copy / Path(sys.executable).relative_to(ROOT)
        command = ["setpriv", *user, str(interpreter), *PYTEST]
        return subprocess.run(command, cwd=copy, env=environment, check=False).returncode


def run_busy() -> int:
    """Beside loops that take all the processors there are."""
    with ExitStack() as loops:
        for _ in range(LOOPS):
            loop = subprocess.Popen(["sh", "-c", "while :; do :; done"])
            loops.callback(loop.wait)
            loops.callback(loop.kill)
        return run_pytest()


def run_shuffled() -> int:
    """In another order each time; pytest prints the seed that repeats it."""
    return run_pytest("--random-order-bucket=global")


def run_side_by_side() -> int:
    """In two processes at a time."""
    return run_pytest("-n", "2", "--dist", "loadgroup")


WAYS: dict[str, Callable[[], int]] = {
    "later": run_later,
    "background": run_in_background,
    "closed": run_with_stdin_closed,
    "unprivileged": run_unprivileged,
    "busy": run_busy,
    "shuffled": run_shuffled,
    "side_by_side": run_side_by_side,
}


def main(names: Sequence[str]) -> int:
    lines = []
    for name in names or WAYS:
        print(f"\n=== {name}: {(WAYS[name].__doc__ or '').splitlines()[0]}", flush=True)
        start = time.monotonic()
        code = WAYS[name]()
        lines.append(f"{name}: {'passed' if code == 0 else 'FAILED'}, {time.monotonic() - start:.0f} s")
    print("", *lines, sep="\n")
    return int(any("FAILED" in line for line in lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
