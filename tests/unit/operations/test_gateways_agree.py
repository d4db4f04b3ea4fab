"""Whoever reads ``istio_gateways`` finds the same gateways: in the same namespace, as the same account.

The expectation is written down here anew, from docs/guides/install.md, and shares no code with any reader.
"""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.helm_releases import (
    desired_releases,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.istioctl_operator import (
    operator_document,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.settings import (
    Installation,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.expectations import (
    expectations,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import (
    mesh_resources,
    render,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import (
    backend as certificates,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.options import (
    read_options as read_certificates,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane import (
    backend as control_plane,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane.options import (
    installation_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.injection import (
    backend as injection,
)
from hypothesis import given
from hypothesis import strategies as st

from ..support import arguments
from ..support.cluster import FakeCluster, reaching
from .preflight.test_inputs import read

_names = st.sampled_from(["istio-ingressgateway", "istio-edge", "public", "out"])
_places = st.sampled_from(["edge", "shop", "istio-system"])
_entries = st.fixed_dictionaries(
    {"name": _names},
    optional={
        "namespace": st.none() | _places,
        "service_account": st.sampled_from(["own", "own.sa"]),
        "labels": st.sampled_from([{}, {"istio": "other"}, {"team": "a"}]),
        "egress": st.booleans(),
        "ports": st.sampled_from([[], [{"name": "https", "port": 443}, {"name": "http", "port": 80}]]),
    },
)
_variables = st.fixed_dictionaries(
    {},
    optional={
        # Gateways of one label select each other's pods: the catalogue refuses these.
        "istio_gateways": st.lists(
            _entries,
            max_size=4,
            unique_by=(
                lambda entry: entry["name"],
                lambda entry: entry.get("labels", {}).get("istio", entry["name"].removeprefix("istio-")),
            ),
        ),
        "istio_namespace": st.sampled_from(["istio-system", "mesh-system"]),
        "istio_revision": st.sampled_from(["", "default", "r1"]),
    },
)


def expected(variables: dict[str, Any]) -> list[dict[str, Any]]:
    """The gateways that the guide promises."""
    found = []
    for entry in variables.get("istio_gateways", [{"name": "istio-ingressgateway"}]):
        name = entry["name"]
        short = name[len("istio-") :] if name.startswith("istio-") else name
        found.append(
            {
                "name": name,
                "namespace": entry.get("namespace") or variables.get("istio_namespace", "istio-system"),
                "account": entry.get("service_account", name + "-service-account"),
                "istio": entry.get("labels", {}).get("istio", short),
                "egress": entry.get("egress", False),
            }
        )
    return found


def validated(spec: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    return arguments.validated(spec, parameters)


def installation_for(variables: dict[str, Any]) -> Installation:
    """As role istio hands its variables over; Helm, because istioctl knows one name of an account only."""
    options = {key.removeprefix("istio_"): value for key, value in variables.items()}
    return installation_of(validated(control_plane.ARGUMENT_SPEC, method="helm", **options))


def catalogue_for(variables: dict[str, Any], gateways: list[dict[str, Any]]) -> dict[str, Any]:
    """A mesh with an entry for every gateway, of which nothing is said but its name."""
    entries = [
        {
            "name": f"gw-{gateway['name']}",
            "workload": gateway["name"],
            "servers": [{"host": f"{gateway['name']}.example.com", "certificate": gateway["name"]}],
        }
        for gateway in gateways
        if not gateway["egress"]
    ]
    exposed = [
        {"gateway": entry["name"], "host": entry["servers"][0]["host"], "path": "/"} for entry in entries
    ]
    ports = [{"name": "http", "number": 80, "protocol": "http"}]
    services = [{"name": "web", "ports": ports, **({"exposed": exposed} if exposed else {})}]
    return {
        "mesh_name": "shop",
        "mesh_namespace": "shop",
        "mesh_services": services,
        "mesh_gateways": entries,
        **variables,
    }


@given(_variables)
def test_every_reader_finds_the_same_gateways(variables: dict[str, Any]) -> None:
    wanted = expected(variables)
    ingress = [gateway for gateway in wanted if not gateway["egress"]]
    raw = catalogue_for(variables, wanted)

    installation = installation_for(variables)
    assert [
        (item.name, item.namespace, item.service_account, item.selector["istio"], item.egress)
        for item in installation.gateways
    ] == [tuple(gateway.values()) for gateway in wanted]
    revision = variables.get("istio_revision", "")
    assert {item.revision for item in installation.gateways} <= {"" if revision == "default" else revision}

    catalogue = parse_catalogue(raw)
    assert [
        (item.workload_namespace, item.service_account, item.selector) for item in catalogue.gateways
    ] == [(item["namespace"], item["account"], {"istio": item["istio"]}) for item in ingress]
    outward = [gateway for gateway in wanted if gateway["egress"]]
    assert (catalogue.egress_gateway is not None) is (len(outward) == 1)
    if catalogue.egress_gateway is not None:
        assert catalogue.egress_gateway.workload_namespace == outward[0]["namespace"]
        assert catalogue.egress_gateway.service_account == outward[0]["account"]
        assert catalogue.egress_gateway.selector == {"istio": outward[0]["istio"]}

    options = {"installed_gateways": variables.get("istio_gateways")}
    if "istio_namespace" in variables:
        options["istio_namespace"] = variables["istio_namespace"]
    credentials = read_certificates(
        validated(certificates.ARGUMENT_SPEC, mesh="shop", gateways=raw["mesh_gateways"], **options)
    ).credentials
    assert sorted((item.namespace, item.name, item.service_accounts) for item in credentials) == sorted(
        (item["namespace"], item["name"], (item["account"],)) for item in ingress
    )

    scopes = [item.scope for item in expectations(catalogue, render(catalogue)) if item.scope.gateways]
    assert {(scope.namespace, scope.selector["istio"]) for scope in scopes} == {
        (item["namespace"], item["istio"]) for item in ingress
    }
    assert expected(variables) == wanted  # nobody has changed what was handed in


@given(_variables)
def test_what_is_installed_is_what_the_objects_name(variables: dict[str, Any]) -> None:
    """The filters compute from the same variables: policies name principals that really exist."""
    wanted = expected(variables)
    installation = installation_for(variables)
    releases = [item for item in desired_releases(installation) if item.chart == "gateway"]
    assert [
        (item.name, item.namespace, item.values["serviceAccount"]["name"], item.values["labels"]["istio"])
        for item in releases
    ] == [tuple(gateway.values())[:4] for gateway in wanted]
    components = operator_document(installation)["spec"]["components"]
    enabled = [
        item for item in (*components["ingressGateways"], *components["egressGateways"]) if item["enabled"]
    ]
    assert {(item["name"], item["namespace"], item["label"]["istio"]) for item in enabled} == {
        (item["name"], item["namespace"], item["istio"]) for item in wanted
    }

    objects = mesh_resources(catalogue_for(variables, wanted))
    selectors = {
        item["metadata"]["name"]: item["spec"]["selector"] for item in objects if item["kind"] == "Gateway"
    }
    principals = {
        principal
        for item in objects
        if item["kind"] == "AuthorizationPolicy" and item["metadata"]["name"] == "web"
        for rule in item["spec"].get("rules", [])
        for source in rule["from"]
        for principal in source["source"]["principals"]
    }
    ingress = [gateway for gateway in wanted if not gateway["egress"]]
    assert principals == {f"cluster.local/ns/{item['namespace']}/sa/{item['account']}" for item in ingress}
    for item in ingress:
        assert selectors[f"gw-{item['name']}"] == {"istio": item["istio"]}


@given(_variables)
def test_preflight_and_injection_go_where_the_gateways_are(variables: dict[str, Any]) -> None:
    wanted = expected(variables)
    istio = {key.removeprefix("istio_"): value for key, value in variables.items()}
    raw = catalogue_for({}, wanted)  # role preflight hands the variables over twice; once is enough
    inputs = read(istio={"method": "helm", **istio}, catalogue=raw)
    assert inputs.catalogue is not None
    assert [gateway.workload_namespace for gateway in inputs.catalogue.gateways] == [
        gateway["namespace"] for gateway in wanted if not gateway["egress"]
    ]

    cluster = FakeCluster(
        *(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            for name in ("edge", "shop", "istio-system", "mesh-system")
        )
    )
    options = {"namespaces": [], "gateways": variables.get("istio_gateways")}
    if "istio_namespace" in variables:
        options["istio_namespace"] = variables["istio_namespace"]
    injection.run(validated(injection.ARGUMENT_SPEC, **options), Context(connect=reaching(cluster)))
    asked = {call.name for call in cluster.calls if (call.verb, call.kind) == ("get", "Namespace")}
    assert asked == {gateway["namespace"] for gateway in wanted}


def test_explicit_gateway_namespaces_win() -> None:
    options = validated(
        injection.ARGUMENT_SPEC, namespaces=[], gateways=[{"name": "a"}], gateway_namespaces=["edge"]
    )
    cluster = FakeCluster({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge"}})
    injection.run(options, Context(connect=reaching(cluster)))
    asked = {call.name for call in cluster.calls if (call.verb, call.kind) == ("get", "Namespace")}
    assert asked == {"edge"}


@pytest.mark.parametrize("reader", ["installation", "catalogue", "certificates", "injection"])
def test_a_fault_is_named_alike_by_everybody(reader: str) -> None:
    variables = {"istio_gateways": [{"name": "a", "egres": True}]}
    with pytest.raises(Exception, match=r"istio_gateways\[0\]\.egres of a: is not a known key, did you mean"):
        if reader == "installation":
            installation_for(variables)
        elif reader == "catalogue":
            parse_catalogue({"mesh_name": "shop", **variables})
        elif reader == "certificates":
            read_certificates(
                validated(
                    certificates.ARGUMENT_SPEC,
                    mesh="shop",
                    gateways=[],
                    installed_gateways=variables["istio_gateways"],
                )
            )
        else:
            options = validated(injection.ARGUMENT_SPEC, namespaces=[], gateways=variables["istio_gateways"])
            injection.run(options, Context(connect=reaching(FakeCluster())))
