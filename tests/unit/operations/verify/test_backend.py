"""Whole verifications of a mesh in memory: the good one passes, and each break is told with its reason."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError, InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose import backend as diagnose
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights import table
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.rights.needs import access_needs
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import backend as verify
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify import looks, planned_calls
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.checks.gateways import (
    GatewayResult,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.verify.options import VerifyOptions
from cryptography.hazmat.primitives.serialization import Encoding

from ...support.access import Restricted, access_of
from ...support.certificates import certificate, ec_key
from .builders import GATEWAY, item, pod
from .simulated_mesh import RAW, ROOT, Mesh, checked_arguments, run


@pytest.fixture
def mesh() -> Mesh:
    return Mesh()


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {record["check"]: record["status"] for record in result["checks"]}


def test_a_run_needs_no_right_that_the_table_does_not_name(mesh: Mesh) -> None:
    places = {table.CONTROL_PLANE: ["istio-system"], table.GATEWAYS: ["edge"], table.SERVICES: ["shop"]}
    operator = Restricted(mesh, {access_of(need) for need in access_needs(["verify"], places)})
    result = run(operator, verify)
    assert (result["status"], operator.refused) == ("pass", set())
    # The rest: certificates of gateways, which this mesh has none of.
    asked_at_home = {access for access in operator.allowed - operator.used if access.namespace == "shop"}
    assert asked_at_home == set()


def test_a_good_mesh_passes_every_check(mesh: Mesh) -> None:
    lines: list[str] = []
    result = run(mesh, verify, lines=lines)
    assert result["problems"] == []
    assert (result["status"], result["changed"]) == ("pass", False)
    assert set(statuses(result).values()) == {"pass"}
    assert set(statuses(result)) == {
        "injection",
        "policies",
        "mtls",
        "objects",
        "plaintext",
        "routes",
        "authorization",
        "sync",
    }
    assert lines[-1].startswith("verify: pass")


SERVICES, BY_NAME = ("web", "cart", "pay"), ("cart", "pay", "web")
CHAINS = "only chains that demand a client certificate, in 1 proxies"
CUT_OFF = "plaintext was cut off, and in a TLS handshake a proxy of the mesh demands a certificate"
GOOD = {
    "injection": [f"Pod shop/{one}-1: proxy 1.31.0, revision default, ready" for one in BY_NAME],
    "policies": [
        f"shop/{one}: {cells} cells as the catalogue states"
        for one, cells in (("cart", 27), ("pay", 27), ("web", 18))
    ],
    "mtls": [
        "callers: 2 callers use mutual TLS, by the rules that they see",
        *(
            line
            for one in SERVICES
            for line in (
                f"shop/{one}:3000: {CHAINS}",
                f"shop/{one}:any other port but 15008: {CHAINS}",
                f"shop/{one}: certificates of cluster.local/ns/shop/sa/{one} alone, in time,"
                " under the mesh's root, in 1 proxies",
            )
        ),
    ],
    "objects": [
        "the catalogue's own: 12 are as the catalogue computes them",
        "what callers know: no host outside the catalogue, no foreign route and no foreign endpoint,"
        " in 3 proxies",
    ],
    "plaintext": [f"shop/{one}:80: {CUT_OFF}" for one in SERVICES],
    "routes": [
        f"VirtualService shop/{one}{end}: delegates, subsets and endpoints are there"
        for one in BY_NAME
        for end in ("", "-routes")
    ],
    "sync": [
        *(f"Pod shop/{one}-1: connected, nothing outstanding, nothing refused" for one in BY_NAME),
        "filters: those of 3 proxies decide as the policies say",
    ],
}


def test_what_is_said_of_a_good_mesh(mesh: Mesh) -> None:
    told: dict[str, list[str]] = {}
    for found in run(mesh, verify)["findings"]:
        assert found["verdict"] == "pass"
        told.setdefault(found["check"], []).append(f"{found['subject']}: {found['message']}")
    calls = told.pop("authorization")
    assert told == GOOD
    assert [call for call in calls if "-> shop/web: " in call] == [
        "shop/cart -> shop/web: GET /health (any peer) was let in, answer 200",
        "shop/cart -> shop/web: GET / (not among its callers: another account of its namespace)"
        " was refused with 403 RBAC: access denied",
        "shop/default -> shop/web: GET / (not among its callers: the account default, which no policy names)"
        " was refused with 403 RBAC: access denied",
    ]


def test_a_route_that_leads_nowhere_is_told_once_for_all_proxies(mesh: Mesh) -> None:
    mesh._clusters = lambda: [name for name in Mesh._clusters(mesh) if "|v1|pay." not in name]
    told = [
        one for one in run(mesh, verify)["findings"] if one["verdict"] != "pass" and one["check"] == "routes"
    ]
    assert [(one["subject"], one["verdict"]) for one in told] == [("VirtualService shop/pay", "fail")]
    what = "has no cluster for pay.shop.svc.cluster.local:80 subset v1: requests get 503 NC"
    assert told[0]["message"].endswith(what)


def test_of_a_gateways_namespace_only_the_gateways_own_pods_are_read(mesh: Mesh) -> None:
    lines: list[str] = []
    for name, labels in (("gateway-1", GATEWAY["selector"]), ("tracing-1", {"app": "tracing"})):
        made = pod(name, labels, metadata={"namespace": "istio-system"})
        mesh.put({**made, "status": {**made["status"], "podIP": "10.0.0.7"}})
    run(mesh, verify, catalogue={**RAW, "mesh_gateways": [GATEWAY]}, checks=["mtls"], lines=lines)
    assert "verify: reading 4 proxies" in lines


def test_of_pods_that_get_no_requests_no_certificate_is_missed(mesh: Mesh) -> None:
    made = pod("pay-2", {"app": "pay", "version": "v1"}, spec={"serviceAccountName": "pay"}, ready=False)
    mesh.put({**made, "status": {**made["status"], "podIP": "10.0.0.9"}})
    found = {one["subject"]: one["verdict"] for one in run(mesh, verify, checks=["mtls"])["findings"]}
    assert found["shop/pay"] == "pass"


def test_of_a_good_mesh_every_rule_is_called_and_every_cell_is_at_the_proxies(mesh: Mesh) -> None:
    ledger = run(mesh, verify)["ledger"]
    assert (ledger["callers"], ledger["rules"]) == ({"stated": 2, "called": 2}, {"stated": 5, "called": 5})
    let_in = {key: numbers["let_in"] for key, numbers in ledger["calls"].items()}
    assert let_in == {"shop/web": 1, "shop/cart": 2, "shop/pay": 2}  # each caller, and the open path
    cells = ledger["cells"]
    assert (cells["by_the_objects"], cells["not_proved"]) == (0, 0)
    assert cells["called"] + cells["at_the_proxies"] == cells["all"] > cells["called"] > 0


@pytest.mark.parametrize(("answer", "status"), [(None, "pass"), ((200, {}, "hello"), "fail")])
def test_each_replica_of_a_service_is_called_in_plaintext(mesh: Mesh, answer: Any, status: str) -> None:
    for number in (1, 2):
        made = pod(f"pay-{number}", {"app": "pay"}, spec={"serviceAccountName": "pay"})
        mesh.put({**made, "status": {**made["status"], "podIP": f"10.0.0.{number + 1}"}})
    if answer:
        mesh.answers["outside", "pay", "/"] = answer
    result = run(mesh, verify, checks=["plaintext"])
    assert statuses(result) == {"plaintext": status}
    calls = result["ledger"]["calls"]["shop/pay"]
    assert calls["let_in" if answer else "cut_off"] == 3  # by the Service, and at each pod


def test_probes_are_gone_afterwards(mesh: Mesh) -> None:
    before = set(mesh.objects)
    run(mesh, verify)
    assert set(mesh.objects) == before
    created = [subject for verb, subject in mesh.writes if verb == "create"]
    done = {(verb, subject.partition(" ")[0]) for verb, subject in mesh.writes}
    assert done == {(verb, kind) for verb in ("create", "delete") for kind in ("Pod", "Sidecar")}
    assert len(created) <= 6


def test_check_mode_writes_nothing_and_says_what_it_did_not_ask(mesh: Mesh) -> None:
    result = run(mesh, verify, check_mode=True)
    assert mesh.writes == []
    assert result["status"] == "cannot tell"
    unasked = {check for check, status in statuses(result).items() if status == "cannot tell"}
    assert unasked == {"plaintext", "authorization"}


def test_without_istio_there_is_nothing_to_prove(mesh: Mesh) -> None:
    mesh.objects.clear()
    mesh.missing = {"PeerAuthentication", "VirtualService", "DestinationRule", "AuthorizationPolicy"}
    for check_mode in (False, True):
        result = run(mesh, verify, check_mode=check_mode)
        assert result["headline"] == "cannot tell: not installed"
        assert mesh.writes == []


def test_only_the_checks_that_were_asked_for_are_told(mesh: Mesh) -> None:
    lines: list[str] = []
    assert set(statuses(run(mesh, verify, checks=["mtls", "policies"], lines=lines))) == {"mtls", "policies"}
    assert mesh.writes == []
    assert not [line for line in lines if "probes" in line]


@pytest.mark.parametrize(
    ("checks", "asked"),
    [
        (["policies", "sync"], {"dynamic_listeners"}),
        (["routes"], {"dynamic_listeners", "dynamic_route_configs", "clusters"}),
        (["objects"], {"dynamic_listeners", "dynamic_route_configs", "clusters"}),
        (["mtls"], {"dynamic_listeners", "certs", "dynamic_active_secrets"}),
    ],
)
def test_a_proxy_is_asked_for_nothing_that_no_check_looks_at(
    mesh: Mesh, checks: list[str], asked: set[str]
) -> None:
    found, answer = set(), mesh._ask

    def heard(pod: str, port: int, path: str) -> Any:
        if port == 15000:
            name, _question, query = path.removeprefix("/").partition("?")
            found.add(query.removeprefix("resource=").partition("&")[0] if name == "config_dump" else name)
        return answer(pod, port, path)

    mesh._ask = heard
    result = run(mesh, verify, checks=checks)
    assert (statuses(result), found) == (dict.fromkeys(checks, "pass"), asked)


PERMISSIVE = item(
    "PeerAuthentication",
    "loose",
    {"selector": {"matchLabels": {"app": "pay"}}, "mtls": {"mode": "PERMISSIVE"}},
    creationTimestamp="0",
)
EVERYONE = item("AuthorizationPolicy", "everyone", {"rules": [{}]})
BROKEN = item(
    "VirtualService", "broken", {"http": [{"route": [{"destination": {"host": "web", "subset": "v9"}}]}]}
)


@pytest.mark.parametrize(
    ("broken", "check", "words"),
    [
        (PERMISSIVE, "mtls", "PeerAuthentication shop/loose: makes PERMISSIVE, not STRICT, shop/pay:3000"),
        (
            EVERYONE,
            "policies",
            "AuthorizationPolicy shop/everyone: opens shop/cart, shop/pay, shop/web to any account of any",
        ),
        (BROKEN, "routes", "VirtualService shop/broken: sends to subset v9"),
        (
            pod("naked", {"sidecar.istio.io/inject": "false"}, proxy=None),
            "injection",
            "Pod shop/naked: has no sidecar",
        ),
        (
            item("Service", "pay", {"selector": {"app": "cart"}, "ports": [{"port": 3000}]}),
            "policies",  # cart's own policy seems to let its callers in to pay
            "Service shop/pay: app=pay selects none of the",
        ),
    ],
)
def test_each_break_fails_with_its_reason_in_the_first_words(
    mesh: Mesh, broken: dict, check: str, words: str
) -> None:
    mesh.put(broken)
    result = run(mesh, verify)
    assert result["status"] == "fail"
    assert statuses(result)[check] == "fail"
    assert result["headline"].startswith("fail: ")
    assert words in result["headline"]


def test_proxies_may_take_a_while_to_find_an_istiod_again(mesh: Mesh) -> None:
    mesh.looks_without_istiod = 3 * looks.ROUNDS
    lines: list[str] = []
    assert run(mesh, verify, lines=lines)["status"] == "pass"
    assert any("to find an istiod again" in line for line in lines)


def test_proxies_without_an_istiod_fail_in_the_end(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "RECONNECT", 0.0)
    mesh.looks_without_istiod = 1000
    result = run(mesh, verify)
    assert statuses(result)["sync"] == "fail"
    assert "is not connected to any istiod" in result["headline"]


def test_a_caller_who_gets_in_without_being_listed_fails(mesh: Mesh) -> None:
    served = (200, {"x-envoy-upstream-service-time": "1"}, "hello")
    mesh.answers = {(account, "pay", "/"): served for account in ("web", "default", "cart")}
    result = run(mesh, verify)
    assert statuses(result)["authorization"] == "fail"
    assert any("shop/pay" in problem and "must be refused" in problem for problem in result["problems"])


def test_a_listed_caller_who_is_refused_fails(mesh: Mesh) -> None:
    mesh.answers = {("web", "cart", "/"): (403, {}, "RBAC: access denied")}
    result = run(mesh, verify)
    assert any("shop/web -> shop/cart" in problem for problem in result["problems"])
    assert statuses(result)["authorization"] == "fail"


def test_plaintext_that_is_answered_fails(mesh: Mesh) -> None:
    mesh.answers = {("outside", "web", "/"): (200, {}, "hello")}
    assert statuses(run(mesh, verify))["plaintext"] == "fail"


def test_a_service_that_does_not_answer_proves_nothing(mesh: Mesh) -> None:
    mesh.answers = {(account, "cart", "/"): (503, {}, "") for account in ("web", "pay", "default")}
    result = run(mesh, verify)
    assert (result["status"], statuses(result)["authorization"]) == ("cannot tell", "cannot tell")


def test_without_the_right_to_exec_nothing_is_proved_about_proxies(mesh: Mesh) -> None:
    mesh.unread = ApiError("pods/portforward is forbidden", status=403)
    result = run(mesh, verify)
    assert result["status"] == "cannot tell"
    assert statuses(result)["mtls"] == statuses(result)["sync"] == "cannot tell"
    assert statuses(result)["authorization"] == "pass"


@pytest.mark.parametrize(
    ("name", "value", "verdict", "words"),
    [
        ("valid_from", "2090-01-01T00:00:00Z", "fail", "valid from 2090-01-01T00:00:00Z on only"),
        ("expiration_time", "1970-01-02T00:00:00Z", "fail", "expired 1970-01-02T00:00:00Z"),
        ("expiration_time", "?", "cannot tell", "without readable dates"),
        (
            "subject_alt_names",
            [{"uri": "spiffe://cluster.local/ns/shop/sa/other"}],
            "fail",
            "serves spiffe://cluster.local/ns/shop/sa/other",
        ),
    ],
)
def test_a_bad_workload_certificate_is_told(
    mesh: Mesh, name: str, value: Any, verdict: str, words: str
) -> None:
    good = mesh.certificates

    def bad(pod: str) -> dict[str, Any]:
        held = good(pod)
        if pod == "cart-1":
            held["cert_chain"][0][name] = value
        return held

    mesh.certificates = bad
    result = run(mesh, verify, checks=["mtls"])
    assert statuses(result) == {"mtls": verdict}
    (problem,) = result["problems"]
    assert "shop/cart: the proxy of pod shop/cart-1" in problem
    assert words in problem


def test_a_root_too_many_is_told_although_it_bears_the_number_of_the_meshs(mesh: Mesh) -> None:
    twin = certificate("twin", ec_key(), ca=True, number=ROOT.serial_number)
    mesh.roots = [ROOT, twin]
    result = run(mesh, verify, checks=["mtls"])
    assert statuses(result) == {"mtls": "fail"}
    what = f"trusts a root (SHA-256 {hashlib.sha256(twin.public_bytes(Encoding.DER)).hexdigest()})"
    assert any(what in problem for problem in result["problems"])
    mesh.roots = []
    assert statuses(run(mesh, verify, checks=["mtls"])) == {"mtls": "cannot tell"}


def test_roots_that_cannot_be_read_prove_nothing(mesh: Mesh) -> None:
    mesh.forbidden = {"ConfigMap"}
    assert statuses(run(mesh, verify, checks=["mtls"])) == {"mtls": "cannot tell"}
    mesh.forbidden = set()
    mesh.remove("ConfigMap", "istio-ca-root-cert", "istio-system")
    assert statuses(run(mesh, verify, checks=["mtls"])) == {"mtls": "cannot tell"}


@pytest.mark.parametrize(
    ("mesh_config", "verdict", "words"),
    [
        ("trustDomainAliases: [old.local]", "fail", "has old.local, which mesh_trust_domain_aliases lacks"),
        ("trustDomain: other", "fail", "trustDomain in ConfigMap istio-system/istio is 'other'"),
        ("{", "cannot tell", "ConfigMap istio-system/istio"),
        (None, "cannot tell", "no ConfigMap istio in istio-system bears istio.io/rev"),
    ],
)
def test_what_istio_runs_with_is_compared(
    mesh: Mesh, mesh_config: str | None, verdict: str, words: str
) -> None:
    config = mesh.named("ConfigMap", "istio")
    mesh.remove("ConfigMap", "istio", "istio-system")
    if mesh_config is not None:
        mesh.put({**config, "data": {"mesh": mesh_config}})
    result = run(mesh, verify, checks=["objects"])
    assert statuses(result) == {"objects": verdict}
    assert any(words in problem for problem in result["problems"])


def test_settings_that_may_not_be_read_are_told(mesh: Mesh) -> None:
    mesh.forbidden = {"ConfigMap"}
    assert statuses(run(mesh, verify, checks=["objects"])) == {"objects": "cannot tell"}


def test_a_kind_that_may_not_be_read_is_told(mesh: Mesh) -> None:
    mesh.forbidden = {"AuthorizationPolicy"}
    result = run(mesh, verify)
    assert statuses(result)["policies"] == "cannot tell"


@pytest.mark.parametrize(
    ("kind", "untold"),
    [
        ("Service", {"policies", "mtls", "routes"}),
        ("PeerAuthentication", {"policies", "mtls"}),
        ("DestinationRule", {"mtls", "routes"}),
        ("VirtualService", {"routes"}),
        ("AuthorizationPolicy", {"policies", "sync"}),
        ("RequestAuthentication", set()),
    ],
)
def test_nobody_is_accused_because_of_a_kind_that_may_not_be_read(
    mesh: Mesh, kind: str, untold: set[str]
) -> None:
    mesh.forbidden = {kind}
    told = statuses(run(mesh, verify))
    unsure = {check for check, status in told.items() if status == "cannot tell"}
    assert unsure - {"objects"} == untold
    assert "fail" not in told.values()


def test_pods_that_may_not_be_read_are_an_error(mesh: Mesh) -> None:
    mesh.forbidden = {"Pod"}
    with pytest.raises(ApiError, match="forbidden"):
        run(mesh, verify)


def test_a_bad_catalogue_is_refused_before_any_request(mesh: Mesh) -> None:
    mesh.forbidden = {"Pod"}
    with pytest.raises(InputError, match="mesh_sevices"):
        run(mesh, verify, catalogue={**RAW, "mesh_sevices": []})


def test_the_report_is_written(mesh: Mesh, tmp_path: Path) -> None:
    path = tmp_path / "verify.json"
    result = run(mesh, verify, report_path=str(path))
    assert json.loads(path.read_text())["status"] == result["status"] == "pass"


def test_diagnose_finds_nothing_in_the_way_of_an_allowed_call(mesh: Mesh) -> None:
    result = run(mesh, diagnose, source="web", destination="cart")
    assert (result["status"], result["cause"]) == ("pass", "")
    assert {"route", "endpoints", "mtls", "authorization"} <= {step["step"] for step in result["steps"]}
    assert mesh.writes == []


def test_diagnose_names_the_refusal_and_what_is_allowed(mesh: Mesh) -> None:
    result = run(mesh, diagnose, source="web", destination="pay", path="/x")
    assert (
        "the catalogue refuses GET /x by cluster.local/ns/shop/sa/web with 403; it allows GET /health"
        in result["cause"]
    )


def test_diagnose_names_a_missing_subset(mesh: Mesh) -> None:
    for rule in mesh.named("VirtualService", "cart-routes")["spec"]["http"]:
        rule["route"][0]["destination"]["subset"] = "v9"
    result = run(mesh, diagnose, source="web", destination="cart")
    assert result["causes"][0]["object"] == "VirtualService shop/cart-routes"
    assert "subset v9 of cart.shop.svc.cluster.local, which no DestinationRule defines" in result["cause"]
    said = "has no cluster outbound|80|v9|cart.shop.svc.cluster.local: requests get 503 NC"
    assert said in [step["message"] for step in result["steps"]]


def test_diagnose_names_the_sidecar_that_hides_the_callee(mesh: Mesh) -> None:
    routes = mesh._routes
    mesh._routes = lambda name: [
        {
            "route_config": {
                "name": "80",
                "virtual_hosts": routes(name)[0]["route_config"]["virtual_hosts"][:1],
            }
        }
    ]
    result = run(mesh, diagnose, source="web", destination="pay")
    assert "Sidecar shop/web does not import it" in str(result["steps"])
    # that the catalogue refuses the call is why the Sidecar leaves it out
    assert "the catalogue refuses" in result["cause"]
    assert result["causes"][1]["object"] == "Sidecar shop/web"


def test_diagnose_tells_who_was_thrown_out(mesh: Mesh) -> None:
    statuses_of = mesh._endpoints

    def ejected() -> dict[str, Any]:
        told = statuses_of()
        for cluster in told["cluster_statuses"]:
            cluster["host_statuses"][0]["health_status"] = {
                "eds_health_status": "HEALTHY",
                "failed_outlier_check": True,
            }
        return told

    mesh._endpoints = ejected
    result = run(mesh, diagnose, source="web", destination="cart")
    assert "it sends to none of 10.0.0.1:3000 (failed outlier check)" in str(result["steps"])
    assert "has thrown 1 of 1 endpoints of cart.shop.svc.cluster.local out" in result["cause"]


def test_diagnose_refuses_callers_that_do_not_exist(mesh: Mesh) -> None:
    with pytest.raises(InputError, match="no Service, workload or pod is called shop/nobody"):
        run(mesh, diagnose, source="nobody", destination="cart")


def test_diagnose_without_istio(mesh: Mesh) -> None:
    mesh.objects.clear()
    mesh.missing = {"PeerAuthentication"}
    assert run(mesh, diagnose, source="web", destination="cart")["status"] == "cannot tell"


def test_a_gateway_is_called_by_a_probe_that_has_no_identity_in_the_mesh(mesh: Mesh) -> None:
    """Its clients are outside: what a sidecar is let in with says nothing about them."""
    made: list[dict[str, Any]] = []
    create = mesh.create
    mesh.create = lambda obj, **more: made.append(obj) or create(obj, **more)
    run(mesh, verify, catalogue={**RAW, "mesh_gateways": [GATEWAY]}, checks=["gateways"])
    probes = [one for one in made if one["kind"] == "Pod"]
    assert [one["metadata"]["labels"]["sidecar.istio.io/inject"] for one in probes] == ["false"]


def test_services_behind_a_gateway_only_pass_when_it_let_a_call_in(mesh: Mesh) -> None:
    options = VerifyOptions.from_params(checked_arguments(verify))
    run_ = verify.Verification(mesh, options, Context())
    plan = planned_calls.CallPlan((), (), frozenset({"shop/web", "shop/pay", "shop/sql"}))
    served = GatewayResult((), frozenset({"shop/web"}), frozenset({"shop/sql", "shop/web"}))
    found = run_._through_gateway(plan, served)
    assert [(item.subject, item.verdict) for item in found] == [
        ("shop/pay", "cannot tell"),
        ("shop/sql", "not tested"),
        ("shop/web", "pass"),
    ]


@pytest.mark.parametrize("seed", range(25))
def test_nothing_passes_over_a_proxy_that_was_never_read(mesh: Mesh, seed: int) -> None:
    """Any proxies that stay silent, and answers that are lost now and then."""
    dice = random.Random(seed)
    silent = {name for name in ("web-1", "cart-1", "pay-1") if dice.random() < 0.5} or {"pay-1"}
    answer = mesh._ask

    def lossy(pod: str, port: int, path: str) -> Any:
        if port == 15000 and (pod in silent or dice.random() < 0.1):
            raise ApiError("the connection was lost", reason="PodAnswer")
        return answer(pod, port, path)

    mesh._ask = lossy
    result = run(mesh, verify, checks=["policies", "mtls", "sync"])
    assert result["status"] == "cannot tell"
    passed = {item["subject"] for item in result["findings"] if item["verdict"] == "pass"}
    for name in silent:
        service = name.removesuffix("-1")
        assert f"shop/{service}:3000" not in passed
        assert f"shop/{service}:any other port but 15008" not in passed


PAY_HOST = "pay.shop.svc.cluster.local"
TO_PAY = {"route": [{"destination": {"host": PAY_HOST}}]}


def test_a_second_report_says_what_changed_and_ends_the_first(mesh: Mesh, tmp_path: Path) -> None:
    path, lines = tmp_path / "verify.json", []
    for name in ("apps", "kube-system", "zoo"):
        mesh.put(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "uid": f"uid of {name}"}}
        )
    first = run(mesh, verify, report_path=str(path))
    assert first["changes"] == {}
    beside = item("VirtualService", "door", {"hosts": [PAY_HOST], "http": [TO_PAY]}, "other")
    before = json.loads(path.read_text())
    for one in (PERMISSIVE, beside):
        mesh.put(one)
    second = run(mesh, verify, report_path=str(path), lines=lines)
    after = json.loads(path.read_text())
    assert after["cluster"] == "uid of kube-system"
    assert (after["kubernetes"], after["previous_sha256"]) == ("v1.36.0", before["sha256"])
    assert "mtls PeerAuthentication shop/loose: fail" in second["changes"]["new"]
    assert second["changes"]["objects_changed"] == [
        "PeerAuthentication shop/loose",
        "VirtualService other/door",
    ]
    assert [line for line in lines if line.startswith(f"verify: since {before['time'][:10]}: ")] != []
    with pytest.raises(InputError, match="there is no report"):
        run(mesh, verify, last_report=str(tmp_path / "none.json"))
