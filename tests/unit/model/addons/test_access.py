# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""URLs and NetworkPolicies of add-ons."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.addons.access import Access, reachable
from ansible_collections.servicemesh.istio.plugins.module_utils.model.addons.safety import Safety, made_safe

from .test_safety import ALL, GRAFANA, KIALI, KIALI_MAP, NAMESPACE, PROMETHEUS, environment

SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "grafana", "namespace": "monitoring"}}
KIALI_SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kiali"}}
URL = {"host": "grafana.example.com", "certificate": "grafana-cert"}


def access(urls: Any = None, policies: Any = None, released: Any = ()) -> Access:
    given = {"urls": urls or {}, "network_policies": policies or {}, "as_released": list(released)}
    return Access.from_params(given, ALL)


def by_kind(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["kind"]: item for item in objects}


def test_a_url_is_a_gateway_with_a_certificate_a_route_and_what_grafana_is_told() -> None:
    before = copy.deepcopy(GRAFANA)
    made = by_kind(reachable([GRAFANA, SERVICE], "grafana", access({"grafana": URL}), NAMESPACE))
    assert before == GRAFANA
    assert environment(made["Deployment"])["GF_SERVER_ROOT_URL"]["value"] == "https://grafana.example.com/"
    tls, plain = made["Gateway"]["spec"]["servers"]
    assert tls["tls"] == {"mode": "SIMPLE", "credentialName": "grafana-cert", "minProtocolVersion": "TLSV1_2"}
    assert (tls["hosts"], tls["port"]["number"]) == (["grafana.example.com"], 443)
    assert (plain["tls"], plain["port"]["number"]) == ({"httpsRedirect": True}, 80)
    assert made["Gateway"]["spec"]["selector"] == {"istio": "ingressgateway"}
    route = made["VirtualService"]
    assert (route["spec"]["hosts"], route["spec"]["gateways"]) == (["grafana.example.com"], ["addon-grafana"])
    target = {"host": "grafana", "port": {"number": 3000}}
    assert route["spec"]["http"] == [{"route": [{"destination": target}]}]
    assert {made[kind]["metadata"]["namespace"] for kind in ("Gateway", "VirtualService")} == {"monitoring"}


def test_grafana_is_told_one_url_beside_what_else_it_is_told() -> None:
    told = copy.deepcopy(GRAFANA)
    told["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "GF_SERVER_ROOT_URL", "value": "http://old.example.com"},
        {"name": "GF_LOG_LEVEL", "value": "warn"},
    ]
    made = by_kind(reachable([told, SERVICE], "grafana", access({"grafana": URL}), NAMESPACE))
    assert made["Deployment"]["spec"]["template"]["spec"]["containers"][0]["env"] == [
        {"name": "GF_LOG_LEVEL", "value": "warn"},
        {"name": "GF_SERVER_ROOT_URL", "value": "https://grafana.example.com/"},
    ]


def test_kiali_makes_its_links_from_the_url_and_starts_anew_for_it() -> None:
    url = {"kiali": {**URL, "host": "kiali.example.com", "selector": {"app": "edge"}}}
    plain = made_safe([KIALI_MAP, KIALI], "kiali", Safety(), ALL, NAMESPACE)
    told = reachable([KIALI_MAP, KIALI, KIALI_SERVICE], "kiali", access(url), NAMESPACE)
    safe = by_kind(made_safe(told, "kiali", Safety(), ALL, NAMESPACE))
    server = json.loads(safe["ConfigMap"]["data"]["config.yaml"])["server"]
    assert server == {"web_fqdn": "kiali.example.com", "web_port": "443", "web_schema": "https"}
    assert safe["Gateway"]["spec"]["selector"] == {"app": "edge"}
    digests = [one["Deployment"]["spec"]["template"]["metadata"] for one in (by_kind(plain), safe)]
    assert digests[0] != digests[1]


def test_only_kialis_own_configuration_is_told_of_its_url() -> None:
    """Whatever else holds a ``config.yaml`` is somebody else's: it was given a ``server``, too."""
    other = {**KIALI_MAP, "metadata": {"name": "loki"}, "data": {"config.yaml": "auth_enabled: false"}}
    found = reachable([GRAFANA, SERVICE, other], "grafana", access({"grafana": URL}), NAMESPACE)
    assert found[2] == other


@pytest.mark.parametrize("server", ["null", "{web_root: /kiali}"])
def test_kiali_keeps_what_its_server_says_already(server: str) -> None:
    config = {**KIALI_MAP, "data": {"config.yaml": f"server: {server}"}}
    url = {"kiali": {**URL, "host": "kiali.example.com"}}
    told = by_kind(reachable([config, KIALI, KIALI_SERVICE], "kiali", access(url), NAMESPACE))
    held = json.loads(told["ConfigMap"]["data"]["config.yaml"])["server"]
    assert held["web_fqdn"] == "kiali.example.com"
    assert held.get("web_root") == ("/kiali" if "kiali" in server else None)


