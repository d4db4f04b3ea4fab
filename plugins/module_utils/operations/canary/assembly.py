# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a rollout's tools together for one service of one cluster."""

from __future__ import annotations

import dataclasses
import os
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import InputError, MeshError, Problem, RefusedError
from ...istio.metrics import Prometheus, fill_query
from ...kube.clock import Clock, SystemClock
from ...kube.pods import takes_requests
from ...model.catalogue.services import Condition, Mirror, Service, StringMatch, Variant
from ...model.objects.virtual_service_delegates import delegate_name, delegate_object
from ...model.rollout.gates import ShareGate
from ...model.rollout.journal import Journal
from ...model.rollout.phases import Plan, TrafficState
from ...model.rollout.requests import Arms as MetricArms
from ...model.rollout.split import Split, with_sticky_cookie
from .adapters import CountingClient, NoMetrics, RememberingRoutes
from .deadman import DeadmanJob
from .endpoints import EndpointReader
from .journal import JournalStore
from .lease import Lease
from .metrics import PrometheusSource
from .options import Wishes
from .proof import ProxyProver
from .records import Records
from .rollout import Rollout, Settings
from .routes import ForeignRoutes, OwnRoutes
from .scaling import WorkloadScaler

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient


class RolloutBuilder:
    """Everything that is known about one service before a rollout of it."""

    def __init__(
        self, client: KubeClient, params: Mapping[str, Any], wishes: Wishes, context: Context
    ) -> None:
        self.client: Any = CountingClient(client)
        self.params = params
        self.wishes = wishes
        self.context = context
        self.clock: Clock = SystemClock()
        self.service = wishes.service
        self.names: dict[str, Any] = {
            "service": self.service.name,
            "namespace": self.service.namespace,
            "mesh": wishes.catalogue.name,
        }
        self.records = Records(self.client, **self.names)
        self.store = JournalStore(self.client, self.clock, **self.names)
        self.lease = Lease(
            self.client, self.clock, identity=new_identity(), duration=int(params["lease"]), **self.names
        )

    def routes(self, stable: str, canary: str) -> OwnRoutes | ForeignRoutes:
        """The service's own delegate, or the VirtualService that the parameters name."""
        foreign = self.params.get("routes")
        namespace = self.service.namespace
        if foreign:
            domain = self.wishes.catalogue.cluster_domain
            split = Split(self.service.name, namespace, stable, canary, domain=domain)
            where = foreign.get("namespace") or namespace
            return ForeignRoutes(self.client, foreign["name"], where, split, gitops=self.params["gitops"])
        render = self._renderer(stable, canary)
        return OwnRoutes(self.client, delegate_name(self.service.name), namespace, render)

    def _renderer(self, stable: str, canary: str) -> Callable[[TrafficState], dict[str, Any]]:
        catalogue, params = self.wishes.catalogue, self.params
        sticky = params.get("sticky") or {}

        def render(traffic: TrafficState) -> dict[str, Any]:
            service = _with_early_phase(self.service, traffic, canary, params)
            live = traffic.kind == "weight" and 0 < traffic.weights.get(canary, 0) < 100
            if sticky and live:
                cookie = str(sticky["cookie"])
                when = Condition(headers={}, cookie=(cookie, canary), query={}, path=None, path_exact=False)
                service = dataclasses.replace(
                    service, variants=(*service.variants, Variant("sticky", canary, when))
                )
            weights = {name: traffic.weights[name] for name in service.versions if traffic.weights.get(name)}
            rendered = delegate_object(catalogue, service, weights)
            if rendered is None:
                raise RefusedError(f"{service.name} has no HTTP port", rule="http")
            if sticky and live:
                split = Split(
                    service.name, service.namespace, stable, canary, domain=catalogue.cluster_domain
                )
                age = int(sticky.get("max_age", 3600))
                rendered = with_sticky_cookie(rendered, split, cookie=str(sticky["cookie"]), max_age=age)
            return rendered

        return render

    def metrics(self, stable: str, canary: str, gates: tuple[ShareGate, ...]) -> PrometheusSource:
        """Metrics of both arms.

        :raises InputError: no Prometheus is named.
        """
        wishes = self.wishes
        if wishes.prometheus is None:
            raise InputError(
                [
                    Problem(
                        "canary_prometheus",
                        "is missing, and addons_enabled has no prometheus: give url or namespace and service",
                        "prometheus",
                    )
                ]
            )
        workloads = {name: version.workload for name, version in self.service.versions.items()}
        values = {
            "service": self.service.name,
            "namespace": self.service.namespace,
            "stable": stable,
            "canary": canary,
            "stable_workload": workloads[stable],
            "canary_workload": workloads[canary],
        }
        queries = tuple(
            dataclasses.replace(gate, query=fill_query(gate.query, values)) for gate in wishes.queries
        )
        return PrometheusSource(
            Prometheus(wishes.prometheus, self.client),
            self.clock,
            service=self.service.name,
            arms=MetricArms(self.service.namespace, workloads[stable], workloads[canary]),
            gates=gates,
            queries=queries,
            scrape_interval=self.params["scrape_interval"],
            max_ms=wishes.max_ms,
        )

    def synthetic(self) -> str:
        """Sends requests from a caller's pod, for services with too little traffic. :returns: trouble."""
        wish = self.params.get("synthetic") or {}
        namespace = str(wish.get("namespace") or self.service.namespace)
        pods = self.client.list("v1", "Pod", namespace, label_selector=str(wish["selector"])).items
        ready = [pod for pod in pods if takes_requests(pod)]
        if not ready:
            return f"no ready pod with labels {wish['selector']} in {namespace}"
        name = ready[0]["metadata"]["name"]
        try:
            done = self.client.exec(
                namespace, name, str(wish["container"]), list(wish["command"]), timeout=20.0
            )
        except MeshError as error:
            return str(error)
        return "" if done.returncode == 0 else f"the command in pod {name} ended with {done.returncode}"

    def journalled(self, journal: Journal) -> Rollout:
        """A runner for the plan of a journal. Without Prometheus it can withdraw, but never go on."""
        settings = settings_from(self, stable=journal.stable, canary=journal.canary, journal=journal)
        metrics: Any = NoMetrics()
        if self.wishes.prometheus is not None:
            metrics = self.metrics(journal.stable, journal.canary, settings.gates)
            if journal.baseline:
                metrics.unknown_rate = journal.baseline.unknown_rate
                metrics.bound = journal.baseline.bound
        return self.rollout(journal.plan, settings, metrics, snapshot=journal.original)

    def _callers(self) -> frozenset[tuple[str, str]]:
        """(namespace, service account) of the callers that the catalogue names."""
        catalogue = self.wishes.catalogue
        principals = {catalogue.principal_of(caller) for caller in self.service.callers}
        return frozenset(_place(principal) for principal in principals if principal.count("/") == 4)

    def calling_namespaces(self) -> list[str]:
        """Where proxies may call the service. :returns: namespaces of the mesh, its gateways and callers."""
        catalogue = self.wishes.catalogue
        gateways = {gateway.workload_namespace for gateway in catalogue.gateways}
        return sorted(
            {*catalogue.namespaces, *gateways, *(namespace for namespace, _account in self._callers())}
        )

    def rollout(
        self, plan: Plan, settings: Settings, metrics: Any, *, snapshot: Sequence[Any] | None = None
    ) -> Rollout:
        """A runner for a plan."""
        routes = self.routes(settings.stable, settings.canary)
        held: dict[str, TrafficState] = {}
        remembering = RememberingRoutes(routes, held)
        remembering.restore(snapshot)

        def desired(weights: Mapping[str, int]) -> Mapping[str, Any]:
            traffic = held.get("state")
            return routes.desired(
                traffic if traffic and traffic.weights == weights else TrafficState(dict(weights))
            )

        rollout = Rollout(
            settings=settings,
            plan=plan,
            clock=self.clock,
            lease=self.lease,
            store=self.store,
            routes=remembering,
            records=self.records,
            endpoints=EndpointReader(
                self.client,
                service=self.service.name,
                namespace=self.service.namespace,
                labels=_labels(self.service, settings),
            ),
            metrics=metrics,
            prover=ProxyProver(
                self.client,
                self.clock,
                desired=desired,
                host=self.service.fqdn,
                namespace=self.service.namespace,
                ports=[self.service.http_port.target_port] if self.service.http_port else [],
                labels=_labels(self.service, settings),
                principal=self.service.principal,
                timeout=self.params["proof_timeout"],
                limit=self.params["proof_max_proxies"],
                callers=self._callers(),
                namespaces=tuple(self.calling_namespaces()),
                root_namespace=self.wishes.catalogue.root_namespace,
            ),
            progress=self.context.progress,
            stop=self.context.stop,
            api_calls=lambda: int(self.client.calls),
        )
        if self.params["low_traffic"] == "synthetic":
            rollout.synthetic = self.synthetic
        if self.params["deadman"] == "job":
            own = isinstance(routes, OwnRoutes)
            rollout.deadman = DeadmanJob(rollout, self.client, self.params["deadman_job"], own=own)
        scale = self.params.get("scale")
        if scale:
            workloads = {name: version.workload for name, version in self.service.versions.items()}
            rollout.scaler = WorkloadScaler(
                rollout,
                self.client,
                namespace=self.service.namespace,
                stable=workloads[settings.stable],
                canary=workloads[settings.canary],
                replicas=scale.get("up"),
                down=bool(scale.get("down")),
            )
        return rollout


