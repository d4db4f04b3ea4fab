"""Proof in dumps of proxies, and writes to VirtualServices of others."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any, cast

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import (
    ApiError,
    FencedError,
    RefusedError,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.clock import timestamp
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import Kind
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import TrafficState
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import (
    state_machine,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.objects.routes import (
    ForeignRoutes,
    check_sums,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.proof import ProxyProver

from ...support.certificates import certificate, ec_key, pem
from ...support.cluster import FakeCluster
from .fakes import FACTS, NAMESPACE, SERVICE, FakeClock, Shop, Switch, drive

HOST = "product.shop.svc.cluster.local"


def dump(*routes: dict[str, int]) -> list[dict[str, Any]]:
    entries = []
    for weights in routes:
        clusters = [{"name": f"outbound|3000|{s}|{HOST}", "weight": w} for s, w in weights.items()]
        action = (
            {"cluster": clusters[0]["name"]}
            if len(clusters) == 1
            else {"weighted_clusters": {"clusters": clusters}}
        )
        entries.append({"name": "split", "route": action})
    other = {"route": {"cluster": "outbound|3000||other.shop.svc.cluster.local"}}
    return [{"route_config": {"name": "3000", "virtual_hosts": [{"name": "x", "routes": [*entries, other]}]}}]


class Pods(FakeCluster):
    """A cluster whose proxies answer what the test says."""

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__(*[pod(name) for name in answers])
        self.answers = answers
        self.asked = 0
        self.on_ask = self._answer

    def _answer(self, _namespace: str, name: str, _port: int, _path: str) -> str:
        self.asked += 1
        answer = self.answers[name]
        answer = answer.pop(0) if isinstance(answer, list) and len(answer) > 1 else answer
        answer = answer[0] if isinstance(answer, list) else answer
        if isinstance(answer, Exception):
            raise answer
        return json.dumps({"configs": answer["dump"]}) if answer["dump"] else ""


def pod(name: str) -> dict[str, Any]:
    proxy = {"name": "istio-proxy", "image": "proxyv2:1.31.0", "args": ["proxy", "sidecar"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"app": name},
            "annotations": {"sidecar.istio.io/status": '{"containers":["istio-proxy"]}'},
        },
        "spec": {"serviceAccountName": name, "containers": [proxy]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": "istio-proxy", "ready": True, "started": True, "state": {"running": {}}}
            ],
        },
    }


def prover(pods: Pods, **options: Any) -> ProxyProver:
    shop = Shop()
    settings: dict[str, Any] = {
        "desired": lambda weights: shop.render(TrafficState(dict(weights))),
        "host": HOST,
        "namespace": NAMESPACE,
        "ports": [3000],
        "labels": {},
        "timeout": 5.0,
    }
    return ProxyProver(pods, FakeClock(), **{**settings, **options})


GOOD, OLD = {"dump": dump({"v1": 90, "v2": 10})}, {"dump": dump({"v1": 100})}
WEIGHTS = {"v1": 90, "v2": 10}


def test_a_late_proxy_is_waited_for() -> None:
    pods = Pods({"fast": GOOD, "late": [OLD, OLD, GOOD]})
    proof = prover(pods).routes(WEIGHTS, lambda: None)
    assert (proof.status, proof.proxies) == ("pass", 2)
    assert pods.asked == 4, "a proxy that holds the routes is not asked again"


def test_a_proxy_that_never_follows_is_named() -> None:
    proof = prover(Pods({"fast": GOOD, "stuck": OLD})).routes(WEIGHTS, lambda: None)
    assert proof.status == "fail"
    assert "shop/stuck" in proof.detail


def test_a_proxy_that_does_not_import_the_host_does_not_matter() -> None:
    proof = prover(Pods({"fast": GOOD, "stranger": {"dump": []}})).routes(WEIGHTS, lambda: None)
    assert (proof.status, proof.proxies) == ("pass", 1)


def test_nobody_who_routes_there_is_no_pass() -> None:
    assert prover(Pods({"stranger": {"dump": []}})).routes(WEIGHTS, lambda: None).status == "cannot tell"


def test_no_right_to_exec_is_cannot_tell() -> None:
    denied = ApiError("forbidden", status=403, reason="Forbidden")
    proof = prover(Pods({"fast": GOOD, "closed": denied})).routes(WEIGHTS, lambda: None)
    assert proof.status == "cannot tell"
    assert "proxy shop/closed cannot be read: forbidden" in proof.detail


def elsewhere(traffic: dict[str, int]) -> dict[str, Any]:
    """A VirtualService of somebody else that routes another host, then the service."""
    return {
        "kind": "VirtualService",
        "metadata": {"name": "theirs", "namespace": NAMESPACE},
        "spec": {
            "hosts": [SERVICE],
            "http": [
                {"match": [{"uri": {"prefix": "/x"}}], "route": [{"destination": {"host": "other"}}]},
                {
                    "route": [
                        {"destination": {"host": SERVICE, "subset": version}, "weight": weight}
                        for version, weight in traffic.items()
                    ]
                },
            ],
        },
    }


def test_a_foreign_object_that_also_routes_another_host_is_proved() -> None:
    proof = prover(Pods({"fast": GOOD}), desired=elsewhere).routes(WEIGHTS, lambda: None)
    assert (proof.status, proof.proxies, proof.detail) == ("pass", 1, "")
    assert prover(Pods({"old": OLD}), desired=elsewhere).routes(WEIGHTS, lambda: None).status == "fail"


def test_the_route_of_the_testers_is_proved_as_well() -> None:
    shop = Shop()

    def desired(weights: dict[str, int]) -> dict[str, Any]:
        return shop.render(TrafficState(dict(weights), kind="testers"))

    assert prover(Pods({"late": OLD}), desired=desired).routes({"v1": 100}, lambda: None).status == "fail"
    held = {"dump": dump({"v2": 100}, {"v1": 100})}
    assert prover(Pods({"fast": held}), desired=desired).routes({"v1": 100}, lambda: None).status == "pass"


def test_a_proxy_that_cannot_be_read_is_neither_proved_nor_late() -> None:
    broken = ApiError("the proxy did not answer", reason="PodAnswer")
    proof = prover(Pods({"fast": GOOD, "mute": broken})).routes(WEIGHTS, lambda: None)
    assert (proof.status, proof.proxies) == ("cannot tell", 1)
    assert "proxy shop/mute cannot be read: the proxy did not answer" in proof.detail


def test_a_pod_that_went_away_while_it_was_asked_does_not_matter() -> None:
    gone = ApiError("pods not found", status=404)
    proof = prover(Pods({"fast": GOOD, "gone": gone})).routes(WEIGHTS, lambda: None)
    assert (proof.status, proof.proxies) == ("pass", 1)


def test_the_lease_is_renewed_at_every_look_and_its_loss_ends_the_wait() -> None:
    looks = []

    def renew() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise FencedError("somebody else has it")

    with pytest.raises(FencedError):
        prover(Pods({"stuck": OLD})).routes(WEIGHTS, renew)
    assert len(looks) == 3


def test_only_callers_and_gateways_are_asked_when_the_callers_are_known() -> None:
    pods = Pods({"web": GOOD, "stranger": OLD})
    proof = prover(pods, callers=frozenset({(NAMESPACE, "web")})).routes(WEIGHTS, lambda: None)
    assert (proof.status, proof.proxies, pods.asked) == ("pass", 1, 1)


def test_a_sample_is_told_as_one() -> None:
    pods = Pods({"a": GOOD, "b": GOOD, "c": GOOD})
    proof = prover(pods, limit=2).routes(WEIGHTS, lambda: None)
    assert (proof.status, proof.proxies, proof.detail) == ("pass", 2, "a sample of 2 proxies")


def test_pods_that_cannot_be_listed_prove_nothing() -> None:
    closed = Pods({})
    closed.forbidden.add("Pod")
    for proof in (
        prover(closed).routes(WEIGHTS, lambda: None),
        prover(closed).mtls(("v1",), lambda: None),
    ):
        assert proof.status == "cannot tell"
        assert "forbidden" in proof.detail


def foreign_shop() -> tuple[Shop, dict[str, Any]]:
    shop = Shop()
    theirs = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "theirs", "namespace": NAMESPACE, "labels": {"team": "a"}},
        "spec": {
            "hosts": [SERVICE],
            "http": [
                {
                    "match": [{"uri": {"prefix": "/x"}}],
                    "fault": {"abort": {"httpStatus": 418}},
                    "route": [{"destination": {"host": "elsewhere"}}],
                },
                {"route": [{"destination": {"host": SERVICE, "subset": "v1"}}], "mirror": {"host": "shadow"}},
            ],
        },
    }
    return shop, shop.cluster.put(theirs)


def foreign_run(shop: Shop, **options: Any) -> Any:
    rollout = shop.rollout()
    routes = ForeignRoutes(Switch(shop.cluster), "theirs", NAMESPACE, shop.split, **options)
    rollout.routes = routes
    shop.share = lambda: shop.split.canary_share(shop.cluster.peek("VirtualService", "theirs"))
    routes.original = routes.snapshot()
    return rollout


def test_a_foreign_virtual_service_is_given_back_byte_for_byte() -> None:
    shop, before = foreign_shop()
    shop.sick = 0.4
    assert drive(foreign_run(shop)).outcome == "rolled_back"
    after = shop.cluster.peek("VirtualService", "theirs")
    assert after
    assert after["spec"] == before["spec"]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]


def test_a_foreign_virtual_service_is_promoted_and_keeps_everything_else() -> None:
    shop, before = foreign_shop()
    assert drive(foreign_run(shop)).outcome == "promoted"
    after = shop.cluster.peek("VirtualService", "theirs")
    assert after
    assert after["spec"]["http"][0] == before["spec"]["http"][0]
    changed = copy.deepcopy(after["spec"]["http"][1])
    assert changed.pop("route")[0]["destination"]["subset"] == "v2"
    assert changed == {"mirror": {"host": "shadow"}}


def test_a_gitops_controller_is_not_fought() -> None:
    shop, before = foreign_shop()
    live = shop.cluster.peek("VirtualService", "theirs")
    assert live
    live["metadata"]["labels"]["argocd.argoproj.io/instance"] = "shop"
    with pytest.raises(RefusedError, match="argocd"):
        foreign_run(shop).routes.write(TrafficState({"v1": 50, "v2": 50}), 1)
    assert shop.cluster.peek("VirtualService", "theirs")["spec"] == before["spec"]


def test_an_older_fence_cannot_write_a_foreign_object() -> None:
    shop, _theirs = foreign_shop()
    routes = foreign_run(shop).routes
    routes.claim(5)
    with pytest.raises(FencedError):
        routes.write(TrafficState({"v1": 50, "v2": 50}), 4)


def test_weights_that_do_not_sum_are_refused() -> None:
    bad = {"metadata": {"name": "x"}, "spec": {"http": [{"route": [{"weight": 50}, {"weight": 40}]}]}}
    with pytest.raises(RefusedError, match="do not sum to 100"):
        check_sums(bad)


def test_a_rollback_after_the_promotion_gives_a_foreign_object_back_byte_for_byte() -> None:
    """A route with a match looks pinned to the version once the promotion has taken its other part away."""
    shop, before = foreign_shop()
    before["spec"]["http"][0]["route"] = [{"destination": {"host": SERVICE, "subset": "v1"}, "weight": 100}]
    before = shop.cluster.put(before)
    rollout = foreign_run(shop)
    image = rollout.routes.original
    assert drive(rollout).outcome == "promoted"
    undo = foreign_run(shop)
    undo.routes.original = image
    undo.lease.acquire()
    undo.store.read()
    state_machine.begin(undo, replace(FACTS, run="run-2", kind=Kind.UNDO))
    assert state_machine.withdraw(undo, "asked for").outcome == "rolled_back"
    after = shop.cluster.peek("VirtualService", "theirs")
    assert after
    assert after["spec"] == before["spec"]


def test_a_route_that_its_owner_sent_elsewhere_in_mid_run_is_left_alone() -> None:
    shop, _theirs = foreign_shop()
    shop.sick = 0.4
    rollout = foreign_run(shop)
    live = shop.cluster.peek("VirtualService", "theirs")
    assert live
    live["spec"]["http"][0]["route"] = [{"destination": {"host": "new"}}]
    shop.cluster.put(live)
    assert drive(rollout).outcome == "rolled_back"
    after = shop.cluster.peek("VirtualService", "theirs")
    assert after
    assert after["spec"]["http"][0]["route"] == [{"destination": {"host": "new"}}]


def mesh_of(
    *, mode: str = "mtls", begin: float = -60.0, roots: Any = None, uri: str = "", port: int = 3000
) -> Pods:
    """One pod of each version; the listener and the certificates of v2's are as told."""
    pods = Pods({"v1": None, "v2": None})
    made = certificate("root", ec_key(), ca=True)
    published = made if roots is None else roots
    if published:
        data = {"root-cert.pem": pem(published).decode()}
        pods.put(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "istio-ca-root-cert", "namespace": NAMESPACE},
                "data": data,
            }
        )

    def answer(_namespace: str, name: str, _port: int, path: str) -> str:
        bad = name == "v2"
        if "config_dump" in path:
            asks = {"transport_socket": {"typed_config": {"require_client_certificate": True}}}
            chains = [asks] if not bad or mode == "mtls" else [asks, {}] if mode == "both" else [{}]
            match = {"destination_port": port if bad else 3000}
            listener = {
                "name": "virtualInbound",
                "filter_chains": [{**chain, "filter_chain_match": match} for chain in chains],
            }
            return json.dumps({"configs": [{"active_state": {"listener": listener}}]})
        now = FakeClock().now()
        times = {
            "valid_from": timestamp(now + (begin if bad else -60)),
            "expiration_time": timestamp(now + 60),
        }
        identity = (bad and uri) or f"spiffe://cluster.local/ns/{NAMESPACE}/sa/{name}"
        leaf = {"subject_alt_names": [{"uri": identity}], **times}
        trusted = {"serial_number": f"{made.serial_number:x}", **times, "valid_from": timestamp(now - 60)}
        return json.dumps({"certificates": [{"cert_chain": [leaf], "ca_cert": [trusted]}]})

    pods.on_ask = answer
    return pods


