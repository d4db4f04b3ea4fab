"""Rendered objects, evaluated, equal what the catalogue states: in every cell of generated catalogues.

``SECURITY_CATALOGUES=5000`` tries that many; without it a fair sample.
"""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.edges import service_edges
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.peer_authentications import (
    port_mode,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security import matrix
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.authorization import (
    PolicyIndex,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.classes import (
    WorkloadPort,
    trials,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.peer_authentication import (
    PeerPolicies,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.requests import ALLOW
from hypothesis import HealthCheck, given, settings

from ...support.catalogues import catalogues
from ..objects.test_policies_oracle import catalogue_lets_in

NUMBER = int(os.environ.get("SECURITY_CATALOGUES", "40"))
DOMAINS = ["cluster.local"]
NOWHERE = "192.0.2.1"


@settings(
    max_examples=NUMBER,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(catalogues())
def test_rendered_objects_are_what_the_catalogue_states(raw: dict[str, Any]) -> None:
    catalogue = parse_catalogue(raw)
    objects = render(catalogue)
    policies = [obj for obj in objects if obj["kind"] == "AuthorizationPolicy"]
    index = PolicyIndex(policies, root_namespace=catalogue.root_namespace, trust_domains=DOMAINS)
    modes = PeerPolicies(
        [obj for obj in objects if obj["kind"] == "PeerAuthentication"], catalogue.root_namespace
    )
    for service, own in zip(catalogue.services, raw["mesh_services"], strict=True):
        ports = [
            WorkloadPort(port.target_port, http=port.is_http, tcp=not port.is_http, plaintext=False)
            for port in service.ports
        ]
        for port in service.ports:
            found, _decided = modes.mode(service.namespace, service.labels, port.target_port)
            assert found == port_mode(catalogue, service, port.target_port)
        edges = service_edges(catalogue, service)
        labels = dict(service.labels)
        tried = trials(
            index.of(service.namespace, labels),
            edges,
            ports,
            namespace=service.namespace,
            trust_domains=DOMAINS,
        )
        held = index.workload(service.namespace, labels)
        assert matrix.compare(held, edges, tried.requests, DOMAINS).differences == ()
        for request in tried.requests:
            asked = (request.principal, request.method, request.path, request.port)
            stated = catalogue_lets_in(raw, own, (*asked, request.source_ip or NOWHERE))
            assert (held.decide(request).verdict == ALLOW) is stated, request
