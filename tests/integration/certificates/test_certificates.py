"""Role certificates' backend against a real gateway: what is written is what a TLS client sees."""

from __future__ import annotations

import base64
import datetime
import json
import ssl

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.certificates.credentials import (
    Credential,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import (
    proof as certificates_proof,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.endpoints import (
    endpoints_of,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates.issue import (
    Lifetimes,
    new_authority,
)

from .conftest import HOME

OTHER_CA = new_authority("other", datetime.datetime.now(datetime.UTC), Lifetimes()).chain.decode()


def test_from_nothing_to_a_proved_certificate_and_then_no_change(edge):
    edge.expose()
    foreseen = edge.run(check_mode=True)
    assert edge.secret() is None
    assert edge.authority() is None
    assert "certificate" not in foreseen["ca"]
    done = edge.run()
    assert (done["changed"], done["status"]) == (True, "pass")
    assert done["objects"] == foreseen["objects"]
    assert [entry["id"] for entry in done["objects"]] == [
        f"Namespace {edge.name}",
        f"Secret {edge.name}/servicemesh-ca",
        f"Secret istio-system/{edge.name}",
    ]
    (certificate,) = done["certificates"]
    assert certificate["proof"]["method"] == "handshake"
    assert certificate["dns_names"] == [edge.host]
    versions = [edge.secret()["metadata"]["resourceVersion"], edge.authority()["metadata"]["resourceVersion"]]
    again = edge.run()
    assert (again["changed"], again["status"], again["objects"], again["diff"]) == (False, "pass", [], [])
    assert again["ca"]["fingerprint_sha256"] == done["ca"]["fingerprint_sha256"]
    assert versions == [
        edge.secret()["metadata"]["resourceVersion"],
        edge.authority()["metadata"]["resourceVersion"],
    ]


def test_a_client_with_the_ca_gets_through_and_one_without_does_not(edge):
    edge.expose()
    done = edge.run()
    (endpoint, *_rest) = endpoints(edge)
    served = certificates_proof.served_fingerprint(endpoint, done["ca"]["certificate"])
    assert served == done["certificates"][0]["fingerprint_sha256"]
    assert certificates_proof.served_fingerprint(endpoint, "") == served
    with pytest.raises(ssl.SSLCertVerificationError):
        certificates_proof.served_fingerprint(endpoint, OTHER_CA)


def endpoints(edge):
    gateways = edge.client.list("networking.istio.io/v1", "Gateway", "istio-system").items
    pods = edge.client.list("v1", "Pod", "istio-system").items
    services = edge.client.list("v1", "Service", "istio-system").items
    credential = Credential("istio-system", edge.name, (edge.host,))
    return endpoints_of(credential, gateways, pods, services)


def test_a_deleted_certificate_comes_back_under_the_same_ca(edge):
    edge.expose()
    first = edge.run()
    edge.client.delete("v1", "Secret", edge.name, "istio-system")
    second = edge.run()
    assert second["status"] == "pass"
    assert [entry["action"] for entry in second["objects"]] == ["created"]
    assert second["ca"] == {**first["ca"], "action": "unchanged"}
    assert second["certificates"][0]["serial"] != first["certificates"][0]["serial"]


def test_a_host_more_renews_and_serves_both(edge):
    edge.expose()
    edge.run()
    more = f"more.{edge.host}"
    edge.expose(edge.host, more)
    result = edge.run(hosts=[edge.host, more], overlap=1)
    assert [entry["action"] for entry in result["objects"]] == ["updated"]
    assert result["status"] == "pass"
    assert "2 handshakes" in result["certificates"][0]["proof"]["evidence"]


def test_a_certificate_near_its_end_is_renewed(edge):
    edge.run(prove=False, days=2, renew_at=0.1)
    assert edge.run(prove=False, days=2, renew_at=0.1)["changed"] is False
    renewed = edge.run(prove=False, days=30, renew_at=0.9999)
    assert [entry["action"] for entry in renewed["objects"]] == ["updated"]


@pytest.mark.parametrize("key", ["cert", "ca.crt"])
def test_keys_that_shadow_or_widen_are_removed(edge, key):
    first = edge.run(prove=False)
    edge.edit({key: base64.b64encode(b"x").decode()})
    result = edge.run(prove=False)
    assert [entry["action"] for entry in result["objects"]] == ["updated"]
    assert set(edge.secret()["data"]) == {"tls.crt", "tls.key"}
    same = [run["certificates"][0]["fingerprint_sha256"] for run in (first, result)]
    assert same[0] == same[1]
    assert not edge.run(prove=False)["changed"]


def test_a_pair_that_was_edited_by_hand_is_replaced(edge):
    edge.expose()
    edge.run()
    edge.edit({"tls.crt": edge.authority()["data"]["tls.crt"]})
    result = edge.run()
    assert (result["changed"], result["status"]) == (True, "pass")


def test_a_controllers_secret_is_left_alone(edge):
    edge.run(prove=False)
    edge.edit({"tls.crt": edge.authority()["data"]["tls.crt"]}, manager="external-secrets")
    version = edge.secret()["metadata"]["resourceVersion"]
    with pytest.raises(RefusedError, match="external-secrets"):
        edge.run()
    assert edge.secret()["metadata"]["resourceVersion"] == version


def test_somebody_elses_secret_is_refused_and_usable_as_existing(edge):
    edge.expose()
    edge.run()
    labels = {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}
    edge.client.patch("v1", "Secret", edge.name, "istio-system", labels)
    with pytest.raises(RefusedError, match="somebody else made it, or replaced ours by hand"):
        edge.run()
    result = edge.run(existing=[edge.name])
    assert (result["changed"], result["status"]) == (False, "pass")
    assert result["certificates"][0]["action"] == "unchanged"


def test_a_lost_ca_is_not_replaced_in_silence(edge):
    edge.expose()
    first = edge.run()
    edge.client.delete("v1", "Secret", "servicemesh-ca", edge.name)
    with pytest.raises(RefusedError, match="the CA is gone while its certificates are in use"):
        edge.run()
    assert edge.authority() is None
    result = edge.run(replace_lost_ca=True, overlap=0)
    assert result["status"] == "pass"
    assert result["ca"]["fingerprint_sha256"] != first["ca"]["fingerprint_sha256"]
    assert not edge.run()["changed"]


def test_a_gateway_that_may_read_the_ca_stops_everything(edge):
    edge.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": edge.name}})
    group = "rbac.authorization.k8s.io"
    meta = {"name": "open", "namespace": edge.name}
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]
    edge.client.create({"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": rules})
    subject = {
        "kind": "ServiceAccount",
        "name": "istio-ingressgateway-service-account",
        "namespace": "istio-system",
    }
    role = {"apiGroup": group, "kind": "Role", "name": "open"}
    binding = {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": meta}
    edge.client.create({**binding, "roleRef": role, "subjects": [subject]})
    with pytest.raises(RefusedError, match="may read Secrets in namespace"):
        edge.run()
    assert edge.authority() is None
    assert edge.secret() is None


def test_a_provided_pair_is_judged_served_and_kept(edge):
    edge.expose()
    done = edge.run()
    data = edge.secret()["data"]
    pair = {
        key: base64.b64decode(data[f"tls.{ending}"]).decode()
        for key, ending in (("certificate", "crt"), ("private_key", "key"))
    }
    edge.client.delete("v1", "Secret", edge.name, "istio-system")
    provided = [{"name": edge.name, **pair, "ca": done["ca"]["certificate"]}]
    result = edge.run(provided=provided)
    assert (result["status"], result["changed"], result["ca"]) == ("pass", True, {})
    assert not edge.run(provided=provided)["changed"]
    with pytest.raises(InputError, match="san"):
        edge.run(provided=provided, hosts=[edge.host, "other.example.com"])
    broken = [{**provided[0], "private_key": pair["private_key"].replace("MI", "AA", 1)}]
    with pytest.raises(InputError, match="private key"):
        edge.run(provided=broken)


def test_no_key_leaves_the_cluster(edge):
    edge.expose()
    results = [edge.run(check_mode=True), edge.run(), edge.run()]
    text = json.dumps(results) + "".join(edge.lines)
    for secret in (edge.secret(), edge.authority()):
        key = secret["data"]["tls.key"]
        plain = base64.b64decode(key).decode()
        assert key[:60] not in text
        assert all(line not in text for line in plain.splitlines()[1:-1])
    assert "PRIVATE KEY" not in text


def test_a_gateway_that_does_not_exist_yet_is_no_failure(edge):
    result = edge.run()
    assert (result["changed"], result["status"]) == (True, "cannot tell")
    assert "no running gateway pod" in result["reason"]


@pytest.fixture
def foreign(edge):
    """Somebody else's Secret, where a credential is wanted."""
    name = f"{edge.name}-0"
    metadata = {"name": name, "namespace": HOME}
    edge.client.create({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata})
    yield name
    edge.client.delete("v1", "Secret", name, HOME)


def test_one_that_needs_a_person_keeps_no_other_from_its_renewal(edge, foreign):
    edge.expose()
    edge.run()
    before = [edge.secret(name) for name in (edge.name, foreign)]
    (gateway,) = edge.params()["gateways"]
    servers = [{"host": f"0.{edge.host}", "certificate": foreign}, *gateway["servers"]]
    with pytest.raises(RefusedError, match=f"{foreign}: .* somebody else made it") as caught:
        edge.run(gateways=[{**gateway, "servers": servers}], force=[edge.name], overlap=0)
    found = {one["id"]: one for one in caught.value.details["certificates"]}
    renewed = found[f"Secret {HOME}/{edge.name}"]
    assert (renewed["action"], renewed["proof"]["status"]) == ("updated", "pass")
    assert found[f"Secret {HOME}/{foreign}"]["action"] == "refused"
    assert edge.secret()["data"]["tls.crt"] != before[0]["data"]["tls.crt"]
    assert edge.secret(foreign) == before[1]