LABELS = {"v1": {"app": "v1"}, "v2": {"app": "v2"}}


@pytest.mark.parametrize(
    ("pods", "status", "words"),
    [
        (mesh_of(), "pass", ""),
        (mesh_of(mode="both"), "fail", "shop/v2 port 3000 is PERMISSIVE, not STRICT"),
        (mesh_of(mode="plain"), "fail", "shop/v2 port 3000 is DISABLE, not STRICT"),
        (mesh_of(port=3001), "fail", "shop/v2 no inbound listener for port 3000"),
        (mesh_of(begin=30.0), "fail", "shop/v2 serves a certificate that is valid from"),
        (mesh_of(uri="spiffe://cluster.local/ns/shop/sa/x"), "fail", "shop/v2 serves spiffe://"),
        (mesh_of(roots=certificate("another", ec_key(), ca=True)), "fail", "which is not the mesh's"),
        (mesh_of(roots=False), "cannot tell", "trusts a root that nothing is known of"),
    ],
)
def test_mutual_tls_is_proved_by_listener_and_certificates(pods: Pods, status: str, words: str) -> None:
    renewed: list[int] = []
    proof = prover(pods, labels=LABELS).mtls(("v1", "v2"), lambda: renewed.append(1))
    assert (proof.status, proof.proxies, renewed) == (status, 2, [1])
    assert words in proof.detail
    assert bool(words) == bool(proof.detail)


