"""Names, credentials of the gateways, renewal dates."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.credentials import (
    CERT_MANAGER,
    EXISTING,
    ISSUE,
    PROVIDED,
    REQUESTED,
    Credential,
    covers,
    credentials_of,
    renewal_due,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.gateways import gateways_of

from ...support.catalogues import minimal

DAY = datetime.timedelta(days=1)
BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(("day", "due"), [(0, False), (59, False), (60, True), (89, True), (91, True)])
def test_renewal_is_due_when_a_third_is_left(day, due):
    assert renewal_due(BEGIN, BEGIN + 90 * DAY, BEGIN + day * DAY, 1 / 3) is due
    assert renewal_due(BEGIN, BEGIN + 90 * DAY, BEGIN + (day - 10) * DAY, 1 / 3, BEGIN + 80 * DAY) is due


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
        ("*", "*", False),
    ],
)
def test_a_wildcard_covers_one_label(pattern, host, good):
    assert covers(pattern, host) is good


def entry(host, **more):
    return {"workload_namespace": "edge", "servers": [{"host": host, "certificate": "web", **more}]}


@pytest.mark.parametrize("host", ["api.example.com", "*.example.com", "a-b.c1.example.com", "1.example.com"])
def test_good_hosts(host):
    assert credentials_of([entry(host)])[0].hosts == (host,)


@pytest.mark.parametrize(
    "host",
    ["*", "", None, 7, "10.0.0.1", "::1", "localhost", "*.com", "*.*.example.com", "a*.example.com",
     "A.example.com",
     "a_b.example.com", "a..b.com", "a.example.com.", "-a.example.com", "a" * 64 + ".com", "x.\nexample.com",
     "a.example.com\n", "."],
)  # fmt: skip
def test_bad_hosts(host):
    with pytest.raises(InputError) as error:
        credentials_of([entry(host)])
    assert [problem.where for problem in error.value.problems] == ["mesh_gateways[0].servers[0].host"]


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("localhost", "is not fully qualified"),
        ("*.com", "covers a whole top-level domain"),
        ("*", "is not a DNS name"),
        ("10.0.0.1", "is an address, not a DNS name"),
        ("A.example.com", "is not a DNS name"),
        (7, "is a number, not a string"),
    ],
)
def test_a_bad_host_is_told_why(host, words):
    with pytest.raises(InputError, match=words):
        credentials_of([entry(host)])


INSTALLED = gateways_of({"istio_gateways": [{"name": "istio-ingressgateway"}]})


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


def test_a_gateway_without_certificates_needs_no_home():
    plain = {"name": "plain", "servers": [{"host": "a.example.com"}]}
    assert credentials_of([plain]) == ()
    with pytest.raises(InputError) as error:
        credentials_of([{"servers": [{"host": "a.example.com", "certificate": "web"}]}])
    assert [(one.where, one.rule) for one in error.value.problems] == [
        ("mesh_gateways[0].workload_namespace", "required")
    ]


def test_sources_by_the_names_that_people_read():
    named = (ISSUE, PROVIDED, EXISTING, REQUESTED, CERT_MANAGER)
    assert named == ("issue", "provided", "existing", "requested", "cert-manager")


def test_the_only_installed_ingress_gateway_is_the_default_home():
    """An egress gateway serves no host to clients, so it does not make the choice unclear."""
    gateways = [{"servers": [{"host": "a.example.com", "certificate": "web"}]}]
    egress = gateways_of({"istio_gateways": [{"name": "out", "namespace": "egress", "egress": True}]})
    wanted = ("istio-system", ("istio-ingressgateway-service-account",))
    for installed in (INSTALLED, [*INSTALLED, *egress], [*egress, *INSTALLED]):
        (credential,) = credentials_of(gateways, installed)
        assert (credential.namespace, credential.service_accounts) == wanted
    second = gateways_of({"istio_gateways": [{"name": "second"}]})
    for unclear in ((), egress, [*INSTALLED, *second]):
        with pytest.raises(InputError, match=r"mesh_gateways\[0\].workload_namespace: unknown"):
            credentials_of(gateways, unclear)


def test_what_an_entry_says_itself_wins():
    gateway = {"workload": "istio-ingressgateway", "service_account": "own", "servers": []}
    assert credentials_of([gateway], INSTALLED) == ()
    gateway["servers"] = [{"host": "a.example.com", "certificate": "web.tls"}, {"host": "not looked at"}]
    (credential,) = credentials_of([gateway], INSTALLED)
    assert credential == Credential("istio-system", "web.tls", ("a.example.com",), service_accounts=("own",))
    (credential,) = credentials_of([entry("a.example.com")], ())
    assert credential.service_accounts == ()


def test_a_gateway_that_is_not_installed_is_named():
    gateway = {"workload": "other", "servers": [{"host": "a.example.com", "certificate": "web"}]}
    with pytest.raises(InputError) as error:
        credentials_of([gateway], INSTALLED)
    assert [(problem.where, problem.rule) for problem in error.value.problems] == [
        ("mesh_gateways[0].workload", "unknown-gateway")
    ]


def test_a_server_without_a_host_is_a_problem_like_others():
    """An empty certificate is none in no reader: the catalogue refuses it as well."""
    gateways = [
        {"workload_namespace": "e", "servers": [{"certificate": "ok"}, {"host": "a.com", "certificate": ""}]}
    ]
    with pytest.raises(InputError) as error:
        credentials_of(gateways)
    assert [(problem.where, problem.rule) for problem in error.value.problems] == [
        ("mesh_gateways[0].servers[0].host", "required"),
        ("mesh_gateways[0].servers[1].certificate", "dns-name"),
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


@pytest.mark.parametrize("name", ["cert-api.example.com", "a.b", "api"])
def test_catalogue_and_certificates_know_the_same_credentials(name: str) -> None:
    """Public report: a credential with dots, refused by one reader and accepted by the other."""
    servers = [{"host": "api.example.com", "certificate": name}]
    gateways = [{"name": "public", "servers": servers}]
    raw = minimal(mesh_gateways=gateways)
    assert parse_catalogue(raw).gateways[0].servers[0].certificate == name
    (credential,) = credentials_of(gateways, gateways_of(raw))
    assert credential.name == name


@pytest.mark.parametrize("name", ["api-cacert", "-api", "a..b", "API", "api\n", "a" * 250])
def test_catalogue_and_certificates_refuse_the_same_credentials(name: str) -> None:
    gateways = [{"name": "public", "servers": [{"host": "api.example.com", "certificate": name}]}]
    raw = minimal(mesh_gateways=gateways)
    with pytest.raises(InputError) as by_catalogue:
        parse_catalogue(raw)
    with pytest.raises(InputError) as by_certificates:
        credentials_of(gateways, gateways_of(raw))
    assert str(by_catalogue.value) == str(by_certificates.value)
