# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be known to go wrong before the first write: inputs, tools, versions, rights.

Pure checks come first and are reported together; the cluster is asked only when they pass.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ... import inventory
from ...context import Context
from ...errors import ApiError, InputError, Problem
from ...fields import labels_of, text_at
from ...istio.injection.labels import held_by_another
from ...istio.installation.commands import Runner
from ...istio.installation.helm_releases import desired_releases
from ...kube.access import EVERYTHING, AccessNeed, missing_rights
from ...kube.client import KubeClient
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...model.installation.injection import INJECTION_LABEL, REVISION_LABEL
from ...model.installation.settings import setting
from ...model.reading.typed import variables_of
from ...model.versions import check_kubernetes_version
from ..control_plane.installer import chart_references, find_installer
from ..rights.needs import Places, access_needs, needed_by_any
from ..rights.table import (
    ADDON_STORAGE,
    ADDONS,
    CA,
    CERT_MANAGER,
    CONTROL_PLANE,
    GATEWAYS,
    OBJECTS,
    PARTS,
    PLUGGED_CA,
    RATE_LIMITS,
    SERVICES,
    SIDECAR_SIZES,
    names_of,
)
from ..rights.telling import describe_missing, losses, shorten
from .inputs import Inputs, read_inputs
from .with_cluster import check_catalogue, check_revisions

# A server that does not answer within this time is not waited for.
REACH_SECONDS = 4.0

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    "parts": {"type": "list", "elements": "str", "choices": list(PARTS), "default": list(PARTS)},
    "istio": {"type": "dict", "default": {}},
    "catalogue": {"type": "dict", "default": {}},
    "injection_namespaces": {"type": "list", "elements": "raw", "default": []},
    **inventory.SPEC,
    "addons": {"type": "dict", "default": {}},
    "addons_namespace": {"type": "str", "default": ""},
    "certificates_namespace": {"type": "str", "default": "servicemesh-system"},
    "cert_manager": {"type": "list", "elements": "str", "default": []},
    "istio_ca_source": {"type": "str", "default": "istiod"},
    "istio_versions": {"type": "dict", "default": {}},
    "allow_end_of_life": {"type": "bool", "default": True},
    "allow_untested_kubernetes": {"type": "bool", "default": False},
    "variables": {"type": "dict", "default": {}},
    "variable_specs": {"type": "dict", "default": {}},
    "timeout": {"type": "raw", "default": 60},
}
TELLS_ALL = True  # what the catalogue's text stands for is read here, so that all problems come together
VARIABLES = variables_of(
    ARGUMENT_SPEC,
    "preflight_",
    injection_namespaces="injection_namespaces",
    owner="istio_owner",
    take_over="injection_take_over",
    addons_namespace="addons_namespace",
    certificates_namespace="certificates_ca_namespace",
    cert_manager="certificates_cert_manager",
    istio_ca_source="istio_ca_source",
)


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Checks in the order that costs least; never writes.

    :returns: ``cluster`` (server, UID), ``versions``, ``tools``, ``rights`` (numbers), ``findings``.
    :raises InputError: with every problem of the input. :raises ApiError: when the API cannot be reached, or
        rights are missing.
    """
    # Days, and the machine's: what a table of releases says needs no other clock.
    inputs = read_inputs(params, today=datetime.datetime.now(datetime.UTC).date())
    tools = _check_tools(inputs, Runner({**context.environment}, context.stop))
    connection = ConnectionOptions.from_params(params, context.environment)
    with context.client(connection, deadline=REACH_SECONDS) as client:
        kubernetes = text_at(client.server_version(), "gitVersion")
        server = client.host
    installation = inputs.installation
    names = names_of(installation.namespace, installation.revision)
    options = _rights_options(inputs)
    parts = {part: access_needs([part], _places(inputs, part), options, names) for part in inputs.parts}
    needs = needed_by_any(parts.values())
    warnings = [*inputs.warnings, *_check_kubernetes(inputs, kubernetes)]
    # A server that has answered may take its time now.
    with context.client(connection, deadline=inputs.timeout) as client:
        cluster = {"server": server, "uid": cluster_uid(client)}
        context.progress(f"reaches {server}, cluster {cluster['uid'] or 'of an unknown UID'}")
        if "injection" in inputs.parts:
            warnings += _check_namespaces(client, inputs, check_mode=context.check_mode)
        warnings += _check_rights(client, needs, parts)
        if "injection" in inputs.parts:
            warnings += check_revisions(client, inputs, check_mode=context.check_mode)
        if "mesh" in inputs.parts and inputs.catalogue is not None:
            warnings += check_catalogue(client, inputs, inputs.catalogue, check_mode=context.check_mode)
    for warning in warnings:
        context.warn(warning)
    return {
        "changed": False,
        "cluster": cluster,
        "versions": {"istio": inputs.installation.version, "kubernetes": kubernetes},
        "tools": tools,
        "rights": {"needed": len(needs), "missing": 0},
        "findings": warnings,
    }


def _check_namespaces(client: KubeClient, inputs: Inputs, *, check_mode: bool) -> list[str]:
    """Before the rights: where there is no namespace nobody can have any, and that is the cause to tell.

    :returns: warnings; none where the namespaces may not be read, which the check of the rights tells.
    """
    try:
        return [*check_namespaces(client, inputs, check_mode=check_mode)]
    except ApiError as error:
        if not error.not_allowed:
            raise
        return []


def cluster_uid(client: KubeClient) -> str:
    """The UID of namespace kube-system, which stands for the cluster; ``""`` without the right to read it."""
    try:
        return text_at(client.get("v1", "Namespace", "kube-system"), "metadata", "uid")
    except ApiError as error:
        if not error.not_allowed:
            raise
        return ""


def _check_tools(inputs: Inputs, runner: Runner) -> dict[str, str]:
    """The installer's program and its charts. :returns: name of the program -> its version."""
    if "istio" not in inputs.parts:
        return {}
    installation = inputs.installation
    tool = find_installer(installation, runner, inputs.tools)
    if installation.method == "helm":
        chart_references(
            desired_releases(installation), runner, tool, inputs.tools, version=installation.version
        )
    return {installation.method: tool.version}


