# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds every certificate that can end a mesh, and says how long each lives. Reads only.

Backend of module ``trust_info``.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import InputError, MeshError, Problem
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...kube.server_time import server_time
from ...kube.target import target_of
from ...model.certificates.credentials import credentials_of
from ...model.certificates.trust import (
    CLOCK,
    CONNECTION,
    DUE,
    GATEWAY,
    GATEWAY_CA,
    ISTIOD,
    KINDS,
    MESH_CA,
    MESH_ROOT,
    ORDER,
    ORIGINATION,
    REMOTE,
    ROTATION,
    WEBHOOK,
    WORKLOAD,
    Limits,
    TrustEntry,
    TrustJudge,
    worst,
)
from ...model.certificates.x509 import HAS_CRYPTOGRAPHY
from ...model.installation.gateways import DEFAULT_NAMESPACE, gateways_of
from ...model.reading.typed import variables_of
from ...verdicts import CANNOT_TELL, FAIL, PASS
from .look import Source, TrustLook, seen
from .report import check_paths, write_reports
from .sources.authorities import gateway_authority, mesh_authority, mesh_roots
from .sources.clocks import clocks
from .sources.clusters import connection, originations, remote_clusters
from .sources.gateways import gateway_credentials
from .sources.mesh_ca import mesh_ca_rotation
from .sources.rotations import rotations
from .sources.unnamed import unnamed
from .sources.webhooks import istiods, webhooks
from .sources.workloads import workloads