def _with_early_phase(
    service: Service, traffic: TrafficState, canary: str, params: Mapping[str, Any]
) -> Service:
    if traffic.kind == "testers":
        testers = params.get("testers") or {}
        header = str(testers["header"]).lower()
        match = StringMatch("exact", str(testers.get("value", "true")))
        when = Condition(headers={header: match}, cookie=None, query={}, path=None, path_exact=False)
        return dataclasses.replace(service, variants=(Variant("testers", canary, when), *service.variants))
    if traffic.kind == "mirror":
        return dataclasses.replace(
            service, mirror=Mirror(to=canary, percent=float(traffic.percent), writes=False)
        )
    return service


def _labels(service: Service, settings: Settings) -> dict[str, Mapping[str, str]]:
    return {
        name: {**service.labels, **service.versions[name].labels}
        for name in (settings.stable, settings.canary)
    }


def _place(principal: str) -> tuple[str, str]:
    """(namespace, service account) of ``trust.domain/ns/NAMESPACE/sa/ACCOUNT``."""
    namespace, account = principal.split("/")[2::2]
    return namespace, account


def new_run() -> str:
    """Id of a new run."""
    return uuid.uuid4().hex[:12]


def new_identity() -> str:
    """Names this runner: host, process, and a nonce, so that a later process is never mistaken for it."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def settings_from(
    builder: RolloutBuilder, *, stable: str, canary: str, journal: Journal | None = None
) -> Settings:
    """Settings from the parameters; of a journalled run, gates and policy are those it began with."""
    params, wishes = builder.params, builder.wishes
    gates, policy, queries = wishes.gates, wishes.policy, wishes.queries
    if journal and journal.policy:
        gates, policy, queries = journal.gates, journal.policy, journal.queries
    return Settings(
        service=builder.service.name,
        namespace=builder.service.namespace,
        mesh=wishes.catalogue.name,
        stable=stable,
        canary=canary,
        gates=gates,
        queries=queries,
        policy=policy,
        approvals=frozenset(params["approvals"]),
        mtls=wishes.mtls,
        proof=params["proof"],
        low_traffic=params["low_traffic"],
        poll=min(5.0, params["scrape_interval"]),
        scrape_interval=params["scrape_interval"],
        phase_deadline=params["phase_deadline"],
        unmeasurable=params["unmeasurable"],
        ready_timeout=params["ready_timeout"],
        promote=params["promote"],
        on_stop=params["on_stop"],
    )
