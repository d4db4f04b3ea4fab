# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests with Jinja, rendered on the controller by the templar of the task."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleError
from ansible.template import trust_as_template

from ..module_utils.errors import InputError, Problem

# As those of ansible.builtin.template and kubernetes.core.k8s.
OVERRIDES = (
    "newline_sequence",
    "block_start_string",
    "block_end_string",
    "variable_start_string",
    "variable_end_string",
    "comment_start_string",
    "comment_end_string",
    "trim_blocks",
    "lstrip_blocks",
)


def template_entries(value: Any, where: str) -> list[dict[str, Any]]:
    """What option ``template`` names: a path, a mapping with ``path`` and the settings of Jinja, or a list.

    :returns: mappings with ``path``. :raises InputError: something else, or an unknown setting.
    """
    entries = [{"path": entry} if isinstance(entry, str) else entry for entry in _listed(value)]
    problems = []
    for index, entry in enumerate(entries):
        place = f"{where}[{index}]"
        if not isinstance(entry, Mapping) or not isinstance(entry.get("path"), str) or not entry["path"]:
            problems.append(Problem(place, "is neither a path nor a mapping with a path", "template"))
            continue
        problems += [
            Problem(f"{place}.{name}", f"is not one of path, {', '.join(OVERRIDES)}", "template")
            for name in entry
            if name not in ("path", *OVERRIDES)
        ]
    if problems:
        raise InputError(problems)
    return [dict(entry) for entry in entries]


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def rendered(
    text: str,
    path: str,
    overrides: Mapping[str, Any],
    *,
    templar: Any,
    variables: Mapping[str, Any],
    where: str,
) -> str:
    """The text of a template.

    :param path: of the file, whose directory is searched for what it includes.
    :param overrides: settings of Jinja. :param templar: of the task. :param variables: of the task.
    :param where: the option, for the error.
    :raises InputError: Jinja refuses it, or a variable is undefined.
    """
    search = [*variables.get("ansible_search_path", ()), os.path.dirname(path)]  # noqa: PTH120 - Jinja takes text
    places = [place for base in search for place in (os.path.join(base, "templates"), base)]  # noqa: PTH118 - text
    try:
        inner = templar.copy_with_new_env(searchpath=places, available_variables=dict(variables))
        found = inner.template(trust_as_template(text), escape_backslashes=False, overrides=dict(overrides))
    except AnsibleError as error:
        message = f"{path} cannot be rendered: {_first_line(error)}"
        raise InputError([Problem(where, message, "template")]) from error
    return "" if found is None else str(found)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
