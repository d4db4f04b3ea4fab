"""A small but faithful API server, a clock without waiting, and a mesh whose metrics follow its routes."""

from __future__ import annotations

import datetime
import functools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.gates import Policy, ShareGate
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.journal import (
    Journal,
    RunFacts,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.measurement import Measurement
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.phases import (
    TrafficState,
    plan_phases,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.split import Split
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import state_machine
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.endpoints import (
    EndpointReader,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.objects.fences import (
    highest_fence,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.objects.journal import (
    JournalStore,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.objects.lease import (
    RolloutLease,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.objects.records import (
    Records,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.objects.routes import (
    OwnRoutes,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.options.rollout import (
    RolloutOptions,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.protocols import Proof
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary.rollout import (
    Rollout,
)

from ...support import cluster
from ...support.clock import FakeClock
from ...support.mortal import KilledError

NAMESPACE, SERVICE = "shop", "product"
API = "networking.istio.io/v1"


MESH = parse_catalogue(
    {
        "mesh_name": "shop",
        "mesh_namespace": NAMESPACE,
        "mesh_services": [
            {
                "name": SERVICE,
                "ports": [{"name": "http", "number": 3000, "protocol": "http"}],
                "versions": {"v1": {}, "v2": {}},
                "initial_version": "v1",
            }
        ],
    }
)
OPTIONS = RolloutOptions(
    catalogue=MESH,
    service=MESH.services[0],
    version="v2",
    gates=(ShareGate("errors", acceptable=0.005, limit=0.05),),
    policy=Policy(alpha=0.01, power=0.95),
    scrape_interval=5.0,
    phase_deadline=120.0,
    unmeasurable=60.0,
    ready_timeout=20.0,
)
FACTS = RunFacts(
    run="run-1",
    cluster="uid",
    gates=(ShareGate("errors", acceptable=0.005, limit=0.05),),
    policy=Policy(alpha=0.01, power=0.95),
)


def drive(rollout: Rollout) -> Journal:
    """A whole run, from its Lease to its end. :returns: the journal as it ended."""
    rollout.lease.acquire()
    rollout.store.read()
    state_machine.begin(rollout, FACTS)
    return state_machine.drive(rollout)


class FakeCluster(cluster.FakeCluster):
    """With the namespace of the shop. ``writes`` are (kind, name), those of controllers included."""

    def __init__(self) -> None:
        self.time_of: Callable[[], float] = time.time
        super().__init__({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        self.writes.clear()

    def create(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """A Job gets ready at once."""
        ready = {"status": {"ready": 1}} if obj["kind"] == "Job" else {}
        return super().create({**obj, **ready}, dry_run=dry_run)

    def request(self, method: str, path: str, *, body: Any = None, **more: Any) -> Any:
        """Dated by the clock of the test."""
        self.clock = datetime.datetime.fromtimestamp(self.time_of(), datetime.UTC)
        return super().request(method, path, body=body, **more)

    @property
    def jobs(self) -> list[dict[str, Any]]:
        return [obj for key, obj in self.objects.items() if key[0] == "Job"]

    def put(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        self.writes.append((obj["kind"], obj["metadata"]["name"]))
        return super().put(obj)

    def _log(self, verb: str, obj: Mapping[str, Any], dry_run: bool) -> None:
        """A write is logged when it is stored."""

    def peek(self, kind: str, name: str) -> dict[str, Any] | None:
        return self.find(kind, name, NAMESPACE)


class Switch:
    """The client of one runner: counts calls, kills it at one of them (every later call fails, too: nothing
    runs after SIGKILL), and tells observers of each."""

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
        self.dead = False
        self.before = before
        self.after_call = after_call
        self.fail_at: dict[int, str] = {}  # call number -> "lost request" or "lost answer"
        self.outage: tuple[int, float] | None = None  # first call that fails, and for how many seconds
        self.no_webhook = False  # the outage is istiod's: only writes of its own kinds fail
        self.back_at: float | None = None
        self.clock: FakeClock | None = None

    def arrange(self, fault: str, number: int) -> None:
        """What happens at a call: ``kill``, a lost request or answer, seconds of an outage of the API server
        or of istiod's webhook, or nothing."""
        self.calls, self.kill_at, self.fail_at, self.outage, self.back_at = 0, None, {}, None, None
        self.dead = False
        fault, self.no_webhook = fault.removeprefix("webhook "), fault.startswith("webhook ")
        if fault == "kill":
            self.kill_at = number
        elif fault.isdigit():
            self.outage = (number, float(fault))
        elif fault:
            self.fail_at = {number: fault}

    def _is_out(self) -> bool:
        if self.outage is None or self.clock is None or self.calls < self.outage[0]:
            return False
        if self.back_at is None:
            self.back_at = self.clock.now() + self.outage[1]
        return self.clock.now() < self.back_at

    def out_now(self) -> bool:
        """Whether an outage of the API server has begun and is not over."""
        return (
            not self.no_webhook
            and self.back_at is not None
            and self.clock is not None
            and self.clock.now() < self.back_at
        )

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.cluster, name)

        def call(*args: Any, **options: Any) -> Any:
            if self.dead:
                raise KilledError
            self.calls += 1
            if self.kill_at == self.calls and self.before:
                self.dead = True
                raise KilledError
            fault = self.fail_at.get(self.calls)
            if self._is_out() and self.no_webhook:
                if name in ("apply", "create", "patch", "replace") and _is_route(args):
                    raise ApiError("failed calling webhook", status=500, reason="InternalError")
            elif fault == "lost request" or self._is_out():
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
                    self.dead = True
                    raise KilledError

        return call


def _is_route(args: tuple[Any, ...]) -> bool:
    return "VirtualService" in (*args[1:2], *(arg.get("kind") for arg in args[:1] if isinstance(arg, dict)))


@functools.lru_cache(maxsize=4)
def _read_journal(text: str) -> dict[str, Any]:
    """Nobody changes what it gets: it is looked at after every call, and most calls write no journal."""
    found: dict[str, Any] = json.loads(text)
    return found


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
        # metrics and proxies are asked through the API server, and answer nothing while it does not
        self.outage: Callable[[], bool] = lambda: False
        self.proof = "pass"
        self.mtls = "pass"
        self.pods = {"v1": 1, "v2": 1}
        self.template = {"v1": "aaa", "v2": "bbb"}
        self.split = Split(SERVICE, NAMESPACE, "v1", "v2")
        self.skew = 0.0  # of Prometheus
        self.streams: dict[str, int | None] = {}  # version -> requests that its pods still serve
        self.cluster.time_of = self.clock.now
        self.routed_by = f"{SERVICE}-routes"
        self.cluster.put(self.render(TrafficState({"v1": 100, "v2": 0})))
        self.set_pods()

    def person(self) -> JournalStore:
        """The journal as somebody sees it who asks something of the run."""
        store = self.rollout(identity="person").store
        store.read()
        return store

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
        found = self.cluster.peek("VirtualService", self.routed_by)
        assert found
        return found

    def follow(self, name: str) -> None:
        """Let proxies and metrics follow another VirtualService."""
        self.routed_by = name

    def share(self) -> int:
        return self.split.canary_share(self.routes)

    def record(self) -> dict[str, Any]:
        found = self.cluster.peek("ConfigMap", f"servicemesh-release-{SERVICE}")
        return json.loads(found["data"]["record"]) if found else {}

    def journal(self) -> dict[str, Any]:
        found = self.cluster.peek("ConfigMap", f"servicemesh-canary-{SERVICE}")
        return _read_journal(found["data"]["journal"]) if found else {}

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
        names: dict[str, Any] = {"service": SERVICE, "namespace": NAMESPACE, "mesh": "shop"}
        lease = RolloutLease(client, self.clock, identity=identity, duration=30, **names)
        routes = OwnRoutes(client, f"{SERVICE}-routes", NAMESPACE, self.render, "v1")
        lease.floor = lambda: highest_fence(client, service=SERVICE, namespace=NAMESPACE, routes=routes)
        return Rollout(
            options=replace(OPTIONS, **changes),
            plan=plan,
            clock=self.clock,
            lease=lease,
            store=JournalStore(client, self.clock, **names),
            routes=routes,
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

    def measure(self, after: float, weight: float | None = None) -> Measurement:
        now = self.shop.clock.now()
        if self.shop.blind or self.shop.outage():
            return Measurement(now, {}, problem="Prometheus did not answer")
        share = self.shop.share()
        total, since = self.shop.rate * (now - self.last), self.last
        self.last = now
        canary = round(total * share / 100)
        sick = self.shop.sick if share >= self.shop.sick_from else 0.0
        stable = round(total) - canary
        counts = [canary, round(canary * sick), stable, round(stable * self.shop.stable_sick)]
        return Measurement(now, {"errors": counts}, settled=True, since=since)


class FakeProver:
    """Proxies that hold whatever the routes say, or do not."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    def routes(self, weights: Mapping[str, int], renew_if_due: Callable[[], None]) -> Proof:
        renew_if_due()
        self.shop.clock.sleep(0.2)
        if self.shop.outage():
            return Proof("cannot tell", 0.2, 0, "the API server is gone")
        held = self.shop.share() == weights.get("v2", 0)
        return Proof(self.shop.proof if held else "fail", 0.2, 3)

    def mtls(self, versions: tuple[str, ...], renew_if_due: Callable[[], None]) -> Proof:
        if self.shop.outage():
            return Proof("cannot tell", 0.1, 0, "the API server is gone")
        return Proof(self.shop.mtls, 0.1, 3, "plaintext listener")

    def open_requests(self, version: str) -> int | None:
        if self.shop.outage():
            raise ApiError("the API server is gone", status=503, reason="ServiceUnavailable")
        return self.shop.streams.get(version, 0)
