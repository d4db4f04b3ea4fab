# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the parts of a rollout together for one service of one cluster."""

from __future__ import annotations

import copy
import dataclasses
import functools
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import InputError, Problem, RefusedError
from ...istio.metrics import Prometheus, PrometheusOptions, fill_query
from ...kube.lease import new_identity
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.services import Service, Version
from ...model.objects.names import delegate_name
from ...model.objects.peer_authentications import port_mode
from ...model.rollout.capacity import Size
from ...model.rollout.journal import Journal, State
from ...model.rollout.phases import RolloutPlan
from ...model.rollout.requests import VersionWorkloads
from ...model.rollout.settings import VersionFacts
from ...model.rollout.unattributed import Unattributed
from .adapters import CountingClient, NoMetrics, RememberingRoutes
from .background import Background, Worker
from .deadman.switch import DeadmanJob
from .endpoints import EndpointReader
from .kube_events import DeploymentEvents
from .metrics import PrometheusSource
from .notifications import Notifications
from .objects.fences import highest_fence
from .objects.journal import JournalStore
from .objects.lease import RolloutLease
from .objects.records import Records
from .objects.routes import ForeignRoutes, OwnRoutes
from .options.rollout import RolloutOptions
from .outside_gates import OutsideGates
from .proof import ProxyProver
from .rendering import renderer, split_of
from .rollout import MetricsSource, Rollout
from .scaling.sizes import read_sizes
from .scaling.versions import WorkloadScaler
from .server_clock import server_clock
from .synthetic import send_requests

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient


