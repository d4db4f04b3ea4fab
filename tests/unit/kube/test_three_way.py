# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The merge of three states: by property over generated objects, and the special fields one by one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.three_way import merge_patch, replaced
from hypothesis import given
from hypothesis import strategies as st

from ..support.patches import merge_patch as server_merge

Path = tuple[Any, ...]
KEYS = {"env": "name", "volumeMounts": "mountPath", "containers": "name", "ports": "containerPort"}

_scalar = st.sampled_from([0, 1, True, False, "a", "b"])
_leaf = st.fixed_dictionaries({}, optional={"x": _scalar, "y": _scalar})


def _keyed(key: str, names: list[Any], inner: Any) -> Any:
    return st.lists(st.sampled_from(names), unique=True, max_size=3).flatmap(
        lambda chosen: st.tuples(*(inner.map(lambda rest, n=name: {key: n, **rest}) for name in chosen)).map(
            list
        )
    )


_container = st.fixed_dictionaries(
    {},
    optional={
        "env": _keyed("name", ["A", "B", "C"], st.fixed_dictionaries({}, optional={"value": _scalar})),
        "volumeMounts": _keyed("mountPath", ["/a", "/b"], _leaf),
        "ports": _keyed("containerPort", [80, 443], _leaf),
        "args": st.lists(_scalar, max_size=2),
        "resources": _leaf,
    },
)
_object = st.fixed_dictionaries(
    {"apiVersion": st.just("apps/v1"), "kind": st.just("Deployment")},
    optional={
        "data": st.fixed_dictionaries({}, optional={"p": _leaf, "q": _leaf, "r": _scalar}),
        "containers": _keyed("name", ["one", "two"], _container),
    },
)


def paths(value: Any, at: Path = (), name: str = "") -> Iterator[tuple[Path, Any]]:
    """Every place of an object; an item of a keyed list stands under its key, any other list is one value."""
    if isinstance(value, dict):
        yield at, "a mapping"
        for key, inner in value.items():
            yield from paths(inner, (*at, key), key)
    elif isinstance(value, list) and name in KEYS:
        yield at, "a list"
        for item in value:
            yield from paths(item, (*at, (item[KEYS[name]], type(item[KEYS[name]]))))
    else:
        yield at, (type(value), value) if not isinstance(value, list) else [(type(v), v) for v in value]


def expected(live: Any, old: Any, new: Any) -> dict[Path, Any]:
    """What the rule says, place by place."""
    lives, olds, news = dict(paths(live)), dict(paths(old)), dict(paths(new))
    gone = {place for place in olds if place not in news}
    kept = {
        place: value
        for place, value in lives.items()
        if not any(place[:length] in gone for length in range(len(place) + 1))
    }
    return kept | news


@given(_object, _object, _object)
def test_what_the_old_one_had_goes_what_the_new_one_says_comes_and_the_rest_stays(
    live: Any, old: Any, new: Any
) -> None:
    before = copy.deepcopy((live, old, new))
    result = replaced(live, old, new)
    assert (live, old, new) == before, "an argument was changed"
    wanted = expected(live, old, new)
    if result is None:
        gone = set(dict(paths(old))) - set(dict(paths(new)))
        assert not gone & set(dict(paths(live)))
    else:
        assert dict(paths(result)) == wanted


@given(_object, _object)
def test_a_merge_patch_makes_the_one_of_the_other(one: Any, other: Any) -> None:
    patch = merge_patch(one, other)
    made = server_merge(copy.deepcopy(one), patch)
    assert dict(paths(made)) == dict(paths(other))
    assert (patch == {}) is (dict(paths(one)) == dict(paths(other)))


def deployment(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}


def test_the_order_that_lives_is_kept_where_the_new_one_has_it_too() -> None:
    def env(*names: str) -> dict[str, Any]:
        return deployment(
            template={"spec": {"containers": [{"name": "c", "env": [{"name": n} for n in names]}]}}
        )

    found = replaced(env("INJECTED", "A", "B", "OLD"), env("A", "B", "OLD"), env("A", "B"))
    assert found == env("INJECTED", "A", "B")
    found = replaced(env("A", "B", "OLD"), env("A", "B", "OLD"), env("B", "A"))
    assert found == env("B", "A")


