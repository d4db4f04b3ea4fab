"""A certificates run against a server in memory: order, races, refusals, secrets."""

from __future__ import annotations

import base64
import datetime
import json

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    InputError,
    MeshError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.certificates import (
    backend as certificates,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.needs import access_needs
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.table import CA
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.table import (
    GATEWAYS as GATEWAYS_PLACE,
)

from ...support.access import Restricted, access_of
from ...support.arguments import validated
from ...support.cluster import FakeCluster, reaching

GATEWAYS = [
    {
        "workload_namespace": "istio-system",
        "service_account": "gateway",
        "servers": [{"host": "api.example.com", "certificate": "api"}],
    }
]
WARNINGS: list[str] = []


@pytest.fixture
def cluster():
    fake = FakeCluster({"kind": "Namespace", "metadata": {"name": "istio-system"}})
    WARNINGS.clear()
    return fake


def run(cluster, check_mode=False, **params):
    arguments = {"mesh": "shop", "gateways": GATEWAYS, "timeout": 1, "overlap": 0, **params}
    checked = validated(certificates.ARGUMENT_SPEC, arguments)
    context = Context(check_mode=check_mode, diff_mode=True, warn=WARNINGS.append, connect=reaching(cluster))
    return certificates.run(checked, context)


def key_of(secret):
    return secret["data"]["tls.key"]


def writes(cluster):
    """What was written but for the Lease, which is taken first and given back at the end."""
    lease = "Lease istio-system/servicemesh-certificates"
    mine = [index for index, (_verb, what) in enumerate(cluster.writes) if what == lease]
    assert not mine or (mine[0], mine[-1]) == (0, len(cluster.writes) - 1)
    return [write for write in cluster.writes if write[1] != lease]


def test_the_ca_is_written_before_the_leaf_and_both_once(cluster):
    result = run(cluster)
    assert writes(cluster) == [
        ("apply", "Namespace servicemesh-system"),
        ("create", "Secret servicemesh-system/servicemesh-ca"),
        ("apply", "Secret istio-system/api"),
    ]
    assert result["changed"]
    assert [one["before_header"] for one in result["diff"]] == [
        "Namespace servicemesh-system",
        "Secret servicemesh-system/servicemesh-ca",
        "Secret istio-system/api",
    ]
    before = list(cluster.writes)
    assert run(cluster)["changed"] is False
    assert cluster.writes == before


def test_a_namespace_that_is_there_is_not_made(cluster):
    cluster.put({"kind": "Namespace", "metadata": {"name": "servicemesh-system"}})
    headers = [one["before_header"] for one in run(cluster)["diff"]]
    assert headers == ["Secret servicemesh-system/servicemesh-ca", "Secret istio-system/api"]


def test_a_run_needs_exactly_the_rights_of_the_table(cluster):
    """The user may do what docs/rbac grants in these namespaces, and all of it is used by six runs."""
    places = {GATEWAYS_PLACE: ["istio-system"], CA: ["servicemesh-system"]}
    needed = {access_of(need) for need in access_needs(["certificates"], places)}
    operator = Restricted(cluster, needed)
    assert run(operator)["changed"]
    assert not run(operator)["changed"]
    assert run(operator, force=["api"])["changed"]
    assert run(operator, revoke=["api"])["changed"]
    authority = cluster.find("Secret", "servicemesh-ca", "servicemesh-system")
    authority["data"]["tls.key"] = ""
    assert run(operator, replace_lost_ca=True)["changed"]
    serve_nothing(cluster)
    with pytest.raises(
        MeshError, match="the proxy of pod gw-1 does not hold it, and has no connection to istiod"
    ):
        run(operator, force=["api"])
    assert (operator.refused, needed - operator.used) == (set(), set())


def serve_nothing(cluster):
    """A gateway pod that refuses connections, and whose proxy holds nothing."""
    server = {"hosts": ["api.example.com"], "port": {"number": 1}, "tls": {"credentialName": "api"}}
    labels, metadata = {"istio": "gw"}, {"name": "gw-1", "namespace": "istio-system"}
    cluster.put(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": metadata,
            "spec": {"selector": labels, "servers": [server]},
        }
    )
    status = {"phase": "Running", "podIP": "127.0.0.1"}
    cluster.put({"kind": "Pod", "metadata": {**metadata, "labels": labels}, "status": status})
    streams = "cluster.xds-grpc;.http2.streams_active: 0"
    cluster.on_ask = lambda *asked: streams if "streams_active" in str(asked) else '{"configs": []}'


def test_check_mode_writes_nothing_anywhere(cluster):
    result = run(cluster, check_mode=True)
    assert cluster.writes == []
    assert ("apply", "Secret istio-system/api") in cluster.dry_runs
    assert result["objects"] == run(cluster)["objects"]


