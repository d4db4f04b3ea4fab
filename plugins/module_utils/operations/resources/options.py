# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of module ``resources`` that are about plain objects, as one checked value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ...errors import InputError, Problem
from ..apply.engine import ApplyOptions
from ..apply.wait import check_conditions
from .definitions import Definition
from .selectors import Requirement, read_selectors

_SOURCES = ("catalogue", "catalogue_src", "definition", "src", "template", "kind")


@dataclasses.dataclass(frozen=True, slots=True)
class ResourcesOptions:
    """What is done with the objects.

    :param apply: options of the write path. :param absent: whether they shall not exist.
    :param mesh: name under which they belong together, empty for none.
    :param selectors: labels by which definitions are chosen; ``selector`` the same as the server takes it.
    :param selected: (apiVersion, kind) whose live objects are chosen by ``selectors``; None for definitions.
    :param append_hash: whether names of ConfigMaps and Secrets end in a hash of their content.
    """

    apply: ApplyOptions
    absent: bool = False
    mesh: str = ""
    prune: bool = False
    prune_all: bool = False
    selectors: tuple[Requirement, ...] = ()
    selector: str = ""
    selected: tuple[str, str] | None = None
    append_hash: bool = False

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> ResourcesOptions:
        """Reads the module's parameters.

        :param params: as its argument spec leaves them: every option is there.
        :raises InputError: with everything that does not fit together.
        """
        problems = [*_sources(params), *_prune(params), *_short_form(params)]
        try:
            requirements = read_selectors(params["label_selectors"], "label_selectors")
        except InputError as error:
            problems += error.problems
            requirements = ()
        if problems:
            raise InputError(problems)
        check_conditions(params["wait_for"])
        by_labels = params["kind"] and not params["name"]
        return cls(
            apply=ApplyOptions.from_params(params),
            absent=params["state"] == "absent",
            mesh=params["mesh_name"] or "",
            prune=params["prune"],
            prune_all=params["prune_all"],
            selectors=requirements,
            selector=",".join(params["label_selectors"]),
            selected=(params["api_version"], params["kind"]) if by_labels else None,
            append_hash=params["append_hash"],
        )


def named_object(params: Mapping[str, Any]) -> list[Definition]:
    """The object that ``kind``, ``name``, ``namespace`` and ``api_version`` describe without a definition.

    :returns: one definition, or none.
    """
    if not (params["kind"] and params["name"]):
        return []
    metadata = {"name": params["name"]}
    if params["namespace"]:
        metadata["namespace"] = params["namespace"]
    obj = {"apiVersion": params["api_version"], "kind": params["kind"], "metadata": metadata}
    return [(obj, "name")]


def _sources(params: Mapping[str, Any]) -> list[Problem]:
    if all(not params.get(name) for name in _SOURCES):
        message = "give catalogue, catalogue_src, definition, src, template or kind"
        return [Problem("definition", message, "no-input")]
    return []


def _prune(params: Mapping[str, Any]) -> list[Problem]:
    problems = []
    catalogue = params.get("catalogue") or params.get("catalogue_src")
    if params["prune"] and params["state"] == "absent" and not catalogue:
        problems.append(Problem("prune", "is only possible with state present", "prune"))
    if params["prune"] and not params.get("mesh_name") and not catalogue:
        problems.append(Problem("mesh_name", "is needed to prune: it says what belongs together", "prune"))
    if params["prune"] and params["label_selectors"]:
        message = "would let pruning remove what the selectors left out"
        problems.append(Problem("label_selectors", message, "prune"))
    return problems


def _short_form(params: Mapping[str, Any]) -> list[Problem]:
    """``kind`` with a name, or with selectors for what shall not exist."""
    problems = []
    if params["name"] and not params["kind"]:
        problems.append(Problem("kind", "is needed beside name", "short-form"))
    if params["kind"] and params["name"] and params["label_selectors"]:
        problems.append(Problem("label_selectors", "choose objects; name already says which", "short-form"))
    if params["kind"] and not params["name"]:
        if params["state"] != "absent":
            problems.append(Problem("name", "is needed beside kind for state present", "short-form"))
        elif not params["label_selectors"]:
            message = "give name or label_selectors: all objects of a kind are never meant"
            problems.append(Problem("kind", message, "short-form"))
        others = [name for name in ("definition", "src", "template") if params.get(name)]
        if others:
            message = f"without a name it chooses live objects, so {' and '.join(others)} cannot stand beside"
            problems.append(Problem("kind", message, "short-form"))
    return problems