@pytest.mark.parametrize("config", ["server: here", "server: [1]", "- server", ""])
def test_a_configuration_of_kiali_that_is_none_is_refused(config: str) -> None:
    url = {"kiali": {**URL, "host": "kiali.example.com"}}
    broken = {**KIALI_MAP, "data": {"config.yaml": config}}
    with pytest.raises(InputError, match=r"kiali data\.config\.yaml: .*is no mapping"):
        reachable([broken, KIALI, KIALI_SERVICE], "kiali", access(url), NAMESPACE)


def test_nothing_is_changed_without_being_asked_for() -> None:
    assert reachable([GRAFANA, KIALI_MAP], "grafana", access(), NAMESPACE) == [GRAFANA, KIALI_MAP]
    other = access({"kiali": {**URL, "host": "kiali.example.com"}}, {"kiali": []})
    assert reachable([GRAFANA], "grafana", other, NAMESPACE) == [GRAFANA]


def test_a_policy_lets_in_what_is_known_to_need_it_and_who_is_named() -> None:
    peers = [{"ipBlock": {"cidr": "10.0.0.0/16"}}]
    both = access({"grafana": URL}, {"grafana": peers, "jaeger": []})
    policy = by_kind(reachable([GRAFANA, SERVICE], "grafana", both, NAMESPACE))["NetworkPolicy"]
    assert policy["spec"]["ingress"] == [
        {
            "from": [
                {"podSelector": {}},
                *peers,
                {"namespaceSelector": {}, "podSelector": {"matchLabels": {"istio": "ingressgateway"}}},
            ]
        }
    ]
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    jaeger = copy.deepcopy(PROMETHEUS)
    jaeger["metadata"]["name"] = "jaeger"
    jaeger["spec"]["selector"] = {"matchLabels": {"app": "jaeger"}}
    policy = by_kind(reachable([jaeger], "jaeger", both, NAMESPACE))["NetworkPolicy"]
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app": "jaeger"}}
    own, spans = policy["spec"]["ingress"]
    assert own == {"from": [{"podSelector": {}}]}
    assert spans["from"] == [{"namespaceSelector": {}}]
    assert [port["port"] for port in spans["ports"]] == [4317, 4318, 9411]


@pytest.mark.parametrize(
    ("urls", "policies", "said"),
    [
        ({"jaeger": URL}, {}, "addons_urls.jaeger: asks nobody who he is"),
        ({"prometheus": URL}, {}, "addons_urls.prometheus: asks nobody who he is"),
        ({"mine": URL}, {}, "addons_urls.mine: has no page that is known"),
        ({"grafana": {"host": "grafana.example.com"}}, {}, "addons_urls.grafana.certificate"),
        ({"grafana": {**URL, "host": "https://grafana"}}, {}, "addons_urls.grafana.host"),
        ({"grafana": {**URL, "port": 1}}, {}, "addons_urls.grafana.port: is not a known key"),
        ({"grafana": {**URL, "selector": {}}}, {}, "addons_urls.grafana.selector: is empty"),
        ({"grafana": "grafana.example.com"}, {}, "addons_urls.grafana"),
        ({"grafana": URL, "kiali": URL}, {}, "addons_urls.kiali.host: is that of another add-on"),
        ({}, {"loki": []}, "addons_network_policies.loki: is not in addons_enabled"),
        ({}, {"grafana": {}}, "addons_network_policies.grafana: is no list"),
        ({}, {"grafana": [{"cidr": "10.0.0.0/8"}]}, "addons_network_policies.grafana[0]: is no peer"),
        ({}, {"grafana": [{}]}, "addons_network_policies.grafana[0]: is no peer"),
        ({}, {"grafana": ["10.0.0.0/8"]}, "addons_network_policies.grafana[0]: is no peer"),
        ({}, {"grafana": [{"podSelector": {}, "x": 1}]}, "addons_network_policies.grafana[0]: is no peer"),
        # The API server refuses it, too: may not specify both ipBlock and another peer.
        ({}, {"grafana": [{"podSelector": {}, "ipBlock": {}}]}, "addons_network_policies.grafana[0]: is no"),
    ],
)
def test_what_is_refused(urls: Any, policies: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        access(urls, policies)
    assert any(str(problem).startswith(said) for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    "keys", [["ipBlock"], ["namespaceSelector"], ["podSelector"], ["namespaceSelector", "podSelector"]]
)
def test_every_kind_of_peer_is_taken(keys: list[str]) -> None:
    peer: dict[str, Any] = {key: {} for key in keys}
    assert access(policies={"grafana": [peer]}).policies == {"grafana": [peer]}


def test_a_url_for_what_lets_anybody_in_and_one_that_leads_nowhere_are_refused() -> None:
    with pytest.raises(InputError, match="lets anybody in"):
        access({"grafana": URL}, released=["grafana"])
    with pytest.raises(InputError, match="needs a Service grafana in its source"):
        reachable([GRAFANA], "grafana", access({"grafana": URL}), NAMESPACE)


def test_only_kialis_own_configuration_is_told_the_url() -> None:
    url = {"kiali": {**URL, "host": "kiali.example.com"}}
    others = [
        {**KIALI_MAP, "data": {"other": "x"}},
        {**KIALI_MAP, "kind": "Secret"},
        {**KIALI_MAP, "data": None},
    ]
    told = reachable([*others, KIALI, KIALI_SERVICE], "kiali", access(url), NAMESPACE)
    assert told[:3] == others
