# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backend of module ``resources``: makes objects exist as described, or not exist."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import InputError, Problem
from ...kube.client import KubeClient
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...labels import FIELD_MANAGER
from ...model.reading.typed import variables_of
from ...object_id import object_id
from ..apply.engine import Options, apply_plan
from ..apply.input import checked, with_scope
from ..apply.live import read_live
from ..apply.owned import labelled, prunable_kinds, selector, summary, to_prune, warn_confined
from ..apply.wait import check_conditions
from .definitions import from_sources, in_one_catalogue, inline, stripped
from .files import Source, read_sources

if TYPE_CHECKING:
    from ...context import Context

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "catalogue": {"type": "raw"},
    "catalogue_src": {"type": "list", "elements": "path"},
    "definition": {"type": "raw", "aliases": ["resource_definition", "inline"]},
    "src": {"type": "list", "elements": "path"},
    "remote_src": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "namespace": {"type": "str"},
    "mesh_name": {"type": "str"},
    "prune": {"type": "bool", "default": False},
    "prune_all": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "field_manager": {"type": "str", "default": FIELD_MANAGER},
    "proof": {"type": "str", "choices": ["fields", "dry_run"], "default": "fields"},
    "wait": {"type": "bool", "default": False},
    "wait_timeout": {"type": "raw", "default": 120},
    "wait_for": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "jmespath": {"type": "str", "required": True},
            "equals": {"type": "raw", "required": True},
        },
    },
    "unproved": {"type": "str", "choices": ["refuse", "warn"], "default": "refuse"},
    "max_proxies": {"type": "int", "default": 200},
    "repair_split": {"type": "bool", "default": False},
    "check": {"type": "str", "choices": ["strict", "warn", "off"], "default": "off"},
    "istioctl": {"type": "path"},
    "strict_guard": {"type": "str", "choices": ["refuse", "warn"], "default": "refuse"},
    "strict_guard_window": {"type": "raw", "default": "1h"},
    "prometheus": {"type": "str"},
    "cluster_check": {"type": "str", "choices": ["refuse", "warn", "off"], "default": "refuse"},
    "not_deployed": {"type": "list", "elements": "str", "default": []},
    "threads": {"type": "int", "default": 24},
}
VARIABLES = {
    **variables_of(
        ("check", "cluster_check", "not_deployed", "prune", "repair_split", "wait", "wait_timeout"), "mesh_"
    ),
    **variables_of(("strict_guard", "strict_guard_window"), "mesh_"),
    "src": "mesh_resource_paths",
    "istioctl": "mesh_istioctl_path",
    "prometheus": "mesh_prometheus",
}
FILE_OPTIONS = ("src", "catalogue_src")


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``resources``. :raises MeshError: one of the subclasses; nothing else.

    :returns: the module's result; see :func:`..apply.result.result_of`.
    """
    _check_options(params)
    sources = {option: _sources(params, context, option) for option in FILE_OPTIONS}
    definitions = [*inline(params.get("definition"), "definition"), *from_sources(sources["src"])]
    places = [where for _unused, where in definitions]
    objects = list(zip(checked([stripped(obj) for obj, _unused in definitions], places), places, strict=True))
    catalogue = in_one_catalogue(sources["catalogue_src"], params.get("catalogue"))
    with context.client(
        ConnectionOptions.from_params(params, context.environment), threads=params["threads"]
    ) as client:
        if catalogue is not None:
            # Loading the model takes a quarter of a second, which a list of plain objects need not pay.
            from ..mesh.apply import apply_mesh
            from ..mesh.options import MeshOptions

            return apply_mesh(client, catalogue, objects, MeshOptions.from_params(params), context)
        return _apply(client, objects, params, context)


def _check_options(params: Mapping[str, Any]) -> None:
    problems = []
    if all(not params.get(name) for name in ("catalogue", "catalogue_src", "definition", "src")):
        problems.append(Problem("definition", "give catalogue, catalogue_src, definition or src", "no-input"))
    if params["state"] == "absent" and (params.get("catalogue") or params.get("catalogue_src")):
        problems.append(Problem("state", "a catalogue cannot be absent: prune what it left", "state"))
    if params["prune"] and params["state"] == "absent":
        problems.append(Problem("prune", "is only possible with state present", "prune"))
    catalogue = params.get("catalogue") or params.get("catalogue_src")
    if params["prune"] and not params.get("mesh_name") and not catalogue:
        problems.append(Problem("mesh_name", "is needed to prune: it says what belongs together", "prune"))
    if problems:
        raise InputError(problems)
    check_conditions(params["wait_for"])


def _sources(params: Mapping[str, Any], context: Context, option: str) -> list[Source]:
    """File contents: sent along by the action plugin, else read where this runs (``remote_src``)."""
    if option in context.files:
        return list(context.files[option])
    return read_sources(params.get(option) or [], option)


def _apply(
    client: KubeClient,
    definitions: Sequence[tuple[dict[str, Any], str]],
    params: Mapping[str, Any],
    context: Context,
) -> dict[str, Any]:
    mesh = str(params["mesh_name"] or "")
    options = Options.from_params(params)
    objects, places = [obj for obj, _unused in definitions], [where for _unused, where in definitions]
    desired = with_scope(client, labelled(objects, mesh) if mesh else objects, options.namespace, places)
    options = dataclasses.replace(options, places=dict(zip(map(object_id, desired), places, strict=True)))
    to_delete: list[dict[str, Any]] = []
    if params["prune"]:
        kinds = prunable_kinds(desired)
        live = read_live(client, desired, owned_kinds=kinds, selector=selector(mesh))
        warn_confined(live, mesh, context)
        to_delete = to_prune(live, desired, mesh, everything=params["prune_all"])
    else:
        live = read_live(client, desired)
    if params["state"] == "absent":
        to_delete, desired = [found for found in map(live.get, desired) if found is not None], []
    applied = apply_plan(client, desired, live, to_delete, context=context, options=options)
    return {**applied, "summary": [summary(applied["counts"])]}
