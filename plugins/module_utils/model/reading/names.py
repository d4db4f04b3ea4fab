# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of roles: misspelt ones, which Ansible ignores in silence, and values that cannot be read."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import Problem
from .texts import Spec
from .typed import typed_value

NEAR = 0.85
"""Above the likeness of `istio_versions` to a person's own `istio_version_of_the_test_cluster`."""


def misspelt(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """A warning for each name that no role knows and that looks like one a role knows.

    :param names: variables that begin like a role's. A person may have some of their own, so only the
        likeness makes a name suspect. :param known: options of all roles.
    :returns: one sentence per name.
    """
    strange = sorted(set(names) - set(known))
    near = {name: difflib.get_close_matches(name, known, n=1, cutoff=NEAR) for name in strange}
    return [
        f"{name}: no role knows this variable, did you mean {found[0]}?"
        for name, found in near.items()
        if found
    ]


def unreadable(variables: Mapping[str, Any], specs: Mapping[str, Spec]) -> list[Problem]:
    """What the roles that follow would refuse, each when its turn comes, which is after the first write.

    :param specs: name -> the option of a role's argument specification.
    :returns: a problem for each value that is not of its type or choices.
    """
    problems: list[Problem] = []
    for name, value in variables.items():
        if name in specs:
            typed_value(value, specs[name], name, problems)
    return problems