def test_ports_of_a_service_are_known_by_their_number() -> None:
    def service(*numbers: int, **more: Any) -> dict[str, Any]:
        ports = [{"port": number, **more} for number in numbers]
        return {"apiVersion": "v1", "kind": "Service", "spec": {"ports": ports}}

    found = replaced(service(80, 443, nodePort=3), service(80, 443), service(80))
    assert found == service(80, nodePort=3)


def test_keys_that_exclude_each_other_go_together() -> None:
    live = deployment(
        strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
        template={"spec": {"volumes": [{"name": "v", "secret": {"secretName": "s", "defaultMode": 420}}]}},
    )
    old = deployment(
        strategy={"type": "RollingUpdate"},
        template={"spec": {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}},
    )
    new = deployment(
        strategy={"type": "Recreate"},
        template={"spec": {"volumes": [{"name": "v", "configMap": {"name": "m"}}]}},
    )
    assert replaced(live, old, new) == new


def test_a_custom_resource_has_no_merge_keys() -> None:
    def gateway(*names: str) -> dict[str, Any]:
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "spec": {"env": [{"name": name} for name in names], **({"old": 1} if "A" in names else {})},
        }

    assert replaced(gateway("A", "B", "X"), gateway("A", "B"), gateway("B")) == gateway("B")


@pytest.mark.parametrize("field", ["finalizers"])
def test_sets_lose_only_what_was_set(field: str) -> None:
    def obj(*values: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Service", "metadata": {field: list(values)}}

    assert replaced(obj("a", "b", "theirs"), obj("a", "b"), obj("b", "c")) == obj("b", "theirs", "c")


def test_pull_secrets_of_an_account_are_one_value_and_those_of_a_pod_are_not() -> None:
    def account(*names: str) -> dict[str, Any]:
        secrets = [{"name": name} for name in names]
        return {"apiVersion": "v1", "kind": "ServiceAccount", "imagePullSecrets": secrets}

    # An upgrade replaces it whatever was added, which an apply predicts without taking anything out.
    assert replaced(account("a", "theirs"), account("a", "b"), account("a")) is None

    def pods(*names: str) -> dict[str, Any]:
        return deployment(template={"spec": {"imagePullSecrets": [{"name": name} for name in names]}})

    assert replaced(pods("a", "b", "theirs"), pods("a", "b"), pods("a")) == pods("a", "theirs")


@pytest.mark.parametrize(
    ("live", "old", "new", "expected"),
    [
        # whatever somebody made of it meanwhile is laid over, and its kind is the new one's
        ({"a": 1}, [{"name": "x"}], [{"name": "y"}], [{"name": "y"}]),
        ({"a": 1}, {"a": 1}, [{"name": "y"}], [{"name": "y"}]),
        ([{"name": "x"}], {"a": 1}, [{"name": "y"}], [{"name": "y"}, {"name": "x"}]),
        ([{"name": "x"}], [{"name": "x"}], {"a": 1}, {"a": 1}),
        ("text", [{"name": "x"}], [{"name": "y"}], [{"name": "y"}]),
    ],
)
def test_a_field_that_changed_its_kind(live: Any, old: Any, new: Any, expected: Any) -> None:
    def with_containers(value: Any) -> dict[str, Any]:
        return {"apiVersion": "apps/v1", "kind": "Deployment", "gone": 1, "containers": value}

    after = with_containers(new)
    del after["gone"]
    found = replaced(with_containers(live), with_containers(old), after)
    assert found is not None and found["containers"] == expected


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("containers", "name"),
        ("env", "name"),
        ("ephemeralContainers", "name"),
        ("hostAliases", "ip"),
        ("imagePullSecrets", "name"),
        ("initContainers", "name"),
        ("matchConditions", "name"),
        ("ownerReferences", "uid"),
        ("ports", "containerPort"),
        ("resourceClaims", "name"),
        ("secrets", "name"),
        ("topologySpreadConstraints", "topologyKey"),
        ("volumeDevices", "devicePath"),
        ("volumeMounts", "mountPath"),
        ("volumes", "name"),
        ("webhooks", "name"),
        ("tolerations", ""),
    ],
)
def test_the_items_of_every_list_are_known_by_its_key(name: str, key: str) -> None:
    def obj(*values: str, gone: bool = False) -> dict[str, Any]:
        items = [{key or "key": value, "n": 1} for value in values]
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "spec": {name: items, **({"x": 1} if gone else {})},
        }

    found = replaced(obj("a", "theirs", "old", gone=True), obj("a", "old", gone=True), obj("a"))
    assert found == (obj("a", "theirs") if key else obj("a"))
