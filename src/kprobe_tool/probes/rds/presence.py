# SPDX-License-Identifier: GPL-2.0-or-later
"""Is there RDS to ask? Found out without socket(AF_RDS), which could load the module."""

from __future__ import annotations

import os
from dataclasses import dataclass

from kprobe_tool.errors import Error
from kprobe_tool.native import kmod, procfs

MODULES = ("rds", "rds_tcp", "rds_rdma")
ALIAS = "net-pf-21"
"""What sock_create() asks modprobe for (net/socket.c, MODULE_ALIAS_NETPROTO(PF_RDS))."""


@dataclass(frozen=True)
class Presence:
    """``registered`` alone decides whether a socket may be opened; the rest is for the reader.

    ``autoload`` is what a socket() call of any user would load, None when nothing answers to the alias.
    """

    registered: bool
    modules: tuple[str, ...]
    autoload: kmod.AliasTarget | None

    def evidence(self) -> dict[str, object]:
        """As JSON-able data."""
        target = self.autoload
        return {
            "registered": self.registered,
            "modules": list(self.modules),
            "autoload": None
            if target is None
            else {"module": target.module, "source": target.source, "blocked": target.blocked},
        }

    def absence(self) -> str:
        """Why nothing was asked, and whether a socket() call would have changed that."""
        target = self.autoload
        if target is None:
            would = f"no alias {ALIAS}, so a socket() call would not load it"
        elif target.blocked is not None:
            would = f"a socket() call would not load it: {target.blocked}"
        else:
            would = (
                f"a socket() call by any user would load module {target.module} (alias {ALIAS} in {target.source})"
            )
        return f"RDS is not loaded, and was not asked; {would}"


def presence() -> Presence:
    """Look at /proc/net/protocols, /sys/module, modules.alias and modprobe.d. Raises Error."""
    try:
        registered = "RDS" in procfs.protocols()
    except OSError as error:
        raise Error.from_os("/proc/net/protocols", error, hint="is /proc mounted?") from error
    return Presence(
        registered=registered,
        modules=tuple(module for module in MODULES if kmod.loaded(module)),
        autoload=None if registered else kmod.alias_target(ALIAS, os.uname().release),
    )
