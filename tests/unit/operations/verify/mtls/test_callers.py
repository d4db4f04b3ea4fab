"""Part of check mtls: what the callers' proxies send, and whose calls pass them by."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.mtls.callers import (
    check_callers,
)

from ..builders import GATEWAY, catalogue, item, pod, service
from ..checks.test_mtls import KUBERNETES, LABELS, PAY, STRICT, WEB, authentication, changed, picture


def test_a_caller_without_a_proxy_uses_no_mutual_tls() -> None:
    """Also where check injection was told that it needs none."""
    (told,) = check_callers(picture(pod("web-1", LABELS, proxy=None), STRICT, PAY))
    assert str(told) == "FAIL: Pod shop/web-1: has no proxy, and so calls shop/pay without mutual TLS"
    loose = catalogue(
        service("web"), service("pay", callers=[{"service": "web"}]), mesh_mtls_mode="PERMISSIVE"
    )
    bare = picture(pod("web-1", LABELS, proxy=None), PAY, mesh=loose)
    assert check_callers(bare) == []  # stated, and nobody that uses it


def test_of_a_caller_in_ambient_mode_nothing_is_said_here() -> None:
    """It has no proxy of its own that could send mutual TLS: check injection says that nobody looked."""
    ambient = {"annotations": {"ambient.istio.io/redirection": "enabled"}}
    raw = pod("web-1", LABELS, proxy=None, metadata=ambient)
    assert check_callers(picture(raw, STRICT, PAY)) == []


def rule(name: str, mode: str | None, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    host = "pay.shop.svc.cluster.local"
    body = {"host": host, "trafficPolicy": {"tls": {"mode": mode}}, **spec}
    return item("DestinationRule", name, body, namespace=namespace)


def test_a_namespace_with_disable_takes_mutual_tls_from_callers_of_a_strict_service() -> None:
    """Of a whole Service callers see the mode of its namespace alone, and send plaintext."""
    whole = item("PeerAuthentication", "loose", {"mtls": {"mode": "DISABLE"}}, creationTimestamp="2020-01-01")
    selector = {"matchLabels": {"app": "pay"}}
    own = item("PeerAuthentication", "pay", {"mtls": {"mode": "STRICT"}, "selector": selector})
    found = check_callers(picture(WEB, pod("pay-1", {"app": "pay"}), whole, own))
    assert [(one.verdict, one.subject, one.message) for one in found] == [
        ("fail", "PeerAuthentication shop/loose", "takes mutual TLS from shop/web -> shop/pay (WILL_FAIL)")
    ]


@pytest.mark.parametrize("selector", [{}, {"workloadSelector": {"matchLabels": LABELS}}])
@pytest.mark.parametrize("mode", ["DISABLE", None])
def test_a_destination_rule_that_takes_mutual_tls_away_is_named(
    selector: dict[str, Any], mode: str | None
) -> None:
    """Also by a ``tls`` that names no mode: the first of the enum is DISABLE."""
    (finding,) = check_callers(
        picture(WEB, pod("pay-1", {"app": "pay"}), STRICT, rule("off", mode, **selector))
    )
    assert (finding.verdict, finding.subject) == ("fail", "DestinationRule shop/off")
    assert finding.message == "takes mutual TLS from shop/web -> shop/pay (WILL_FAIL)"


def test_callers_with_mutual_tls_pass() -> None:
    pods = (WEB, pod("pay-1", {"app": "pay"}))
    for extra in ([], [rule("on", "ISTIO_MUTUAL")], [rule("hidden", "DISABLE", "other")]):
        (finding,) = check_callers(picture(*pods, STRICT, *extra))
        assert finding.verdict == "pass"


def test_a_gateway_is_a_caller_too() -> None:
    exposed = [{"gateway": "public", "host": "api.example.com", "path": "/"}]
    mesh = catalogue(service("web"), service("pay", exposed=exposed), mesh_gateways=[GATEWAY])
    seen = picture(pod("pay-1", {"app": "pay"}), STRICT, rule("off", "DISABLE"), mesh=mesh)
    assert "gateway public -> shop/pay (WILL_FAIL)" in check_callers(seen)[0].message


def test_a_rule_for_one_version_of_a_caller_or_for_its_headless_companion_counts() -> None:
    """Looked at was the first pod of the caller, and the Service of the callee alone."""
    callers = [pod(f"web-{name}", {**LABELS, "version": name}) for name in ("v1", "v2")]
    whole = item("PeerAuthentication", "default", {"mtls": {"mode": "PERMISSIVE"}})
    selecting = {"workloadSelector": {"matchLabels": {"version": "v2"}}}
    (told,) = check_callers(
        picture(*callers, pod("pay-1", {"app": "pay"}), whole, rule("pay", "DISABLE", **selecting))
    )
    assert str(told).endswith("pay: takes mutual TLS from shop/web -> shop/pay (PLAINTEXT)")
    port = {"name": "peers", "number": 7000, "target_port": 7000, "protocol": "tcp"}
    paired = service("pay", callers=[{"service": "web"}], headless={"name": "pay-pods", "ports": [port]})
    seen = picture(
        *callers,
        pod("pay-1", {"app": "pay"}),
        STRICT,
        rule("pay-pods", "DISABLE"),
        mesh=catalogue(service("web"), paired),
    )
    (told,) = check_callers(seen)
    assert str(told).endswith("pay-pods: takes mutual TLS from shop/web -> shop/pay (WILL_FAIL)")
    seen = picture(*callers, pod("pay-1", {"app": "pay"}), STRICT)
    (told,) = check_callers(seen)
    assert told.message == "1 callers use mutual TLS, by the rules that they see"


@pytest.mark.parametrize(
    ("annotations", "way"),
    [
        ({"excludeOutboundPorts": "80"}, "port 80"),
        ({"excludeOutboundIPRanges": "10.0.0.0/8"}, "10.0.0.0/8"),
        ({"includeOutboundIPRanges": "192.0.2.0/24"}, "all but 192.0.2.0/24"),
        ({"excludeOutboundPorts": "443"}, ""),
    ],
)
def test_a_caller_that_calls_past_its_proxy_uses_no_mutual_tls(annotations: dict[str, str], way: str) -> None:
    """That is told in every mesh: only in one of REGISTRY_ONLY was it, and by another check."""
    named = {f"traffic.sidecar.istio.io/{name}": text for name, text in annotations.items()}
    caller = pod("web-1", LABELS, metadata={"annotations": named})
    (told,) = check_callers(picture(caller, pod("pay-1", {"app": "pay"}), STRICT, PAY))
    if not way:
        assert told.message == "1 callers use mutual TLS, by the rules that they see"
        return
    what = f"calls {way} past its proxy (traffic.sidecar.istio.io), and so shop/pay without mutual TLS"
    assert str(told) == f"FAIL: Pod shop/web-1: {what}"


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("disabled", "is labelled security.istio.io/tlsMode=disabled: callers send it plaintext"),
        (None, "has lost the label security.istio.io/tlsMode=istio: callers send it plaintext"),
    ],
)
def test_one_replica_that_is_announced_without_mutual_tls(label: str | None, told: str) -> None:
    other = pod("web-2", LABELS)
    other["metadata"]["labels"].pop("security.istio.io/tlsMode")
    other["metadata"]["labels"] |= {"security.istio.io/tlsMode": label} if label else {}
    found = check_callers(picture(WEB, other, STRICT, KUBERNETES))[-1]
    assert str(found).startswith(f"FAIL: Pod shop/web-2: {told}")
    pay = pod("pay-1", {"app": "pay", "security.istio.io/tlsMode": label or ""})
    found = [str(one) for one in check_callers(picture(WEB, pay, STRICT, PAY))]
    assert found[0] == "pass: callers: 1 callers use mutual TLS, by the rules that they see"
    assert [one.partition(",")[0].partition(":")[0] for one in found[1:]] == ["FAIL"], (
        "once, of the pod alone"
    )
    disabled = authentication("off", "DISABLE")
    found = check_callers(picture(WEB, other, STRICT, KUBERNETES, disabled))[-1]
    assert found.verdict == "pass"


@pytest.mark.parametrize(
    ("change", "announced"),
    [("", True), ("ambient", False), ("gateway", False), ("host network", False), ("stranger", False)],
)
def test_whom_no_caller_takes_for_a_proxy_of_the_mesh_needs_no_label(change: str, announced: bool) -> None:
    found = check_callers(picture(WEB, changed(pod("web-2", LABELS), change), STRICT, KUBERNETES))
    told = [one for one in found if one.verdict == "fail" and "security.istio.io/tlsMode" in one.message]
    assert [one.subject for one in told] == ["Pod shop/web-2"] * announced
