# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters about the catalogue: its objects, its sidecar sizes, its problems.

Ansible looks for a filter in all files of its collection, in each task that uses one. So what this one
computes with is imported when it is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, Problem


def mesh_resources(catalogue: Any, releases: Any = None) -> list[dict[str, Any]]:
    """The Istio objects of a catalogue. See the filter's documentation."""
    try:
        return _objects(catalogue, releases)
    except InputError as error:
        raise AnsibleFilterError(f"mesh_resources: {error}") from error


def mesh_problems(catalogue: Any, releases: Any = None) -> list[str]:
    """Every problem of a catalogue, one sentence each. See the filter's documentation."""
    try:
        _objects(catalogue, releases)
    except InputError as error:
        return [str(problem) for problem in error.problems]
    return []


def mesh_proxy_patches(catalogue: Any) -> list[dict[str, Any]]:
    """The sidecar sizes of a catalogue. See the filter's documentation."""
    from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import (
        parse_catalogue,
    )
    from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.proxy_annotations import (
        proxy_patches,
    )

    try:
        return proxy_patches(parse_catalogue(_catalogue(catalogue)))
    except InputError as error:
        raise AnsibleFilterError(f"mesh_proxy_patches: {error}") from error


def _objects(catalogue: Any, releases: Any) -> list[dict[str, Any]]:
    from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects import render

    return render.mesh_resources(_catalogue(catalogue), _plain({} if releases is None else releases))


def _catalogue(value: Any) -> dict[str, Any]:
    """The variables of a catalogue, of which ``-e`` may have made text."""
    from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.variables import (
        typed_catalogue,
    )

    problems: list[Problem] = []
    typed = typed_catalogue(_plain(value), problems)
    if problems:
        raise InputError(problems)
    return typed


def _plain(value: Any) -> dict[str, Any]:
    """A mapping without Ansible's tags and with text keys."""
    plain = json.loads(json.dumps(value))
    if not isinstance(plain, dict):
        raise AnsibleFilterError("the catalogue must be a mapping of mesh_* variables")
    return plain


class FilterModule:
    """Registers the filters."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name -> function."""
        return {
            "mesh_resources": mesh_resources,
            "mesh_problems": mesh_problems,
            "mesh_proxy_patches": mesh_proxy_patches,
        }