def _check_kubernetes(inputs: Inputs, kubernetes: str) -> tuple[str, ...]:
    """Warnings about the cluster's version. :raises InputError: Istio does not support it."""
    if "istio" not in inputs.parts:
        return ()
    verdict = check_kubernetes_version(
        inputs.installation.version,
        kubernetes,
        table=inputs.versions,
        allow_untested=inputs.allow_untested_kubernetes,
    )
    if verdict.problems:
        raise InputError(verdict.problems)
    return verdict.warnings


def _rights_options(inputs: Inputs) -> set[str]:
    """What of this input needs rights of its own."""
    catalogue = inputs.catalogue
    sized = catalogue is not None and any(service.proxy for service in catalogue.services)
    chosen = {
        SIDECAR_SIZES: sized,
        CERT_MANAGER: inputs.uses_cert_manager,
        PLUGGED_CA: inputs.istio_ca_source != "istiod",
        ADDON_STORAGE: inputs.addons_keep_data,
    }
    return {inputs.installation.method, *(option for option, wanted in chosen.items() if wanted)}


def _places(inputs: Inputs, part: str) -> Places:
    services = dict.fromkeys(request.name for request in inputs.requests)
    if inputs.catalogue is not None:
        services.update(dict.fromkeys(inputs.catalogue.namespaces))
    gateways = dict.fromkeys(gateway.namespace for gateway in inputs.installation.gateways)
    objects = inputs.catalogue.object_namespaces if inputs.catalogue is not None else ()
    limits = inputs.catalogue.rate_limit_service if inputs.catalogue is not None else None
    homes = [inputs.installation.namespace]
    if inputs.catalogue is not None and part in ("mesh", "verify"):
        homes.append(inputs.catalogue.root_namespace)
    return {
        CONTROL_PLANE: tuple(dict.fromkeys(homes)),
        GATEWAYS: tuple(gateways),
        SERVICES: tuple(services),
        OBJECTS: objects,
        ADDONS: (inputs.addons_namespace,),
        CA: (inputs.authority_namespace,),
        RATE_LIMITS: (limits.namespace,) if limits else (),
    }


