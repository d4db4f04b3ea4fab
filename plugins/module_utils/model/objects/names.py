# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of everything that is computed. No two names of one kind can meet, whatever a catalogue says.

Services, gateways, external services and meshes are called by DNS labels, which hold no dot. So every name
with a dot is ours: its first label says what kind of thing it is about, the rest are the parts, of which only
the last one, a host, may hold dots itself. Where parts cannot be read back out of a name (it is too long, or
a host really begins with ``wildcard``), a digest of the parts ends it. A name never depends on other entries
of a catalogue: a new service must not rename what its neighbour has.

Names that may hold no dot (subsets, and ports and names of Gateways, out of which istiod builds the names of
route tables: ``ParseGatewayRDSRouteName``) are made by :func:`host_label` and :func:`digested`.
"""

from __future__ import annotations

import hashlib
import re

_LONGEST_NAME = 253  # apimachinery, DNS1123SubdomainMaxLength
_LONGEST_LABEL = 63
_ENDS_IN_DIGEST = re.compile(r".*-[0-9a-f]{8}", re.ASCII | re.DOTALL)
_WILDCARD = "wildcard"

DEFAULT_DENY = "mesh-default-deny"
NAMESPACE_TELEMETRY = "mesh-telemetry"
NAMESPACE_WIDE = "default"
"""Name of the PeerAuthentication of a whole namespace."""


def delegate_name(service: str) -> str:
    """The VirtualService that holds the routes of a service."""
    return f"{service}-routes"


def mesh_root_name(service: str) -> str:
    """The VirtualService for callers in the mesh: ``a-routes`` would be the delegate of a service ``a``."""
    return f"{service}.mesh" if service.endswith("-routes") else service


def service_policy_name(service: str) -> str:
    """The AuthorizationPolicy of a service."""
    return _beside(service, DEFAULT_DENY)


def service_mtls_name(service: str) -> str:
    """The PeerAuthentication of a service."""
    return _beside(service, NAMESPACE_WIDE)


def service_telemetry_name(service: str) -> str:
    """The Telemetry of a service."""
    return _beside(service, NAMESPACE_TELEMETRY)


def _beside(service: str, reserved: str) -> str:
    return f"{service}.service" if service == reserved else service


def gateway_root_name(gateway: str, host: str) -> str:
    """The VirtualService of a host of a gateway."""
    return _dotted("gateway", gateway, host)


def gateway_policy_name(gateway: str) -> str:
    """The AuthorizationPolicy that opens a gateway within a namespace of the mesh."""
    return f"gateway.{gateway}"


def external_name(external: str, host: str) -> str:
    """DestinationRule and VirtualService of a host of an external service."""
    return _dotted("external", external, host)


def egress_routes_name(external: str, host: str) -> str:
    """The VirtualService that sends a host through the egress gateway."""
    return _dotted("egress", external, host)


def egress_gateway_name(external: str) -> str:
    """The Gateway of an external service at the egress gateway, beside those of ``mesh_gateways``."""
    return digested(f"egress-{external}", "egress", external)


def egress_name(mesh: str) -> str:
    """DestinationRule and AuthorizationPolicy of a mesh at the egress gateway, which meshes may share."""
    return f"egress.{mesh}"


def egress_subset_name(mesh: str, external: str, host: str) -> str:
    """The subset of the egress gateway for one host."""
    return digested(f"{mesh}-{external}", mesh, external, host)


def service_limit_name(service: str) -> str:
    """The EnvoyFilter that limits at a service."""
    return f"{service}-rate-limit"


def gateway_limit_name(mesh: str, gateway: str) -> str:
    """The EnvoyFilter of a mesh that limits at a gateway, which meshes may share."""
    return f"gateway.{mesh}.{gateway}"


def limits_name(mesh: str) -> str:
    """The ConfigMap for the rate limit service. ``servicemesh-`` begins the names of release records."""
    return f"{mesh}.rate-limits" if mesh.startswith("servicemesh-") else f"{mesh}-rate-limits"


def route_name(given: str, reserved: str) -> str:
    """An HTTP route that a person has named, beside a computed one. What is computed has a dot."""
    return f"{given}.route" if given == reserved else given


def exposed_route_name(namespace: str, service: str) -> str:
    """The route of a gateway's root. istiod joins it and the delegate's by ``-``, which both may hold: the
    colon shows where one ends (pilot/pkg/model/virtualservice.go, mergeHTTPRoute)."""
    return f"{namespace}/{service}:"


def exposed_port_route_name(namespace: str, service: str, port: str) -> str:
    """The route of a gateway's root to a further HTTP port. Those of a delegate go on with ``-``."""
    return f"{exposed_route_name(namespace, service)}{port}"


def headless_root_name(name: str) -> str:
    """The VirtualService of a headless companion."""
    return f"headless.{name}"


def side_port_route_name(service: str, port: str) -> str:
    """The route of a further HTTP port of a service."""
    return f"{service}.{port}"


def host_label(prefix: str, host: str) -> str:
    """A host as one DNS label behind ``prefix``: ``https`` and ``*.example.com`` give
    ``https-wildcard-example-com``."""
    label = f"{prefix}-{host.replace('*', _WILDCARD, 1).replace('.', '-')}"
    plain = len(label) <= _LONGEST_LABEL and "-" not in host and not host.startswith(f"{_WILDCARD}.")
    if plain and not _ENDS_IN_DIGEST.fullmatch(label):
        return label
    return digested(label, host)


def digested(readable: str, *parts: str) -> str:
    """A DNS label that begins like ``readable`` and ends in a digest of ``parts``."""
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
    return f"{readable[: _LONGEST_LABEL - 9].rstrip('-')}-{digest}"


def _dotted(kind: str, entry: str, host: str) -> str:
    name = ".".join((kind, entry, host.replace("*", _WILDCARD, 1)))
    if len(name) <= _LONGEST_NAME and not host.startswith(f"{_WILDCARD}."):
        return name
    # No host ends in a number, so these names are apart from the others.
    digest = int.from_bytes(hashlib.sha256(f"{entry}\0{host}".encode()).digest()[:8], "big")
    return f"{name[: _LONGEST_NAME - 21].rstrip('-.')}.{digest:020}"
