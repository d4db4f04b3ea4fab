# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backend of module ``resources``: makes objects exist as described, or not exist."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ... import inventory
from ...errors import ApiError, InputError, Problem
from ...fields import labels_of, namespace_of
from ...kube.client import KubeClient
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...labels import FIELD_MANAGER
from ...model.reading.typed import variables_of
from ...object_id import object_id
from ..apply.engine import apply_plan
from ..apply.input import checked, with_scope
from ..apply.live import Live, read_live
from ..apply.owned import (
    Pruning,
    labelled,
    prunable_kinds,
    selector,
    summary,
    to_prune,
    warn_confined,
)
from .definitions import Definition, from_sources, in_one_catalogue, inline, stripped, with_hash
from .files import Source, read_sources
from .options import ResourcesOptions, named_object

if TYPE_CHECKING:
    from ...context import Context

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "catalogue": {"type": "raw"},
    "catalogue_src": {"type": "list", "elements": "path"},
    "definition": {"type": "raw", "aliases": ["resource_definition", "inline"]},
    "src": {"type": "list", "elements": "path"},
    "template": {"type": "raw"},
    "remote_src": {"type": "bool", "default": False},
    "api_version": {"type": "str", "default": "v1"},
    "kind": {"type": "str"},
    "name": {"type": "str"},
    "label_selectors": {"type": "list", "elements": "str", "default": []},
    "append_hash": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "namespace": {"type": "str"},
    "mesh_name": {"type": "str"},
    "prune": {"type": "bool", "default": False},
    "prune_all": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
    "field_manager": {"type": "str", "default": FIELD_MANAGER},
    "proof": {"type": "str", "choices": ["fields", "dry_run"], "default": "fields"},
    "hidden_fields": {"type": "list", "elements": "str", "default": []},
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
    "wait_condition": {
        "type": "dict",
        "options": {
            "type": {"type": "str", "required": True},
            "status": {"type": "str", "choices": ["True", "False", "Unknown"], "default": "True"},
            "reason": {"type": "str"},
        },
    },
    "delete_options": {
        "type": "dict",
        "options": {
            "propagationPolicy": {"type": "str", "choices": ["Background", "Foreground", "Orphan"]},
            "gracePeriodSeconds": {"type": "int"},
            "preconditions": {
                "type": "dict",
                "options": {"uid": {"type": "str"}, "resourceVersion": {"type": "str"}},
            },
        },
    },
    "unproved": {"type": "str", "choices": ["refuse", "warn"], "default": "refuse"},
    "max_proxies": {"type": "int", "default": 200},
    "repair_split": {"type": "bool", "default": False},
    "check": {"type": "str", "choices": ["strict", "warn", "off"], "default": "off"},
    "istioctl": {"type": "path"},
    "strict_guard": {"type": "str", "choices": ["refuse", "warn"], "default": "refuse"},
    "strict_guard_window": {"type": "raw", "default": "1h"},
    "access_guard": {"type": "str", "choices": ["refuse", "tell"], "default": "tell"},
    "prometheus": {"type": "str"},
    "cluster_check": {"type": "str", "choices": ["refuse", "warn", "off"], "default": "refuse"},
    "not_deployed": {"type": "list", "elements": "str", "default": []},
    **inventory.SPEC,
    "threads": {"type": "int", "default": 24},
}
VARIABLES = {
    **variables_of(
        ("check", "cluster_check", "not_deployed", "prune", "repair_split", "wait", "wait_timeout"), "mesh_"
    ),
    **variables_of(("strict_guard", "strict_guard_window", "access_guard"), "mesh_"),
    **variables_of(("state", "prune_all", "force", "cluster_check", "not_deployed"), "mesh_"),
    "src": "mesh_resource_paths",
    "template": "mesh_resource_templates",
    "istioctl": "mesh_istioctl_path",
    "prometheus": "mesh_prometheus",
    "owner": "istio_owner",
    "take_over": "mesh_take_over",
}
FILE_OPTIONS = ("src", "catalogue_src", "template")


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``resources``. :raises MeshError: one of the subclasses; nothing else.

    :returns: the module's result; see :func:`..apply.result.result_of`.
    """
    options = ResourcesOptions.from_params(params)
    for name in ("wait_for", "wait_condition"):
        if params[name] and not params["wait"]:
            context.warn(f"{name} has no effect without wait: true")
    sources = {option: _sources(params, context, option) for option in FILE_OPTIONS}
    definitions = [
        *inline(params.get("definition"), "definition"),
        *from_sources(sources["src"]),
        *from_sources(sources["template"]),
        *named_object(params),
    ]
    hidden = frozenset(source["path"] for found in sources.values() for source in found if "hidden" in source)
    options = dataclasses.replace(options, apply=dataclasses.replace(options.apply, hidden_files=hidden))
    catalogue = in_one_catalogue(sources["catalogue_src"], params.get("catalogue"))
    objects = _objects(definitions, options)
    with context.client(
        ConnectionOptions.from_params(params, context.environment), threads=params["threads"]
    ) as client:
        client.hidden_fields = options.apply.hidden
        if catalogue is not None:
            # Loading the model takes a quarter of a second, which a list of plain objects need not pay.
            from ..mesh.apply import apply_mesh
            from ..mesh.options import MeshOptions

            mesh = MeshOptions.from_params(params)
            mesh = dataclasses.replace(mesh, apply=dataclasses.replace(mesh.apply, hidden_files=hidden))
            return apply_mesh(client, catalogue, objects, mesh, context)
        if options.selected:
            return _delete_selected(client, options, context)
        return _apply(client, objects, options, context)


def _objects(
    definitions: Sequence[Definition], options: ResourcesOptions
) -> list[tuple[dict[str, Any], str]]:
    """The objects that are meant, in the form in which they are applied, each with its place."""
    places = [where for _unused, where in definitions]
    objects = checked([stripped(obj) for obj, _unused in definitions], places)
    if options.append_hash:
        objects = [with_hash(obj) for obj in objects]
    return [
        (obj, where)
        for obj, where in zip(objects, places, strict=True)
        if all(requirement.holds(labels_of(obj)) for requirement in options.selectors)
    ]


def _sources(params: Mapping[str, Any], context: Context, option: str) -> list[Source]:
    """File contents: sent along by the action plugin, else read where this runs (``remote_src``)."""
    if option in context.files:
        return list(context.files[option])
    if option == "template":
        if params.get(option):
            message = "is rendered on the controller, which this run has not been through"
            raise InputError([Problem(option, message, "template")])
        return []
    return read_sources(params.get(option) or [], option)


def _apply(
    client: KubeClient,
    definitions: Sequence[tuple[dict[str, Any], str]],
    options: ResourcesOptions,
    context: Context,
) -> dict[str, Any]:
    objects, places = [obj for obj, _unused in definitions], [where for _unused, where in definitions]
    marked = labelled(objects, options.mesh) if options.mesh else objects
    desired = with_scope(client, marked, options.apply.namespace, places)
    write = dataclasses.replace(options.apply, places=dict(zip(map(object_id, desired), places, strict=True)))
    to_delete: list[dict[str, Any]] = []
    if options.prune:
        kinds = prunable_kinds(desired)
        spaces = dict.fromkeys(filter(None, [*map(namespace_of, desired), options.apply.namespace]))
        live = read_live(
            client, desired, owned_kinds=kinds, selector=selector(options.mesh), namespaces=list(spaces)
        )
        warn_confined(live, options.mesh, context)
        pruning = Pruning(
            options.mesh,
            everything=options.prune_all,
            computed=False,
            field_manager=options.apply.field_manager,
        )
        to_delete = to_prune(live, desired, pruning, context)
    else:
        live = read_live(client, desired)
    if options.absent:
        to_delete, desired = [found for found in map(live.get, desired) if found is not None], []
    applied = apply_plan(client, desired, live, to_delete, context=context, options=write)
    return {**applied, "summary": [summary(applied["counts"])]}


def _delete_selected(client: KubeClient, options: ResourcesOptions, context: Context) -> dict[str, Any]:
    """Delete what ``kind`` and ``label_selectors`` find, in one namespace or among cluster-wide objects."""
    api_version, kind = options.selected or ("", "")
    found: list[dict[str, Any]] = []
    try:
        if client.resource(api_version, kind).namespaced and not options.apply.namespace:
            message = "is needed: none is guessed, and all of them are never meant"
            raise InputError([Problem("namespace", message, "object-namespace")])
        found = list(
            client.list(api_version, kind, options.apply.namespace, label_selector=options.selector).items
        )
    except ApiError as error:
        if error.reason != "NoKind":
            raise
    applied = apply_plan(client, [], Live(), found, context=context, options=options.apply)
    return {**applied, "summary": [summary(applied["counts"])]}
