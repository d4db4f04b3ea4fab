"""The modes that listeners hold, and the object that decided."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.listeners import InboundPort
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.proxy.running import RunningProxy
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks import (
    mtls as verify_mtls,
)

from ..builders import catalogue, item, pod, service

LABELS = {"app": "web"}


def authentication(
    name: str, mode: str | None, namespace: str = "shop", app: str = "", born: str = "1", **more: dict
) -> dict:
    spec: dict = {"mtls": {"mode": mode}} if mode else {}
    if app:
        spec["selector"] = {"matchLabels": {"app": app}}
    return item("PeerAuthentication", name, {**spec, **more}, namespace, creationTimestamp=born)


@pytest.mark.parametrize(
    ("policies", "mode", "decided"),
    [
        ([], "PERMISSIVE", verify_mtls.MESH_DEFAULT),
        (
            [authentication("default", "STRICT", "istio-system")],
            "STRICT",
            "PeerAuthentication istio-system/default",
        ),
        (
            [authentication("default", "STRICT", "istio-system"), authentication("ns", "PERMISSIVE")],
            "PERMISSIVE",
            "PeerAuthentication shop/ns",
        ),
        (
            [authentication("ns", "STRICT"), authentication("w", "DISABLE", app="web")],
            "DISABLE",
            "PeerAuthentication shop/w",
        ),
        (
            [authentication("ns", "STRICT"), authentication("w", "DISABLE", app="api")],
            "STRICT",
            "PeerAuthentication shop/ns",
        ),
        (
            [authentication("ns", "STRICT"), authentication("w", "UNSET", app="web")],
            "STRICT",
            "PeerAuthentication shop/ns",
        ),
        (
            [authentication("ns", "STRICT"), authentication("w", None, app="web")],
            "STRICT",
            "PeerAuthentication shop/ns",
        ),
        (
            [authentication("b", "STRICT", born="2"), authentication("c", "PERMISSIVE", born="1")],
            "PERMISSIVE",
            "PeerAuthentication shop/c",
        ),
        (
            [authentication("b", "STRICT"), authentication("a", "PERMISSIVE")],
            "PERMISSIVE",
            "PeerAuthentication shop/a",
        ),
        # a selector in the root namespace never applies
        ([authentication("w", "STRICT", "istio-system", app="web")], "PERMISSIVE", verify_mtls.MESH_DEFAULT),
        (
            [
                authentication("ns", "STRICT"),
                authentication("w", "STRICT", app="web", portLevelMtls={"3000": {"mode": "DISABLE"}}),
            ],
            "DISABLE",
            "PeerAuthentication shop/w",
        ),
        (
            [
                authentication("ns", "STRICT"),
                authentication("w", "STRICT", app="web", portLevelMtls={"9": {"mode": "DISABLE"}}),
            ],
            "STRICT",
            "PeerAuthentication shop/w",
        ),
    ],
)
def test_the_mode_is_composed_as_istiod_composes_it(policies: list[dict], mode: str, decided: str) -> None:
    found = verify_mtls.effective_mode(
        policies, root_namespace="istio-system", namespace="shop", labels=LABELS, port=3000
    )
    assert found == (mode, decided)


MODES = {"STRICT": (True, False), "PERMISSIVE": (True, True), "DISABLE": (False, True)}


def held(mode: str, *policies: dict) -> verify_mtls.InboundState:
    mtls, plaintext = MODES[mode]
    proxy = RunningProxy("shop", "web-1", LABELS, "web", False, "1.31.0", "", "ReplicaSet/web")
    ports = {3000: InboundPort(3000, mtls, plaintext, frozenset())}
    return verify_mtls.InboundState({"shop/web-1": proxy}, {"shop/web-1": ports}, policies)


def check(held_now: verify_mtls.InboundState, *pods: dict, mtls: dict | None = None) -> tuple[str, str, bool]:
    mesh = catalogue(service("web", **({"mtls": mtls} if mtls else {})))
    (finding,) = verify_mtls.check_listeners(mesh, mesh.services[0], pods, held_now)
    assert (finding.check, finding.subject) == ("mtls", "shop/web:3000")
    return finding.verdict, finding.message, finding.late


def test_strict_listeners_pass() -> None:
    assert check(held("STRICT"), pod("web-1", LABELS))[0] == "pass"


def test_a_permissive_listener_fails_and_the_object_is_named() -> None:
    verdict, message, late = check(
        held("PERMISSIVE", authentication("loose", "PERMISSIVE")), pod("web-1", LABELS)
    )
    assert (verdict, late) == ("fail", False)
    assert "is PERMISSIVE, not STRICT: decided by PeerAuthentication shop/loose" in message


def test_a_listener_that_lags_behind_its_object_may_change() -> None:
    verdict, message, late = check(
        held("PERMISSIVE", authentication("strict", "STRICT")), pod("web-1", LABELS)
    )
    assert (verdict, late) == ("fail", True)
    assert "PeerAuthentication shop/strict says STRICT, which it does not hold yet" in message


def test_an_exception_of_the_catalogue_passes_with_its_reason() -> None:
    verdict, message, _rest = check(
        held("PERMISSIVE"), pod("web-1", LABELS), mtls={"mode": "PERMISSIVE", "reason": "legacy clients"}
    )
    assert verdict == "pass"
    assert "legacy clients" in message


def test_an_exception_that_does_not_hold_fails() -> None:
    exception = {"mode": "DISABLE", "reason": "legacy clients"}
    assert check(held("STRICT"), pod("web-1", LABELS), mtls=exception)[0] == "fail"


def test_a_pod_without_proxy_behind_the_service_fails() -> None:
    verdict, message, _rest = check(held("STRICT"), pod("web-1", LABELS), pod("web-2", LABELS, proxy=None))
    assert verdict == "fail"
    assert "shop/web-2 takes traffic without a running sidecar" in message


def test_nothing_read_proves_nothing() -> None:
    unread = verify_mtls.InboundState(held("STRICT").proxies, {}, ())
    assert check(unread, pod("web-1", LABELS))[0] == "cannot tell"
    assert check(held("STRICT"))[0] == "cannot tell"


def test_one_unreadable_proxy_of_two_proves_nothing() -> None:
    """What was read passed for both before."""
    known = held("STRICT")
    proxies = {**known.proxies, "shop/web-2": known.proxies["shop/web-1"]}
    some = verify_mtls.InboundState(proxies, known.ports, (), unread={"shop/web-2": "no right to exec"})
    verdict, message, late = check(some, pod("web-1", LABELS), pod("web-2", LABELS))
    assert (verdict, late) == ("cannot tell", True)
    assert message == "the proxy of pod shop/web-2 could not be read"
    sampled = verify_mtls.InboundState(proxies, known.ports, ())
    assert check(sampled, pod("web-1", LABELS), pod("web-2", LABELS))[0] == "pass"


def test_no_certificates_were_read() -> None:
    mesh = catalogue(service("web"))
    assert verify_mtls.check_certificates(mesh.services[0], [pod("web-1", LABELS)], held("STRICT")) == []
