# SPDX-License-Identifier: GPL-2.0-or-later
"""iovisor's bcc, which only distributions ship (python3-bpfcc), found from any Python.

The project named ``bcc`` on the package index is an unrelated lattice library, so what was imported is looked at
before it is believed.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kprobe_tool.errors import Error

DISTRIBUTION = Path("/usr/lib/python3/dist-packages/bcc/__init__.py")
HINT = "install python3-bpfcc (Debian, Ubuntu) or python3-bcc (Fedora, openSUSE)"


@dataclass(frozen=True)
class Bcc:
    """The imported module, its version and where it was found."""

    module: Any
    version: str
    path: str


def load() -> Bcc:
    """Import bcc, from this interpreter's own path or else the distribution's. Raises Error."""
    with warnings.catch_warnings():
        # A newer Python than the distribution's own warns of escapes in older releases of bcc.
        warnings.simplefilter("ignore", SyntaxWarning)
        module = imported() or from_distribution()
    if module is None:
        raise Error("bcc", f"not importable by {sys.executable}", hint=HINT)
    return Bcc(module, str(getattr(module, "__version__", "unknown")), str(module.__file__))


def imported() -> Any | None:
    """``import bcc`` where that is iovisor's; another library of the name is taken out of the way again."""
    try:
        import bcc
    except ModuleNotFoundError:
        return None
    except OSError as error:
        raise Error.from_os("bcc: libbcc", error, hint=HINT) from error
    if hasattr(bcc, "BPF"):
        return bcc
    for name in [name for name in sys.modules if name == "bcc" or name.startswith("bcc.")]:
        del sys.modules[name]
    return None


def from_distribution() -> Any | None:
    """The distribution's bcc alone, without putting the rest of its site directory on sys.path.

    In a virtual environment, under pipx or another Python that directory is not searched; bcc itself is pure
    Python over libbcc.so and does not mind.
    """
    if not DISTRIBUTION.exists():
        return None
    spec = importlib.util.spec_from_file_location(
        "bcc", DISTRIBUTION, submodule_search_locations=[str(DISTRIBUTION.parent)]
    )
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError, SyntaxError) as error:
        del sys.modules["bcc"]
        raise Error("bcc", f"{DISTRIBUTION}: {error}", hint=HINT) from error
    return module
