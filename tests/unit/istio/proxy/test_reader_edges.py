# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read out of pods, filters and routes that look nearly like what is looked for."""

from __future__ import annotations

import http.server
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy import handshake
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.rbac import (
    RbacPolicy,
    policies_of_chain,
    policy_of_name,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.routes import (
    ProxyRoute,
    held_shares,
    parse_cluster_name,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import running_proxies

from ...support.http_server import at_work


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    statuses = [{"name": item["name"], "ready": True, "image": item["image"]} for item in containers]
    return {
        "metadata": {"name": "a-1", "namespace": "shop"},
        "spec": {"containers": list(containers), **spec},
        "status": {"phase": "Running", "containerStatuses": statuses},
    }


def container(name: str, *args: str, image: str = "proxyv2:1.31.0") -> dict[str, Any]:
    return {"name": name, "image": image, "args": list(args)}


@pytest.mark.parametrize(
    ("containers", "gateway"),
    [
        ([container("istio-proxy", "proxy", "router")], True),
        ([container("istio-proxy", "proxy", "sidecar")], False),
        ([container("app", "router"), container("istio-proxy", "proxy", "sidecar")], False),
        ([container("app"), container("istio-proxy", "proxy", "router")], True),
    ],
)
def test_a_gateway_is_told_by_the_proxys_own_arguments(
    containers: list[dict[str, Any]], *, gateway: bool
) -> None:
    (found,) = running_proxies([pod(*containers)])
    assert found.gateway is gateway
    assert (found.workload, found.service_account, found.sync_id) == ("Pod/a-1", "default", "a-1.shop")
    assert running_proxies([pod(container("app", "router"))]) == []


NAME = "ns[shop]-policy[pay]-rule[12]"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (NAME, ("shop", "pay", 12)),
        (f"istio-ext-authz-opa-{NAME}", ("shop", "pay", 12)),
        (f"x{NAME}", ("", "", None)),
        (f"{NAME}x", ("", "", None)),
        ("ns[shop]-policy[pay]-rule[x]", ("", "", None)),
        ("", ("", "", None)),
    ],
)
def test_the_policy_behind_a_name(name: str, found: tuple[str, str, int | None]) -> None:
    assert policy_of_name(name) == found


def chain(policy: dict[str, Any], name: str = "envoy.filters.network.rbac", **rules: Any) -> dict[str, Any]:
    return {"filters": [{"name": name, "typed_config": {"rules": {"policies": {NAME: policy}, **rules}}}]}


@pytest.mark.parametrize(
    ("matcher", "word"),
    [
        ({"exact": "spiffe://td/ns/a/sa/b"}, "td/ns/a/sa/b"),
        ({"exact": "GET"}, "GET"),
        ({"prefix": "/api/"}, "/api/*"),
        ({"suffix": ".html"}, "*.html"),
        ({"safe_regex": {"regex": ".+"}}, "*"),
        ({"safe_regex": {"regex": ".*/ns/a/.*"}}, ".*/ns/a/.*"),
        ({"contains": "x"}, None),
    ],
)
def test_words_of_a_rule_are_spelled_as_in_the_policy(matcher: dict[str, Any], word: str | None) -> None:
    nested = {"and_ids": {"ids": [{"or_ids": {"ids": [{"x": {"string_match": matcher}}, {"any": True}]}}]}}
    (found,) = policies_of_chain(chain({"principals": [nested], "permissions": []}))
    assert found == RbacPolicy("shop", "pay", 12, "ALLOW", frozenset({word} if word else ()))
    (denied,) = policies_of_chain(chain({}, action="DENY"))
    assert denied.action == "DENY"
    assert policies_of_chain(chain({}, name="envoy.filters.network.tcp_proxy")) == frozenset()
    below = {
        "filters": [
            {"name": "hcm", "typed_config": {"http_filters": chain({}, "envoy.filters.http.rbac")["filters"]}}
        ]
    }
    assert len(policies_of_chain(below)) == 1


@pytest.mark.parametrize(
    ("weights", "port", "unnamed", "shares"),
    [
        ({"outbound|80|v1|a": 90.0, "outbound|80|v2|a": 10.0}, 80, True, {("v1", 90.0), ("v2", 10.0)}),
        ({"outbound|80|v1|a": 90.0, "outbound|81|v2|a": 10.0}, 80, True, {("v1", 90.0)}),
        ({"outbound|80|v1|a": 90.0, "outbound|81|v2|a": 10.0}, None, True, {("v1", 90.0), ("v2", 10.0)}),
        ({"outbound|80|v1|a": 90.0, "outbound|80|v2|b": 10.0}, 80, True, {("v1", 90.0)}),
        ({"outbound|80|v1|b": 100.0}, 80, True, None),
        ({"BlackHoleCluster": 100.0}, None, True, None),
    ],
)
def test_how_a_route_splits_a_host(
    weights: dict[str, float], port: int | None, unnamed: bool, shares: set[tuple[str, float]] | None
) -> None:
    found = held_shares([ProxyRoute("r", "shop/x", weights)], "a", port=port, unnamed=unnamed)
    assert found == (frozenset() if shares is None else frozenset({frozenset(shares)}))


@pytest.mark.parametrize("name", ["outbound|80|v1|a|b", "outbound||v1|a", "", "|||", "outbound|80|v1"])
def test_names_of_another_form_are_no_clusters(name: str) -> None:
    assert parse_cluster_name(name) is None


class Handler(http.server.BaseHTTPRequestHandler):
    """Says what was asked, or hangs up."""

    def do_GET(self) -> None:
        if self.path == "/reset":
            return
        body = f"{self.command} {self.path} {self.headers['host']} ".encode()
        self.send_response(302)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_rest: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with at_work(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as running:
        yield running.server_port


def test_a_request_to_a_gateway_names_its_host_and_follows_nothing(port: int) -> None:
    found = handshake.request("127.0.0.1", port, "shop.example", "GET", "/a", tls=False)
    assert (found.status, found.body, found.exit_code) == (302, "GET /a shop.example", 0)
    assert found.headers["location"] == "/elsewhere"


def test_a_connection_that_breaks_is_no_answer(port: int) -> None:
    found = handshake.request("127.0.0.1", port, "shop.example", "GET", "/reset", tls=False)
    assert (found.status, found.exit_code) == (0, -1)
    assert found.error.startswith("RemoteDisconnected: ")
    assert "SSLError" in handshake.request("127.0.0.1", port, "shop.example", "GET", "/", tls=True).error


def test_nobody_who_listens_is_told_apart() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        with pytest.raises(handshake.UnreachableError, match=f"127.0.0.1:{number}: "):
            handshake.request("127.0.0.1", number, "shop.example", "GET", "/", tls=False)