def test_mutual_tls_asks_the_pods_of_the_versions_only() -> None:
    pods = mesh_of(mode="plain")
    assert prover(pods, labels=LABELS).mtls(("v1",), lambda: None).status == "pass"
    nobody = prover(pods, labels={"v3": {"app": "v3"}}).mtls(("v3",), lambda: None)
    assert (nobody.status, nobody.detail) == ("cannot tell", "no pod of these versions runs a proxy")
    principal = prover(pods, labels=LABELS, principal="other.domain/ns/shop/sa/v1")
    assert principal.mtls(("v1",), lambda: None).status == "fail"


class Busy(FakeCluster):
    """Pods of v1 and v2 whose proxies say how many requests their programs serve."""

    def __init__(self, **requests: int | ApiError) -> None:
        super().__init__(*[pod(name) for name in requests])
        self.requests = requests
        for name in requests:
            self.named(name)["metadata"]["labels"] = {"version": name[:2]}
        self.on_ask = self._answer

    def named(self, name: str) -> dict[str, Any]:
        found = self.find("Pod", name, NAMESPACE)
        assert found is not None
        return found

    def _answer(self, _namespace: str, name: str, _port: int, _path: str) -> str:
        held = self.requests[name]
        if isinstance(held, ApiError):
            raise held
        stats = [{"name": "rq_active", "value": str(held)}, {"name": "rq_total", "value": "99"}]
        clusters = [{"name": "inbound|3000||", "host_statuses": [{"stats": stats}]}]
        return json.dumps({"cluster_statuses": clusters})

    def open(self) -> int | None:
        return prover(cast("Any", self), labels={"v1": {"version": "v1"}}).open_requests("v1")


