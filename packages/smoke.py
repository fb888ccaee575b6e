#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether an installed kprobe-tool works, however it was installed: packages/smoke.py [OPTION...] COMMAND...

Needs nothing but Python, prints a transcript, and ends with 1 at the first answer that is not what it should be.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

TIME_LIMIT = 300
DATA = Path(__file__).parent / "data"
LOG = """\
0: (61) r1 = *(u32 *)(r1 +0)
1: (71) r1 = *(u8 *)(r1 +12)
invalid access to packet, off=12 size=1, R1(id=0,off=12,r=0)
"""
"""What a kernel's verifier says of a program that does not compare with the packet's end."""


def give_up(reason: str) -> NoReturn:
    sys.exit(f"smoke: {reason}")


def run(command: list[str], codes: set[int], given: str = "", **environment: str) -> str:
    """What a command prints; it must end with one of the codes."""
    words = [*(f"{name}={value!r}" for name, value in environment.items()), *command]
    print("$", " ".join(words), flush=True)
    done = subprocess.run(
        command,
        check=False,
        input=given,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
    )
    print(done.stdout[:2000] + done.stderr, flush=True)
    if done.returncode not in codes or "Traceback" in done.stderr:
        give_up(f"exit code {done.returncode}, expected {sorted(codes)}")
    return done.stdout


def expect(what: str, *, holds: bool) -> None:
    if not holds:
        give_up(f"{what}: not so")


def check_answers(tool: list[str]) -> None:
    """Each kind of question: the host, the kernel, BPF, a file, the package's own data."""
    expect("there is a RESULT", holds="\nRESULT: " in run([*tool, "audit"], {0, 1, 3}))
    document = json.loads(run([*tool, "audit", "-o", "json"], {0, 1, 3}))
    expect("checks have answers", holds={"rds", "skmsg", "nvme"} <= {each["system"] for each in document["results"]})
    expect("no check breaks", holds=not document["errors"])
    run([*tool, "check-fields", "openat2"], {0, 3})
    expect("log explained", holds="Access outside bounds" in run([*tool, "verifier-log", "explain", "-"], {0}, LOG))
    expect("schemas are there", holds="$schema" in json.loads(run([*tool, "schema", "audit"], {0})))
    offered = run(tool, {0}, _KPROBE_TOOL_COMPLETE="bash_complete", COMP_WORDS="kprobe-tool aud", COMP_CWORD="1")
    expect("completion offers audit", holds=offered == "plain,audit\n")


def check_manual(prefix: str) -> None:
    """``man`` shows the page that is below a prefix."""
    expect("the page says NAME", holds="NAME" in run(["man", "-P", "cat", "kprobe-tool"], {0}))
    expect("its page is found", holds=run(["man", "-w", "kprobe-tool"], {0}).startswith(prefix))


def check_completions(prefix: str) -> None:
    """The scripts of shells are below a prefix, and bash takes its own."""
    share = Path(prefix, "share")
    zsh = ("zsh/vendor-completions", "zsh/site-functions")
    bash, fish = "bash-completion/completions/kprobe-tool", "fish/vendor_completions.d/kprobe-tool.fish"
    expect("bash and fish have completions", holds=(share / bash).is_file() and (share / fish).is_file())
    expect("zsh has completions", holds=any((share / each / "_kprobe-tool").is_file() for each in zsh))
    run(["bash", "-c", f"source {share / bash} && complete -p kprobe-tool"], {0})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bcc", action="store_true", help="bcc must be found")
    parser.add_argument("--man", metavar="PREFIX", help="manual pages are below PREFIX/share")
    parser.add_argument("--completions", metavar="PREFIX", help="completions are below PREFIX/share")
    parser.add_argument("--version", help="which version it must be")
    parser.add_argument("tool", nargs="+", metavar="COMMAND")
    given = parser.parse_args()
    name, _, version = run([*given.tool, "--version"], {0}).strip().partition(" ")
    expect("it says its name and version", holds=name == "kprobe-tool" and given.version in {None, version})
    versions = run([*given.tool, "--version", "-v"], {0})
    if given.bcc:
        expect("bcc is found", holds="bcc not installed" not in versions)
    check_answers(given.tool)
    if given.man:
        check_manual(given.man)
    if given.completions:
        check_completions(given.completions)
    print("smoke: all as it should be")


if __name__ == "__main__":
    main()
