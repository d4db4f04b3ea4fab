# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module imports first: it ends in a sentence on a Python that could not even import the rest.

This file is read by every Python that Ansible starts a module with, so it uses nothing that is new.
"""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

OLDEST = (3, 12)


def refusal(version: tuple[int, ...], executable: str) -> str:
    """The result of a module on a Python that is too old, as JSON; ``""`` where it is not."""
    if version >= OLDEST:
        return ""
    message = (
        f"servicemesh.istio needs Python {OLDEST[0]}.{OLDEST[1]} or later, and {executable} is "
        f"{version[0]}.{version[1]}: set ansible_python_interpreter of this host to a newer one; "
        'with ansible_connection local to "{{ ansible_playbook_python }}"'
    )
    return json.dumps({"failed": True, "changed": False, "msg": message})


_REFUSAL = refusal(sys.version_info[:2], sys.executable)
if _REFUSAL:
    sys.stdout.write(_REFUSAL)
    raise SystemExit(1)


def run_module(backend: Any) -> NoReturn:
    """``main()`` of a module; see :func:`run_module.run_module`."""
    from .run_module import run_module as run

    run(backend)
