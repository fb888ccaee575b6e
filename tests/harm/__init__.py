# SPDX-License-Identifier: GPL-2.0-or-later
"""That the tool leaves a host as it found it, whatever happens to it meanwhile.

Every command line of ``invocations`` runs to its end and into signals (``test_signals``), with system calls refused
(``test_denials``) and where something is missing (``test_environments``). ``KPROBE_TOOL_HARM=full``, as ``make harm``
sets it, runs all of it and writes a table of what was tried; otherwise a part runs that takes some minutes.
"""

import os

FULL = os.environ.get("KPROBE_TOOL_HARM") == "full"
