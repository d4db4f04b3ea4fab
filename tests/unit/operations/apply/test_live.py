"""What is read, and with how many requests."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.apply.live import read_live

from ...support.cluster import FakeCluster
from .objects import config_map, forget, namespace, rule

SPACES = [f"ns-{number}" for number in range(6)]


@pytest.fixture
def cluster() -> FakeCluster:
    found = FakeCluster(*(namespace(name) for name in SPACES))
    for name in SPACES:
        found.apply(config_map("a", name))
        found.apply({**rule(), "metadata": {"name": "x", "namespace": name}})
    forget(found)
    return found


def requests(cluster: FakeCluster) -> list[tuple[str, str, str | None]]:
    return [(call.verb, call.kind, call.namespace) for call in cluster.calls]


def rules(count: int) -> list[dict[str, Any]]:
    return [{**rule(), "metadata": {"name": "x", "namespace": name}} for name in SPACES[:count]]


def test_one_object_is_read_by_itself(cluster: FakeCluster) -> None:
    live = read_live(cluster, [config_map("a", "ns-0")])
    assert requests(cluster) == [("get", "ConfigMap", "ns-0")]
    assert live.get(config_map("a", "ns-0")) is not None
    assert live.get(config_map("a", "ns-1")) is None


@pytest.mark.parametrize("spaces", [2, 4])
def test_objects_are_read_where_they_are_wanted(cluster: FakeCluster, spaces: int) -> None:
    """Two custom resources cost a list of all of their kind in the cluster, most of it none of ours."""
    for wanted in ([config_map("a", name) for name in SPACES[:spaces]], rules(spaces)):
        forget(cluster)
        kind = wanted[0]["kind"]
        live = read_live(cluster, wanted)
        assert requests(cluster) == [("list", kind, space) for space in SPACES[:spaces]]
        assert all(live.get(obj) for obj in wanted)
        assert len(live.of_kind(kind)) == len(live.objects) == spaces


@pytest.mark.parametrize("foreign", [0, 58, 59])
@pytest.mark.parametrize("spaces", [5, 6])
def test_a_few_in_many_namespaces_are_read_one_by_one_where_the_cluster_has_many(
    cluster: FakeCluster, spaces: int, foreign: int
) -> None:
    """58 beside the 6 that are there fill one page; of one more the whole list is not worth reading."""
    cluster.apply(namespace("elsewhere"))
    for number in range(foreign):
        cluster.apply(config_map(f"foreign-{number}", "elsewhere"))
        cluster.apply({**rule(), "metadata": {"name": f"foreign-{number}", "namespace": "elsewhere"}})
    for wanted in ([config_map("a", name) for name in SPACES[:spaces]], rules(spaces)):
        forget(cluster)
        kind = wanted[0]["kind"]
        live = read_live(cluster, wanted)
        each = [("get", kind, space) for space in SPACES[:spaces]]
        assert requests(cluster) == [("list", kind, None), *(each if foreign == 59 else [])]
        assert all(live.get(obj) for obj in wanted)


def test_many_objects_in_many_namespaces_are_one_list(cluster: FakeCluster) -> None:
    read_live(cluster, [config_map(name, space) for name in "abc" for space in SPACES])
    assert requests(cluster) == [("list", "ConfigMap", None)]


def test_objects_of_one_namespace_are_one_list(cluster: FakeCluster) -> None:
    read_live(cluster, [config_map(name, "ns-0") for name in "abcdefg"])
    assert requests(cluster) == [("list", "ConfigMap", "ns-0")]


@pytest.mark.parametrize(("count", "verb"), [(4, "get"), (5, "list")])
def test_a_few_cluster_wide_objects_are_read_one_by_one(cluster: FakeCluster, count: int, verb: str) -> None:
    live = read_live(cluster, [namespace(name) for name in SPACES[:count]])
    assert {call.verb for call in cluster.calls} == {verb}
    assert len(cluster.calls) == (count if verb == "get" else 1)
    assert len(live.of_kind("Namespace")) >= count


def test_owned_kinds_are_listed_by_label(cluster: FakeCluster) -> None:
    live = read_live(
        cluster, [config_map("a", "ns-0")], owned_kinds=[("v1", "ConfigMap")], selector="app=mine"
    )
    assert [(call.kind, call.namespace, call.selector) for call in cluster.calls] == [
        ("ConfigMap", None, "app=mine")
    ]
    assert live.objects == {}


class Restricted(FakeCluster):
    """Lists are allowed in some places only."""

    def __init__(self, inner: FakeCluster, *, allowed: tuple[str | None, ...]) -> None:
        super().__init__(*inner.objects.values())
        self.allowed = allowed

    def list(self, api_version: str, kind: str, namespace: str | None = None, **more: Any) -> Any:
        if namespace not in self.allowed:
            self.fail("list", kind, 403)
        return super().list(api_version, kind, namespace, **more)


def test_without_the_right_to_list_everywhere_each_namespace_is_listed(cluster: FakeCluster) -> None:
    restricted = Restricted(cluster, allowed=tuple(SPACES))
    many = [{**rule(), "metadata": {"name": name, "namespace": space}} for name in "xyz" for space in SPACES]
    live = read_live(restricted, many)
    assert requests(restricted) == [("list", "DestinationRule", space) for space in (None, *SPACES)]
    assert len(live.objects) == 6


def test_owned_kinds_are_looked_for_in_given_namespaces_as_far_as_they_may_be_listed(
    cluster: FakeCluster,
) -> None:
    """Where an object is wanted that must be possible: what is not seen is taken for absent."""
    restricted = Restricted(cluster, allowed=("ns-0", "ns-2"))
    kind = ("v1", "ConfigMap")
    given = {"owned_kinds": [kind], "selector": "a=b", "namespaces": ["ns-1", "ns-2"]}
    live = read_live(restricted, [config_map("a", "ns-0")], **given)
    assert live.confined == {kind: ("ns-0", "ns-2")}
    with pytest.raises(ApiError) as caught:
        read_live(restricted, [config_map("a", "ns-1")], **given)
    assert caught.value.status == 403
    assert read_live(cluster, [config_map("a", "ns-1")], **given).confined == {}


@pytest.mark.parametrize("answer", [403, 404])
def test_a_few_that_may_not_be_listed_are_read_one_by_one(cluster: FakeCluster, answer: int) -> None:
    """A 404 may come from a proxy that does not know the path: it says nothing about the objects."""

    class Refusing(Restricted):
        def all_if_few(self, _api_version: str, kind: str, _most: int) -> Any:
            self.fail("list", kind, answer)
            return super().list("v1", kind)

    live = read_live(Refusing(cluster, allowed=(None,)), [config_map("a", name) for name in SPACES])
    assert len(live.objects) == 6


def test_without_any_right_to_list_each_object_is_read(cluster: FakeCluster) -> None:
    restricted = Restricted(cluster, allowed=())
    live = read_live(restricted, rules(2))
    assert requests(restricted)[-2:] == [("get", "DestinationRule", space) for space in SPACES[:2]]
    assert len(live.objects) == 2
    live = read_live(restricted, [namespace(name) for name in SPACES[:5]])
    assert len(live.of_kind("Namespace")) == 5


def test_an_owned_kind_that_may_not_be_listed_and_of_which_nothing_is_wanted(cluster: FakeCluster) -> None:
    restricted = Restricted(cluster, allowed=())
    with pytest.raises(ApiError) as caught:
        read_live(restricted, [], owned_kinds=[("v1", "ConfigMap")], selector="a=b")
    assert caught.value.status == 403


@pytest.mark.parametrize("how", [500, "lost request"])
def test_an_outage_is_no_missing_right(cluster: FakeCluster, how: int | str) -> None:
    cluster.fail("list", how=how)
    with pytest.raises(ApiError):
        read_live(cluster, rules(3))
    cluster.fail("list", how=how)
    with pytest.raises(ApiError):
        read_live(cluster, [config_map("a", name) for name in SPACES[:2]])


def test_kinds_that_the_server_does_not_serve(cluster: FakeCluster) -> None:
    cluster.missing.add("DestinationRule")
    live = read_live(cluster, [*rules(2), config_map("a", "ns-0")])
    assert live.missing == {("networking.istio.io/v1", "DestinationRule")}
    assert len(live.objects) == 1


def test_a_kind_that_goes_between_discovery_and_list(cluster: FakeCluster) -> None:
    cluster.missing.add("DestinationRule")
    cluster.resource = lambda api_version, kind: FakeCluster().resource(api_version, kind)
    many = [{**rule(), "metadata": {"name": name, "namespace": space}} for name in "xyz" for space in SPACES]
    for wanted in (rules(2), many):
        assert read_live(cluster, wanted).missing == {("networking.istio.io/v1", "DestinationRule")}


def test_another_error_of_discovery_is_told(cluster: FakeCluster) -> None:
    def broken(_api_version: str, _kind: str) -> Any:
        raise ApiError("no", reason="Unreachable")

    cluster.resource = broken
    with pytest.raises(ApiError, match="no"):
        read_live(cluster, rules(2))


def test_an_owned_kind_without_namespaces_that_may_not_be_listed_is_told(cluster: FakeCluster) -> None:
    restricted = Restricted(cluster, allowed=())
    kind = ("v1", "Namespace")
    live = read_live(restricted, [namespace("ns-0")], owned_kinds=[kind], selector="a=b")
    assert live.confined == {kind: ()}
    assert live.get(namespace("ns-0")) is not None
