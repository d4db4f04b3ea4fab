"""Deployments whose pods follow their replicas, and autoscalers that follow the load, for a shop in memory.

An autoscaler sees the load of a while ago and acts on it at once, in both directions: harsher than
Kubernetes, whose stabilization window only makes it later.
"""

from __future__ import annotations

import math
from typing import Any

from .fakes import NAMESPACE, SERVICE, Shop

HELD = "servicemesh.istio/min-replicas"
LAG = 15.0  # seconds: so old is the load that an autoscaler sees
OVERLOAD = 1.3  # times the load of one pod: more makes its requests fail


class Sizes:
    """Both versions of a shop.

    :param pods: version -> replicas before the run. :param autoscaled: those with an autoscaler of 1 to 10.
    :ivar overloaded: (seconds since the epoch, version) of each moment with too few pods.
    """

    def __init__(
        self, shop: Shop, pods: dict[str, int], autoscaled: tuple[str, ...] = ("v1",), per_pod: float = 25.0
    ) -> None:
        self.shop, self.per_pod, self.start = shop, per_pod, 4.0
        self.overloaded: list[tuple[float, str]] = []
        self.loads: dict[str, list[tuple[float, float]]] = {"v1": [], "v2": []}
        self.coming: dict[str, list[float]] = {"v1": [], "v2": []}
        for version, count in pods.items():
            name = f"{SERVICE}-{version}"
            metadata = {"name": name, "namespace": NAMESPACE}
            shop.pods[version] = count
            shop.cluster.put(
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "metadata": metadata,
                    "spec": {"replicas": count},
                    "status": {"readyReplicas": count},
                }
            )
            if version in autoscaled:
                shop.cluster.put(
                    {
                        "apiVersion": "autoscaling/v2",
                        "kind": "HorizontalPodAutoscaler",
                        "metadata": metadata,
                        "spec": {
                            "scaleTargetRef": {"kind": "Deployment", "name": name},
                            "minReplicas": 1,
                            "maxReplicas": 10,
                        },
                    }
                )
        shop.set_pods()
        self.react()

    def deployment(self, version: str) -> dict[str, Any]:
        found: dict[str, Any] = self.shop.cluster.objects["Deployment", NAMESPACE, f"{SERVICE}-{version}"]
        return found

    def autoscaler(self, version: str) -> dict[str, Any]:
        found: dict[str, Any] = self.shop.cluster.objects.get(
            ("HorizontalPodAutoscaler", NAMESPACE, f"{SERVICE}-{version}"), {}
        )
        return found

    def replicas(self, version: str) -> int:
        return int(self.deployment(version)["spec"]["replicas"])

    def minimum(self, version: str) -> int:
        return int(self.autoscaler(version)["spec"]["minReplicas"])

    def held(self, version: str) -> str | None:
        annotations: dict[str, str] = self.autoscaler(version)["metadata"].get("annotations") or {}
        return annotations.get(HELD)

    def react(self) -> None:
        """What controllers and kubelets do in a second."""
        now, share = self.shop.clock.now(), self.shop.share()
        changed = False
        for version, percent in (("v1", 100 - share), ("v2", share)):
            load = self.shop.rate * percent / 100
            self.loads[version].append((now, load))
            seen = [found for at, found in self.loads[version] if at <= now - LAG] or [load]
            self._scale(version, max(1, math.ceil(seen[-1] / self.per_pod)))
            changed |= self._start_and_stop(version, now)
            ready = self.shop.pods[version]
            if load and load > OVERLOAD * self.per_pod * ready:
                self.overloaded.append((now, version))
        if changed:
            self.shop.set_pods()
        self.shop.clock.at(1.0, self.react)

    def _scale(self, version: str, wanted: int) -> None:
        scaler, deployment = self.autoscaler(version), self.deployment(version)
        if not scaler or not deployment["spec"]["replicas"]:
            return
        least, most = scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]
        limited = "True" if wanted < least else "False"
        condition = {"type": "ScalingLimited", "status": limited, "reason": "TooFewReplicas"}
        scaler["status"] = {"conditions": [condition]}
        deployment["spec"] = {**deployment["spec"], "replicas": min(max(wanted, least), most)}

    def _start_and_stop(self, version: str, now: float) -> bool:
        before, wanted = self.shop.pods[version], self.replicas(version)
        coming = self.coming[version]
        coming += [now + self.start] * (wanted - before - len(coming))
        self.shop.pods[version] += sum(at <= now for at in coming)
        self.coming[version] = [at for at in coming if at > now]
        self.shop.pods[version] = min(self.shop.pods[version], wanted)
        self.deployment(version)["status"] = {"readyReplicas": self.shop.pods[version]}
        return self.shop.pods[version] != before
