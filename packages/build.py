# SPDX-License-Identifier: GPL-2.0-or-later
"""What users install, out of the files that git tracks, byte by byte the same wherever and whenever it is built.

    python -m packages.build [--wheels DIR] DIRECTORY [sdist|wheel|pyz|deb]...

The version is that of the package, every date that of debian/changelog. The wheel and the Debian package are built
from the unpacked sdist, so that nothing can be missing in it. ``--wheels`` has what packages/pins.txt lists.
"""

from __future__ import annotations

import argparse
import email.utils
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]
WHEELS = ROOT / "build" / "wheels"
KINDS = ("sdist", "wheel", "pyz", "deb")
SUMS = "SHA256SUMS"
INTERPRETER = b"#!/usr/bin/python3\n"
"""The distribution's, which alone has its bcc."""
START = "from kprobe_tool.__main__ import main\n\nmain()\n"


def changelog_date(root: Path) -> int:
    """The date of the newest entry in debian/changelog, in seconds since 1970."""
    text = (root / "debian" / "changelog").read_text(encoding="utf-8")
    found = re.search(r"^ -- .*>  (.*)$", text, re.MULTILINE)
    assert found is not None
    return int(email.utils.parsedate_to_datetime(found[1]).timestamp())


def copy_tracked(tree: Path) -> list[str]:
    """The files that git tracks, as they are now, with the modes that git knows; their names."""
    # Root may build in another user's checkout.
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    names = sorted(filter(None, listed.stdout.split("\0")))
    for name in names:
        copy = tree / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy, follow_symlinks=False)
        if not copy.is_symlink():
            copy.chmod(0o755 if os.access(ROOT / name, os.X_OK) else 0o644)
    return names


def build_sdist(into: Path, work: Path) -> Path:
    """The whole project, with everything that git tracks."""
    tree = work / "tracked"
    names = copy_tracked(tree)
    sdist = import_module("flit_core.sdist").SdistBuilder.from_ini_path(tree / "pyproject.toml").build(into)
    with tarfile.open(sdist) as tar:
        packed = {name.partition("/")[2] for name in tar.getnames()}
    if missing := sorted(set(names) - packed):
        sys.exit(f"not in the sdist, see tool.flit.sdist of pyproject.toml: {' '.join(missing)}")
    return Path(sdist)


def unpack(sdist: Path, work: Path) -> Path:
    """The directory that an sdist holds."""
    with tarfile.open(sdist) as tar:
        tar.extractall(work)
    return work / sdist.name.removesuffix(".tar.gz")


def build_wheel(sdist: Path, into: Path, work: Path) -> Path:
    tree = unpack(sdist, work)
    return Path(import_module("flit_core.wheel").make_wheel_in(tree / "pyproject.toml", into).file)


def build_pyz(wheel: Path, into: Path, wheels: Path) -> Path:
    """One file that runs wherever Python 3.11 is: this wheel and those that it needs, in a zip file."""
    path = into / "kprobe-tool.pyz"
    needed = [each for each in sorted(wheels.glob("*.whl")) if not each.name.startswith("flit_core-")]
    day = datetime.fromtimestamp(changelog_date(ROOT), UTC).timetuple()[:6]
    with path.open("wb") as file:
        file.write(INTERPRETER)
        with zipfile.ZipFile(file, "w") as pyz:
            contents = dict(entry for each in (wheel, *needed) for entry in importable(each))
            for name, content in sorted([*contents.items(), ("__main__.py", START.encode())]):
                entry = zipfile.ZipInfo(name, day)
                entry.external_attr = 0o100644 << 16
                pyz.writestr(entry, content, zipfile.ZIP_DEFLATED, 9)
    path.chmod(0o755)
    return path


def importable(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """What of a wheel is wanted on sys.path: modules, their data, what importlib.metadata asks for, licences."""
    with zipfile.ZipFile(wheel) as content:
        for name in content.namelist():
            if ".data/" not in name and not name.endswith(("/", "/RECORD")):
                yield name, content.read(name)


def build_deb(sdist: Path, work: Path) -> Path:
    """By debhelper, with Debian's Python and no other that PATH may name."""
    tree = unpack(sdist, work)
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(work),
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": str(changelog_date(ROOT)),
    }
    command = ["dpkg-buildpackage", "--build=binary", "--no-sign"]
    done = subprocess.run(
        command, cwd=tree, env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        sys.exit(done.stdout)
    (deb,) = work.glob("*.deb")
    return deb


def build(into: Path, kinds: set[str], wheels: Path) -> None:
    """Each of the kinds into a directory, and their checksums."""
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kprobe-tool-build-") as name:
        rooms = {kind: Path(name, kind) for kind in KINDS}
        for room in rooms.values():
            room.mkdir()
        sdist = build_sdist(rooms["sdist"], rooms["sdist"])
        built = {"sdist": sdist}
        if kinds & {"wheel", "pyz"}:
            built["wheel"] = build_wheel(sdist, rooms["wheel"], rooms["wheel"])
        if "pyz" in kinds:
            built["pyz"] = build_pyz(built["wheel"], rooms["pyz"], wheels)
        if "deb" in kinds:
            built["deb"] = build_deb(sdist, rooms["deb"])
        wanted = sorted(shutil.copy(built[kind], into) for kind in kinds)
    sums = [f"{hashlib.sha256(Path(each).read_bytes()).hexdigest()}  {Path(each).name}\n" for each in wanted]
    (into / SUMS).write_text("".join(sums), encoding="utf-8")
    print("".join(sums), end="")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m packages.build")
    parser.add_argument("--wheels", type=Path, default=WHEELS, help="what packages/pins.txt lists")
    parser.add_argument("directory", type=Path)
    parser.add_argument("kinds", nargs="*", metavar="|".join(KINDS))
    given = parser.parse_args()
    kinds = set(given.kinds or KINDS)
    if wrong := kinds - set(KINDS):
        parser.error(f"no such kind: {' '.join(sorted(wrong))}")
    os.environ["SOURCE_DATE_EPOCH"] = str(changelog_date(ROOT))
    os.umask(0o022)
    # A wheel is a zip file, and flit_core is imported out of it.
    sys.path[:0] = [str(wheel) for wheel in given.wheels.glob("flit_core-*.whl")]
    build(given.directory.resolve(), kinds, given.wheels)


if __name__ == "__main__":
    main()
