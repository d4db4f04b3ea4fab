"""Wider states at their edges: what has none, and what must not be added."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import MalformedError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.plan import DELETED, Item
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.steps import (
    Write,
    body_of,
    steps_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.widen import (
    is_default_deny,
    is_delegate,
    widened,
)


def istio(kind: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"name": "x", "namespace": "shop"},
        "spec": spec,
    }


def wide(kind: str, old: dict[str, Any], new: dict[str, Any]) -> Any:
    return widened(istio(kind, **old), istio(kind, **new))["spec"]


TLS = {"mode": "STRICT"}
NONE_WIDER = {
    "another selector of a Gateway": (
        "Gateway",
        {"selector": {"a": "1"}, "servers": [{"hosts": ["a"]}]},
        {"selector": {"a": "2"}, "servers": []},
    ),
    "another workload of a Sidecar": ("Sidecar", {"workloadSelector": {"labels": {"a": "1"}}}, {}),
    "another selector of mutual TLS": (
        "PeerAuthentication",
        {"selector": {"a": "1"}, "mtls": TLS},
        {"mtls": TLS},
    ),
    "other targets of a policy": (
        "AuthorizationPolicy",
        {"targetRefs": [1], "rules": ["a"]},
        {"rules": ["b"]},
    ),
    "a policy that denied": ("AuthorizationPolicy", {"action": "DENY", "rules": ["a"]}, {"rules": ["b"]}),
    "a policy that will deny": ("AuthorizationPolicy", {"rules": ["a"]}, {"action": "DENY", "rules": ["b"]}),
    "a policy that only Python takes for another": (
        "AuthorizationPolicy",
        {"selector": {"a": 1}, "rules": ["a"]},
        {"selector": {"a": True}, "rules": ["b"]},
    ),
    "another location": ("ServiceEntry", {"location": "MESH_EXTERNAL", "hosts": ["a"]}, {"hosts": ["b"]}),
    "another workload behind it": (
        "ServiceEntry",
        {"workloadSelector": {"labels": {}}, "hosts": ["a"]},
        {"hosts": ["b"]},
    ),
    "a kind without rule": ("EnvoyFilter", {"configPatches": [1]}, {"configPatches": [2]}),
    "two empty rules": ("DestinationRule", {"host": "x"}, {"host": "y"}),
    "two default denies": ("AuthorizationPolicy", {}, {}),
    "two gateways without servers": ("Gateway", {}, {"selector": None}),
    "equal modes": ("PeerAuthentication", {"mtls": TLS}, {"mtls": TLS}),
}


@pytest.mark.parametrize("name", NONE_WIDER)
def test_what_has_no_wider_state(name: str) -> None:
    kind, old, new = NONE_WIDER[name]
    assert wide(kind, old, new) == new


def test_an_object_without_specification_has_none() -> None:
    bare = {"apiVersion": "v1", "kind": "DestinationRule", "metadata": {"name": "x"}}
    assert widened(bare, istio("DestinationRule", host="x")) == istio("DestinationRule", host="x")
    assert widened(istio("DestinationRule", host="x"), bare) is bare


WIDER = {
    "an explicit ALLOW is the default": (
        "AuthorizationPolicy",
        {"action": "ALLOW", "rules": ["a"]},
        {"rules": ["b"]},
        {"rules": ["b", "a"]},
    ),
    "the same target": (
        "AuthorizationPolicy",
        {"selector": {"a": "1"}, "rules": ["a"]},
        {"selector": {"a": "1"}, "rules": ["b"]},
        {"selector": {"a": "1"}, "rules": ["b", "a"]},
    ),
    "rules of a policy that becomes a default deny": (
        "AuthorizationPolicy",
        {"rules": ["a"]},
        {"rules": []},
        {"rules": ["a"]},
    ),
    "a rule that only Python takes for the same": (
        "AuthorizationPolicy",
        {"rules": [{"a": True}]},
        {"rules": [{"a": 1}]},
        {"rules": [{"a": 1}, {"a": True}]},
    ),
    "listeners of a Sidecar by port and address": (
        "Sidecar",
        {"egress": [{"port": {"number": 1}, "bind": "a", "hosts": ["x"]}]},
        {"egress": [{"port": {"number": 1}, "bind": "b", "hosts": ["y"]}]},
        {
            "egress": [
                {"port": {"number": 1}, "bind": "b", "hosts": ["y"]},
                {"port": {"number": 1}, "bind": "a", "hosts": ["x"]},
            ]
        },
    ),
    "hosts of a namespace that comes as a whole": (
        "Sidecar",
        {"egress": [{"hosts": ["shop/web", "back/api", "./own", "*/far"]}]},
        {"egress": [{"hosts": ["shop/*", "back/db"]}]},
        {"egress": [{"hosts": ["shop/*", "back/db", "back/api", "./own", "*/far"]}]},
    ),
    "hosts of a namespace that went as a whole": (
        "Sidecar",
        {"egress": [{"hosts": ["shop/*"]}]},
        {"egress": [{"hosts": ["shop/web", "istio-system/*"]}]},
        {"egress": [{"hosts": ["istio-system/*", "shop/*"]}]},
    ),
    "a Sidecar that loses its egress section": ("Sidecar", {"egress": [{"hosts": ["a"]}]}, {}, {}),
    "an outbound policy that stays": (
        "Sidecar",
        {"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}},
        {"outboundTrafficPolicy": {"mode": "ALLOW_ANY", "egressProxy": {}}},
        {"outboundTrafficPolicy": {"mode": "ALLOW_ANY", "egressProxy": {}}},
    ),
    "an outbound policy that never was open": (
        "Sidecar",
        {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}},
        {},
        {},
    ),
    "ports whose names collide stay the new ones": (
        "ServiceEntry",
        {"hosts": ["a"], "ports": [{"number": 1, "name": "x"}]},
        {"hosts": ["a"], "ports": [{"number": 2, "name": "x"}]},
        {"hosts": ["a"], "ports": [{"number": 2, "name": "x"}]},
    ),
    "addresses of one side only": (
        "ServiceEntry",
        {"hosts": ["a"], "addresses": ["1"]},
        {"hosts": ["a"], "endpoints": [{"address": "2"}]},
        {"hosts": ["a"], "ports": [], "endpoints": [{"address": "2"}]},
    ),
    "addresses of both": (
        "ServiceEntry",
        {"hosts": ["a"], "addresses": ["1"]},
        {"hosts": ["b"], "addresses": ["2"]},
        {"hosts": ["b", "a"], "ports": [], "addresses": ["2", "1"]},
    ),
    "a server with another host on the same port": (
        "Gateway",
        {"servers": [{"port": {"number": 1, "name": "o"}, "hosts": ["a"]}]},
        {"servers": [{"port": {"number": 1, "name": "n"}, "hosts": ["b"]}]},
        {
            "servers": [
                {"port": {"number": 1, "name": "n"}, "hosts": ["b"]},
                {"port": {"number": 1, "name": "o"}, "hosts": ["a"]},
            ]
        },
    ),
    "a server of the same name on another port": (
        "Gateway",
        {"servers": [{"port": {"number": 1, "name": "n"}, "hosts": ["a"]}]},
        {"servers": [{"port": {"number": 2, "name": "n"}, "hosts": ["b"]}]},
        {"servers": [{"port": {"number": 2, "name": "n"}, "hosts": ["b"]}]},
    ),
    "a gateway that loses all servers": (
        "Gateway",
        {"servers": [{"port": {"number": 1, "name": "n"}, "hosts": ["a"]}]},
        {},
        {"servers": [{"port": {"number": 1, "name": "n"}, "hosts": ["a"]}]},
    ),
    "what a wider policy says may be either": (
        "PeerAuthentication",
        {"mtls": TLS},
        {},
        {"mtls": {"mode": "PERMISSIVE"}},
    ),
    "UNSET says as little as nothing": (
        "PeerAuthentication",
        {"mtls": {"mode": "PERMISSIVE"}},
        {"mtls": {"mode": "UNSET"}},
        {"mtls": {"mode": "PERMISSIVE"}},
    ),
    "mutual TLS and none of it are both served": (
        "PeerAuthentication",
        {"mtls": TLS},
        {"mtls": {"mode": "DISABLE"}},
        {"mtls": {"mode": "PERMISSIVE"}},
    ),
    "a port falls back to the workload": (
        "PeerAuthentication",
        {"mtls": TLS, "portLevelMtls": {"80": {"mode": "DISABLE"}}},
        {"mtls": TLS},
        {"mtls": TLS, "portLevelMtls": {"80": {"mode": "DISABLE"}}},
    ),
    "a port that tightens": (
        "PeerAuthentication",
        {"portLevelMtls": {"80": {"mode": "PERMISSIVE"}}},
        {"portLevelMtls": {"80": TLS}},
        {"portLevelMtls": {"80": {"mode": "PERMISSIVE"}}},
    ),
}


@pytest.mark.parametrize("name", WIDER)
def test_wider_states(name: str) -> None:
    kind, old, new, expected = WIDER[name]
    assert wide(kind, old, new) == expected


def test_a_specification_of_another_shape_is_told() -> None:
    with pytest.raises(MalformedError):
        wide("DestinationRule", {"subsets": "v1"}, {"subsets": []})


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (istio("AuthorizationPolicy"), True),
        (istio("AuthorizationPolicy", action="ALLOW", rules=[]), True),
        (istio("AuthorizationPolicy", action="DENY"), False),
        (istio("AuthorizationPolicy", rules=[{}]), False),
        (istio("Sidecar"), False),
    ],
)
def test_a_default_deny(obj: dict[str, Any], expected: bool) -> None:
    assert is_default_deny(obj) is expected


def test_a_delegate_has_no_hosts() -> None:
    assert is_delegate(istio("VirtualService", http=[]))
    assert not is_delegate(istio("VirtualService", hosts=["a"]))
    assert not is_delegate(istio("Gateway"))


class TestPlaces:
    """Which step an object is written in, and in which group of it."""

    def placed(self, item: Item, live: Any = ()) -> list[tuple[str, int, bool]]:
        return [
            (step.name, write.rank, write.wide)
            for step in steps_of([item], live)
            for group in step.groups
            for write in group
        ]

    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            (None, istio("RequestAuthentication"), [("contract", 1, False)]),
            (None, istio("AuthorizationPolicy", action="DENY", rules=[1]), [("contract", 1, False)]),
            (None, istio("AuthorizationPolicy"), [("contract", 2, False)]),
            (None, istio("Telemetry"), [("expand", 0, False)]),
            (None, istio("PeerAuthentication", portLevelMtls={"1": TLS}), [("contract", 1, False)]),
            (None, istio("PeerAuthentication", portLevelMtls={"1": None}), [("expand", 0, False)]),
            (None, istio("VirtualService", hosts=["a"]), [("switch", 1, False)]),
            (istio("EnvoyFilter", a=1), istio("EnvoyFilter", a=2), [("contract", 1, False)]),
            (
                istio("RequestAuthentication", a=1),
                istio("RequestAuthentication", a=2),
                [("contract", 1, False)],
            ),
            (istio("Telemetry", a=1), istio("Telemetry", a=2), [("expand", 0, False)]),
            (istio("Telemetry", a=False), istio("Telemetry", a=0), [("expand", 0, False)]),
            (istio("AuthorizationPolicy", rules=[1]), istio("AuthorizationPolicy"), [("contract", 2, False)]),
            (
                istio("AuthorizationPolicy", rules=[1]),
                istio("AuthorizationPolicy", action="DENY", rules=[1]),
                [("contract", 1, False)],
            ),
            (
                istio("AuthorizationPolicy", rules=[1]),
                istio("AuthorizationPolicy", rules=[2]),
                [("expand", 0, True), ("contract", 1, False)],
            ),
        ],
    )
    def test_of_istio_objects(self, before: Any, after: Any, expected: Any) -> None:
        assert self.placed(Item(after, before)) == expected

    @pytest.mark.parametrize(
        ("obj", "expected"),
        [
            (istio("AuthorizationPolicy"), ("expand", 0)),
            (istio("AuthorizationPolicy", rules=[1]), ("contract", 5)),
            (istio("VirtualService", hosts=["a"]), ("contract", 3)),
            (istio("VirtualService"), ("contract", 4)),
        ],
    )
    def test_of_what_goes(self, obj: Any, expected: tuple[str, int]) -> None:
        item = Item({**obj, "spec": {"hosts": ["other"], "rules": ["other"]}}, obj, action=DELETED)
        assert self.placed(item) == [(*expected, False)]

    @pytest.mark.parametrize(
        ("kind", "rank"),
        [
            ("Namespace", 0),
            ("CustomResourceDefinition", 1),
            ("PriorityClass", 10),
            ("Service", 25),
            ("Deployment", 50),
            ("APIService", 80),
            ("ValidatingWebhookConfiguration", 80),
        ],
    )
    def test_of_built_in_kinds(self, kind: str, rank: int) -> None:
        obj = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}}
        assert self.placed(Item(obj)) == [("prepare", rank, False)]
        assert self.placed(Item(obj, obj, action=DELETED)) == [("contract", 100 - rank, False)]

    def test_a_default_deny_for_some_workloads_closes_no_namespace(self) -> None:
        allow = Item(istio("AuthorizationPolicy", rules=[1]))
        selective = istio("AuthorizationPolicy", selector={"matchLabels": {"a": "b"}})
        elsewhere = {**istio("AuthorizationPolicy"), "metadata": {"name": "x", "namespace": "other"}}
        assert self.placed(allow, [selective, elsewhere])[0][0] == "contract"
        assert self.placed(allow, [istio("AuthorizationPolicy")])[0][0] == "expand"

    def test_a_wide_write_sends_the_wider_state(self) -> None:
        old, new = (istio("DestinationRule", subsets=[{"name": name}]) for name in ("old", "new"))
        assert len(body_of(Write(Item(new, old), 0, wide=True))["spec"]["subsets"]) == 2
        assert body_of(Write(Item(new, old), 0)) is new
        assert body_of(Write(Item(new), 0, wide=True)) is new
