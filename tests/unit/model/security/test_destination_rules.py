"""Which DestinationRule decides for a caller: where it is looked for, how it is joined, whom it names."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.model.security.destination_rules import (
    ClientMode,
    DestinationRules,
)

from .test_transport import HOST, ROOT, dr, tls


def found(
    *rules: dict[str, Any], caller: str = "web", subset: str = "", port: int = 80, **labels: str
) -> ClientMode:
    known = DestinationRules(rules, root_namespace=ROOT, domain="cluster.local")
    return known.mode(caller, labels, HOST, "shop", port, subset)


def decided(*rules: dict[str, Any], **asked: Any) -> str:
    """Namespace and name of the rule that decides, whatever order the API server lists them in."""
    answers = {found(*order, **asked).decided for order in (rules, rules[::-1])}
    assert len(answers) == 1
    return answers.pop().removeprefix("DestinationRule ")


def rule(where: str, host: str = HOST, **spec: Any) -> dict[str, Any]:
    namespace, name = where.split("/")
    return dr(name, namespace, host, **{**tls("DISABLE"), **spec})


SELECTED = {"workloadSelector": {"matchLabels": {"app": "web"}}}


@pytest.mark.parametrize(
    ("caller", "rules", "expected"),
    [
        # the caller's namespace, the Service's, the root: the first that has a rule for the host
        ("web", [rule("web/a"), rule("shop/b"), rule(f"{ROOT}/c")], "web/a"),
        ("web", [rule("shop/b"), rule(f"{ROOT}/c")], "shop/b"),
        ("web", [rule(f"{ROOT}/c"), rule("other/d")], f"{ROOT}/c"),
        ("shop", [rule("shop/b"), rule("web/a"), rule(f"{ROOT}/c")], "shop/b"),
        # a rule for many hosts of the caller's namespace hides a precise one of the Service's
        ("web", [rule("web/a", "*"), rule("shop/b")], "web/a"),
        # exportTo: everybody, the own namespace, or those that are named
        ("web", [rule("shop/b", exportTo=["*"]), rule(f"{ROOT}/c")], "shop/b"),
        ("web", [rule("shop/b", exportTo=["."]), rule(f"{ROOT}/c")], f"{ROOT}/c"),
        ("web", [rule("shop/b", exportTo=["shop"]), rule(f"{ROOT}/c")], f"{ROOT}/c"),
        ("web", [rule("shop/b", exportTo=["web", "x"]), rule(f"{ROOT}/c")], "shop/b"),
        ("web", [rule("shop/b", exportTo=["x"]), rule(f"{ROOT}/c")], f"{ROOT}/c"),
        ("shop", [rule("shop/b", exportTo=["."]), rule(f"{ROOT}/c")], "shop/b"),
        ("shop", [rule("shop/b", exportTo=["shop"]), rule(f"{ROOT}/c")], "shop/b"),
        # one that is exported to others alone is none for its own namespace
        ("shop", [rule("shop/b", exportTo=["web"]), rule(f"{ROOT}/c")], f"{ROOT}/c"),
        ("shop", [rule("shop/b", exportTo=["web", "shop"]), rule(f"{ROOT}/c")], "shop/b"),
        ("web", [rule(f"{ROOT}/c", exportTo=["."])], ""),
        ("web", [rule(f"{ROOT}/c", exportTo=[ROOT])], ""),
        # a caller of the root namespace: its private rules, the Service's, the root's for all
        (ROOT, [rule(f"{ROOT}/c", "*", exportTo=["."]), rule("shop/b")], f"{ROOT}/c"),
        (ROOT, [rule(f"{ROOT}/c", exportTo=[ROOT]), rule("shop/b")], f"{ROOT}/c"),
        (ROOT, [rule(f"{ROOT}/c"), rule("shop/b")], "shop/b"),
        (ROOT, [rule(f"{ROOT}/c"), rule("shop/b", exportTo=["."])], f"{ROOT}/c"),
        # one for selected workloads is for its own namespace, and hides the others' from all of it
        ("web", [rule("shop/b", **SELECTED), rule(f"{ROOT}/c")], f"{ROOT}/c"),
        ("web", [rule("shop/b", exportTo=["*"], **SELECTED)], ""),
        ("web", [rule("web/a", **SELECTED), rule("shop/b")], ""),
        ("web", [rule("web/a", **SELECTED), rule("web/b")], "web/b"),
    ],
)
def test_where_a_rule_is_looked_for(caller: str, rules: list[dict[str, Any]], expected: str) -> None:
    assert decided(*rules, caller=caller) == expected


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["*", "*.local"], "*.local"),
        (["*.local", "*.shop.svc.cluster.local", "*.cluster.local"], "*.shop.svc.cluster.local"),
        (["*.shop.svc.cluster.local", HOST], HOST),
        (["*.other.svc.cluster.local", "*"], "*"),
        (["*.other.svc.cluster.local", "ay.shop.svc.cluster.local"], ""),
        (["pay", "*"], "pay"),  # short names are those of the rule's namespace
        (["pay.shop", "*"], "*"),  # with a dot they are whole
    ],
)
def test_the_most_specific_host_decides(hosts: list[str], expected: str) -> None:
    rules = [rule(f"shop/r{number}", host) for number, host in enumerate(hosts)]
    named = {f"shop/r{number}": host for number, host in enumerate(hosts)}
    assert named.get(decided(*rules), "") == expected


def test_rules_of_one_host_are_joined_the_oldest_policy_and_each_subset_once() -> None:
    first = rule("shop/z", age=1, trafficPolicy=None, subsets=[{"name": "v1", **tls("SIMPLE")}])
    second = rule("shop/b", age=2, subsets=[{"name": "v1", **tls("MUTUAL")}, {"name": "v2", **tls("MUTUAL")}])
    third = rule("shop/a", age=3, **tls("ISTIO_MUTUAL"))
    every = (third, first, second)
    assert (found(*every).mode, decided(*every)) == ("DISABLE", "shop/b")
    assert (found(*every, subset="v1").mode, decided(*every, subset="v1")) == ("SIMPLE", "shop/z")
    assert (found(*every, subset="v2").mode, decided(*every, subset="v2")) == ("MUTUAL", "shop/b")
    assert found(*every, subset="v3").mode == "DISABLE"
    empty = rule("shop/y", age=0, trafficPolicy={})
    assert found(*every, empty).mode == "AUTO"  # one that is there stays, whatever it says


def test_which_rules_stand_for_themselves_the_last_of_those_before_says() -> None:
    first = rule("shop/a", age=1, exportTo=["web"], **tls("ISTIO_MUTUAL"))
    other = rule("shop/b", age=2, exportTo=["ops"], trafficPolicy=None)
    third = rule("shop/c", age=3, exportTo=["web"])
    assert decided(first, third) == "shop/a"
    assert decided(first, other, third) == "shop/c"
    wider = rule(
        "shop/d", age=4, exportTo=["web", "ops"]
    )  # joined to the narrower one, and nothing by itself
    assert decided(first, wider) == "shop/a"
    assert decided(first, wider, caller="ops") == ""
    assert decided(rule("shop/e", exportTo=["web"], trafficPolicy=None), wider) == "shop/d"


def test_those_for_selected_workloads_come_first_and_swallow_a_private_one_for_all() -> None:
    general = rule("web/a", age=1, exportTo=["."], **tls("SIMPLE"))
    chosen = rule("web/b", age=2, **SELECTED, trafficPolicy=None)
    assert decided(general, chosen, app="web") == "web/a"
    assert decided(general, chosen) == ""


def test_rules_of_one_age_come_by_name() -> None:
    assert decided(rule("shop/b"), rule("shop/a")) == "shop/a"


def test_rules_with_other_readers_or_workloads_are_not_joined() -> None:
    private = rule("shop/a", age=1, exportTo=["."], subsets=[{"name": "v1", **tls("SIMPLE")}])
    public = rule("shop/b", age=2, exportTo=["*"], trafficPolicy=None)
    assert found(private, public).mode == "AUTO"
    assert found(private, public, subset="v1").mode == "AUTO"
    assert found(private, public, caller="shop", subset="v1").mode == "AUTO"  # the last one for all of them
    red = rule("web/a", workloadSelector={"matchLabels": {"team": "red"}}, **tls("SIMPLE"))
    blue = rule("web/b", age=2, workloadSelector={"matchLabels": {"team": "blue"}}, trafficPolicy=None)
    general = rule("web/c", age=3, **tls("ISTIO_MUTUAL"))
    every = (red, blue, general)
    assert found(*every, team="red").mode == "SIMPLE"
    assert found(*every, team="blue").mode == "AUTO"
    assert found(*every, team="blue", more="labels").mode == "AUTO"
    assert found(*every, team="green").mode == "ISTIO_MUTUAL"
    same = rule("web/d", age=4, workloadSelector={"matchLabels": {"team": "blue"}}, **tls("MUTUAL"))
    assert found(*every, same, team="blue").mode == "MUTUAL"


def entry(number: int, mode: str = "") -> dict[str, Any]:
    return {"port": {"number": number}, **({"tls": {"mode": mode}} if mode else {})}


@pytest.mark.parametrize(
    ("policy", "subset", "expected"),
    [
        # (mode of the cluster, what single endpoints get, who says so)
        (tls("SIMPLE"), None, ("SIMPLE", "SIMPLE", "shop/a")),
        ({"trafficPolicy": {}}, None, ("AUTO", "AUTO", "")),
        (tls("SIMPLE", portLevelSettings=[entry(80, "MUTUAL")]), None, ("MUTUAL", "MUTUAL", "shop/a")),
        (tls("SIMPLE", portLevelSettings=[entry(81, "MUTUAL")]), None, ("SIMPLE", "SIMPLE", "shop/a")),
        (tls("SIMPLE", portLevelSettings=[entry(80)]), None, ("AUTO", "SIMPLE", "shop/a")),
        (tls("SIMPLE"), tls("MUTUAL"), ("MUTUAL", "MUTUAL", "shop/a")),
        (tls(None), tls("MUTUAL"), ("MUTUAL", "MUTUAL", "shop/a")),
        (tls("SIMPLE"), tls(None, portLevelSettings=[entry(80, "MUTUAL")]), ("MUTUAL", "MUTUAL", "shop/a")),
        (tls("SIMPLE"), tls("MUTUAL", portLevelSettings=[entry(80)]), ("AUTO", "MUTUAL", "shop/a")),
        (tls("SIMPLE"), tls(None, portLevelSettings=[entry(80)]), ("AUTO", "SIMPLE", "shop/a")),
        # a tls that names no mode is DISABLE
        ({"trafficPolicy": {"tls": {}}}, None, ("DISABLE", "DISABLE", "shop/a")),
        ({"trafficPolicy": {"tls": None}}, None, ("AUTO", "AUTO", "")),
        ({"trafficPolicy": {"tls": {"sni": "x"}}}, None, ("DISABLE", "DISABLE", "shop/a")),
        (tls("ISTIO_MUTUAL"), {"trafficPolicy": {"tls": {"sni": "x"}}}, ("DISABLE", "DISABLE", "shop/a")),
        (
            tls("SIMPLE", portLevelSettings=[{"port": {"number": 80}, "tls": {"sni": "x"}}]),
            None,
            ("DISABLE", "DISABLE", "shop/a"),
        ),
        (tls("SIMPLE"), {}, ("SIMPLE", "SIMPLE", "shop/a")),
        (tls(None), tls(None), ("AUTO", "AUTO", "")),
    ],
)
def test_policies_ports_and_subsets(
    policy: dict[str, Any], subset: dict[str, Any] | None, expected: tuple[str, str, str]
) -> None:
    subsets = {} if subset is None else {"subsets": [{"name": "v1", **subset}]}
    answer = found(rule("shop/a", **policy, **subsets), subset="v1")
    assert (answer.mode, answer.per_endpoint, answer.decided.removeprefix("DestinationRule ")) == expected


def test_the_rule_that_brought_a_subset_is_named_only_where_the_subset_decides() -> None:
    general = rule("shop/a", age=1, **tls("SIMPLE"))
    silent = rule("shop/b", age=2, trafficPolicy={}, subsets=[{"name": "v1", "trafficPolicy": {"x": 1}}])
    speaking = rule("shop/c", age=3, trafficPolicy={}, subsets=[{"name": "v2", **tls("MUTUAL")}])
    every = (general, silent, speaking)
    assert decided(*every, subset="v1") == "shop/a"
    assert decided(*every, subset="v2") == "shop/c"
    by_port = {"name": "v3", "trafficPolicy": {"portLevelSettings": [entry(80, "MUTUAL")]}}
    assert (
        decided(*every, rule("shop/d", age=4, trafficPolicy={}, subsets=[by_port]), subset="v3") == "shop/d"
    )


def test_all_objects_that_istiod_joins_decide_the_oldest_first() -> None:
    first, second = rule("shop/z", age=1, trafficPolicy={}), rule("shop/a", age=2)
    private = rule("shop/b", age=3, exportTo=["."])
    known = DestinationRules([private, second, first], root_namespace=ROOT, domain="cluster.local")
    assert known.deciding("web", {}, HOST, "shop") == [first, second]
    assert known.deciding("shop", {}, HOST, "shop") == [private]
    assert known.deciding("web", {}, "other.shop.svc.cluster.local", "shop") == []
