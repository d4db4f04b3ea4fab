# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes on in a mesh: addresses, dashboards, versions, rollouts, certificates, traffic. Reads only.

Backend of module ``mesh_info``. What could not be read is said under ``untold``; it is never a zero.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...istio.metrics import PROMETHEUS_SPEC
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...kube.server_time import server_time
from ...kube.target import target_of
from ...model.certificates.credentials import credentials_of
from ...model.certificates.trust import TrustJudge
from ...model.certificates.x509 import HAS_CRYPTOGRAPHY
from ...model.observe.report import Report
from ...model.observe.text import text_lines
from ...model.reading.typed import variables_of
from ...verdicts import CANNOT_TELL, PASS
from ..canary.info import rollouts
from ..trust.backend import look_everywhere, result_of
from ..trust.look import TrustLook
from .addresses import gateway_addresses
from .dashboards import dashboards
from .grafana import write_dashboard
from .look import ObserveLook
from .options import (
    ADDRESSES,
    CERTIFICATES,
    DASHBOARDS,
    OVERHEAD,
    PARTS,
    ROLLOUTS,
    TRAFFIC,
    VERSIONS,
    ObserveOptions,
)
from .report import write_reports
from .traffic import traffic
from .usage import overhead, saturations, usage
from .versions import versions

if TYPE_CHECKING:
    from ...context import Context

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "catalogue": {"type": "dict", "required": True},
    "show": {"type": "list", "elements": "str", "choices": list(PARTS), "default": list(PARTS)},
    "prometheus": PROMETHEUS_SPEC,
    "window": {"type": "raw", "default": 300},
    "addons": {"type": "list", "elements": "str", "default": []},
    "addons_namespace": {"type": "str", "default": ""},
    "ca_namespace": {"type": "str", "default": "servicemesh-system"},
    "ca_secret": {"type": "str", "default": "servicemesh-ca", "no_log": False},
    "max_proxies": {"type": "int", "default": 2000},
    "top": {"type": "int", "default": 10},
    "report_path": {"type": "list", "elements": "str", "default": []},
    "dashboard_path": {"type": "str", "default": ""},
}
VARIABLES = variables_of(
    ARGUMENT_SPEC,
    "observe_",
    addons="addons_enabled",
    addons_namespace="addons_namespace",
    ca_namespace="certificates_ca_namespace",
    ca_secret="certificates_ca_secret",  # noqa: S106 - the name of a variable
)


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Looks at what is asked for.

    :returns: ``changed`` (false), ``status``, ``headline``, ``untold``, ``lines``, and a key for each part
        that was asked for, see module ``mesh_info``.
    :raises InputError: the input is refused. :raises MeshError: a report cannot be written.
    """
    options = ObserveOptions.from_params(params)
    connection = ConnectionOptions.from_params(params, context.environment)
    with context.client(connection) as client:
        now = server_time(client) or datetime.datetime.fromtimestamp(context.clock.now(), datetime.UTC)
        report = _report(ObserveLook(client, context.clock, options, connection), now)
    write_reports(options.report_path, report)
    return {
        "changed": False,
        "status": report.status,
        "headline": report.headline,
        "untold": report.untold,
        "lines": text_lines(report, options.top),
        **report.parts(options.top),
    }


def _report(look: ObserveLook, now: datetime.datetime) -> Report:
    show = look.options.show
    report = Report(mesh=look.catalogue.name, at=now)
    if ADDRESSES in show:
        report.addresses = look.attempt(ADDRESSES, lambda: gateway_addresses(look), None)
    if DASHBOARDS in show:
        report.dashboards = look.attempt(DASHBOARDS, lambda: dashboards(look), None)
    if VERSIONS in show:
        report.versions = look.attempt(VERSIONS, lambda: versions(look), None)
    path = look.options.dashboard_path
    if ROLLOUTS in show or path:
        found = look.attempt(ROLLOUTS, lambda: rollouts(look.client, look.clock, look.catalogue), None)
        report.rollouts = found if ROLLOUTS in show else None
        if path:
            write_dashboard(path, look, found)
    if CERTIFICATES in show:
        report.certificates = _certificates(look, now)
    if {TRAFFIC, OVERHEAD} & show:
        used = look.attempt(OVERHEAD, lambda: usage(look), {})
        if OVERHEAD in show:
            report.overhead = look.attempt(OVERHEAD, lambda: overhead(look, used), None)
    if TRAFFIC in show:
        seen = look.attempt(TRAFFIC, lambda: traffic(look), None)
        if seen is not None:
            report.traffic, report.idle, report.dark = seen.traffic, seen.idle, seen.dark
            report.saturation = look.attempt(TRAFFIC, lambda: saturations(look, used), {})
    report.stated = tuple(service.key for service in look.catalogue.services)
    report.untold = [{"part": part, "reason": why} for part, why in look.untold]
    report.status = CANNOT_TELL if look.untold else PASS
    return report


def _certificates(look: ObserveLook, now: datetime.datetime) -> dict[str, Any] | None:
    """What module ``trust_info`` says of this mesh, in short.

    :returns: ``status``, ``headline``, ``counts``, ``soonest``; None, with a note, where it cannot be told.
    """
    if not HAS_CRYPTOGRAPHY:
        look.tell_not(CERTIFICATES, "the Python package cryptography is not there where the task runs")
        return None
    options = look.options
    trust = TrustLook(
        client=look.client,
        judge=TrustJudge(now, {}),
        clock=look.clock,
        target=target_of(look.connection),
        mesh=look.catalogue.name,
        istio_namespace=look.catalogue.istio_namespace,
        credentials=credentials_of(options.raw_gateways, options.installed),
        authority_home=options.authority_home,
        max_proxies=options.max_proxies,
    )
    found = look.attempt(CERTIFICATES, lambda: result_of(look_everywhere(trust), now), None)
    if found is None:
        return None
    for finding in found["findings"]:
        if finding["verdict"] == CANNOT_TELL:
            reasons = "; ".join(reason["message"] for reason in finding["reasons"])
            look.tell_not(CERTIFICATES, f"{finding['where']}: {reasons}")
    return {key: found[key] for key in ("status", "headline", "counts", "soonest")}
