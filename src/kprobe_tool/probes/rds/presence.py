# SPDX-License-Identifier: GPL-2.0-or-later
"""Is there RDS to ask? Found out without socket(AF_RDS), which could load the module."""

from __future__ import annotations

import os
from typing import NamedTuple

from kprobe_tool.checks import Finding, Method, Status
from kprobe_tool.errors import Error
from kprobe_tool.native import kmod, procfs

MODULES = ("rds", "rds_tcp", "rds_rdma")
ALIAS = "net-pf-21"
"""What sock_create() asks modprobe for (net/socket.c, MODULE_ALIAS_NETPROTO(PF_RDS))."""


class Presence(NamedTuple):
    """``registered`` alone decides whether a socket may be opened; the rest is for the reader.

    ``autoload`` is what a socket() call of any user would load, None when nothing answers to the alias;
    ``autoload_error`` is why that could not be found out.
    """

    registered: bool
    modules: tuple[str, ...]
    autoload: kmod.AliasTarget | None
    autoload_error: Error | None = None

    def evidence(self) -> dict[str, object]:
        """As JSON-able data."""
        target = self.autoload
        return {
            "registered": self.registered,
            "modules": list(self.modules),
            "autoload": None
            if target is None
            else {"module": target.module, "source": target.source, "blocked": target.blocked},
            "autoload_error": None if self.autoload_error is None else self.autoload_error.as_dict(),
        }

    def absence(self) -> str:
        """What it means for the host that RDS is not registered."""
        target = self.autoload
        if self.autoload_error is not None:
            return f"RDS is not loaded; whether any user can have it loaded is not known: {self.autoload_error}"
        if target is None:
            return "RDS is not loaded and cannot be auto-loaded."
        if target.blocked is not None:
            return f"RDS is not loaded and cannot be auto-loaded ({target.blocked})."
        return (
            f"RDS is not loaded, but any user can have it loaded by opening an RDS socket (alias {ALIAS} of module "
            f"{target.module} in {target.source})"
        )

    def finding(self) -> Finding:
        """The verdict on every question about an RDS that is not registered.

        Where nobody but root can load it there is nothing to be affected. Where any user can, or where that is not
        known, the host may be affected the moment after: only asking would tell, and asking would load it.
        """
        if self.autoload_error is None and (self.autoload is None or self.autoload.blocked is not None):
            return Finding(Status.NOT_APPLICABLE, self.absence(), Method.CONFIG, self.evidence())
        if self.autoload_error is not None:
            settle = "asking where the running kernel's /lib/modules can be read: on the host, not in a container"
        else:
            settle = (
                "'modprobe rds' and the same check again; or, where RDS is not used, 'install rds /bin/false' in "
                "/etc/modprobe.d, which keeps everybody from loading it"
            )
        return Finding(Status.UNKNOWN, self.absence(), Method.CONFIG, self.evidence(), settle)


def presence() -> Presence:
    """Look at /proc/net/protocols, /sys/module, modules.alias and modprobe.d. Raises Error."""
    try:
        registered = "RDS" in procfs.protocols()
    except OSError as error:
        raise Error.from_os("/proc/net/protocols", error, hint="is /proc mounted?") from error
    modules = tuple(module for module in MODULES if kmod.is_loaded(module))
    if registered:
        return Presence(registered, modules, None)
    try:
        return Presence(registered, modules, kmod.alias_target(ALIAS, os.uname().release))
    except OSError as error:
        failure = Error.from_os(
            error.filename or "modules.alias", error, hint="containers and images often have no /lib/modules"
        )
        return Presence(registered, modules, None, failure)
