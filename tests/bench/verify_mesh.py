"""Judges a mesh in memory as verify does, and prints CPU seconds by step and the peak of memory as JSON.

A shared machine is half as fast from one minute to the next, so each step is also told as a ratio: how often the mesh
could have been read as JSON meanwhile, measured before and after it.

A program of its own, so that the peak is that of this alone: ``verify_mesh.py SERVICES REPLICAS``.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import Identity
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.routes import (
    ProxyRoute,
    VirtualHost,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.call_plan import plan_calls
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.cells import Cells
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks.mtls import (
    InboundState,
    check_listeners,
    check_modes,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks.objects import (
    check_objects,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks.policies import (
    check_policies,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.dumps import (
    ProxyDump,
    ProxyDumps,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.live_objects import (
    LiveObjects,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.mtls.callers import (
    check_callers,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.picture import Picture
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.surroundings import (
    Surroundings,
)

NAMESPACES = 20
PART = 4


def catalogue(services: int) -> dict[str, Any]:
    def caller(number: int) -> dict[str, Any]:
        place = number % services
        named = {"service": f"s{place}", "namespace": f"ns{place % NAMESPACES}"}
        return {**named, "methods": ["GET", "POST"], "paths": ["/api", "/api/*"]}

    return {
        "mesh_name": "bench",
        "mesh_namespace": "ns0",
        "mesh_services": [
            {
                "name": f"s{number}",
                "namespace": f"ns{number % NAMESPACES}",
                "ports": [{"name": "http", "number": 3000, "protocol": "http"}],
                "open_paths": ["/health"],
                "callers": [caller(number + step) for step in range(1, 5)],
            }
            for number in range(services)
        ],
    }


def address(number: int, replica: int) -> str:
    """The address of a pod of its own."""
    return f"10.{number // 256}.{number % 256}.{replica + 1}"


def objects(services: int, replicas: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number in range(services):
        name, place = f"s{number}", f"ns{number % NAMESPACES}"
        spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 3000}]}
        found.append({"kind": "Service", "metadata": {"name": name, "namespace": place}, "spec": spec})
        for replica in range(replicas):
            labels = {"app": name, "version": "v1", "pod-template-hash": f"{number:x}"}
            found.append(
                {
                    "kind": "Pod",
                    "metadata": {"name": f"{name}-{replica}", "namespace": place, "labels": labels},
                    "spec": {
                        "serviceAccountName": name,
                        "initContainers": [{"name": "istio-init", "args": ["istio-iptables"]}],
                        "containers": [
                            {"name": "app"},
                            {"name": "istio-proxy", "args": ["proxy", "sidecar"]},
                        ],
                    },
                    "status": {
                        "phase": "Running",
                        "podIP": address(number, replica),
                        "containerStatuses": [{"name": "istio-proxy", "ready": True}],
                    },
                }
            )
    return found


def foreign() -> list[dict[str, Any]]:
    """What another team has: nothing that a proxy of the mesh is told."""
    spec = {"hosts": ["*.ns0.svc.cluster.local"], "http": [{"route": [{"destination": {"host": "x"}}]}]}
    return [
        {"kind": "VirtualService", "metadata": {"name": f"v{number}", "namespace": "other"}, "spec": spec}
        for number in range(20)
    ]


def dump(services: int, replicas: int, number: int) -> ProxyDump:
    """What the proxy of service ``number`` knows of the four that it calls."""
    callees = [(number - step) % services for step in range(1, 5)]
    hosts = {one: f"s{one}.ns{one % NAMESPACES}.svc.cluster.local" for one in callees}
    routed = tuple(
        VirtualHost(
            "3000",
            host,
            frozenset({host, f"{host}:3000"}),
            (ProxyRoute("split", f"ns{one % NAMESPACES}/s{one}", {f"outbound|3000|v1|{host}": 100.0}),),
        )
        for one, host in hosts.items()
    )
    ends = {
        f"outbound|3000|v1|{host}": frozenset((address(one, replica), 3000) for replica in range(replicas))
        for one, host in hosts.items()
    }
    return ProxyDump({}, routed, frozenset(ends), (), endpoints=ends)


def reading(text: str) -> float:
    """CPU seconds in which this machine, now, reads the mesh as JSON, by a part of it."""
    started = time.process_time()
    json.loads(text)
    return (time.process_time() - started) * PART


def main(services: int, replicas: int) -> None:
    mesh = parse_catalogue(catalogue(services))
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for item in (*render(mesh), *objects(services, replicas)):
        by_kind.setdefault(item["kind"], []).append(item)
    live = LiveObjects(by_kind, [], {}, frozenset())
    accounts = frozenset(Identity(one.namespace, one.service_account) for one in mesh.services)
    seconds: dict[str, float] = {}
    ratios: dict[str, float] = {}
    text = json.dumps([item for kind in by_kind.values() for item in kind[: len(kind) // PART]])
    readings = [reading(text)]

    def step(name: str, work: Any) -> Any:
        started = time.process_time()
        result = work()
        spent = time.process_time() - started
        readings.append(reading(text))
        seconds[name] = round(spent, 2)
        ratios[name] = round(2 * spent / (readings[-2] + readings[-1]), 1)
        return result

    picture = step("picture", lambda: Picture(mesh, live, mesh.namespaces))
    findings = step("policies", lambda: check_policies(picture, Cells(picture.trust_domains)))
    assert {finding.verdict for finding in findings} == {"pass"}
    assert step("modes", lambda: check_modes(picture)) == []
    step("callers", lambda: check_callers(picture))
    inbound = InboundState({})
    step("listeners", lambda: [check_listeners(picture, one, inbound) for one in mesh.services])
    around = Surroundings(by_kind | {"VirtualService": [*by_kind["VirtualService"], *foreign()]})
    proxies = [proxy for proxy in live.proxies() if not proxy.gateway]
    held = {str(proxy): dump(services, replicas, int(proxy.service_account[1:])) for proxy in proxies}
    shown = ProxyDumps(held, {})
    found = step("objects", lambda: check_objects(picture, around, proxies, shown, {}))
    assert {finding.verdict for finding in found} == {"pass", "beside the catalogue"}
    step("plan", lambda: plan_calls(mesh, accounts, unsafe_methods=False, pods=live.addresses(mesh)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "ratios": ratios, "peak MiB": round(peak)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