def test_open_requests_are_those_of_all_pods_of_the_version_that_stay() -> None:
    cluster = Busy(v1a=2, v1b=3, v2a=9, v1c=4)
    assert cluster.open() == 9
    cluster.named("v1c")["metadata"]["deletionTimestamp"] = "2026-11-23T12:00:00Z"
    assert cluster.open() == 5
    assert Busy(v2a=9).open() == 0


def test_of_a_pod_without_a_proxy_nobody_knows_what_it_serves() -> None:
    cluster = Busy(v1a=2, v1b=3)
    cluster.named("v1b")["spec"]["containers"][0]["name"] = "app"
    assert cluster.open() is None


@pytest.mark.parametrize(("status", "known"), [(403, False), (404, False), (0, False), (500, True)])
def test_a_proxy_that_cannot_be_asked_leaves_it_open(status: int, known: bool) -> None:
    cluster = Busy(v1a=2, v1b=ApiError("no", status=status))
    if known:
        with pytest.raises(ApiError, match=r"^no$"):
            cluster.open()
    else:
        assert cluster.open() is None


def test_roots_that_may_not_be_read_are_cannot_tell() -> None:
    pods = mesh_of()
    pods.forbidden.add("ConfigMap")
    assert prover(pods, labels=LABELS).mtls(("v1",), lambda: None).status == "cannot tell"


@pytest.mark.parametrize(("status", "without"), [(403, True), (401, False), (429, False), (500, False)])
def test_roots_that_cannot_be_read_now_are_no_roots_that_nobody_may_read(
    monkeypatch: pytest.MonkeyPatch, status: int, *, without: bool
) -> None:
    """:param without: whether certificates are judged without them; else the reason is the API server's."""
    pods = mesh_of()
    get = pods.get

    def failing(*names: Any) -> Any:
        if names[1] == "ConfigMap":
            raise ApiError("down", status=status)
        return get(*names)

    monkeypatch.setattr(pods, "get", failing)
    proof = prover(pods, labels=LABELS).mtls(("v1",), lambda: None)
    assert proof.status == "cannot tell"
    assert (proof.detail != "down") is without


@pytest.mark.parametrize("weights", [[100], [0], [None], [90, 10], []])
def test_sums_of_100_and_single_destinations_are_written(weights: list[int | None]) -> None:
    route = [{} if weight is None else {"weight": weight} for weight in weights]
    check_sums({"metadata": {"name": "x"}, "spec": {"http": [{"route": route}]}})
