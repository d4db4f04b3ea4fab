# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for the variables of the roles: text as typed values, paths of a connection, one file per host."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import Problem
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.durations import (
    EXAMPLES,
    read_seconds,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.reading.typed import typed_value
from ansible_collections.servicemesh.istio.plugins.plugin_utils.paths import (
    CONNECTION_FILES,
    absolute_kubeconfig,
    absolute_path,
)


def typed(value: Any, kind: str = "list", name: str = "the value", elements: str = "raw") -> Any:
    """Text as the typed value that it stands for. See the filter's documentation."""
    return _typed(value, {"type": kind, **({"elements": elements} if kind == "list" else {})}, name)


def _typed(value: Any, spec: Mapping[str, Any], name: str) -> Any:
    problems: list[Problem] = []
    found = typed_value(json.loads(json.dumps(value)), spec, name, problems)
    if problems:
        raise AnsibleFilterError("; ".join(str(problem) for problem in problems))
    return found


def seconds(value: Any, name: str = "the value") -> float:
    """A duration in seconds. See the filter's documentation."""
    found = read_seconds(str(value).strip() if isinstance(value, str) else value)
    if found is None or found < 0:
        raise AnsibleFilterError(f"{name}: is {value!r}, not a duration such as {EXAMPLES}")
    return int(found) if found == int(found) else found


def connection(value: Any, *directories: str) -> dict[str, Any]:
    """A connection with absolute paths. See the filter's documentation."""
    options: dict[str, Any] = dict(_typed(value, {"type": "dict", "no_log": True}, "mesh_connection") or {})
    places = [directory for directory in directories if directory]
    for option in CONNECTION_FILES:
        given = options.get(option)
        if isinstance(given, str) and given:
            find = absolute_kubeconfig if option == "kubeconfig" else absolute_path
            options[option] = find(given, places)
    return options


def host_path(path: str, host: str, hosts: Sequence[str], directory: bool = False) -> str:
    """A path that no other host of the play has. See the filter's documentation."""
    others = [name for name in hosts if name != host]
    if not path or not others:
        return path
    told = _names(path, host) and not any(_names(path, other) for other in others)
    if told:
        return path
    name = _file_name(host)
    if directory:
        return os.path.join(path, name)  # noqa: PTH118 - a filter gives text, and "./" stays
    stem, ending = os.path.splitext(path)  # noqa: PTH122 - the same
    return f"{stem}-{name}{ending}"


def _file_name(host: str) -> str:
    """A host's name as the name of one file: an inventory may call a host ``eu/1``, or ``..``."""
    name = re.sub(r"[/%\x00]", lambda found: f"%{ord(found[0]):02X}", host)
    return name.replace(".", "%2E") if name in (".", "..") else name


def _names(path: str, host: str) -> bool:
    """Whether a path has a host's name in it, as a word of its own."""
    return (
        re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w-])|(?<=[-_.]){re.escape(host)}(?![\w-])", path)
        is not None
    )


class FilterModule:
    """Registers the filters."""

    def filters(self) -> Mapping[str, Callable[..., Any]]:
        """Name -> function."""
        return {"typed": typed, "seconds": seconds, "connection": connection, "host_path": host_path}
