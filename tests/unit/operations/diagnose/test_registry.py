# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of each kind that may not be read, every search is told that needs it, under its own name."""

from __future__ import annotations

import pytest

from .healthy_mesh import Healthy, diagnose, pod
from .planted import AT_GATEWAY, CALL, NOTHING
from .test_sentences import found

WEBHOOKS = {"foreign bundles", "injectors", "pods without a proxy", "refused pods"}
TOLD = {
    "AuthorizationPolicy": {"policies", "providers"},
    # without the injector's own ConfigMap nobody knows what its webhooks stand for
    "ConfigMap": {"hidden namespaces", "hosts outside", "providers"} | WEBHOOKS,
    "Deployment": {"istiods", "refused pods"},
    "DestinationRule": {"circuit breakers", "destination rules", "routes to nothing", "transport"},
    "EnvoyFilter": {"refused configurations"},
    "Gateway": {"credentials of gateways", "gateways", "hosts of gateways"},
    "Namespace": {"hidden namespaces", "pods without a proxy"},
    "NetworkPolicy": {"network policies"},
    "PeerAuthentication": {"transport"},
    "RequestAuthentication": {"providers"},
    "Secret": {"credentials of gateways"},
    "Service": {"names", "gateways", "protocols", "services without endpoints"},
    "ServiceEntry": {"hosts outside"},
    "Sidecar": {"hidden hosts"},
    "VirtualService": {
        "names of routes", "hosts of gateways", "routes to nothing", "conflicts of routes",
        "routes that nothing reaches", "injected faults", "time limits",
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", TOLD)
def test_every_search_that_needs_a_kind_is_told(kind: str) -> None:
    cluster = Healthy()
    cluster.forbidden = {kind}
    assert {one["what"] for one in diagnose(cluster, **NOTHING)["unknown"]} == TOLD[kind]


@pytest.mark.parametrize(
    ("number", "more"), [(3, ""), (4, "so have shop/web-4"), (5, "so have shop/web-4, shop/web-5")]
)
def test_of_many_proxies_that_have_lost_istiod_three_are_causes(number: int, more: str) -> None:
    def plant(cluster: Healthy) -> None:
        for at in range(1, number + 1):
            cluster.put(pod(f"web-{at}"))
            cluster.lost.add(f"web-{at}")

    said = ": has lost istiod: it keeps an old configuration, and its certificate ends within a day"
    told = [one for one in found(plant, NOTHING) if "has lost istiod" in one]
    assert told == [f"Pod shop/web-{at}{said}{f' | {more}' if more else ''}" for at in (1, 2, 3)]


@pytest.mark.parametrize(
    ("symptom", "told"), [(NOTHING, True), (AT_GATEWAY, True), (CALL, False), ({"namespace": "shop"}, False)]
)
def test_a_gateway_s_proxy_is_asked_where_the_symptom_may_lie_there(
    symptom: dict[str, str], *, told: bool
) -> None:
    def plant(cluster: Healthy) -> None:
        cluster.refused["istio-ingressgateway-1"] = "lua: syntax error"

    name = "Pod istio-system/istio-ingressgateway-1"
    assert any("refuses the configuration" in one for one in found(plant, symptom, name)) is told


def test_services_that_may_not_be_read_are_not_called_missing() -> None:
    def plant(cluster: Healthy) -> None:
        cluster.forbidden = {"Service"}

    assert not any("does not exist" in one for one in found(plant, {"source": "web-1", "destination": "api"}))