if TYPE_CHECKING:
    from ...context import Context

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "mesh": {"type": "str", "required": True},
    "gateways": {"type": "list", "elements": "dict", "default": []},
    "installed_gateways": {"type": "list", "elements": "dict"},
    "istio_namespace": {"type": "str", "default": DEFAULT_NAMESPACE},
    "ca_namespace": {"type": "str", "default": "servicemesh-system"},
    "ca_secret": {"type": "str", "default": "servicemesh-ca", "no_log": False},
    "limits": {"type": "dict", "default": {}},
    "max_proxies": {"type": "int", "default": 2000},
    "rotation_period": {"type": "raw", "default": 0},
    "mesh_ca_limit": {"type": "raw", "default": 259200},
    "report_path": {"type": "list", "elements": "str", "default": []},
    "fail_on": {
        "type": "list",
        "elements": "str",
        "default": [FAIL],
        "choices": [FAIL, CANNOT_TELL, DUE],
    },
}
VARIABLES = variables_of(
    ARGUMENT_SPEC,
    "trust_",
    mesh="mesh_name",
    gateways="mesh_gateways",
    installed_gateways="istio_gateways",
    istio_namespace="istio_namespace",
    ca_namespace="certificates_ca_namespace",
    ca_secret="certificates_ca_secret",  # noqa: S106 - the name of a variable
)
# What is looked for, where (in the words of the report), and who looks.
SOURCES: tuple[tuple[str, str, Source], ...] = (
    (GATEWAY, "the gateways' credentials", gateway_credentials),
    (GATEWAY_CA, "the CA of the gateways' certificates", gateway_authority),
    (MESH_CA, "the mesh's CA", mesh_authority),
    (MESH_ROOT, "the mesh's roots", mesh_roots),
    (ISTIOD, "istiod's own certificate", istiods),
    (WEBHOOK, "the webhooks' CA bundles", webhooks),
    (WORKLOAD, "the proxies' certificates", workloads),
    (REMOTE, "the kubeconfigs of remote clusters", remote_clusters),
    (ORIGINATION, "the credentials of DestinationRules", originations),
    (GATEWAY, "certificates that only proxies show", unnamed),
    (CONNECTION, "this run's kubeconfig", connection),
    (CLOCK, "the nodes' clocks", clocks),
    (ROTATION, "the schedule of rotations", rotations),
    (ROTATION, "the rotation of the mesh's CA", mesh_ca_rotation),
)
SOONEST = 10


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Looks everywhere and judges.

    :returns: ``changed`` (false), ``status``, ``headline``, ``counts`` (by verdict), ``findings`` (what is no
        pass), ``soonest`` (the ten certificates that end first).
    :raises InputError: bad gateways, limits or report paths. :raises MeshError: the verdict is one of
        ``fail_on``; its details are the whole result.
    """
    if not HAS_CRYPTOGRAPHY:
        raise MeshError("trust_info needs the Python package cryptography where the task runs")
    installed = {"istio_gateways": params["installed_gateways"], "istio_namespace": params["istio_namespace"]}
    credentials = credentials_of(params["gateways"], gateways_of(installed))
    limits = read_limits(params["limits"])
    if params["max_proxies"] < 1:
        raise InputError([Problem("trust_max_proxies", f"is {params['max_proxies']}, not above 0", "range")])
    check_paths(params["report_path"])
    options = ConnectionOptions.from_params(params, context.environment)
    with context.client(options) as client:
        now = server_time(client) or datetime.datetime.fromtimestamp(context.clock.now(), datetime.UTC)
        look = TrustLook(
            client=client,
            judge=TrustJudge(now, limits),
            clock=context.clock,
            target=target_of(options),
            mesh=params["mesh"],
            istio_namespace=params["istio_namespace"],
            credentials=credentials,
            authority_home=(params["ca_namespace"], params["ca_secret"]),
            max_proxies=params["max_proxies"],
            rotation_period=float(params["rotation_period"]),
            mesh_ca_limit=float(params["mesh_ca_limit"]),
        )
        entries = look_everywhere(look)
    result = result_of(entries, now)
    write_reports(params["report_path"], params["mesh"], entries, result, now)
    if result["status"] in params["fail_on"]:
        raise MeshError(result["headline"], **result)
    return result


def look_everywhere(look: TrustLook) -> list[TrustEntry]:
    """Everything that can end a mesh.

    :returns: by source; what a source may not see is an entry of its own.
    """
    entries: list[TrustEntry] = []
    for kind, where, source in SOURCES:
        found = seen(kind, where, source, look)
        look.told.update(entry.life.serial for entry in found if entry.life is not None)
        entries += found
    return entries


def read_limits(given: Mapping[str, Any]) -> dict[str, Limits]:
    """``trust_limits``: shares of life by kind, such as ``{mesh root: {due: 0.1, fail: 0.02}}``.

    :returns: kind -> limits; others keep the defaults.
    :raises InputError: an unknown kind, or numbers that are no shares with ``fail`` below ``due``.
    """
    problems, limits = [], {}
    for kind, entry in given.items():
        where = f"trust_limits[{kind!r}]"
        if kind not in KINDS:
            problems.append(Problem(where, f"is none of {', '.join(KINDS)}", "choice"))
            continue
        if not isinstance(entry, Mapping) or not set(entry) <= {"due", "fail"}:
            problems.append(Problem(where, "is no mapping of due and fail", "type"))
            continue
        try:
            found = Limits(**{name: float(value) for name, value in entry.items()})
        except (TypeError, ValueError):
            problems.append(Problem(where, "due and fail are numbers, such as 0.33", "type"))
            continue
        if not 0 <= found.fail <= found.due < 1:
            text = f"due is {found.due:g} and fail is {found.fail:g}, not 0 <= fail <= due < 1"
            problems.append(Problem(where, text, "range"))
        limits[kind] = found
    if problems:
        raise InputError(problems)
    return limits


def result_of(entries: Sequence[TrustEntry], now: datetime.datetime) -> dict[str, Any]:
    """The module's result. :returns: see :func:`run`."""
    status = worst(entry.verdict for entry in entries)
    counts = {verdict: sum(entry.verdict == verdict for entry in entries) for verdict in ORDER}
    dated = sorted((entry for entry in entries if entry.life), key=_end)
    return {
        "changed": False,
        "status": status,
        "headline": _headline(status, entries, counts, dated, now),
        "counts": counts,
        "findings": [
            entry.as_result(now)
            for verdict in ORDER
            if verdict != PASS
            for entry in entries
            if entry.verdict == verdict
        ],
        "soonest": [entry.as_result(now) for entry in dated[:SOONEST]],
    }


def _end(entry: TrustEntry) -> datetime.datetime:
    return entry.life.not_after if entry.life else datetime.datetime.max.replace(tzinfo=datetime.UTC)


def _headline(
    status: str,
    entries: Sequence[TrustEntry],
    counts: Mapping[str, int],
    dated: Sequence[TrustEntry],
    now: datetime.datetime,
) -> str:
    numbers = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    bad = next((entry for entry in entries if entry.verdict == status and status != PASS), None)
    if bad is not None:
        return (
            f"{status}: {bad.where}: {bad.part + ' ' if bad.part else ''}{bad.reasons[0].message} ({numbers})"
        )
    first = dated[0] if dated else None
    if first is None or first.life is None:
        return f"{status}: no certificate was found ({numbers or 'nothing was looked at'})"
    days = (first.life.not_after - now).total_seconds() / 86_400
    soonest = f"the first to end is {first.where} in {days:.1f} days"
    return f"{status}: {len(dated)} certificates; {soonest} ({numbers})"
