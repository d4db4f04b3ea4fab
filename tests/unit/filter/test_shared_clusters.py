"""Hosts of a play that reach one cluster would write against each other."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.servicemesh.istio.plugins.filter.shared_clusters import shared_clusters


def result(server: str, uid: str = "") -> dict[str, Any]:
    return {"preflight_result": {"cluster": {"server": server, "uid": uid}}}


def told(**variables: dict[str, Any]) -> list[str]:
    return shared_clusters(list(variables), variables)


def test_each_cluster_has_one_host() -> None:
    assert told(a=result("https://a", "1"), b=result("https://b", "2"), c=result("https://c")) == []
    assert told() == []


def test_one_cluster_by_two_addresses_is_one() -> None:
    found = told(a=result("https://a", "1"), b=result("https://10.0.0.1", "1"), c=result("https://c", "2"))
    assert found == ["a, b reach the same cluster (cluster 1): give each cluster one host"]


def test_without_the_right_to_tell_the_address_counts() -> None:
    found = told(a=result("https://a"), b=result("https://a", "1"), c=result("https://c"))
    assert found == ["a, b reach the same cluster (https://a): give each cluster one host"]


def test_a_host_that_has_not_looked_yet_shares_nothing() -> None:
    assert told(a=result("https://a", "1"), b={}, c={"preflight_result": {}}) == []


def test_other_hosts_of_the_inventory_do_not_count() -> None:
    variables = {name: result("https://a", "1") for name in ("a", "b")}
    assert shared_clusters(["a"], variables) == []


@pytest.mark.parametrize("broken", [{"preflight_result": "x"}, {"preflight_result": {"cluster": 5}}])
def test_something_else_is_no_result(broken: dict[str, Any]) -> None:
    with pytest.raises(AnsibleFilterError, match="b has no result of a preflight"):
        told(a=result("https://a", "1"), b=broken)
