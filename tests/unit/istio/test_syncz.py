"""istiod's sync table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, MalformedError
from ansible_collections.servicemesh.istio.plugins.module_utils.istio import istiod, syncz
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.forwarding import PodAnswer

FIXTURES = Path(__file__).parent / "fixtures"
ROUTE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


def recorded() -> list[dict]:
    return json.loads((FIXTURES / "syncz.json").read_text())


def test_recorded_proxies_are_in_sync() -> None:
    states = syncz.parse_syncz(recorded())
    assert [(state.stale, dict(state.refused)) for state in states] == [((), {}), ((), {})]
    assert states[0].proxy.endswith(".ecommerce")
    assert states[0].version == "1.31.0"


def test_sent_and_not_acked_is_stale() -> None:
    entries = recorded()
    entries[0]["resources"][ROUTE]["sent"] = "newer"
    assert syncz.parse_syncz(entries)[0].stale == ("RouteConfiguration",)


def test_a_refusal_is_told_in_the_proxys_words() -> None:
    entries = recorded()
    entries[0]["resources"][ROUTE]["lastError"] = "Duplicate entry of domain a"
    assert syncz.parse_syncz(entries)[0].refused == {"RouteConfiguration": "Duplicate entry of domain a"}


def test_older_istiods_have_flat_fields() -> None:
    entry = {
        "proxy": "a.ns",
        "proxy_version": "1.24.0",
        "cluster_sent": "2",
        "cluster_acked": "1",
        "route_sent": "1",
    }
    state = syncz.parse_syncz([entry])[0]
    assert state.stale == ("cluster", "route")
    assert state.version == "1.24.0"


@pytest.mark.parametrize("name", ["cluster", "listener", "route", "endpoint"])
@pytest.mark.parametrize(
    ("sent", "acked", "stale"),
    [("2", "1", True), ("2", None, True), ("2", "2", False), (None, None, False), (None, "1", False)],
)
def test_each_flat_field_counts_once_it_was_sent(
    name: str, sent: str | None, acked: str | None, stale: bool
) -> None:
    given = {f"{name}_sent": sent, f"{name}_acked": acked}
    entry = {"proxy": "a.ns", **{key: value for key, value in given.items() if value is not None}}
    assert syncz.parse_syncz([entry])[0].stale == ((name,) if stale else ())


def test_of_two_that_are_stale_the_one_with_fewer_refusals_is_newer() -> None:
    more = syncz.SyncState("a.ns", "1", ("Route",), {"Route": "no"})
    less = syncz.SyncState("a.ns", "2", ("Route",), {})
    assert syncz.union([[more], [less]]) == syncz.union([[less], [more]]) == {"a.ns": less}
    alike = syncz.SyncState("a.ns", "3", ("Route",), {})
    assert syncz.union([[less], [alike]]) == {"a.ns": less}


def test_union_takes_the_better_entry_of_a_proxy_that_moved() -> None:
    stale = syncz.SyncState("a.ns", "1", ("Route",), {})
    fresh = syncz.SyncState("a.ns", "1", (), {})
    other = syncz.SyncState("b.ns", "1", (), {})
    for tables in ([[stale], [fresh, other]], [[fresh], [stale, other]]):
        assert syncz.union(tables) == {"a.ns": fresh, "b.ns": other}


def test_ready_istiods() -> None:
    pods = json.loads((FIXTURES / "pods.json").read_text())
    found = istiod.ready_istiods(pod for pod in pods if pod["metadata"]["name"].startswith("istiod"))
    assert [(item.revision, item.version) for item in found] == [("default", "1.31.0")]


def told(text: str) -> PodAnswer:
    return PodAnswer(200, text)


class Client:
    """One answer per istiod pod."""

    def __init__(self, answers: dict[str, PodAnswer]) -> None:
        self.answers = answers

    def ask_pod(self, namespace, pod, port, path, *, timeout=30.0):
        assert (port, path) == (15014, "/debug/syncz")
        return self.answers[pod]

    def in_parallel(self, function, items):
        return [function(item) for item in items]


ISTIODS = [istiod.Istiod("istio-system", name, "default", "1.31.0") for name in ("istiod-a", "istiod-b")]


def test_sync_table_is_the_union_over_all_istiods() -> None:
    first, second = recorded()
    client = Client({"istiod-a": told(json.dumps([first])), "istiod-b": told(json.dumps([second]))})
    assert set(istiod.sync_table(client, ISTIODS)) == {first["proxy"], second["proxy"]}


def test_an_istiod_without_proxies_is_no_error() -> None:
    client = Client({"istiod-a": told("[]"), "istiod-b": told("[]")})
    assert istiod.sync_table(client, ISTIODS) == {}


@pytest.mark.parametrize(
    "answer", [PodAnswer(503, "no"), told("not json"), told("null"), told("[" * 100_000)]
)
def test_a_silent_istiod_is_an_error(answer: PodAnswer) -> None:
    client = Client({"istiod-a": answer, "istiod-b": told("[]")})
    with pytest.raises(ApiError, match="istiod-a"):
        istiod.sync_table(client, ISTIODS)


def test_a_type_of_which_nothing_is_said_was_not_sent() -> None:
    (state,) = syncz.parse_syncz([{"proxy": "a.ns", "resources": {ROUTE: None}}])
    assert (state.stale, state.refused) == ((), {})


@pytest.mark.parametrize("resources", [{ROUTE: "sent"}, {ROUTE: ["1"]}, "sent"])
def test_a_table_of_another_shape_is_no_table(resources: object) -> None:
    with pytest.raises(MalformedError):
        syncz.parse_syncz([{"proxy": "a.ns", "resources": resources}])
