#!/usr/bin/python
# SPDX-License-Identifier: GPL-2.0-or-later
"""The Ansible module kprobe_tool.host.audit_info: what 'kprobe-tool audit' says of a host, in 2 KB.

Ansible runs it on the host, with any Python from 3.8 on. What it does not need Ansible for does not import it.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from typing import Any

DOCUMENTATION = r"""
module: audit_info
short_description: Audit the running kernel of a host
description:
  - Runs C(kprobe-tool audit) on the host and returns which checks the kernel is affected by, at most 2 KB per host.
  - The full report, 20 KB of JSON that C(kprobe-tool fleet) reads, is written to a file of the host, if you want it.
  - Fails only where the audit could not be run. What it finds, and what it cannot tell, is the answer and no failure.
  - Nothing of the host is changed, but for that file. In check mode the audit is run and no file is written.
options:
  executable:
    description: The tool, by its name in PATH or by its path; a C(kprobe-tool.pyz) is one as well.
    type: str
    default: kprobe-tool
  only:
    description: Run only these checks, by id, system or CVE number.
    type: list
    elements: str
    default: []
  skip:
    description: Leave these checks out, by id, system or CVE number.
    type: list
    elements: str
    default: []
  waivers:
    description: A file of waivers on the host.
    type: path
  timeout:
    description: How many seconds to wait for each check.
    type: int
    default: 300
  path:
    description: Where the host keeps the full report, with mode 0600. Its directory must exist.
    type: path
requirements:
  - kprobe-tool on the host
author:
  - the authors of kprobe-tool
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Audit the kernel
  kprobe_tool.host.audit_info:
    path: ~/.kprobe-tool-audit.json
  become: true
  register: audit

- name: Stop where a host is affected
  ansible.builtin.assert:
    that: audit.affected | length == 0
"""

RETURN = r"""
hostname:
  description: The host's name, as uname(2) says it.
  returned: success
  type: str
release:
  description: The release of the running kernel.
  returned: success
  type: str
version:
  description: The version of kprobe-tool.
  returned: success
  type: str
counts:
  description: How many checks have which verdict; waived ones are counted apart.
  returned: success
  type: dict
affected:
  description: The checks that the kernel is affected by and that are not waived.
  returned: success
  type: list
  elements: str
unknown:
  description: The checks that could not tell and that are not waived.
  returned: success
  type: list
  elements: str
truncated:
  description: Whether names were left out to stay within 2 KB; the counts are right.
  returned: success
  type: bool
report:
  description: Where the full report is; null where none was written.
  returned: success
  type: str
"""

ARGUMENTS: dict[str, Any] = {
    "executable": {"type": "str", "default": "kprobe-tool"},
    "only": {"type": "list", "elements": "str", "default": []},
    "skip": {"type": "list", "elements": "str", "default": []},
    "waivers": {"type": "path"},
    "timeout": {"type": "int", "default": 300},
    "path": {"type": "path"},
}
RETURN_MAX = 2048
"""Bytes of JSON that a host may send back, the module's own arguments included."""
REPORT_MAX = 1 << 22
"""Bytes of a report, as 'kprobe-tool fleet' has it. One of today has 20,000."""
MESSAGE_MAX = 500
NAME_MAX = 255
CHECK_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
BUCKETS = ("ok", "affected", "not-applicable", "unknown", "waived")


class NoReport(Exception):
    """The audit could not be run, and why."""


def arguments(params: dict[str, Any]) -> list[str]:
    """The command line behind the executable. Findings are the answer, and give no exit code."""
    argv = ["audit", "-o", "json", "--fail-on", "never", "--timeout", str(params["timeout"])]
    for option in ("only", "skip"):
        for name in params[option]:
            argv += [f"--{option}", name]
    return [*argv, "--waivers", params["waivers"]] if params["waivers"] else argv


def read_report(code: int, out: str, err: str) -> dict[str, Any]:
    """What of the tool's answer is returned. Raises NoReport.

    With ``--fail-on never`` the tool exits with 0 whenever it could run: anything else is a failure.
    """
    said = printable(err.strip().rpartition("\n")[2])
    if code != 0:
        raise NoReport(f"'kprobe-tool audit' exited with {code}: {said or 'it printed no reason'}")
    if len(out) > REPORT_MAX:
        raise NoReport(f"the report is larger than {REPORT_MAX >> 20} MiB")
    try:
        return summarize(json.loads(out))
    except RecursionError:
        raise NoReport("this is not the output of 'kprobe-tool audit -o json': nested too deep") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NoReport(f"this is not the output of 'kprobe-tool audit -o json': {printable(repr(error))}") from error


def summarize(report: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError, TypeError, KeyError or AttributeError for what is no report of the audit."""
    if report["document"] != "audit" or report["schema_version"] != 1:
        raise ValueError("another document, or another version of it")
    counts = report["summary"]["counts"]
    rows = report["results"]
    return {
        "hostname": name(report["host"]["hostname"]),
        "release": name(report["host"]["release"]),
        "version": name(report["tool"]["version"]),
        "counts": {bucket: int(counts[bucket]) for bucket in BUCKETS},
        "affected": [check_id(row) for row in rows if row["status"] == "affected" and row["waived"] is None],
        "unknown": [check_id(row) for row in rows if row["status"] == "unknown" and row["waived"] is None],
    }


def name(value: str) -> str:
    if not value.isprintable() or len(value) > NAME_MAX:
        raise ValueError("a name of the host, its kernel or the tool is too long, or not printable")
    return value


def check_id(row: dict[str, Any]) -> str:
    found: str = row["id"]
    if not CHECK_ID.fullmatch(found):
        raise ValueError("'id' is no name of a check")
    return found


def trim(result: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """The result with as many names as there is room for; those of affected checks are the last to go."""
    trimmed = {**result, "affected": [*result["affected"]], "unknown": [*result["unknown"]], "truncated": False}
    # Ansible adds the second two.
    size = len(json.dumps({**trimmed, "changed": False, "invocation": {"module_args": params}}))
    for names in (trimmed["unknown"], trimmed["affected"]):
        while names and size > RETURN_MAX:
            size -= len(json.dumps(names.pop())) + len(", ")
            trimmed["truncated"] = True
    return trimmed


def printable(text: str) -> str:
    """One line for people."""
    return "".join(char if char.isprintable() else "?" for char in text)[:MESSAGE_MAX]


def main() -> None:
    from ansible.module_utils.basic import AnsibleModule

    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    executable = module.get_bin_path(module.params["executable"], required=True)
    code, out, err = module.run_command([executable, *arguments(module.params)])
    try:
        result = read_report(code, out, err)
    except NoReport as failure:
        module.fail_json(msg=str(failure), rc=code)
    path = None if module.check_mode else module.params["path"]
    if path is not None:
        # Made with mode 0600; the directory is the module's own and goes with it.
        descriptor, temporary = tempfile.mkstemp(dir=module.tmpdir)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(out)
        # Renamed where it can be, so that a link of that name is replaced and not followed.
        module.atomic_move(temporary, os.path.abspath(path))
        # A file that was not there before has got the mode of umask.
        os.chmod(path, 0o600)
    # Not as "path": Ansible would add what stat(2) says of it.
    module.exit_json(changed=False, **trim({**result, "report": path}, module.params))


if __name__ == "__main__":
    main()
