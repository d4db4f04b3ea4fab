# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads ``mesh_*`` variables into a :class:`~.mesh.Catalogue`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..installation.gateways import InstalledGateway, read_gateways, read_namespace
from ..reading.problems import Problems
from ..reading.reader import Reader
from ..reading.values import DOMAIN, EGRESS_HOST, HOST, LABEL, TEXT
from .consistency import check_consistency
from .mesh import Catalogue, MetricTags, RateLimitService, Telemetry
from .reach import check_reach
from .readers.external import read_external_service
from .readers.gateway import read_egress_gateway, read_gateway
from .readers.service import Defaults, read_open, read_service
from .services import MTLS_MODES

OUTBOUND = ("REGISTRY_ONLY", "ALLOW_ANY")
METRICS = (
    "ALL_METRICS",
    "REQUEST_COUNT",
    "REQUEST_DURATION",
    "REQUEST_SIZE",
    "RESPONSE_SIZE",
    "TCP_OPENED_CONNECTIONS",
    "TCP_CLOSED_CONNECTIONS",
    "TCP_SENT_BYTES",
    "TCP_RECEIVED_BYTES",
    "GRPC_REQUEST_MESSAGES",
    "GRPC_RESPONSE_MESSAGES",
)

BOUNDED_EXPRESSIONS = frozenset(
    {
        "request.method",
        "request.protocol",
        "request.scheme",
        "response.code",
        "response.grpc_status",
        "connection.mtls",
        "destination.port",
        "xds.cluster_name",
        "xds.route_name",
    }
)
"""Attributes with few values. A metric tag from a path, a user or an address would grow without bound."""

INSTALLATION_KEYS = ("istio_gateways", "istio_namespace", "istio_revision")
"""Variables of the installation that say where istiod and the gateways are."""

CATALOGUE_KEYS = (
    "mesh_name",
    "mesh_namespace",
    "mesh_root_namespace",
    "mesh_mtls_mode",
    "mesh_outbound",
    "mesh_trust_domain",
    "mesh_trust_domain_aliases",
    "mesh_cluster_domain",
    "mesh_default_deny",
    "mesh_open",
    "mesh_sidecar_hosts",
    "mesh_gateways",
    "mesh_services",
    "mesh_external_services",
    "mesh_egress_gateway",
    "mesh_telemetry",
    "mesh_rate_limit_service",
    *INSTALLATION_KEYS,
)
"""The variables that describe a mesh, in the order of the documentation."""

ROLE_SETTINGS = (
    "mesh_access_guard",
    "mesh_check",
    "mesh_cluster_check",
    "mesh_connection",
    "mesh_extension_providers",
    "mesh_force",
    "mesh_hosts",
    "mesh_hosts_fail_on",
    "mesh_istioctl_path",
    "mesh_not_deployed",
    "mesh_prometheus",
    "mesh_prune",
    "mesh_prune_all",
    "mesh_releases",
    "mesh_render_directory",
    "mesh_repair_split",
    "mesh_reports_directory",
    "mesh_reports_keep",
    "mesh_resource_paths",
    "mesh_resource_templates",
    "mesh_serial",
    "mesh_state",
    "mesh_strict_guard",
    "mesh_strict_guard_window",
    "mesh_take_over",
    "mesh_wait",
    "mesh_wait_timeout",
)
"""Variables of the roles and plays that may stand in the same file and describe no object."""


def parse_catalogue(raw: Mapping[str, Any]) -> Catalogue:
    """Reads and checks a catalogue.

    :param raw: the variables of ``CATALOGUE_KEYS``, plain YAML values; ``ROLE_SETTINGS`` are ignored.
    :raises InputError: with every problem at once; ``where`` is the variable path.
    """
    problems = Problems()
    catalogue, installed = _read(Reader(raw, "", problems))
    check_consistency(catalogue, problems)
    check_reach(catalogue, installed, problems)
    problems.check(raw)
    return catalogue


