"""Istio objects of eight kinds in forty namespaces, about 1.7 kB of JSON each, always the same ones."""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]
NAMESPACES = [f"bench-{number:02}" for number in range(40)]
KINDS = {
    "VirtualService": "networking.istio.io/v1",
    "DestinationRule": "networking.istio.io/v1",
    "AuthorizationPolicy": "security.istio.io/v1",
    "PeerAuthentication": "security.istio.io/v1",
    "ServiceEntry": "networking.istio.io/v1",
    "Sidecar": "networking.istio.io/v1",
    "RequestAuthentication": "security.istio.io/v1",
    "Gateway": "networking.istio.io/v1",
}


def objects(count: int, changed: int = 0) -> list[Obj]:
    """The objects; every hundredth has another label when ``changed`` is not 0."""
    made = []
    kinds = list(KINDS)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        namespace = NAMESPACES[(number // len(kinds)) % len(NAMESPACES)]
        name = f"service-{number:05}"
        labels = {
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/part-of": "bench",
            "team": f"team-{number % 7}",
        }
        if changed and number % 100 == 0:
            labels["changed"] = str(changed)
        annotations = {
            f"example.com/note-{index}": f"{name} in {namespace}: " + "x" * 90 for index in range(3)
        }
        made.append(
            {
                "apiVersion": KINDS[kind],
                "kind": kind,
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "labels": labels,
                    "annotations": annotations,
                },
                "spec": _SPECS[kind](name, namespace, number),
            }
        )
    return made


def _virtual_service(name: str, namespace: str, number: int) -> Obj:
    host = f"{name}.{namespace}.svc.cluster.local"
    return {
        "hosts": [host],
        "http": [
            {
                "name": f"route-{index}",
                "match": [
                    {"uri": {"prefix": f"/api/v{index}"}, "headers": {"x-user": {"exact": f"u{index}"}}}
                ],
                "route": [
                    {"destination": {"host": host, "subset": "v1"}, "weight": 90},
                    {"destination": {"host": host, "subset": "v2"}, "weight": 10},
                ],
                "timeout": "10s",
                "retries": {
                    "attempts": 2,
                    "perTryTimeout": "3s",
                    "retryOn": "connect-failure,refused-stream",
                },
            }
            for index in range(3)
        ],
    }


def _destination_rule(name: str, namespace: str, number: int) -> Obj:
    return {
        "host": f"{name}.{namespace}.svc.cluster.local",
        "trafficPolicy": {
            "connectionPool": {
                "tcp": {"maxConnections": 100 + number % 9},
                "http": {"http2MaxRequests": 1000},
            },
            "outlierDetection": {"consecutive5xxErrors": 5, "interval": "30s", "baseEjectionTime": "30s"},
            "loadBalancer": {"simple": "LEAST_REQUEST"},
        },
        "subsets": [
            {
                "name": f"v{index}",
                "labels": {"version": f"v{index}"},
                "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 10 + index}}},
            }
            for index in range(6)
        ],
    }


def _authorization_policy(name: str, namespace: str, number: int) -> Obj:
    return {
        "selector": {"matchLabels": {"app": name}},
        "action": "ALLOW",
        "rules": [
            {
                "from": [{"source": {"principals": [f"cluster.local/ns/{namespace}/sa/caller-{index}"]}}],
                "to": [
                    {"operation": {"methods": ["GET", "POST"], "paths": [f"/api/{index}", f"/api/{index}/*"]}}
                ],
            }
            for index in range(6)
        ],
    }


def _peer_authentication(name: str, namespace: str, number: int) -> Obj:
    ports = {str(8000 + index): {"mode": "PERMISSIVE" if index % 2 else "STRICT"} for index in range(12)}
    return {"selector": {"matchLabels": {"app": name}}, "mtls": {"mode": "STRICT"}, "portLevelMtls": ports}


def _service_entry(name: str, namespace: str, number: int) -> Obj:
    return {
        "hosts": [f"{name}-{index}.example.com" for index in range(8)],
        "location": "MESH_EXTERNAL",
        "resolution": "DNS",
        "ports": [
            {"number": 443, "name": "tls", "protocol": "TLS"},
            {"number": 80, "name": "http", "protocol": "HTTP"},
        ],
        "exportTo": [".", "bench-00"],
    }


def _sidecar(name: str, namespace: str, number: int) -> Obj:
    hosts = [
        f"{other}/service-{index:05}.{other}.svc.cluster.local" for index, other in enumerate(NAMESPACES[:12])
    ]
    return {"workloadSelector": {"labels": {"app": name}}, "egress": [{"hosts": [*hosts, "istio-system/*"]}]}


def _request_authentication(name: str, namespace: str, number: int) -> Obj:
    return {
        "selector": {"matchLabels": {"app": name}},
        "jwtRules": [
            {
                "issuer": f"https://issuer-{index}.example.com",
                "jwksUri": f"https://issuer-{index}.example.com/.well-known/jwks.json",
                "audiences": [name, namespace],
                "forwardOriginalToken": True,
            }
            for index in range(4)
        ],
    }


def _gateway(name: str, namespace: str, number: int) -> Obj:
    return {
        "selector": {"istio": "ingressgateway"},
        "servers": [
            {
                "port": {"number": 443, "name": f"https-{index}", "protocol": "HTTPS"},
                "hosts": [f"{namespace}/{name}-{index}.example.com"],
                "tls": {
                    "mode": "SIMPLE",
                    "credentialName": f"{name}-{index}",
                    "minProtocolVersion": "TLSV1_2",
                },
            }
            for index in range(5)
        ],
    }


_SPECS = {
    "VirtualService": _virtual_service,
    "DestinationRule": _destination_rule,
    "AuthorizationPolicy": _authorization_policy,
    "PeerAuthentication": _peer_authentication,
    "ServiceEntry": _service_entry,
    "Sidecar": _sidecar,
    "RequestAuthentication": _request_authentication,
    "Gateway": _gateway,
}