def test_check_mode_on_a_bare_cluster_foresees_everything(cluster):
    cluster.remove("Namespace", "istio-system")
    result = run(cluster, check_mode=True)
    assert [entry["action"] for entry in result["objects"]] == ["created", "created", "created"]
    assert result["status"] == "cannot tell"
    with pytest.raises(RefusedError, match="do not exist: istio-system"):
        run(cluster)
    assert cluster.writes == []


def test_a_pair_that_is_not_there_yet_is_told_in_check_mode(cluster):
    cluster.remove("Namespace", "istio-system")
    result = run(cluster, check_mode=True, existing=["istio-system/api"])
    assert [(entry["id"], entry["action"]) for entry in result["certificates"]] == [
        ("Secret istio-system/api", "refused")
    ]
    assert result["objects"] == []


def test_killed_between_ca_and_leaf_the_next_run_keeps_the_ca(cluster):
    run(cluster)
    authority = cluster.find("Secret", "servicemesh-ca", "servicemesh-system")
    cluster.remove("Secret", "api", "istio-system")
    result = run(cluster)
    assert [entry["id"] for entry in result["objects"]] == ["Secret istio-system/api"]
    assert cluster.find("Secret", "servicemesh-ca", "servicemesh-system") == authority


def test_a_ca_that_the_server_does_not_take_stops_the_run(cluster):
    cluster.fail("create", "Secret", 500, times=9)
    with pytest.raises(ApiError) as caught:
        run(cluster)
    assert caught.value.status == 500


def test_two_runs_cannot_both_make_a_ca(cluster):
    create = cluster.create

    def lose_the_race(obj, **options):
        if obj["kind"] == "Secret":
            raise ApiError("already exists", status=409, reason="AlreadyExists")
        return create(obj, **options)

    cluster.create = lose_the_race
    with pytest.raises(RefusedError, match="another run made a CA"):
        run(cluster)
    assert cluster.find("Secret", "api", "istio-system") is None


def test_a_secret_that_changed_since_it_was_judged_is_not_overwritten(cluster):
    run(cluster)
    apply = cluster.apply

    def meddle(obj, **options):
        if obj["kind"] == "Secret":
            cluster.put(cluster.find("Secret", "api", "istio-system"))
        return apply(obj, **options)

    cluster.apply = meddle
    with pytest.raises(ApiError, match="changed meanwhile"):
        run(
            cluster,
            gateways=[{**GATEWAYS[0], "servers": [{"host": "new.example.com", "certificate": "api"}]}],
        )


@pytest.mark.parametrize("minutes", [2, -2, 60 * 24])
def test_a_wrong_clock_stops_the_run(cluster, minutes):
    cluster.clock += datetime.timedelta(minutes=minutes)
    with pytest.raises(RefusedError, match="certificates would be dated wrongly"):
        run(cluster)
    assert cluster.writes == []


def test_a_broken_ca_is_named_and_not_replaced(cluster):
    run(cluster)
    authority = cluster.find("Secret", "servicemesh-ca", "servicemesh-system")
    authority["data"]["tls.key"] = base64.b64encode(b"broken").decode()
    with pytest.raises(RefusedError, match="is not a PEM private key"):
        run(cluster)
    result = run(cluster, replace_lost_ca=True)
    assert [entry["action"] for entry in result["objects"]] == ["created", "updated"]


def test_a_ca_of_ones_own_is_used_and_kept(cluster):
    run(cluster)
    mine = cluster.find("Secret", "servicemesh-ca", "servicemesh-system")
    mine["metadata"].pop("labels")
    assert run(cluster)["changed"] is False


def test_without_the_right_to_ask_who_reads_secrets_it_warns(cluster):
    cluster.forbidden.add("LocalSubjectAccessReview")
    run(cluster)
    assert any("no right to create localsubjectaccessreviews" in text for text in WARNINGS)


def test_a_gateway_that_may_read_the_ca_stops_the_run(cluster):
    cluster.allowed_readers.add("system:serviceaccount:istio-system:gateway")
    with pytest.raises(RefusedError, match="the CA's key would be theirs"):
        run(cluster)
    assert cluster.writes == []


def test_gateways_that_may_not_be_listed_leave_it_open(cluster):
    cluster.forbidden.add("Gateway")
    result = run(cluster)
    assert result["status"] == "cannot tell"
    assert "cannot be looked at" in result["reason"]
    with pytest.raises(MeshError, match="cannot tell: ") as error:
        run(cluster, fail_on=["fail", "cannot tell"])
    assert error.value.details["certificates"][0]["fingerprint_sha256"]


