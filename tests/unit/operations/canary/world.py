"""The backend of module canary on a shop in memory."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.metrics import MetricsError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.catalogue.parse import parse_catalogue
from ansible_collections.servicemesh.istio.plugins.module_utils.model.objects.render import render
from ansible_collections.servicemesh.istio.plugins.module_utils.model.rollout.measurement import (
    Baseline,
    Measurement,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import (
    assembly,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.canary import backend as canary

from ...support.arguments import validated
from .fakes import NAMESPACE, SERVICE, FakeMetrics, FakeProver, Shop, Switch
from .sizes import Sizes

CATALOGUE = {
    "mesh_name": "shop",
    "mesh_namespace": NAMESPACE,
    "mesh_services": [
        {
            "name": SERVICE,
            "ports": [{"name": "http", "number": 3000, "protocol": "http"}],
            "versions": {"v1": {}, "v2": {}},
            "initial_version": "v1",
        },
        {"name": "db", "ports": [{"name": "tcp", "number": 5432, "protocol": "tcp"}]},
    ],
}
OBJECTS = render(parse_catalogue(CATALOGUE))


class FakePrometheusSource(FakeMetrics):
    """With a baseline and the attributes that the backend reads."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop)
        self.selectors = {"server": "x"}
        self.unattributed: Any = None
        self.interval = 5.0
        self.skew = shop.skew
        self.bound = ""

    def scraped_every(self, seconds: float) -> None:
        """As often as anybody likes."""

    def clock_skew(self) -> float:
        """One clock for all."""
        return self.skew

    def past(self, seconds: float, weight: float | None = None) -> Measurement:
        """What was answered while nobody watched."""
        if self.shop.blind or self.shop.outage():
            raise MetricsError("Prometheus did not answer")
        self.last = self.shop.clock.now() - seconds
        return self.measure(0.0)

    def baseline(self, seconds: float) -> Baseline:
        rate = self.shop.rate
        return Baseline(rate, rate * seconds, {"errors": self.shop.stable_sick}, 0.0, "")


class World:
    """The backend on a shop."""

    def __init__(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nobody_asked = False
        self.shop = shop
        self.lines: list[str] = []
        self.sizes: Sizes | None = None
        self.environment: dict[str, str] = {}
        self.progress: Callable[[str], None] = self.lines.append
        self.client: Any = Switch(shop.cluster)
        self.stopped: Callable[[], bool] = lambda: False
        self.connect: Any = lambda _options, **_more: contextlib.nullcontext(self.client)
        monkeypatch.setattr(assembly, "ProxyProver", lambda *_rest, **_more: FakeProver(shop))
        monkeypatch.setattr(assembly.RolloutBuilder, "metrics", lambda *_rest: FakePrometheusSource(shop))
        for obj in OBJECTS:
            shop.cluster.put(obj)

    def __call__(self, *, check: bool = False, **changes: Any) -> dict[str, Any]:
        params: dict[str, Any] = {
            "kubeconfig": {},
            "catalogue": copy.deepcopy(CATALOGUE),
            "service": SERVICE,
            "version": "v2",
            "steps": [10, 50, 100],
            "duration": 10,
            "min_requests": 20,
            "scrape_interval": 5,
            "phase_deadline": 120,
            "unmeasurable": 60,
            "ready_timeout": 20,
            "errors": {"limit": 0.05},
            "prometheus": {"namespace": "istio-system", "service": "p"},
        }
        params.update(changes)
        given = {key: value for key, value in params.items() if value is not None}
        checked = validated(canary.ARGUMENT_SPEC, given)
        context = Context(
            check_mode=check,
            diff_mode=check,
            progress=self.progress,
            stop=self.stopped,
            connect=self.connect,
            clock=self.shop.clock,
            environment=self.environment,
        )
        return canary.run(checked, context)
