"""What a pod lets around its proxy, and who has the account of somebody whom others let in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..builders import item, pod
from ..checks.test_objects import PAY, look, told

Obj = dict[str, Any]
NAME = "Pod shop/pay-2"


def replica(*, init: Obj | None = None, proxy: Obj | None = None, app: Obj | None = None, **more: Any) -> Obj:
    """A second pod of the service ``pay``, with fields of its containers changed."""
    found = pod("pay-2", {"app": "pay", "version": "v1"}, spec={"serviceAccountName": "pay"}, **more)
    found["spec"]["initContainers"][0] |= init or {}
    found["spec"]["containers"][0] |= app or {}
    found["spec"]["containers"][1] |= proxy or {}
    return found


def env(**variables: str) -> Obj:
    return {"env": [{"name": name, "value": value} for name, value in variables.items()]}


def merged(**variables: str) -> Obj:
    return env(ISTIO_PROMETHEUS_ANNOTATIONS=json.dumps(variables))


def test_a_replica_as_always_is_no_finding() -> None:
    assert told(look(more_pods=(replica(),))) == {}


@pytest.mark.parametrize("which", [{"app": "stray"}, {"app": "pay"}])
def test_of_a_pod_behind_no_service_or_of_ztunnel_nothing_is_told(which: Obj) -> None:
    found = replica(init=env(DRY_RUN="true"))
    found["metadata"]["labels"] |= which
    if which == {"app": "pay"}:
        found["metadata"].setdefault("annotations", {})["ambient.istio.io/redirection"] = "enabled"
    assert "DRY_RUN" not in str(told(look(more_pods=(found,))))


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (
            replica(init={"command": ["/bin/true"]}),
            "runs another program in its container istio-init: /bin/true",
        ),
        (replica(init=env(DRY_RUN="true")), "sets DRY_RUN for its istio-init"),
        (
            replica(proxy={"args": ["proxy", "router"]}),
            "runs its proxy as a gateway's, and so none of its ports is behind it",
        ),
    ],
)
def test_a_proxy_that_begins_in_a_way_of_its_own_is_never_a_pass(found: Obj, what: str) -> None:
    assert told(look(more_pods=(found,)))[NAME] == (
        f"cannot tell: {what}; what comes of that, nobody here can tell"
    )


def test_without_a_container_that_captures_nobody_can_tell() -> None:
    found = replica()
    found["spec"]["initContainers"] = []
    assert told(look(more_pods=(found,)))[NAME].startswith(
        "cannot tell: has a proxy, and nothing in it that leads traffic there"
    )


def test_a_second_family_of_addresses_without_a_proxy_is_a_way_in() -> None:
    both = {"podIP": "10.0.0.9", "podIPs": [{"ip": "10.0.0.9"}, {"ip": "fd00::9"}]}
    found = replica()
    found["status"] |= both
    assert told(look(more_pods=(found,)))[NAME] == (
        "fail: is reached at fd00::9 past its proxy, which stands before IPv4 alone (ISTIO_DUAL_STACK)"
    )
    aware = replica(init=env(ISTIO_DUAL_STACK="true"))
    aware["status"] |= both
    assert told(look(more_pods=(aware,))) == {}


@pytest.mark.parametrize(
    "kind", ["AuthorizationPolicy", "PeerAuthentication", "EnvoyFilter", "DestinationRule"]
)
def test_by_labels_that_istiod_adds_nobody_can_tell_whom_an_object_is_for(kind: str) -> None:
    place = {"EnvoyFilter": "labels"}.get(kind, "matchLabels")
    where = "selector" if kind in ("AuthorizationPolicy", "PeerAuthentication") else "workloadSelector"

    def found(**labels: str) -> str:
        return told(look(item(kind, "some", {"host": "x", where: {place: labels}}))).get(
            f"{kind} shop/some", ""
        )

    added = {"topology.istio.io/cluster": "Kubernetes", "kubernetes.io/hostname": "node-1"}
    assert found(**added, app="pay") == (
        "cannot tell: selects by kubernetes.io/hostname, topology.istio.io/cluster, which istiod adds to the"
        " labels of pods: it may be for shop/pay"
    )
    for name in ("topology.istio.io/network", "topology.istio.io/subzone", "topology.kubernetes.io/region",
                 "topology.kubernetes.io/zone"):  # fmt: skip
        assert f"selects by {name}, which istiod adds" in found(**{name: "x"}, app="pay")
    assert "may be for" not in found(**added, app="nobody")
    assert "may be for" not in found(app="nobody")


def test_the_status_port_is_the_agents_wherever_it_is() -> None:
    moved = {"annotations": {"status.sidecar.istio.io/port": "15030"}}
    assert told(look(more_pods=(replica(metadata=moved),))) == {}
    moved["annotations"]["traffic.sidecar.istio.io/excludeInboundPorts"] = "15020"
    what = "fail: leaves 15020 to everybody, past its proxy (traffic.sidecar.istio.io)"
    assert told(look(more_pods=(replica(metadata=moved),)))[NAME] == what


def test_groups_that_call_past_the_proxy_are_told() -> None:
    found = replica(init=env(ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE="1000"))
    assert told(look(more_pods=(found,)))[NAME].startswith(
        "fail: calls everything, as group 1000, past its proxy"
    )


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (
            {"scrape": "true", "port": "3000", "path": "/api/payments"},
            "fail: answers GET /api/payments of port 3000 to everybody at port 15020, in plaintext"
            " (merged metrics): annotation prometheus.io/path",
        ),
        (
            {"targets": [{"port": "9100", "path": ""}, {"port": "3000", "path": "/api/payments"}]},
            "fail: answers GET /metrics of port 9100, GET /api/payments of port 3000 to everybody at port"
            " 15020, in plaintext (merged metrics): annotation prometheus.io/path",
        ),
        (
            {"port": "9100", "path": "/actuator/prometheus"},
            "beside the catalogue: answers GET /actuator/prometheus of port 9100 to everybody at port 15020,"
            " in plaintext (merged metrics)",
        ),
        (
            {"scrape": "true"},
            "beside the catalogue: answers GET /metrics of port 80 to everybody at port 15020, in plaintext"
            " (merged metrics)",
        ),
        ({"scrape": "false", "port": "3000", "path": "/api/payments"}, None),
    ],
)
def test_what_the_agent_gives_away_of_the_application(
    variables: dict[str, Any], expected: str | None
) -> None:
    found = told(look(more_pods=(replica(proxy=merged(**variables)),)))
    assert found == ({NAME: expected} if expected else {})


def test_metrics_for_the_pod_itself_alone_are_no_finding() -> None:
    variables = (
        merged(port="3000", path="/api/payments")["env"] + env(METRICS_LOCALHOST_ACCESS_ONLY="true")["env"]
    )
    assert told(look(more_pods=(replica(proxy={"env": variables}),))) == {}


def test_metrics_that_cannot_be_read_are_never_a_pass() -> None:
    found = look(more_pods=(replica(proxy=env(ISTIO_PROMETHEUS_ANNOTATIONS="{")),))
    assert told(found)[NAME].startswith("cannot tell: merges metrics that cannot be read")


def test_ports_that_no_proxy_reads_are_told() -> None:
    ports = [
        {"containerPort": 3000},
        {"containerPort": 7946, "protocol": "UDP"},
        {"containerPort": 36412, "protocol": "SCTP"},
    ]
    assert told(look(more_pods=(replica(app={"ports": ports}),)))[NAME] == (
        "beside the catalogue: listens at UDP 7946, SCTP 36412, where no proxy stands: neither mutual TLS nor"
        " a policy holds there"
    )


def test_a_service_of_another_protocol_passes_the_proxies_too() -> None:
    ports = [{"port": 80}, {"port": 36412, "protocol": "SCTP"}, {"port": 53, "protocol": "UDP"}]
    extra = item("Service", "signalling", {"selector": {"app": "pay"}, "ports": ports})
    assert told(look(more_pods=(extra,))) == {
        "Service shop/signalling": "fail: leads SCTP and UDP (port 36412, 53) to shop/pay, past their proxies"
    }


def gateway_pod(name: str, *, labels: Obj, role: str, account: str = "gateway") -> Obj:
    found = pod(name, labels, metadata={"namespace": "istio-system"}, spec={"serviceAccountName": account})
    found["spec"]["containers"][1]["args"] = ["proxy", role]
    return found


def test_the_account_of_a_gateway_is_for_its_pods_alone() -> None:
    own = {"istio": "ingressgateway"}
    others = (
        gateway_pod("gateway-2", labels=own, role="router"),
        gateway_pod("thief", labels={"app": "tool"}, role="sidecar"),
        gateway_pod("dressed", labels=own, role="sidecar"),
        gateway_pod("honest", labels={"app": "tool"}, role="sidecar", account="tool"),
    )
    what = (
        "fail: runs as istio-system/gateway, the account of gateway public, and is none of its pods: so it"
        " may call shop/web"
    )
    found = told(look(more_pods=others))
    assert found == {"Pod istio-system/thief": what, "Pod istio-system/dressed": what}


def test_a_rule_that_names_whom_to_trust_is_more_than_mutual_tls() -> None:
    def rule(**tls: Any) -> Obj:
        return item(
            "DestinationRule",
            "hole",
            {
                "host": PAY,
                "workloadSelector": {"matchLabels": {"app": "web"}},
                "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL", **tls}},
            },
        )

    alone = told(look(rule()))["DestinationRule shop/hole"]
    assert alone.startswith("beside the catalogue: asks for mutual TLS from shop/web -> shop/pay")
    assert "DestinationRule shop/hole" not in told(look(rule(mode=None)))  # DISABLE, which check mtls tells
    for more in ({"subjectAltNames": ["spiffe://cluster.local/ns/x/sa/y"]}, {"sni": "x"}):
        assert told(look(rule(**more)))["DestinationRule shop/hole"].startswith(
            "cannot tell: changes the calls"
        )


@pytest.mark.parametrize(
    ("context", "told_"),
    [
        ({"capabilities": {"add": ["NET_ADMIN"]}}, True),
        ({"capabilities": {"add": ["CAP_NET_ADMIN"]}}, True),
        ({"capabilities": {"add": ["ALL"]}}, True),
        ({"privileged": True}, True),
        ({"privileged": False, "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}}, False),
        ({}, False),
    ],
)
def test_who_may_undo_the_capture_is_told_and_not_accused(context: Obj, *, told_: bool) -> None:
    what = (
        "beside the catalogue: lets container app change what is led to its proxy (NET_ADMIN); that it does"
        " not, calls alone prove"
    )
    found = told(look(more_pods=(replica(app={"securityContext": context}),)))
    assert found == ({NAME: what} if told_ else {})


@pytest.mark.parametrize("section", ["initContainers", "ephemeralContainers"])
def test_also_one_that_runs_before_or_was_added_later(section: str) -> None:
    found = replica()
    one = {"name": "flush", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}
    found["spec"][section] = [*found["spec"].get(section, []), one]
    assert "lets container flush change" in told(look(more_pods=(found,)))[NAME]
