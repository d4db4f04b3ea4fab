"""The proof of propagation: facts by content, the proxies that matter, bounds, and who is late."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, WaitTimeout
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.listeners import (
    InboundPort,
    gateway_policies,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.rbac import RbacPolicy
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.routes import (
    ProxyRoute,
    VirtualHost,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.expectations import (
    Expectation,
    Scope,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.virtual_services import ExpectedShares
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.propagation import (
    prove as propagation,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.propagation.facts import (
    ProxyFacts,
    is_concerned,
    missing,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.propagation.report import (
    PropagationReport,
)

from ...support.cluster import FakeCluster

FIXTURES = Path(__file__).parents[2] / "istio" / "fixtures"
HOST = "web.shop.svc.cluster.local"
V1, V2 = f"outbound|80|v1|{HOST}", f"outbound|80|v2|{HOST}"


def route(
    weights: dict[str, float], name: str = "web-split", virtual_service: str = "shop/web"
) -> ProxyFacts:
    return ProxyFacts(
        hosts=[VirtualHost("80", HOST, frozenset(), (ProxyRoute(name, virtual_service, weights),))]
    )


def rules(*policies: RbacPolicy) -> ProxyFacts:
    return ProxyFacts(ports={80: InboundPort(80, True, False, frozenset(policies))})


def rule(index: int, *words: str, name: str = "web") -> RbacPolicy:
    return RbacPolicy("shop", name, index, "ALLOW", frozenset(words))


def split(weights: dict[str, float]) -> dict[str, Any]:
    """A route whose every proxy holds these percentages."""
    shares = frozenset({frozenset(weights.items())})
    return {
        "host": HOST,
        "port": 80,
        "virtual_service": "shop/web",
        "shares": ExpectedShares(shares, shares),
    }


ROUTE = split({"v1": 90, "v2": 10})
RBAC = {"policy": "ns[shop]-policy[web]", "rules": 2, "words": [["a", "GET"], ["b"]]}


@pytest.mark.parametrize(
    ("check", "data", "held", "lack"),
    [
        ("route", ROUTE, route({V1: 90.0, V2: 10.0}), ""),
        ("route", ROUTE, route({V1: 100.0}), "is split 100 % v1, not 90 % v1 / 10 % v2"),
        ("route", ROUTE, route({V1: 80.0, V2: 20.0}), "is split 80 % v1 / 20 % v2"),
        ("route", split({"v1": 100}), route({V1: 100.0}), ""),
        ("route", split({"v1": 100}), route({V1: 90.0, V2: 10.0}), "is split"),
        (
            "route",
            ROUTE,
            route({V1: 90.0, V2: 10.0}, virtual_service="shop/other"),
            "no route of VirtualService shop/web",
        ),
        ("route", ROUTE, ProxyFacts(), "no route of VirtualService shop/web"),
        ("route", ROUTE, route({"outbound|81|v1|" + HOST: 100.0}), "no route of VirtualService"),
        (
            "no_virtual_service",
            {"virtual_service": "shop/web"},
            route({V1: 100.0}),
            "still routes by VirtualService shop/web",
        ),
        ("no_virtual_service", {"virtual_service": "shop/old"}, route({V1: 100.0}), ""),
        ("subset", {"host": HOST, "port": 80, "subset": "v1"}, ProxyFacts(clusters=frozenset({V1})), ""),
        (
            "subset",
            {"host": HOST, "port": 80, "subset": "v2"},
            ProxyFacts(clusters=frozenset({V1})),
            f"no cluster {V2}",
        ),
        (
            "no_subset",
            {"host": HOST, "port": 80, "subset": "v1"},
            ProxyFacts(clusters=frozenset({V1})),
            f"still has cluster {V1}",
        ),
        ("no_subset", {"host": HOST, "port": 80, "subset": "v2"}, ProxyFacts(clusters=frozenset({V1})), ""),
        ("rbac", RBAC, rules(rule(0, "a", "GET"), rule(1, "b")), ""),
        ("rbac", RBAC, rules(rule(0), rule(0, "a", "GET"), rule(1, "b")), ""),  # TCP chains know fewer words
        ("rbac", RBAC, rules(rule(0, "a", "GET")), "has 1 rules there, not 2"),
        ("rbac", RBAC, rules(rule(0, "a", "GET", "POST"), rule(1, "b")), "rule 0 of AuthorizationPolicy"),
        ("rbac", RBAC, rules(rule(0, "a", "GET"), rule(1, "c")), "differs in b, c"),
        ("rbac", RBAC, rules(rule(0, "a", "GET"), rule(1, "b", name="x")), "has 1 rules there"),
        ("rbac", {"policy": "ns[shop]-policy[web]", "rules": 0, "words": []}, rules(rule(0)), ""),
        ("rbac", {"policy": "ns[shop]-policy[web]", "rules": 0, "words": []}, rules(), "has 0 rules there"),
        ("no_rbac", {"policy": "ns[shop]-policy[web]"}, rules(rule(0)), "still judges by"),
        ("no_rbac", {"policy": "ns[shop]-policy[web]"}, rules(rule(0, name="x")), ""),
        ("mtls", {"80": "STRICT"}, rules(), ""),
        ("mtls", {"80": "PERMISSIVE"}, rules(), "port 80 is STRICT, not PERMISSIVE"),
        ("mtls", {"81": "STRICT"}, rules(), "no inbound listener for port 81"),
    ],
)
def test_a_fact_is_held_or_what_lacks_is_told(
    check: str, data: dict[str, Any], held: ProxyFacts, lack: str
) -> None:
    found = missing(held, Expectation("subject", Scope(), check, data))
    assert (lack in found) if lack else found == ""


def proxy_pod(name: str, app: str, namespace: str = "shop", *, gateway: bool = False) -> dict[str, Any]:
    pod = copy.deepcopy(json.loads((FIXTURES / "pods.json").read_text())[1 if gateway else 0])
    pod.update(apiVersion="v1", kind="Pod")
    pod["metadata"].update(name=name, namespace=namespace, labels={"app": app})
    return pod


class Cluster(FakeCluster):
    """Proxies that answer with clusters; ``holds`` says which, per pod and per question."""

    def __init__(
        self,
        pods: Sequence[dict[str, Any]],
        holds: Callable[[str, int], Sequence[str]],
        sidecars: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__(ISTIOD, *pods, *sidecars)
        self.holds = holds
        self.asked: dict[str, int] = {}
        self.connected: list[str] = []
        self.on_ask = self._answer

    def _answer(self, _namespace: str, pod: str, port: int, path: str) -> str:
        if port == 15014:
            return json.dumps([{"proxy": name} for name in self.connected])
        self.asked[pod] = self.asked.get(pod, 0) + 1
        query = urllib.parse.parse_qs(path.partition("?")[2])
        expression = re.compile(query["name_regex"][0])
        names = [name for name in self.holds(pod, self.asked[pod]) if expression.fullmatch(name)]
        return json.dumps({"configs": [{"cluster": {"name": name}} for name in names]})


ISTIOD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "istiod-1", "namespace": "istio-system", "labels": {"app": "istiod"}},
    "spec": {"containers": [{"name": "discovery", "image": "pilot:1"}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}
SUBSET = Expectation(
    "DestinationRule shop/web", Scope(clients_of=HOST), "subset", {"host": HOST, "port": 80, "subset": "v1"}
)


def prove(cluster: Any, *facts: Expectation, timeout: float = 5.0, **more: Any) -> PropagationReport:
    return propagation.prove(cluster, facts or (SUBSET,), timeout=timeout, progress=lambda line: None, **more)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagation, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(propagation, "LONGEST_PAUSE", 0.02)


def test_all_hold_it() -> None:
    cluster = Cluster([proxy_pod("a", "a"), proxy_pod("b", "b")], lambda pod, time: [V1])
    report = prove(cluster)
    assert (report.status, report.proved, report.concerned, report.laggards) == ("pass", 2, 2, ())
    assert cluster.asked == {"a": 1, "b": 1}


def test_a_late_proxy_is_waited_for_and_the_others_are_not_asked_again() -> None:
    cluster = Cluster(
        [proxy_pod("a", "a"), proxy_pod("b", "b")], lambda pod, time: [V1] if pod == "a" or time > 3 else []
    )
    report = prove(cluster)
    assert (report.status, report.proved) == ("pass", 2)
    assert cluster.asked == {"a": 1, "b": 4}
    assert report.seconds > 0


def test_the_wait_is_bounded_and_names_the_laggard() -> None:
    cluster = Cluster(
        [proxy_pod("a", "a"), proxy_pod("b", "b")], lambda pod, time: [V1] if pod == "a" else []
    )
    cluster.connected = ["a.shop", "b.shop"]
    report = prove(cluster, timeout=0.1)
    assert (report.status, report.proved, report.concerned) == ("fail", 1, 2)
    assert [(late.proxy, late.missing) for late in report.laggards] == [("shop/b", (f"no cluster {V1}",))]
    assert "proxy shop/b is late" in report.headline()
    with pytest.raises(WaitTimeout, match="shop/b"):
        report.check()


def test_an_absentee_is_told_apart_by_istiods_own_table() -> None:
    cluster = Cluster([proxy_pod("a", "a")], lambda pod, time: [])
    report = prove(cluster, timeout=0.05)
    assert report.laggards[0].missing[0] == "is not connected to any istiod"


def refuse(*_request: Any) -> str:
    raise ApiError("pods/portforward is forbidden", status=403)


def test_who_cannot_be_read_is_neither_proved_nor_late() -> None:
    cluster = Cluster([proxy_pod("a", "a")], lambda pod, time: [V1])
    cluster.on_ask = refuse
    report = prove(cluster, timeout=0.05)
    assert (report.status, report.proved) == ("cannot tell", 0)
    assert report.unreadable[0].missing == ("pods/portforward is forbidden",)
    with pytest.raises(ApiError, match="cannot be read"):
        report.check()


def test_only_sidecars_that_import_the_host_matter() -> None:
    blind = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": "blind", "namespace": "shop"},
        "spec": {"workloadSelector": {"labels": {"app": "b"}}, "egress": [{"hosts": ["istio-system/*"]}]},
    }
    pods = [proxy_pod("a", "a"), proxy_pod("b", "b"), proxy_pod("gw", "gw", "istio-system", gateway=True)]
    cluster = Cluster(pods, lambda pod, time: [V1] if pod == "a" else [], [blind])
    assert prove(cluster, timeout=0.05).status == "pass"
    assert set(cluster.asked) == {"a"}


def test_a_scope_by_labels_and_a_scope_of_gateways() -> None:
    pods = [proxy_pod("a", "a"), proxy_pod("b", "b"), proxy_pod("gw", "a", gateway=True)]
    data = {"host": HOST, "port": 80, "subset": "v1"}
    for gateways, name in ((False, "a"), (True, "gw")):
        cluster = Cluster(pods, lambda pod, time: [V1])
        scope = Scope(namespace="shop", selector={"app": "a"}, gateways=gateways)
        prove(cluster, Expectation("x", scope, "subset", data))
        assert set(cluster.asked) == {name}


def test_above_the_limit_a_sample_is_asked_and_the_report_says_so() -> None:
    pods = [proxy_pod(f"p{index}", "a") for index in range(9)]
    cluster = Cluster(pods, lambda pod, time: [V1])
    report = prove(cluster, max_proxies=4)
    assert (report.status, report.sampled, report.proved) == ("pass", True, 4)
    assert "sample" in report.headline()


def test_a_pod_that_goes_away_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagation, "REFRESH", 0.0)
    pods = [proxy_pod("a", "a"), proxy_pod("b", "b")]

    def holds(pod: str, time: int) -> list[str]:
        if pod == "b" and time == 2:
            cluster.objects.pop(("Pod", "shop", "b"))
        return [V1] if pod == "a" else []

    cluster = Cluster(pods, holds)
    report = prove(cluster)
    assert (report.status, report.proved, report.concerned) == ("pass", 1, 1)


def test_nobody_concerned_is_proved_at_once() -> None:
    cluster = Cluster([], lambda pod, time: [])
    report = prove(cluster)
    assert (report.status, report.concerned) == ("pass", 0)


def test_the_time_counts_from_the_write() -> None:
    import time

    report = prove(Cluster([proxy_pod("a", "a")], lambda pod, number: [V1]), since=time.monotonic() - 100)
    assert 100 <= report.seconds < 110


def test_a_stopped_run_does_not_wait_on() -> None:
    cluster = Cluster([proxy_pod("a", "a")], lambda pod, time: [])
    report = prove(cluster, timeout=60, stop=lambda: True)
    assert report.status == "fail"
    assert cluster.asked == {"a": 1}


def test_probes_are_not_proxies_that_matter() -> None:
    pod = proxy_pod("p", "p")
    pod["metadata"]["labels"] = {
        "app.kubernetes.io/component": "verify-probe",
        "servicemesh.istio/probe": "1",
    }
    cluster = Cluster([pod], lambda pod, time: [])
    assert prove(cluster).concerned == 0


GATEWAY = Scope(namespace="edge", selector={"istio": "egress"}, gateways=True)


def test_a_gateway_judges_by_the_rules_of_its_own_listeners() -> None:
    """It has no inbound listener as sidecars have; what it serves stands in listeners of its own."""
    expected = Expectation("AuthorizationPolicy edge/shop", GATEWAY, "rbac", RBAC)
    held = ProxyFacts(served=frozenset({rule(0, "a", "GET"), rule(1, "b")}))
    assert (is_concerned(held, expected), missing(held, expected)) == (True, "")
    assert "has 0 rules there" in missing(ProxyFacts(served=frozenset()), expected)
    # While it serves nothing, nobody can be judged.
    assert not is_concerned(ProxyFacts(), expected)
    sidecar = dataclasses.replace(expected, scope=Scope(namespace="edge"))
    assert is_concerned(ProxyFacts(), sidecar)


def test_the_rules_of_a_gateway_are_read_from_its_chains() -> None:
    name = "ns[edge]-policy[shop]-rule[0]"
    principal = {"authenticated": {"principal_name": {"exact": "spiffe://a"}}}
    sni = {"requested_server_name": {"exact": "pay.example.com"}}
    rules = {"policies": {name: {"principals": [principal], "permissions": [sni]}}}
    chain = {"filters": [{"name": "envoy.filters.network.rbac", "typed_config": {"rules": rules}}]}
    entry = {"active_state": {"listener": {"name": "0.0.0.0_8443", "filter_chains": [chain, {}]}}}
    found = gateway_policies([entry])
    assert found == {RbacPolicy("edge", "shop", 0, "ALLOW", frozenset({"a", "pay.example.com"}))}
    assert gateway_policies([]) is None
    assert gateway_policies([{"active_state": {"listener": {"name": "x"}}}]) is None
