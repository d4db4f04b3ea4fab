"""What is written when, so that callers lose nothing."""

from __future__ import annotations

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.plan import DELETED, Item
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.steps import (
    body_of,
    steps_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.widen import widened


def istio(kind, name="x", namespace="shop", **spec):
    group = "security" if kind in ("AuthorizationPolicy", "PeerAuthentication") else "networking"
    return {
        "apiVersion": f"{group}.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def order(items, live=(), **how):
    """Step -> groups -> names."""
    return [
        (
            step.name,
            [sorted(write.item.desired["metadata"]["name"] for write in group) for group in step.groups],
        )
        for step in steps_of(items, live, **how)
    ]


def created(obj):
    return Item(obj)


def updated(before, after):
    return Item(after, before)


def deleted(obj):
    return Item(obj, obj, action=DELETED)


def subsets(*names):
    return istio("DestinationRule", host="x", subsets=[{"name": name} for name in names])


class TestExpandAndContract:
    def test_a_dropped_subset_is_written_twice(self):
        item = updated(subsets("v1"), subsets("v2"))
        steps = steps_of([item])
        assert [step.name for step in steps] == ["expand", "contract"]
        bodies = [body_of(step.groups[0][0])["spec"]["subsets"] for step in steps]
        assert bodies == [[{"name": "v2"}, {"name": "v1"}], [{"name": "v2"}]]

    def test_a_new_subset_is_written_once_and_first(self):
        assert order([updated(subsets("v1"), subsets("v1", "v2"))]) == [("expand", [["x"]])]

    def test_a_subset_that_only_goes_is_written_once_and_last(self):
        assert order([updated(subsets("v1", "v2"), subsets("v1"))]) == [("contract", [["x"]])]

    def test_routes_stand_between(self):
        items = [
            updated(subsets("v1"), subsets("v2")),
            updated(
                istio("VirtualService", "r", hosts=["x"]), istio("VirtualService", "r", hosts=["x", "y"])
            ),
        ]
        assert [step for step, _groups in order(items)] == ["expand", "switch", "contract"]

    def test_delegates_come_before_roots_and_go_after_them(self):
        delegate, root = (
            istio("VirtualService", "delegate", http=[]),
            istio("VirtualService", "root", hosts=["x"]),
        )
        assert order([created(root), created(delegate)]) == [("switch", [["delegate"], ["root"]])]
        assert order([deleted(root), deleted(delegate)]) == [("contract", [["root"], ["delegate"]])]


class TestTightening:
    ALLOW = istio("AuthorizationPolicy", "allow", rules=[{"to": [1]}])
    DENY_ALL = istio("AuthorizationPolicy", "deny-all")

    def test_allow_before_the_default_deny(self):
        assert order([created(self.DENY_ALL), created(self.ALLOW)]) == [
            ("contract", [["allow"], ["deny-all"]])
        ]

    def test_where_a_default_deny_stands_a_new_allow_loosens(self):
        assert order([created(self.ALLOW)], live=[self.DENY_ALL]) == [("expand", [["allow"]])]

    def test_the_default_deny_goes_first(self):
        assert order([deleted(self.ALLOW), deleted(self.DENY_ALL)]) == [
            ("expand", [["deny-all"]]),
            ("contract", [["allow"]]),
        ]

    def test_a_narrowed_policy_keeps_its_old_callers_until_the_end(self):
        before = istio("AuthorizationPolicy", rules=["old", "both"])
        item = updated(before, istio("AuthorizationPolicy", rules=["both", "new"]))
        steps = steps_of([item])
        assert [step.name for step in steps] == ["expand", "contract"]
        assert body_of(steps[0].groups[0][0])["spec"]["rules"] == ["both", "new", "old"]

    def test_a_deny_has_no_wider_state(self):
        before = istio("AuthorizationPolicy", action="DENY", rules=["a"])
        assert order([updated(before, istio("AuthorizationPolicy", action="DENY", rules=["b"]))]) == [
            ("contract", [["x"]])
        ]

    @pytest.mark.parametrize(
        ("before", "after", "steps"),
        [
            ("PERMISSIVE", "STRICT", ["contract"]),
            ("STRICT", "PERMISSIVE", ["expand"]),
            ("DISABLE", "PERMISSIVE", ["expand"]),
            ("PERMISSIVE", "DISABLE", ["contract"]),
            ("STRICT", "DISABLE", ["expand", "contract"]),
            ("DISABLE", "STRICT", ["expand", "contract"]),
            ("PERMISSIVE", "UNSET", ["contract"]),
            ("UNSET", "PERMISSIVE", ["expand"]),
        ],
    )
    def test_mutual_tls(self, before, after, steps):
        item = updated(
            istio("PeerAuthentication", mtls={"mode": before}),
            istio("PeerAuthentication", mtls={"mode": after}),
        )
        assert [step for step, _groups in order([item])] == steps

    def test_a_port_that_loosens_while_another_tightens_is_written_twice(self):
        before = istio(
            "PeerAuthentication", mtls={"mode": "STRICT"}, portLevelMtls={"80": {"mode": "PERMISSIVE"}}
        )
        after = istio(
            "PeerAuthentication", mtls={"mode": "STRICT"}, portLevelMtls={"90": {"mode": "PERMISSIVE"}}
        )
        steps = steps_of([updated(before, after)])
        assert [step.name for step in steps] == ["expand", "contract"]
        assert body_of(steps[0].groups[0][0])["spec"]["portLevelMtls"] == {
            "80": {"mode": "PERMISSIVE"},
            "90": {"mode": "PERMISSIVE"},
        }

    def test_a_first_strict_comes_last_and_a_first_permissive_first(self):
        assert order([created(istio("PeerAuthentication", mtls={"mode": "STRICT"}))])[0][0] == "contract"
        assert order([created(istio("PeerAuthentication", mtls={"mode": "PERMISSIVE"}))])[0][0] == "expand"

    def test_a_first_sidecar_and_a_rate_limit_come_last(self):
        for kind in ("Sidecar", "EnvoyFilter"):
            assert order([created(istio(kind))])[0][0] == "contract"


class TestBuiltInKinds:
    def test_what_others_need_comes_first(self):
        def core(kind):
            return created({"apiVersion": "v1", "kind": kind, "metadata": {"name": kind}})

        items = [
            core("Deployment"),
            core("ConfigMap"),
            core("Namespace"),
            core("ServiceAccount"),
            core("Other"),
        ]
        assert order([*items, created(subsets("v1"))]) == [
            ("prepare", [["Namespace"], ["ServiceAccount"], ["ConfigMap"], ["Deployment", "Other"]]),
            ("expand", [["x"]]),
        ]

    def test_deletions_go_the_other_way_and_after_everything_else(self):
        def gone(kind):
            return deleted({"apiVersion": "v1", "kind": kind, "metadata": {"name": kind}})

        assert order([gone("Namespace"), gone("Deployment"), deleted(subsets("v1"))]) == [
            ("contract", [["x"], ["Deployment"], ["Namespace"]])
        ]


class TestWidening:
    def wide(self, kind, before, after):
        return widened(istio(kind, **before), istio(kind, **after))["spec"]

    def test_sidecar_hosts_add_up_per_listener(self):
        before = {"egress": [{"hosts": ["./a", "./b"]}, {"port": {"number": 9}, "hosts": ["./p"]}]}
        after = {"egress": [{"hosts": ["./b", "./c"]}]}
        assert self.wide("Sidecar", before, after)["egress"] == [
            {"hosts": ["./b", "./c", "./a"]},
            {"port": {"number": 9}, "hosts": ["./p"]},
        ]

    def test_a_sidecar_without_egress_sees_every_host(self):
        assert "egress" not in self.wide("Sidecar", {}, {"egress": [{"hosts": ["./a"]}]})

    def test_the_looser_outbound_policy_counts(self):
        before = {"egress": [{"hosts": ["./a"]}], "outboundTrafficPolicy": {"mode": "ALLOW_ANY"}}
        after = {"egress": [{"hosts": ["./a"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}
        assert self.wide("Sidecar", before, after)["outboundTrafficPolicy"] == {"mode": "ALLOW_ANY"}

    def test_service_entries_keep_hosts_ports_and_endpoints(self):
        before = {"hosts": ["a"], "ports": [{"number": 1, "name": "x"}], "endpoints": [{"address": "1"}]}
        after = {"hosts": ["b"], "ports": [{"number": 2, "name": "y"}], "endpoints": [{"address": "2"}]}
        assert self.wide("ServiceEntry", before, after) == {
            "hosts": ["b", "a"],
            "ports": [{"number": 2, "name": "y"}, {"number": 1, "name": "x"}],
            "endpoints": [{"address": "2"}, {"address": "1"}],
        }

    def test_a_service_entry_that_resolves_otherwise_has_no_wider_state(self):
        after = {"hosts": ["b"], "resolution": "DNS"}
        assert self.wide("ServiceEntry", {"hosts": ["a"], "resolution": "STATIC"}, after) == after

    def test_gateway_servers_add_up_unless_they_collide(self):
        def server(name, number, host):
            return {"port": {"name": name, "number": number}, "hosts": [host]}

        before = {"servers": [server("a", 80, "a"), server("b", 443, "b")]}
        after = {"servers": [server("b2", 443, "b"), server("c", 80, "c")]}
        assert self.wide("Gateway", before, after)["servers"] == [*after["servers"], server("a", 80, "a")]

    def test_another_target_has_no_wider_state(self):
        after = {"selector": {"matchLabels": {"app": "b"}}, "rules": ["n"]}
        before = {"selector": {"matchLabels": {"app": "a"}}, "rules": ["o"]}
        assert self.wide("AuthorizationPolicy", before, after) == after


class TestRemoval:
    """The mesh goes away as a whole."""

    def all_kinds(self):
        default_deny = istio("AuthorizationPolicy", "deny")
        allow = istio("AuthorizationPolicy", "allow", selector={"matchLabels": {"a": "b"}}, rules=[{}])
        strict = istio("PeerAuthentication", "strict", mtls={"mode": "STRICT"})
        scraped = istio(
            "PeerAuthentication",
            "scraped",
            selector={"matchLabels": {"a": "b"}},
            mtls={"mode": "STRICT"},
            portLevelMtls={"9100": {"mode": "PERMISSIVE"}},
        )
        return [
            istio("DestinationRule", "rule", host="x"),
            istio("ServiceEntry", "entry"),
            istio("Gateway", "gateway"),
            istio("VirtualService", "delegate", http=[]),
            istio("VirtualService", "root", hosts=["x"]),
            istio("Sidecar", "own", workloadSelector={"labels": {"a": "b"}}),
            istio("Sidecar", "default"),
            scraped,
            strict,
            istio("EnvoyFilter", "limit"),
            allow,
            default_deny,
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits", "namespace": "shop"}},
        ]

    def test_what_closes_goes_first_then_the_routes_then_the_rest(self):
        told = order([deleted(obj) for obj in self.all_kinds()], removal=True)
        assert told == [
            (
                "expand",
                [["deny"], ["allow"], ["strict"], ["scraped"], ["default"], ["own"], ["limit"]],
            ),
            ("switch", [["root"], ["delegate"]]),
            ("contract", [["entry", "gateway", "rule"], ["limits"]]),
        ]

    def test_nobody_is_refused_on_the_way(self):
        """At each moment a call that was allowed before is allowed: no ALLOW goes while a deny stands."""
        told = order([deleted(obj) for obj in self.all_kinds()], removal=True)
        names = [name for _step, groups in told for group in groups for name in group]
        assert names.index("deny") < names.index("allow")
        assert names.index("strict") < names.index("scraped")
        assert names.index("default") < names.index("own")
        assert names.index("root") < names.index("rule")

    def test_a_part_that_goes_keeps_the_other_order(self):
        """Of a service that leaves a mesh, the policy that lets callers in goes last."""
        allow = istio("AuthorizationPolicy", "allow", selector={"matchLabels": {"a": "b"}}, rules=[{}])
        assert order([deleted(allow), deleted(istio("VirtualService", "root", hosts=["x"]))]) == [
            ("contract", [["root"], ["allow"]])
        ]