def _check_rights(
    client: KubeClient, needs: Mapping[AccessNeed, str], parts: Mapping[str, Mapping[AccessNeed, str]]
) -> list[str]:
    """:returns: what the rights that are missing and not necessary cost.

    :param parts: what each part needs. :raises ApiError: some cannot do without one that is missing.
    """
    if not needs or not missing_rights(client, [EVERYTHING]):
        return []
    absent = missing_rights(client, list(needs))
    missing = [need for need in absent if not needs[need]]
    if missing:
        necessary = [need for need in needs if not needs[need]]
        share = "none" if missing == necessary else f"only {len(necessary) - len(missing)}"
        phrases = describe_missing(missing)
        lacking = {
            part: describe_missing([need for need in missing if own.get(need) == ""])
            for part, own in parts.items()
        }
        plays = [f"{part}.yml" for part, found in lacking.items() if found]
        raise ApiError(
            f"{share} of {len(necessary)} needed rights are granted; {', '.join(plays)} "
            f"{'needs' if len(plays) == 1 else 'need'} more: {shorten(phrases)} "
            "(docs/rbac/README.md says which roles grant them, and where to bind them)",
            status=403,
            reason="Forbidden",
            missing_rights=phrases,
            missing_rights_of={part: found for part, found in lacking.items() if found},
        )
    return losses(absent, needs)


def check_namespaces(client: KubeClient, inputs: Inputs, *, check_mode: bool) -> list[str]:
    """Warnings about namespaces that are to be injected, and about those of services that are not.

    :returns: a sentence per warning.
    :raises InputError: one does not exist and nothing before the injection will make it. In check mode that
        is a warning: whoever makes it may do so before the real run. Or another inventory labels it.
    """
    requested = [request.name for request in inputs.requests]
    served = [name for name in _service_namespaces(inputs) if name not in requested]
    found = client.in_parallel(lambda name: client.get("v1", "Namespace", name), [*requested, *served])
    live = dict(zip([*requested, *served], found, strict=True))
    warnings: list[str] = []
    missing: list[Problem] = []
    foreign: list[Problem] = []
    for index, request in enumerate(inputs.requests):
        namespace = live[request.name]
        labels = labels_of(namespace)
        if namespace is None:
            made = request.create or request.mode == "keep" or request.name in inputs.installation.namespaces
            if not made:
                message = f"namespace {request.name} does not exist; create it, or set create for it"
                missing.append(Problem(f"injection_namespaces[{index}]", message, "namespace-missing"))
        elif refused := held_by_another(request, namespace, inputs.inventory):
            foreign.append(Problem(f"injection_namespaces[{index}]", refused, "one-inventory"))
        elif INJECTION_LABEL in labels and REVISION_LABEL in labels:
            warnings.append(
                f"namespace {request.name} carries both {INJECTION_LABEL} and {REVISION_LABEL}; "
                "the first one wins"
            )
    if refused_ones := [*foreign, *([] if check_mode else missing)]:
        raise InputError(refused_ones)
    for name in served:
        labels = labels_of(live[name])
        if INJECTION_LABEL not in labels and REVISION_LABEL not in labels:
            warnings.append(
                f"namespace {name} holds services of the catalogue, but is not in injection_namespaces and "
                "carries no label for injection: its pods get no sidecar"
            )
    return [*warnings, *(f"{problem.where}: {problem.message}" for problem in missing)]


def _service_namespaces(inputs: Inputs) -> tuple[str, ...]:
    everywhere = setting(
        inputs.installation, "sidecarInjectorWebhook", "enableNamespacesByDefault", default=False
    )
    return () if inputs.catalogue is None or everywhere else inputs.catalogue.namespaces
