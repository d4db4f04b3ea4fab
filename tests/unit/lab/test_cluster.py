"""Names, numbers and addresses of clusters."""

from __future__ import annotations

import ipaddress
import itertools

import pytest

from lab.cluster import CLUSTERS, Cluster, allocate, check_name, choose_index, known_clusters, read_cluster
from lab.errors import LabError


def test_the_default_cluster_has_the_documented_addresses():
    cluster = Cluster("a", 0)
    assert (cluster.pod_cidr, cluster.node_ip, cluster.service_cidr) == (
        "10.244.0.0/24",
        "10.244.0.1",
        "10.96.0.0/16",
    )
    assert (cluster.uplink_host_ip, cluster.uplink_node_ip) == ("10.255.0.1", "10.255.0.2")
    assert cluster.dns_ip == "10.96.0.10"
    assert cluster.server == "https://10.244.0.1:6443"


def test_no_two_clusters_share_an_address_or_a_link():
    clusters = [Cluster(f"c{number}", number) for number in range(CLUSTERS)]
    networks = [
        ipaddress.ip_network(text, strict=False)
        for cluster in clusters
        for text in (cluster.pod_cidr, cluster.service_cidr, f"{cluster.uplink_host_ip}/30")
    ]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(networks, 2))
    assert len({cluster.host_link for cluster in clusters}) == CLUSTERS
    assert all(len(cluster.host_link) <= 15 for cluster in clusters)  # IFNAMSIZ


def test_addresses_of_one_cluster_lie_in_its_networks():
    for number in range(CLUSTERS):
        cluster = Cluster("x", number)
        pods, services = ipaddress.ip_network(cluster.pod_cidr), ipaddress.ip_network(cluster.service_cidr)
        assert {ipaddress.ip_address(cluster.node_ip), ipaddress.ip_address(cluster.pod_range_start)} < set(
            pods
        )
        assert ipaddress.ip_address(cluster.dns_ip) in services
        assert ipaddress.ip_address(cluster.api_service_ip) == services[1]
        uplink = ipaddress.ip_network(f"{cluster.uplink_host_ip}/30", strict=False)
        assert ipaddress.ip_address(cluster.uplink_node_ip) in list(uplink.hosts())


@pytest.mark.parametrize("name", ["a", "b2", "lab-test", "x" * 20])
def test_names_that_may_be_used(name):
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a/b", "..", "x" * 21, "a b", ".locks"])
def test_names_that_may_not(name):
    with pytest.raises(LabError, match="cannot name a cluster"):
        check_name(name)


def test_number_zero_belongs_to_the_default_name():
    assert choose_index("a", {1, 2}) == 0
    assert choose_index("b", set()) == 1
    assert choose_index("b", {0, 1, 3}) == 2
    with pytest.raises(LabError, match="in use"):
        choose_index("b", set(range(CLUSTERS)))


def test_a_number_is_kept_and_given_once(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    first, second = allocate("k"), allocate("m")
    assert (first.index, second.index) == (1, 2)
    assert allocate("k") == first
    assert [cluster.name for cluster in known_clusters()] == ["k", "m"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"index": "1"}', '{"index": 99}', '{"other": 1}'])
def test_a_damaged_record_is_no_cluster(tmp_path, monkeypatch, content):
    monkeypatch.setenv("LAB_STATE", str(tmp_path))
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "cluster.json").write_text(content)
    assert read_cluster("k") is None
    assert allocate("k").index == 1
