# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Misspelt variables of a role, wherever it runs: preflight is not part of every playbook."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ..module_utils.model.reading.names import misspelt

_OPTION = re.compile(r"^ {6}([a-z]\w+):$", re.MULTILINE | re.ASCII)
_ROLES = Path(__file__).resolve().parents[2] / "roles"


@cache
def known_variables() -> frozenset[str]:
    """Every variable of every role, from the argument specifications of the collection.

    By their place in the line: PyYAML would take a quarter of a second, in each task.
    """
    texts = [path.read_text(encoding="utf-8") for path in _ROLES.glob("*/meta/argument_specs.yml")]
    return frozenset(name for text in texts for name in _OPTION.findall(text))


def warnings_for(names: Iterable[str], variables: Iterable[str]) -> list[str]:
    """Warnings about variables that look like misspelt ones of the roles that ``variables`` belong to.

    :param names: of all variables of a host. :param variables: by which a role sets its module's options.
    """
    ours = {*variables}
    prefixes = tuple({f"{name.partition('_')[0]}_" for name in ours} - {"mesh_"})
    strange = [name for name in names if name.startswith(prefixes) and not name.endswith("_result")]
    if not {*strange} - ours:
        return []
    return misspelt(strange, sorted(known_variables()))