class RolloutBuilder:
    """What is known of one service before a rollout of it, and what a rollout is made of."""

    def __init__(self, client: KubeClient, options: RolloutOptions, context: Context) -> None:
        self.client: Any = CountingClient(client)
        self.options = options
        self.context = context
        self.clock = server_clock(client, context.clock)
        self.service = options.service
        names: dict[str, Any] = {
            "service": self.service.name,
            "namespace": self.service.namespace,
            "mesh": options.catalogue.name,
        }
        self.records = Records(self.client, **names)
        self.background: Background = Worker()
        self.workers: Callable[[], Background] = Worker
        self.store = JournalStore(self.client, self.clock, **names)
        self.lease = RolloutLease(
            self.client, self.clock, identity=new_identity(), duration=options.lease, **names
        )
        self.lease.floor = self._highest_fence

    def of_run(self, journal: Journal | None) -> RolloutBuilder:
        """The same for a run that has begun: with the settings, gates and versions of its journal, whatever
        this call says and the catalogue says by now."""
        if journal is None:
            return self
        options = self.options
        if journal.settings:
            options = options.with_settings(journal.settings)
        if journal.policy:
            options = dataclasses.replace(
                options, gates=journal.gates, policy=journal.policy, queries=journal.queries
            )
        gone = {
            name: Version(name=name, labels=version.labels, workload=version.workload)
            for name, version in journal.versions.items()
            if name not in self.service.versions
        }
        if gone:
            versions = {**gone, **self.service.versions}
            options = dataclasses.replace(
                options, service=dataclasses.replace(self.service, versions=versions)
            )
        other = copy.copy(self)
        other.options, other.service = options, options.service
        other.lease.floor = other._highest_fence
        return other

    def check_known(self, *versions: str) -> None:
        """:raises RefusedError: neither the catalogue nor the run's journal says what one of them is."""
        for version in versions:
            if version not in self.service.versions:
                known = ", ".join(self.service.versions)
                raise RefusedError(
                    f"nothing was written: {self.service.where}.versions has no {version} any more (it has"
                    f" {known}): put it back, with its labels and workload, until the rollout has ended",
                    rule="unknown-version",
                )

    def check_measurable(self, journal: Journal) -> None:
        """:raises InputError: the run would go on blindly, and be withdrawn for it: this call names no
        Prometheus, which is no part of a journal."""
        if journal.state in (State.RUNNING, State.AWAITING_APPROVAL, State.PAUSED):
            self._prometheus(self.options)

    @staticmethod
    def _prometheus(options: RolloutOptions) -> PrometheusOptions:
        """:raises InputError: no Prometheus is named."""
        if options.prometheus is None:
            message = "is missing, and addons_enabled has no prometheus: give url or namespace and service"
            raise InputError([Problem("canary_prometheus", message, "prometheus")])
        return options.prometheus

    def version_facts(self, *versions: str) -> dict[str, VersionFacts]:
        """What the journal of a run keeps of its versions. :returns: version -> its labels and workload."""
        known = self.service.versions
        return {name: VersionFacts(dict(known[name].labels), known[name].workload) for name in versions}

    def _highest_fence(self) -> int:
        service = self.service
        routes = self.routes("", "")  # where they stand is the same for all versions
        return highest_fence(self.client, service=service.name, namespace=service.namespace, routes=routes)

    def routes(self, stable: str, canary: str) -> OwnRoutes | ForeignRoutes:
        """The service's own delegate, or the VirtualService that the options name."""
        foreign, options = self.options.routes, self.options
        if foreign:
            split = split_of(options, stable, canary)
            return ForeignRoutes(self.client, foreign.name, foreign.namespace, split, gitops=options.gitops)
        render = renderer(options, stable, canary)
        return OwnRoutes(
            self.client, delegate_name(self.service.name), self.service.namespace, render, stable
        )

    def endpoints(self, *versions: str) -> EndpointReader:
        """Pods of these versions."""
        return EndpointReader(
            self.client,
            service=self.service.name,
            namespace=self.service.namespace,
            labels=self._labels(*versions),
        )

    def metrics(self, stable: str, canary: str, options: RolloutOptions) -> PrometheusSource:
        """Metrics of both versions.

        :param options: whose gates and queries count. :raises InputError: no Prometheus is named.
        """
        prometheus = self._prometheus(options)
        service, workloads = self.service, self._workloads()
        values = {
            "service": service.name,
            "namespace": service.namespace,
            "stable": stable,
            "canary": canary,
            "stable_workload": workloads[stable],
            "canary_workload": workloads[canary],
        }
        queries = (
            dataclasses.replace(gate, query=fill_query(gate.query, values)) for gate in options.queries
        )
        return PrometheusSource(
            Prometheus(prometheus, self.client),
            self.clock,
            service=service.name,
            versions=VersionWorkloads(service.namespace, workloads[stable], workloads[canary]),
            gates=options.gates,
            queries=tuple(queries),
            scrape_interval=options.scrape_interval,
            matchers=prometheus.matchers,
            replica_labels=prometheus.replica_labels,
            max_ms=options.max_ms,
        )

    def journalled(self, journal: Journal) -> Rollout:
        """A runner for a run that has begun: everything that decides is what the run began with.

        Without Prometheus it can withdraw, but never go on.
        """
        builder = self.of_run(journal)
        builder.check_known(journal.stable, journal.canary)
        metrics: MetricsSource = NoMetrics()
        if builder.options.prometheus is not None:
            metrics = builder.metrics_of(journal)
        return builder.rollout(journal.plan, builder.options, metrics, snapshot=journal.original)

    def metrics_of(self, journal: Journal) -> PrometheusSource:
        """Metrics of a run that has begun, with the bounds that its preflight found."""
        source = self.metrics(journal.stable, journal.canary, self.options)
        if journal.baseline:
            source.unattributed = Unattributed(journal.baseline.unknown_share)
            source.bound = journal.baseline.bound
            source.scraped_every(journal.baseline.interval)
        return source

    def rollout(
        self,
        plan: RolloutPlan,
        options: RolloutOptions,
        metrics: MetricsSource,
        *,
        snapshot: Sequence[Any] | None = None,
    ) -> Rollout:
        """A runner for a plan. :param snapshot: of a foreign VirtualService before the run."""
        own = self.routes(plan.stable, plan.canary)
        routes = RememberingRoutes(own)
        routes.restore(snapshot)
        rollout = Rollout(
            options=options,
            plan=plan,
            clock=self.clock,
            lease=self.lease,
            store=self.store,
            routes=routes,
            records=self.records,
            endpoints=self.endpoints(plan.stable, plan.canary),
            metrics=metrics,
            prover=self._prover(plan, routes),
            progress=self.context.progress,
            stop=self.context.stop,
            api_calls=lambda: int(self.client.calls),
            background=self.background,
        )
        if options.synthetic:
            rollout.synthetic = functools.partial(send_requests, self.client, options.synthetic)
        if options.outside:
            rollout.outside = OutsideGates(rollout, self.context.environment, workers=self.workers)
        rollout.tellers = [DeploymentEvents(rollout, self.client, self._workloads()[plan.canary])]
        if options.listeners:
            environment = self.context.environment
            rollout.tellers.append(
                Notifications(rollout, options.listeners, environment, workers=self.workers)
            )
        if options.deadman:
            computed = isinstance(own, OwnRoutes)
            rollout.deadman = DeadmanJob(rollout, self.client, options.deadman, own=computed)
        rollout.scaler = WorkloadScaler(rollout, self.client)
        return rollout

    def callers(self) -> frozenset[tuple[str, str]]:
        """The callers that the catalogue names. :returns: (namespace, service account) of each."""
        catalogue = self.options.catalogue
        principals = {catalogue.principal_of(caller) for caller in self.service.callers}
        return frozenset(_place(principal) for principal in principals if principal.count("/") == 4)

    def calling_namespaces(self) -> list[str]:
        """Where proxies may call the service. :returns: namespaces of the mesh, its gateways and callers."""
        catalogue = self.options.catalogue
        gateways = {gateway.workload_namespace for gateway in catalogue.gateways}
        callers = {namespace for namespace, _account in self.callers()}
        return sorted({*catalogue.namespaces, *gateways, *callers})

    def _prover(self, plan: RolloutPlan, routes: RememberingRoutes) -> ProxyProver:
        service, options = self.service, self.options
        return ProxyProver(
            self.client,
            self.clock,
            desired=routes.now,
            host=service.fqdn,
            namespace=service.namespace,
            ports=mutual_ports(options.catalogue, service),
            labels=self._labels(plan.stable, plan.canary),
            principal=service.principal,
            timeout=options.propagation_timeout,
            limit=options.propagation_max_proxies,
            callers=self.callers(),
            namespaces=tuple(self.calling_namespaces()),
            istio_namespace=options.catalogue.istio_namespace,
        )

    def sizes(self, *versions: str) -> dict[str, Size]:
        """How large these versions are. :returns: version -> its size."""
        workloads = self._workloads()
        return read_sizes(
            self.client,
            self.service.namespace,
            {name: workloads[name] for name in versions},
            gitops=self.options.gitops,
        )

    def labels(self, version: str) -> Mapping[str, str]:
        """The labels of a version's pods. :returns: key -> value."""
        return self._labels(version)[version]

    def _labels(self, *versions: str) -> dict[str, Mapping[str, str]]:
        service = self.service
        return {name: {**service.labels, **service.versions[name].labels} for name in versions}

    def _workloads(self) -> dict[str, str]:
        return {name: version.workload for name, version in self.service.versions.items()}


def _place(principal: str) -> tuple[str, str]:
    """(namespace, service account) of ``trust.domain/ns/NAMESPACE/sa/ACCOUNT``."""
    namespace, account = principal.split("/")[2::2]
    return namespace, account


def new_run() -> str:
    """Id of a new run."""
    return uuid.uuid4().hex[:12]


def mutual_ports(catalogue: Catalogue, service: Service) -> list[int]:
    """The target ports that must take mutual TLS only: the one that is rolled out, and every other one that
    the catalogue does not leave open.

    :returns: sorted.
    """
    own = {service.http_port.target_port} if service.http_port else set()
    return sorted(
        own | {port for port in service.target_ports() if port_mode(catalogue, service, port) == "STRICT"}
    )