BAD = [
    ({"days": 0}, "certificates_days", "range"),
    ({"days": 399}, "certificates_days", "range"),
    ({"ca_days": 90}, "certificates_ca_days", "range"),
    ({"renew_at": 1.01}, "certificates_renew_at", "range"),
    ({"renew_at": 0.0}, "certificates_renew_at", "range"),
    ({"ca_namespace": "istio-system"}, "certificates_ca_namespace", "ca-exposed"),
    ({"existing": ["other"]}, "certificates_existing[0]", "unknown-credential"),
    (
        {"provided": [{"name": "x", "certificate": "a", "private_key": "b"}]},
        "certificates_provided[0]",
        "unknown-credential",
    ),
    (
        {"provided": [{"name": "api", "certificate": "a", "private_key": "b"}], "existing": ["api"]},
        "certificates_existing[0]",
        "one-source",
    ),
    (
        {"provided": [{"name": "api", "certificate": "a", "private_key": "b", "ca": "c"}]},
        "certificates_provided[0].ca",
        "pem",
    ),
    (
        {"provided": [{"name": "api", "certificate": "a", "private_key": "b"}]},
        "certificates_provided[0].private_key",
        "pem",
    ),
]


@pytest.mark.parametrize(("params", "where", "rule"), BAD)
def test_bad_input_is_refused_before_any_write(cluster, params, where, rule):
    with pytest.raises(InputError) as error:
        run(cluster, **params)
    assert (where, rule) in [(problem.where, problem.rule) for problem in error.value.problems]
    assert cluster.writes == []


def test_no_result_and_no_error_carries_a_key(cluster):
    texts = [json.dumps(run(cluster, check_mode=True)), json.dumps(run(cluster)), json.dumps(run(cluster))]
    secrets = [
        cluster.find("Secret", "api", "istio-system"),
        cluster.find("Secret", "servicemesh-ca", "servicemesh-system"),
    ]
    lines = [
        line for secret in secrets for line in base64.b64decode(key_of(secret)).decode().splitlines()[1:-1]
    ]
    assert lines
    for text in texts:
        assert not any(line in text for line in lines)
        assert "PRIVATE KEY" not in text
        assert not any(key_of(secret)[:40] in text for secret in secrets)


def test_the_share_1_renews_now_and_keeps_the_ca(cluster):
    """The documented way to force a renewal: ``-e certificates_renew_at=1``."""
    run(cluster)
    cluster.writes.clear()
    assert run(cluster, renew_at=1.0)["changed"] is True
    assert writes(cluster) == [
        ("apply", "Secret istio-system/api-prev"),
        ("apply", "Secret istio-system/api"),
        ("delete", "Secret istio-system/api-prev"),
    ]


MARK = "servicemesh.istio/applied-by"


def gateway_of(*hosts):
    servers = [{"host": host, "certificate": "api"} for host in hosts]
    return [{"workload_namespace": "istio-system", "service_account": "gateway", "servers": servers}]


def test_two_schedules_do_not_issue_one_credential_in_turn(cluster):
    """Each found the other's hosts missing, and a client saw another certificate each morning."""
    ours, theirs = gateway_of("api.example.com"), gateway_of("books.example.com")
    run(cluster, gateways=ours, owner="shop@prod", prove=False)
    before = key_of(cluster.find("Secret", "api", "istio-system"))
    for _night in range(2):
        for check in (True, False):
            with pytest.raises(RefusedError) as caught:
                run(cluster, check_mode=check, gateways=theirs, owner="shop@copy", prove=False)
        assert run(cluster, gateways=ours, owner="shop@prod", prove=False)["changed"] is False
    assert caught.value.rule == "one-inventory"
    assert "istio-system/api is kept by the inventory of 'shop@prod'" in caught.value.message
    assert "books.example.com" in caught.value.message
    assert "-e certificates_take_over=true" in caught.value.message
    assert run(cluster, gateways=ours, owner="shop@copy", prove=False)["changed"] is False
    live = cluster.find("Secret", "api", "istio-system")
    assert (key_of(live), live["metadata"]["annotations"]) == (before, {MARK: "shop@prod"})
    run(cluster, gateways=theirs, owner="shop@copy", prove=False, take_over=True)
    with pytest.raises(RefusedError, match="kept by the inventory of 'shop@copy'"):
        run(cluster, gateways=ours, owner="shop@prod", prove=False)


def test_a_renewal_that_is_due_or_asked_for_is_nobodys_quarrel(cluster):
    given = {"gateways": gateway_of("api.example.com"), "prove": False}
    run(cluster, owner="shop@prod", **given)
    for more in ({"renew_at": 1.0}, {"force": ["api"]}):
        assert run(cluster, owner="shop@copy", **given, **more)["changed"] is True
        live = cluster.find("Secret", "api", "istio-system")
        assert live["metadata"]["annotations"] == {MARK: "shop@prod"}
