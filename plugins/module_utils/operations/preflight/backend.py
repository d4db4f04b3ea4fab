# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be known to go wrong before the first write: inputs, tools, versions, rights.

Pure checks come first and are reported together; the cluster is asked only when they pass.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from ...context import Context
from ...errors import ApiError, InputError, Problem
from ...istio.injection.labels import parse_requests
from ...istio.installation.commands import Runner
from ...istio.installation.helm_releases import desired_releases
from ...istio.installation.settings import Installation, provider_names, read_installation
from ...kube.access import AccessNeed, missing_rights
from ...kube.client import KubeClient
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...model.addons import check_addons
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.parse import ROLE_SETTINGS, parse_catalogue
from ...model.versions import check_istio_version, check_kubernetes_version, support_table
from ..control_plane.installer import chart_references, find_installer
from ..control_plane.options import INSTALLATION_SPEC, installation_options
from ..rights.needs import Places, access_needs, describe_missing, losses, shorten
from ..rights.table import ADDONS, CA, CONTROL_PLANE, GATEWAYS, PARTS, RATE_LIMITS, SERVICES, SIDECAR_SIZES
from .names import misspelt

_T = TypeVar("_T")
REACH_SECONDS = 4.0
NOT_FOR_HELM = (
    "username",
    "password",
    "client_cert",
    "client_key",
    "proxy",
    "no_proxy",
    "impersonate_user",
    "impersonate_groups",
)

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    "parts": {"type": "list", "elements": "str", "choices": list(PARTS), "default": list(PARTS)},
    "istio": {"type": "dict", "default": {}},
    "catalogue": {"type": "dict", "default": {}},
    "injection_namespaces": {"type": "list", "elements": "raw", "default": []},
    "addons": {"type": "dict", "default": {}},
    "addons_namespace": {"type": "str", "default": ""},
    "certificates_namespace": {"type": "str", "default": "servicemesh-system"},
    "istio_versions": {"type": "dict", "default": {}},
    "allow_end_of_life": {"type": "bool", "default": True},
    "allow_untested_kubernetes": {"type": "bool", "default": False},
    "variables": {"type": "list", "elements": "str", "default": []},
    "known_variables": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 60},
}


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Checks in the order that costs least; never writes.

    :returns: ``versions``, ``tools``, ``rights`` (numbers), ``warnings``.
    :raises InputError: with every problem of the input. :raises ApiError: when the API cannot be reached.
    """
    warnings = misspelt(params.get("variables") or (), params.get("known_variables") or ())
    installation, catalogue = check_inputs(params, warnings, today=datetime.datetime.now(datetime.UTC).date())
    runner = Runner({**context.environment}, context.stop)
    options = _istio_options(params)
    parts = list(params["parts"])
    tools: dict[str, str] = {}
    if "istio" in parts:
        tool = find_installer(
            installation, runner, istioctl_path=options["istioctl_path"], helm_binary=options["helm_binary"]
        )
        tools[installation.method] = tool.version
        if installation.method == "helm":
            chart_references(
                desired_releases(installation),
                runner,
                tool,
                source=options["chart_source"],
                version=installation.version,
                cache=options["chart_cache"],
            )
    connection = ConnectionOptions.from_params(params, context.environment)
    # A server that does not answer at once is not waited for; one that does may take its time later.
    with context.client(connection, deadline=REACH_SECONDS) as client:
        kubernetes = str(client.server_version().get("gitVersion", ""))
    with context.client(connection, deadline=float(params["timeout"])) as client:
        _check_cluster_version(params, installation, kubernetes, warnings)
        places = _places(params, installation, catalogue)
        needs = access_needs(parts, places, _rights_options(installation, catalogue))
        warnings += _check_rights(client, needs)
        if "injection" in parts:
            warnings += check_namespaces(client, params, installation, check_mode=context.check_mode)
    for warning in warnings:
        context.warn(warning)
    return {
        "changed": False,
        "versions": {"istio": installation.version, "kubernetes": kubernetes},
        "tools": tools,
        "rights": {"needed": len(needs), "missing": 0},
        "findings": warnings,
    }


def check_inputs(
    params: Mapping[str, Any], warnings: list[str], *, today: datetime.date
) -> tuple[Installation, Catalogue | None]:
    """All checks that need neither a tool nor a cluster.

    :returns: what was read; no catalogue when none is given.
    :raises InputError: with the problems of every input together.
    """
    problems: list[Problem] = []
    table = _collect(problems, lambda: support_table(params.get("istio_versions") or {}))
    installation = _collect(problems, lambda: read_installation(_istio_options(params)))
    if table is not None:
        version = str(_istio_options(params)["version"])
        verdict = check_istio_version(version, table=table, today=today)
        problems += verdict.problems
        if params.get("allow_end_of_life", True):
            warnings += verdict.warnings
        else:
            problems += [Problem("istio_version", text, "end-of-life") for text in verdict.warnings]
    if installation is not None and installation.method == "helm" and "istio" in params["parts"]:
        problems += [
            Problem(
                f"mesh_connection.{option}", "kubernetes.core.helm cannot use it; use a kubeconfig", "helm"
            )
            for option in NOT_FOR_HELM
            if params.get(option)
        ]
    _collect(problems, lambda: parse_requests(params.get("injection_namespaces") or ()))
    problems += check_addons(params.get("addons") or {})
    catalogue = None
    raw = dict(params.get("catalogue") or {})
    if any(key not in ROLE_SETTINGS and key != "istio_gateways" for key in raw):
        catalogue = _collect(problems, lambda: parse_catalogue(raw))
    if installation is not None and catalogue is not None:
        problems += list(unknown_names(installation, catalogue))
    if problems or installation is None:
        raise InputError(problems)
    return installation, catalogue


def unknown_names(installation: Installation, catalogue: Catalogue) -> Iterator[Problem]:
    """Gateways and providers that the catalogue refers to and the installation does not have."""
    telemetry = catalogue.telemetry
    known = provider_names(installation)
    tracing = getattr(telemetry, "tracing_provider", "") if telemetry is not None else ""
    if tracing and tracing not in known:
        yield Problem(
            "mesh_telemetry.tracing_provider",
            f"no extension provider is called {tracing!r} (known: {', '.join(known)})",
            "extension-provider",
        )
    installed = {(gateway.namespace, gateway.service_account): gateway for gateway in installation.gateways}
    if not installed:
        return
    for index, gateway in enumerate(catalogue.gateways):
        found = installed.get((gateway.workload_namespace, gateway.service_account))
        if found is None:
            names = ", ".join(f"{namespace}/{account}" for namespace, account in installed)
            yield Problem(
                f"mesh_gateways[{index}]",
                "no gateway of istio_gateways runs as "
                f"{gateway.workload_namespace}/{gateway.service_account} (installed: {names})",
                "unknown-gateway",
            )
        elif not set(gateway.selector.items()) <= set(found.labels.items()):
            yield Problem(
                f"mesh_gateways[{index}].selector",
                f"does not select the gateway {found.name}, whose labels are {dict(found.labels)}",
                "unknown-gateway",
            )


def _istio_options(params: Mapping[str, Any]) -> dict[str, Any]:
    given = params.get("istio") or {}
    unknown = sorted(set(given) - set(INSTALLATION_SPEC))
    if unknown:
        raise InputError(
            [Problem(f"istio.{key}", "is not a known setting", "unknown-key") for key in unknown]
        )
    defaults = {name: spec.get("default") for name, spec in INSTALLATION_SPEC.items()}
    return installation_options(
        {**defaults, **{key: value for key, value in given.items() if value is not None}}
    )


def _collect(problems: list[Problem], read: Callable[[], _T]) -> _T | None:  # noqa: UP047 - no PEP 695 here
    try:
        return read()
    except InputError as error:
        problems += error.problems
        return None


def _check_cluster_version(
    params: Mapping[str, Any], installation: Installation, kubernetes: str, warnings: list[str]
) -> None:
    if "istio" not in params["parts"]:
        return
    verdict = check_kubernetes_version(
        installation.version,
        kubernetes,
        table=support_table(params.get("istio_versions") or {}),
        allow_untested=bool(params.get("allow_untested_kubernetes")),
    )
    if verdict.problems:
        raise InputError(verdict.problems)
    warnings += verdict.warnings


def _rights_options(installation: Installation, catalogue: Catalogue | None) -> set[str]:
    """What of this input needs rights of its own."""
    sized = catalogue is not None and any(service.proxy for service in catalogue.services)
    return {installation.method, *([SIDECAR_SIZES] if sized else [])}


def _places(params: Mapping[str, Any], installation: Installation, catalogue: Catalogue | None) -> Places:
    services: dict[str, None] = {}
    for request in parse_requests(params.get("injection_namespaces") or ()):
        services[request.name] = None
    if catalogue is not None:
        services.update(dict.fromkeys(catalogue.namespaces))
    limits = catalogue.rate_limit_service if catalogue is not None else None
    return {
        CONTROL_PLANE: (installation.namespace,),
        GATEWAYS: tuple(dict.fromkeys(gateway.namespace for gateway in installation.gateways)),
        SERVICES: tuple(services),
        ADDONS: (params["addons_namespace"] or installation.namespace,),
        CA: (params["certificates_namespace"],),
        RATE_LIMITS: (limits.namespace,) if limits else (),
    }


def _check_rights(client: KubeClient, needs: Mapping[AccessNeed, str]) -> list[str]:
    """:returns: what the rights that are missing and not necessary cost."""
    # An administrator is one question instead of a hundred.
    everything = AccessNeed(verb="*", group="*", resource="*")
    if not needs or not missing_rights(client, [everything]):
        return []
    absent = missing_rights(client, list(needs))
    missing = [need for need in absent if not needs[need]]
    if missing:
        necessary = [need for need in needs if not needs[need]]
        share = "none" if missing == necessary else f"only {len(necessary) - len(missing)}"
        phrases = describe_missing(missing)
        raise ApiError(
            f"{share} of {len(necessary)} needed rights are granted (docs/rbac grants them); missing "
            f"{shorten(phrases)}",
            status=403,
            reason="Forbidden",
            missing_rights=phrases,
        )
    return losses(absent, needs)


def check_namespaces(
    client: KubeClient, params: Mapping[str, Any], installation: Installation, *, check_mode: bool
) -> list[str]:
    """Warnings about namespaces that are to be injected.

    :returns: a sentence per warning.
    :raises InputError: one does not exist and nothing before the injection will make it. In check mode that
        is a warning: whoever makes it may do so before the real run.
    """
    requests = parse_requests(params.get("injection_namespaces") or ())
    lives = client.in_parallel(lambda request: client.get("v1", "Namespace", request.name), requests)
    warnings: list[str] = []
    missing: list[Problem] = []
    for index, (request, live) in enumerate(zip(requests, lives, strict=True)):
        if live is None:
            made = request.create or request.mode == "keep" or request.name in installation.namespaces
            if not made:
                message = f"namespace {request.name} does not exist; create it, or set create for it"
                missing.append(Problem(f"injection_namespaces[{index}]", message, "namespace-missing"))
            continue
        labels = (live.get("metadata") or {}).get("labels") or {}
        if "istio-injection" in labels and "istio.io/rev" in labels:
            warnings.append(
                f"namespace {request.name} carries both istio-injection and istio.io/rev; the first one wins"
            )
    if missing and not check_mode:
        raise InputError(missing)
    return [*warnings, *(f"{problem.where}: {problem.message}" for problem in missing)]
