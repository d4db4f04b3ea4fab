# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large the two versions of a rollout are: pods, autoscalers, and the size that bears all requests. Pure.

While a canary has the requests, an autoscaler shrinks the stable version to what it has left; a rollback then
brings everything back at once. So the size at which stable bore the load is kept, or is there again first.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping

from ..reading.values import is_number

TOLERANCE = 0.1
"""Growth of the load that no autoscaler answers (horizontal-pod-autoscaler-tolerance of Kubernetes)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Autoscaler:
    """A HorizontalPodAutoscaler.

    :param minimum: ``minReplicas`` as its owner declares it. :param maximum: ``maxReplicas``.
    :param owner: who would put back what somebody else changes in it; empty for nobody.
    :param controlled: whether that is a controller, such as KEDA, which starts pods where there are none.
    """

    name: str
    minimum: int
    maximum: int
    owner: str = ""
    controlled: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """One version before a run. :param workload: its Deployment. :param ready: pods that are ready."""

    workload: str
    replicas: int
    ready: int
    autoscaler: Autoscaler | None = None

    @property
    def largest(self) -> int:
        """Pods that it can have without anybody's doing."""
        return self.autoscaler.maximum if self.autoscaler else self.replicas

    def describe(self) -> str:
        """``3 pods, HorizontalPodAutoscaler product-v1 from 2 to 10``."""
        pods = f"{self.ready} of {self.replicas} pods ready" if self.ready != self.replicas else ""
        pods = pods or f"{self.ready} pod{'' if self.ready == 1 else 's'}"
        scaler = self.autoscaler
        if scaler is None:
            return pods
        return f"{pods}, HorizontalPodAutoscaler {scaler.name} from {scaler.minimum} to {scaler.maximum}"


def size_of_load(stable: Size, growth: float = 1.0) -> int:
    """Pods of the stable version that bear all requests: those that did so before the run, and more where the
    load has grown.

    :param growth: the load now over the load then. What no autoscaler would answer counts for nothing, and a
        load that has fallen takes no pods away.
    """
    wanted = stable.ready if growth <= 1 + TOLERANCE else math.ceil(stable.ready * growth)
    return min(wanted, stable.autoscaler.maximum) if stable.autoscaler else wanted


_HELD = re.compile(r"(\d+)>(\d+)")


def held_text(declared: int, held: int) -> str:
    """What a HorizontalPodAutoscaler says of itself while a rollout holds its ``minReplicas``."""
    return f"{declared}>{held}"


def read_held(text: str) -> tuple[int, int] | None:
    """What such a text says. :returns: ``minReplicas`` as declared, and as held; None for no text of ours."""
    found = _HELD.fullmatch(text)
    return (int(found[1]), int(found[2])) if found else None


def least_available(spec: Mapping[str, object], pods: int) -> int:
    """Pods that a PodDisruptionBudget wants available of so many; absolute numbers do not shrink with them.

    Percentages are rounded up (policy/v1, intstr.GetScaledValueFromIntOrPercent).
    """
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    if least is not None:
        return _of(least, pods)
    return max(0, pods - _of(most, pods)) if most is not None else 0


def _of(value: object, pods: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = value.removesuffix("%") if isinstance(value, str) else ""
    return math.ceil(int(text) * pods / 100) if is_number(text) else 0
