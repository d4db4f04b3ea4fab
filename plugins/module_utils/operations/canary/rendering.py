# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routes of a traffic state, computed from the catalogue: the split, testers, copies and the cookie."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ...errors import RefusedError
from ...model.catalogue.services import Condition, Mirror, Service, StringMatch, Variant
from ...model.objects.virtual_service_delegates import SPLIT, delegate_object, split_destinations
from ...model.rollout.phases import TrafficState
from ...model.rollout.split import Split
from ...model.rollout.stickiness import Stickiness
from .options.rollout import RolloutOptions


def renderer(options: RolloutOptions, stable: str, canary: str) -> Callable[[TrafficState], dict[str, Any]]:
    """What computes the service's delegate VirtualService of a traffic state.

    :raises RefusedError: when it is called for a service without an HTTP port.
    """

    def render(traffic: TrafficState) -> dict[str, Any]:
        service, sticky = _with_early_phase(options, traffic, canary), None
        if options.sticky:
            wish = options.sticky
            sticky = Stickiness(wish.cookie, wish.max_age, stable, canary, traffic)
        if sticky and sticky.active:
            service = sticky.service(service)
        weights = {name: traffic.weights[name] for name in service.versions if traffic.weights.get(name)}
        rendered = delegate_object(options.catalogue, service, weights)
        if rendered is None:
            raise RefusedError(f"{service.name} has no HTTP port", rule="http")
        if sticky and sticky.active:
            again = {
                share: split_destinations(service, {stable: 100 - share, canary: share})
                for share in sticky.redraws.values()
            }
            rendered = sticky.dressed(rendered, SPLIT, again)
        return rendered

    return render


def split_of(options: RolloutOptions, stable: str, canary: str) -> Split:
    """Reads and writes the weights of two versions in a VirtualService."""
    service = options.service
    return Split(service.name, service.namespace, stable, canary, domain=options.catalogue.cluster_domain)


def _with_early_phase(options: RolloutOptions, traffic: TrafficState, canary: str) -> Service:
    service = options.service
    if traffic.kind == "testers" and options.testers:
        headers = {options.testers.header: StringMatch("exact", options.testers.value)}
        when = Condition(headers=headers, cookie=None, query={}, path=None, path_exact=False)
        return dataclasses.replace(service, variants=(Variant("testers", canary, when), *service.variants))
    if traffic.kind == "mirror":
        mirror = Mirror(to=canary, percent=float(traffic.percent), writes=False)
        return dataclasses.replace(service, mirror=mirror)
    return service
