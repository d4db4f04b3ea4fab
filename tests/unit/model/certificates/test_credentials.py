"""Names, credentials of the gateways, renewal dates."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.credentials import (
    Credential,
    covers,
    credentials_of,
    host_problem,
    renewal_due,
)

DAY = datetime.timedelta(days=1)
BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(("day", "due"), [(0, False), (59, False), (60, True), (89, True), (91, True)])
def test_renewal_is_due_when_a_third_is_left(day, due):
    assert renewal_due(BEGIN, BEGIN + 90 * DAY, BEGIN + day * DAY, 1 / 3) is due


@pytest.mark.parametrize(
    ("pattern", "host", "good"),
    [
        ("a.example.com", "a.example.com", True),
        ("A.example.com", "a.Example.com", True),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "*.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "b.a.example.com", False),
        ("*.com", "*.example.com", False),
        ("a.example.com", "*.example.com", False),
        ("example.com", "a.example.com", False),
        ("a.example.com", "b.example.com", False),
        ("*.example.com", "*.a.example.com", False),
    ],
)
def test_a_wildcard_covers_one_label(pattern, host, good):
    assert covers(pattern, host) is good


@pytest.mark.parametrize("host", ["api.example.com", "*.example.com", "a-b.c1.example.com", "1.example.com"])
def test_good_hosts(host):
    assert host_problem(host) == ""


@pytest.mark.parametrize(
    "host",
    ["*", "", None, 7, "10.0.0.1", "::1", "localhost", "*.com", "*.*.example.com", "a*.example.com",
     "A.example.com",
     "a_b.example.com", "a..b.com", "a.example.com.", "-a.example.com", "a" * 64 + ".com", "x.\nexample.com",
     "a.example.com\n", "."],
)  # fmt: skip
def test_bad_hosts(host):
    assert host_problem(host)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("localhost", "needs a domain"),
        ("*.com", "covers a whole top-level domain"),
        ("*", "no certificate can be made for the host"),
        ("10.0.0.1", "is an IP address"),
        ("A.example.com", "is not a lower-case DNS name"),
        (7, "7 is not a host name"),
    ],
)
def test_a_bad_host_is_told_why(host, words):
    assert words in host_problem(host)


INSTALLED = [{"name": "istio-ingressgateway", "namespace": "istio-system"}]


def test_credentials_merge_the_hosts_of_all_servers():
    gateways = [
        {
            "name": "public",
            "workload_namespace": "edge",
            "service_account": "edge-sa",
            "servers": [
                {"host": "a.example.com", "certificate": "web"},
                {"host": "plain.example.com"},
                {"host": "b.example.com", "certificate": "web"},
                {"host": "a.example.com", "certificate": "web"},
            ],
        },
        {
            "name": "second",
            "workload_namespace": "edge",
            "service_account": "other-sa",
            "servers": [{"host": "c.example.com", "certificate": "web"}],
        },
        {
            "name": "third",
            "workload": "istio-ingressgateway",
            "servers": [{"host": "d.example.com", "certificate": "d"}],
        },
    ]
    assert credentials_of(gateways, INSTALLED) == (
        Credential(
            "edge",
            "web",
            ("a.example.com", "b.example.com", "c.example.com"),
            service_accounts=("edge-sa", "other-sa"),
        ),
        Credential(
            "istio-system",
            "d",
            ("d.example.com",),
            service_accounts=("istio-ingressgateway-service-account",),
        ),
    )


def test_the_only_installed_gateway_is_the_default_home():
    gateways = [{"servers": [{"host": "a.example.com", "certificate": "web"}]}]
    assert credentials_of(gateways, INSTALLED)[0].namespace == "istio-system"
    with pytest.raises(InputError, match=r"mesh_gateways\[0\].workload_namespace"):
        credentials_of(gateways, [*INSTALLED, {"name": "second"}])
    with pytest.raises(InputError):
        credentials_of(gateways)


def test_a_server_without_a_host_is_a_problem_like_others():
    gateways = [
        {"workload_namespace": "e", "servers": [{"certificate": "ok"}, {"host": "*.com", "certificate": ""}]}
    ]
    with pytest.raises(InputError) as error:
        credentials_of(gateways)
    assert [(problem.where, problem.rule) for problem in error.value.problems] == [
        ("mesh_gateways[0].servers[0].host", "host")
    ]


def test_all_problems_come_at_once_with_their_places():
    gateways = [
        {
            "workload_namespace": "e",
            "servers": [{"host": "*", "certificate": "ok"}, {"host": "a.b", "certificate": "No!"}],
        }
    ]
    with pytest.raises(InputError) as error:
        credentials_of(gateways)
    assert [problem.where for problem in error.value.problems] == [
        "mesh_gateways[0].servers[0].host",
        "mesh_gateways[0].servers[1].certificate",
    ]
