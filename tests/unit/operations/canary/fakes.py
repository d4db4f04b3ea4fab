"""A small but faithful API server, a clock without waiting, and a mesh whose metrics follow its routes."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import Policy, ShareGate
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import plan_phases
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.split import Split
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.endpoints import (
    EndpointReader,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.journal import Journal
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.lease import Lease
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.metrics import Measurement
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.protocols import Proof
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.records import Records
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import (
    Rollout,
    Settings,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.routes import (
    OwnRoutes,
    TrafficState,
)

from ...support.access import Reviews
from ...support.clock import FakeClock

NAMESPACE, SERVICE = "shop", "product"
API = "networking.istio.io/v1"


class Killed(BaseException):
    """SIGKILL: no handler of the program under test may catch it."""


@dataclasses.dataclass
class Listing:
    items: list[dict[str, Any]]


class FakeCluster:
    """Objects with resourceVersions, optimistic locking, server-side apply of whole objects, JSON Patch."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.version = 100
        self.writes: list[tuple[str, str]] = []
        self.reviews = Reviews()
        self.request = self.reviews.request

    # the store
    def put(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        self.version += 1
        stored = copy.deepcopy(dict(obj))
        stored["metadata"] = {**stored["metadata"], "resourceVersion": str(self.version)}
        self.objects[self.key(stored)] = stored
        self.writes.append((stored["kind"], stored["metadata"]["name"]))
        return copy.deepcopy(stored)

    @staticmethod
    def key(obj: Mapping[str, Any]) -> tuple[str, str, str]:
        return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]

    def peek(self, kind: str, name: str) -> dict[str, Any] | None:
        return self.objects.get((kind, NAMESPACE, name))

    # the client
    def get(
        self, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> dict[str, Any] | None:
        return copy.deepcopy(self.objects.get((kind, namespace or "", name)))

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Listing:
        found = [
            copy.deepcopy(obj)
            for key, obj in self.objects.items()
            if key[0] == kind
            and key[1] == namespace
            and matches(obj["metadata"].get("labels") or {}, label_selector)
        ]
        return Listing(found)

    def apply(
        self, obj: dict[str, Any], *, field_manager: str = "m", force: bool = False, dry_run: bool = False
    ) -> dict[str, Any]:
        live = self.objects.get(self.key(obj))
        wanted = obj["metadata"].get("resourceVersion")
        if live is None and wanted:
            raise ApiError("gone", status=409, reason="Conflict")
        if live is not None and wanted and wanted != live["metadata"]["resourceVersion"]:
            raise ApiError("modified", status=409, reason="Conflict")
        if live is not None and same(live, obj):
            return copy.deepcopy(live)
        return self.put(obj)

    def create(self, obj: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        if self.key(obj) in self.objects:
            raise ApiError("exists", status=409, reason="AlreadyExists")
        return self.put(obj)

    def replace(self, obj: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        live = self.objects.get(self.key(obj))
        if live is None:
            raise ApiError("not found", status=404, reason="NotFound")
        if obj["metadata"].get("resourceVersion") != live["metadata"]["resourceVersion"]:
            raise ApiError("modified", status=409, reason="Conflict")
        return copy.deepcopy(live) if same(live, obj) else self.put(obj)

    def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None,
        patch: Any,
        *,
        patch_type: str = "merge",
        subresource: str | None = None,
        dry_run: bool = False,
        field_manager: str | None = None,
    ) -> dict[str, Any]:
        live = self.objects.get((kind, namespace or "", name))
        if live is None:
            raise ApiError("not found", status=404, reason="NotFound")
        body = copy.deepcopy(live)
        if patch_type == "merge":
            merge(body, patch)
        else:
            for operation in patch:
                json_patch(body, operation)
        return self.put(body)


def same(live: Mapping[str, Any], obj: Mapping[str, Any]) -> bool:
    left, right = copy.deepcopy(dict(live)), copy.deepcopy(dict(obj))
    left["metadata"].pop("resourceVersion", None)
    right["metadata"].pop("resourceVersion", None)
    return left == right


def matches(labels: Mapping[str, str], selector: str | None) -> bool:
    for term in (selector or "").split("),"):
        if not term:
            continue
        if " in (" in term:
            key, _sep, values = term.rstrip(")").partition(" in (")
            if labels.get(key) not in values.split(","):
                return False
        else:
            key, _sep, value = term.partition("=")
            if labels.get(key) != value:
                return False
    return True


def merge(target: dict[str, Any], patch: Mapping[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, Mapping):
            merge(target.setdefault(key, {}), value)
        else:
            target[key] = value


def json_patch(body: Any, operation: Mapping[str, Any]) -> None:
    *path, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    for part in path:
        body = body[int(part)] if isinstance(body, list) else body[part]
    index: Any = int(last) if isinstance(body, list) else last
    if operation["op"] == "test":
        if body[index] != operation["value"]:
            raise ApiError("test failed", status=422, reason="Invalid")
    else:
        body[index] = copy.deepcopy(operation["value"])


class Switch:
    """The client of one runner: counts calls, kills it at one of them, and tells observers of each."""

    def __init__(
        self,
        cluster: FakeCluster,
        *,
        kill_at: int | None = None,
        before: bool = False,
        after_call: Callable[[], None] | None = None,
    ) -> None:
        self.cluster = cluster
        self.calls = 0
        self.kill_at = kill_at
        self.before = before
        self.after_call = after_call
        self.fail_at: dict[int, str] = {}  # call number -> "lost request" or "lost answer"

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.cluster, name)

        def call(*args: Any, **options: Any) -> Any:
            self.calls += 1
            if self.kill_at == self.calls and self.before:
                raise Killed
            fault = self.fail_at.get(self.calls)
            if fault == "lost request":
                raise ApiError("the API server is gone", status=503, reason="ServiceUnavailable")
            try:
                answer = method(*args, **options)
                if fault == "lost answer":
                    raise ApiError("connection reset", status=0, reason="Reset")
                return answer
            finally:
                if self.after_call:
                    self.after_call()
                if self.kill_at == self.calls and not self.before:
                    raise Killed

        return call


class Shop:
    """A service with two versions: its objects, its pods, and what its proxies would count."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.clock = FakeClock()
        self.rate = 100.0
        self.sick = 0.0  # share of failing canary requests
        self.sick_from = 0  # only from this weight on
        self.stable_sick = 0.0
        self.blind = False
        self.proof = "pass"
        self.mtls = "pass"
        self.pods = {"v1": 1, "v2": 1}
        self.template = {"v1": "aaa", "v2": "bbb"}
        self.split = Split(SERVICE, NAMESPACE, "v1", "v2")
        self.cluster.put(self.render(TrafficState({"v1": 100, "v2": 0})))
        self.set_pods()

    def render(self, traffic: TrafficState) -> dict[str, Any]:
        host = f"{SERVICE}.{NAMESPACE}.svc.cluster.local"
        parts = [(version, weight) for version, weight in sorted(traffic.weights.items()) if weight]
        route: list[dict[str, Any]] = [
            {"destination": {"host": host, "subset": version}, "weight": weight} for version, weight in parts
        ]
        if len(route) == 1:
            del route[0]["weight"]
        http: list[dict[str, Any]] = [{"name": "split", "route": route, "timeout": "10s"}]
        if traffic.kind == "testers":
            pinned = {"destination": {"host": host, "subset": "v2"}}
            http.insert(
                0, {"name": "testers", "match": [{"headers": {"x-t": {"exact": "1"}}}], "route": [pinned]}
            )
        return {
            "apiVersion": API,
            "kind": "VirtualService",
            "metadata": {"name": f"{SERVICE}-routes", "namespace": NAMESPACE, "labels": {"managed-by": "us"}},
            "spec": {"http": http},
        }

    def set_pods(self) -> None:
        for key in [key for key in self.cluster.objects if key[0] in ("Pod", "EndpointSlice")]:
            del self.cluster.objects[key]
        endpoints = []
        for version, count in self.pods.items():
            for index in range(max(count, 1)):
                name = f"{SERVICE}-{version}-{self.template[version]}-{index}"
                labels = {"app": SERVICE, "version": version, "pod-template-hash": self.template[version]}
                ready = "True" if index < count else "False"
                self.cluster.put(
                    {
                        "apiVersion": "v1",
                        "kind": "Pod",
                        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
                        "status": {"conditions": [{"type": "Ready", "status": ready}]},
                    }
                )
                endpoints.append({"targetRef": {"name": name}, "conditions": {"ready": ready == "True"}})
        self.cluster.put(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "endpoints": endpoints,
                "metadata": {
                    "name": f"{SERVICE}-1",
                    "namespace": NAMESPACE,
                    "labels": {"kubernetes.io/service-name": SERVICE},
                },
            }
        )

    @property
    def routes(self) -> dict[str, Any]:
        found = self.cluster.peek("VirtualService", f"{SERVICE}-routes")
        assert found
        return found

    def share(self) -> int:
        return self.split.canary_share(self.routes)

    def record(self) -> dict[str, Any]:
        found = self.cluster.peek("ConfigMap", f"servicemesh-release-{SERVICE}")
        return json.loads(found["data"]["record"]) if found else {}

    def journal(self) -> dict[str, Any]:
        found = self.cluster.peek("ConfigMap", f"servicemesh-canary-{SERVICE}")
        return json.loads(found["data"]["journal"]) if found else {}

    def lease(self) -> dict[str, Any]:
        found = self.cluster.peek("Lease", f"servicemesh-canary-{SERVICE}")
        return found["spec"] if found else {}

    def rollout(
        self,
        client: Any | None = None,
        *,
        identity: str = "runner-1",
        steps: list[int] | None = None,
        **changes: Any,
    ) -> Rollout:
        """A runner on this shop; ``client`` may be a `Switch`."""
        client = client or Switch(self.cluster)
        plan = plan_phases(
            stable="v1", canary="v2", steps=steps or [10, 50, 100], duration=10, min_requests=20
        )
        options: dict[str, Any] = {
            "service": SERVICE,
            "namespace": NAMESPACE,
            "mesh": "shop",
            "stable": "v1",
            "canary": "v2",
            "gates": (ShareGate("errors", acceptable=0.005, limit=0.05),),
            "policy": Policy(alpha=0.01, power=0.95),
            "poll": 5.0,
            "scrape_interval": 5.0,
            "phase_deadline": 120.0,
            "unmeasurable": 60.0,
            "ready_timeout": 20.0,
        }
        options.update(changes)
        names: dict[str, Any] = {"service": SERVICE, "namespace": NAMESPACE, "mesh": "shop"}
        return Rollout(
            settings=Settings(**options),
            plan=plan,
            clock=self.clock,
            lease=Lease(client, self.clock, identity=identity, duration=30, **names),
            journal=Journal(client, self.clock, **names),
            routes=OwnRoutes(client, f"{SERVICE}-routes", NAMESPACE, self.render),
            records=Records(client, **names),
            endpoints=EndpointReader(
                client,
                service=SERVICE,
                namespace=NAMESPACE,
                labels={v: {"app": SERVICE, "version": v} for v in ("v1", "v2")},
            ),
            metrics=FakeMetrics(self),
            prover=FakeProver(self),
            progress=lambda line: None,
            stop=lambda: False,
        )


class FakeMetrics:
    """Counts what the live split would bring, deterministically."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.last = shop.clock.now()

    def start(self) -> None:
        self.last = self.shop.clock.now()

    def measure(self, after: float) -> Measurement:
        now = self.shop.clock.now()
        if self.shop.blind:
            return Measurement(now, {}, problem="Prometheus did not answer")
        share = self.shop.share()
        total = self.shop.rate * (now - self.last)
        self.last = now
        canary = round(total * share / 100)
        sick = self.shop.sick if share >= self.shop.sick_from else 0.0
        stable = round(total) - canary
        counts = [canary, round(canary * sick), stable, round(stable * self.shop.stable_sick)]
        return Measurement(now, {"errors": counts}, settled=True)


class FakeProver:
    """Proxies that hold whatever the routes say, or do not."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    def routes(self, weights: Mapping[str, int], renew_if_due: Callable[[], None]) -> Proof:
        renew_if_due()
        self.shop.clock.sleep(0.2)
        held = self.shop.share() == weights.get("v2", 0)
        return Proof(self.shop.proof if held else "fail", 0.2, 3)

    def mtls(self, versions: tuple[str, ...], renew_if_due: Callable[[], None]) -> Proof:
        return Proof(self.shop.mtls, 0.1, 3, "plaintext listener")