def _read(reader: Reader) -> tuple[Catalogue, tuple[InstalledGateway, ...]]:
    for name in ROLE_SETTINGS:
        reader.value(name)
    namespace = reader.text("mesh_namespace", LABEL, default="default")
    defaults = Defaults(
        namespace=namespace,
        trust_domain=reader.text("mesh_trust_domain", DOMAIN, default="cluster.local"),
        cluster_domain=reader.text("mesh_cluster_domain", DOMAIN, default="cluster.local"),
    )
    installed = read_gateways(reader)
    istio_namespace = read_namespace(reader)
    catalogue = Catalogue(
        name=reader.text("mesh_name", LABEL),
        namespace=namespace,
        istio_namespace=istio_namespace,
        root_namespace=reader.text("mesh_root_namespace", LABEL, default=istio_namespace),
        mtls_mode=reader.choice("mesh_mtls_mode", MTLS_MODES, default="STRICT"),
        outbound=reader.choice("mesh_outbound", OUTBOUND, default="REGISTRY_ONLY"),
        trust_domain=defaults.trust_domain,
        trust_domain_aliases=reader.texts("mesh_trust_domain_aliases", DOMAIN),
        cluster_domain=defaults.cluster_domain,
        default_deny=reader.boolean("mesh_default_deny", default=True),
        open_reason=_open_mesh(reader),
        sidecar_hosts=reader.texts("mesh_sidecar_hosts", EGRESS_HOST, default=(f"{istio_namespace}/*",)),
        services=tuple(read_service(item, defaults) for item in reader.sections("mesh_services")),
        gateways=tuple(read_gateway(item, defaults, installed) for item in reader.sections("mesh_gateways")),
        external_services=tuple(
            read_external_service(item, defaults) for item in reader.sections("mesh_external_services")
        ),
        egress_gateway=read_egress_gateway(
            _optional(reader, "mesh_egress_gateway"), defaults, installed, reader.problems
        ),
        telemetry=_telemetry(_optional(reader, "mesh_telemetry")),
        rate_limit_service=_rate_limit_service(_optional(reader, "mesh_rate_limit_service")),
    )
    reader.finish()
    return catalogue, installed


def _open_mesh(reader: Reader) -> str | None:
    """``mesh_open``, where an empty mapping is the absent one of a role's defaults."""
    return None if reader.value("mesh_open") == {} else read_open(reader, "mesh_open")


def _optional(reader: Reader, key: str) -> Reader | None:
    """A section that may be absent or empty, as in a role's defaults."""
    return None if reader.value(key) == {} else reader.section(key)


def _telemetry(reader: Reader | None) -> Telemetry | None:
    if reader is None:
        return None
    telemetry = Telemetry(
        access_log=reader.choice("access_log", ("errors", "all", "none"))
        if reader.has("access_log")
        else None,
        access_log_provider=reader.text("access_log_provider", TEXT, default="envoy"),
        trace_sampling_percent=reader.maybe_number("trace_sampling_percent", 0, 100),
        tracing_provider=reader.maybe_text("tracing_provider", TEXT),
        metrics=_metrics(reader.section("metrics")),
    )
    reader.finish()
    return telemetry


def _metrics(reader: Reader | None) -> MetricTags | None:
    if reader is None:
        return None
    added: dict[str, str] = {}
    table = reader.section("add_tags")
    for tag, expression in (table.raw() if table else {}).items():
        if not isinstance(expression, str) or expression not in BOUNDED_EXPRESSIONS:
            reader.fault(
                "add_tags",
                f"{tag} takes its value from {expression!r}, whose values may be unbounded; allowed are "
                + ", ".join(sorted(BOUNDED_EXPRESSIONS)),
                "metric-cardinality",
            )
        else:
            added[tag] = expression
    metrics = MetricTags(
        provider=reader.text("provider", TEXT, default="prometheus"),
        remove=reader.texts("remove_tags", TEXT),
        add=added,
        disabled=reader.choices("disabled", METRICS),
    )
    reader.finish()
    if not (metrics.remove or metrics.add or metrics.disabled) and reader.sound():
        reader.fault("", "changes nothing: give remove_tags, add_tags or disabled", "empty")
    return metrics


def _rate_limit_service(reader: Reader | None) -> RateLimitService | None:
    if reader is None:
        return None
    service = RateLimitService(
        host=reader.text("host", HOST),
        port=reader.integer("port", 1, 65535, default=8081),
        namespace=reader.text("namespace", LABEL),
        timeout=reader.duration("timeout") or "100ms",
        deny_on_failure=reader.boolean("deny_on_failure", default=False),
    )
    reader.finish()
    return service
