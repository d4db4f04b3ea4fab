# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``objects``: what is beside the catalogue's objects and still decides about its workloads.

Istio's own configuration, tokens that are asked for, what proxies report, and endpoints that somebody keeps
by hand.
"""

from __future__ import annotations

from collections.abc import Iterator

from ....fields import (
    integer_at,
    labels_of,
    list_at,
    mappings_at,
    namespace_of,
    text_at,
)
from ....kube.pods import addresses as pod_addresses
from ....object_id import object_id
from ....words import few
from ...cluster_check.findings import CUTS, NOTE, Difference
from ..findings import Finding, beside, failed, unknown
from ..ours import Obj, Ours, ordered

CONFIGURATION = "Istio's configuration"
OPENS = "mesh_trust_domain_aliases"
"""The setting of which more than is stated lets identities in that nobody named."""
SERVICE_NAME = "kubernetes.io/service-name"


def check_settings(ours: Ours) -> list[Finding]:
    """One finding per setting or object.

    :returns: the settings of Istio first.
    """
    found = [_told(item) for item in ours.around.settings]
    for item in ordered(ours.picture.live.of("RequestAuthentication")):
        found += _tokens(ours, item)
    for item in ordered(ours.around.of("Telemetry")):
        found += _reports(ours, item)
    return [*found, *_slices(ours)]


def _told(item: Difference) -> Finding:
    opens = item.weight == NOTE and item.where == OPENS
    if item.weight == CUTS or opens:
        return failed("objects", CONFIGURATION, item.message)
    tell = beside if item.weight == NOTE else unknown
    return tell("objects", CONFIGURATION, item.message)


def _tokens(ours: Ours, item: Obj) -> Iterator[Finding]:
    """Who sends a token of another issuer, or an expired one, gets 401, whatever the policies say."""
    acted = ours.acted_on(item)
    if acted and not ours.is_own(item):
        issuers = few(text_at(rule, "issuer") for rule in mappings_at(item, "spec", "jwtRules"))
        what = f"judges the tokens of requests to {few(acted)} (issuers: {issuers or 'none'})"
        yield unknown("objects", object_id(item), f"{what}; which tokens callers send, nobody here can tell")


def _reports(ours: Ours, item: Obj) -> Iterator[Finding]:
    """What a foreign Telemetry takes away, gates and the strict guard no longer see."""
    acted = [] if ours.is_own(item) else ours.acted_on(item)
    if not acted:
        return
    overrides = [
        override
        for entry in mappings_at(item, "spec", "metrics")
        for override in mappings_at(entry, "overrides")
    ]
    if overrides:
        what = f"changes the metrics of {few(acted)}, which gates and the strict guard read"
        yield unknown("objects", object_id(item), what)
    else:
        yield beside("objects", object_id(item), f"changes what the proxies of {few(acted)} report")


def _slices(ours: Ours) -> Iterator[Finding]:
    """EndpointSlices that no controller of Kubernetes keeps by the Service's selector."""
    live = ours.picture.live
    for item in ordered(ours.around.slices):
        service = ours.picture.catalogue.service(labels_of(item).get(SERVICE_NAME, ""), namespace_of(item))
        if service is None:
            continue
        own: set[str] = set()
        for pod in live.pods_of(service.namespace, service.name):
            own |= set(pod_addresses(pod))
        held = [str(one) for end in mappings_at(item, "endpoints") for one in list_at(end, "addresses")]
        strange = [address for address in held if address not in own]
        if strange:
            what = f"sends calls for {service.key} to {few(strange)}, which no pod of it has"
            yield failed("objects", object_id(item), what)
        elif held:
            ports = few(str(integer_at(port, "port")) for port in mappings_at(item, "ports"))
            what = f"says by hand where {service.key} is: its own pods, at {ports or 'every port'}"
            yield unknown("objects", object_id(item), what)
