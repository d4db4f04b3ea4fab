# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HorizontalPodAutoscalers during a rollout: their ``minReplicas`` is raised for its time, and put back.

An autoscaler is never argued with about ``replicas``, which it would write back within seconds. It says of
itself, in an annotation, what its ``minReplicas`` was: a run whose journal is gone leaves nothing behind that
the next one cannot put back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from ....errors import ApiError, WaitTimeout
from ....fields import annotations_of, integer_at, mappings_at, text_at
from ....kube.wait import wait_until
from ....model.rollout.capacity import Autoscaler, held_text, read_held
from ..protocols import Objects
from ..rollout import Rollout
from .sizes import AUTOSCALING, HELD_ANNOTATION, HPA

SEES_AFTER = (
    30.0  # seconds until an autoscaler knows of a load: metrics server (15 s) and its own turn (15 s)
)
SETTLE = 90.0  # seconds: then it wants fewer pods for good
ATTEMPTS = 5
_LOST = (403, 404, 409)  # what a rollout does without: no right, gone, or somebody writes all the time


class Autoscalers:
    """Those of one rollout. Each act looks at what is there, so that it may be repeated."""

    def __init__(self, rollout: Rollout, client: Objects) -> None:
        self._rollout = rollout
        self._client = client
        self._namespace = rollout.options.service.namespace

    def raise_minimum(self, scaler: Autoscaler, wanted: int) -> None:
        """``minReplicas`` of an autoscaler, within its maximum."""

        def change(live: Mapping[str, Any]) -> Mapping[str, Any] | None:
            now = integer_at(live, "spec", "minReplicas", default=1)
            held = read_held(annotations_of(live).get(HELD_ANNOTATION, ""))
            aim = min(wanted, integer_at(live, "spec", "maxReplicas", default=1))
            if now >= aim:
                return None
            declared = held[0] if held and held[1] == now else now
            return _minimum(aim, held_text(declared, aim))

        if self._change(scaler, change):
            self._rollout.progress(f"HorizontalPodAutoscaler {scaler.name} is held at {wanted} pods or more")

    def put_back(self, scaler: Autoscaler) -> None:
        """Its own ``minReplicas`` again; what a person has set meanwhile stays."""

        def change(live: Mapping[str, Any]) -> Mapping[str, Any] | None:
            text = annotations_of(live).get(HELD_ANNOTATION)
            if text is None:
                return None
            held = read_held(text)
            now = integer_at(live, "spec", "minReplicas", default=1)
            return _minimum(held[0] if held and held[1] == now else None, None)

        self._change(scaler, change)

    def settle(self, scaler: Autoscaler) -> None:
        """Until an autoscaler would keep the pods by itself: it sees the load that came back only later.

        It says so itself (condition ScalingLimited, TooFewReplicas: it wants fewer than its minimum). What
        it says before it can know is about the load before.
        """
        rollout = self._rollout
        knows = rollout.clock.monotonic() + SEES_AFTER

        def check() -> tuple[bool, str]:
            rollout.renew_if_due()
            live = self._client.get(AUTOSCALING, HPA, scaler.name, self._namespace)
            limited = any(
                (text_at(item, "type"), text_at(item, "status"), text_at(item, "reason"))
                == ("ScalingLimited", "True", "TooFewReplicas")
                for item in mappings_at(live, "status", "conditions")
            )
            settled = not limited and rollout.clock.monotonic() >= knows
            return settled or HELD_ANNOTATION not in annotations_of(live), "it wants fewer pods"

        with contextlib.suppress(WaitTimeout):
            tolerantly(
                rollout,
                lambda: wait_until(
                    check, awaited="its load", timeout=SETTLE, interval=5.0, clock=rollout.clock
                ),
            )

    def _change(
        self, scaler: Autoscaler, change: Callable[[Mapping[str, Any]], Mapping[str, Any] | None]
    ) -> bool:
        """Writes a change of an autoscaler at the resourceVersion that it was computed from."""

        def act() -> bool:
            for turn in range(ATTEMPTS):
                live = self._client.get(AUTOSCALING, HPA, scaler.name, self._namespace)
                patch = change(live) if live else None
                if live is None or patch is None:
                    return False
                metadata = {
                    **patch["metadata"],
                    "resourceVersion": text_at(live, "metadata", "resourceVersion"),
                }
                try:
                    self._client.patch(
                        AUTOSCALING, HPA, scaler.name, self._namespace, {**patch, "metadata": metadata}
                    )
                except ApiError as error:
                    if error.status != 409 or turn == ATTEMPTS - 1:
                        raise
                    continue
                self._rollout.changed = True
                return True
            return False

        return bool(tolerantly(self._rollout, act))


def tolerantly(rollout: Rollout, act: Callable[[], Any]) -> Any:
    """What a size cannot be given is told, and ends no run: the requests go where they are safe."""
    try:
        return act()
    except ApiError as error:
        if error.status not in _LOST:
            raise
        rollout.warnings.append(f"the sizes are left as they are: {error}")
        return None


def _minimum(replicas: int | None, held: str | None) -> dict[str, Any]:
    patch: dict[str, Any] = {"metadata": {"annotations": {HELD_ANNOTATION: held}}}
    if replicas is not None:
        patch["spec"] = {"minReplicas": replicas}
    return patch
