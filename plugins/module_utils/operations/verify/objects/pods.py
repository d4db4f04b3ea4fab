# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of check ``objects``: pods of the catalogue's services that let something get around their proxy.

What the injector makes, `model/security/pods.py` reads. Here is what a pod adds to that: ports that nothing
names, protocols that no proxy reads, answers of the application that pilot-agent gives to everybody, and ways
of its own to begin a proxy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ....documents.json_text import from_json
from ....errors import MalformedError
from ....fields import field, integer_at, list_at, mappings_at, text_at
from ....model.security.pods import (
    CAPTURE,
    PROXY,
    containers_of,
    environment,
    lasting,
    proxy_among,
    status_port,
)
from ....model.security.startup import own_ways, past_addresses
from ....words import few
from ..findings import Finding, beside, failed, unknown
from ..ours import Obj, Ours
from ..picture import SeenPod

MERGED, MERGE_OFF = "ISTIO_PROMETHEUS_ANNOTATIONS", "METRICS_LOCALHOST_ACCESS_ONLY"
"""What pilot-agent fetches from the application, and whether it gives it to the pod itself alone (istio
pilot/cmd/pilot-agent/status/server.go)."""
_METRICS = re.compile(r"metrics|prometheus|stats", re.IGNORECASE)


def check_pods_around(ours: Ours) -> list[Finding]:
    """One finding per pod and way.

    :returns: pod by pod.
    """
    found: list[Finding] = []
    for seen in ours.own_pods():
        if not seen.services or seen.pod.ambient:
            continue
        found += [*_of_their_own(seen), *_datagrams(seen)]
        if seen.pod.meshed and not seen.pod.gateway:
            found += [*_kept_away(seen), *_of_the_other_family(seen)]
            found += [*_published(seen), *_may_change_capture(seen)]
    return found


def _of_their_own(seen: SeenPod) -> Iterator[Finding]:
    if not seen.pod.meshed:
        return
    ways = own_ways(seen.raw)
    if seen.pod.gateway:
        ways = (*ways, "runs its proxy as a gateway's, and so none of its ports is behind it")
    for what in ways:
        told = f"{what}; what comes of that, nobody here can tell"
        yield unknown("objects", f"Pod {seen.pod}", told)


def _datagrams(seen: SeenPod) -> Iterator[Finding]:
    """No proxy stands before anything but TCP: neither mutual TLS nor a policy holds there. What a Service
    leads there, `services.py` tells."""
    names = [
        f"{text_at(port, 'protocol')} {integer_at(port, 'containerPort')}"
        for container in lasting(seen.raw)
        if container.get("name") != PROXY
        for port in mappings_at(container, "ports")
        if text_at(port, "protocol") not in ("", "TCP")
    ]
    if names:
        what = f"listens at {few(names)}, where no proxy stands: neither mutual TLS nor a policy holds there"
        yield beside("objects", f"Pod {seen.pod}", what)


def _kept_away(seen: SeenPod) -> Iterator[Finding]:
    """Ports that nothing names: whoever listens there is reached by everybody, in plaintext, past every
    policy. What the catalogue, a Service or a container names is judged by check ``mtls``."""
    ports = [port.label for port in seen.ports if seen.is_kept_away(port, named=False)]
    if ports:
        what = f"leaves {few(ports)} to everybody, past its proxy (traffic.sidecar.istio.io)"
        yield failed("objects", f"Pod {seen.pod}", what)


def _of_the_other_family(seen: SeenPod) -> Iterator[Finding]:
    if left := past_addresses(seen.raw):
        what = f"is reached at {few(left)} past its proxy, which stands before IPv4 alone (ISTIO_DUAL_STACK)"
        yield failed("objects", f"Pod {seen.pod}", what)


def _published(seen: SeenPod) -> Iterator[Finding]:
    """Merged metrics: whoever asks pilot-agent gets what the application says there, past every policy."""
    variables = environment(proxy_among(containers_of(seen.raw)))
    if not variables.get(MERGED) or variables.get(MERGE_OFF) == "true":
        return
    try:
        told = from_json(variables[MERGED])
        if text_at(told, "scrape") == "false":
            return
        targets = mappings_at(told, "targets") or [told]
        paths = [(text_at(one, "path") or "/metrics", text_at(one, "port") or "80") for one in targets]
    except (ValueError, MalformedError):
        yield unknown("objects", f"Pod {seen.pod}", f"merges metrics that cannot be read ({MERGED})")
        return
    names = [f"GET {path} of port {port}" for path, port in paths]
    what = f"answers {few(names)} to everybody at port {status_port(seen.raw)}, in plaintext (merged metrics)"
    if all(_METRICS.search(path) for path, _port in paths):
        yield beside("objects", f"Pod {seen.pod}", what)
    else:
        yield failed("objects", f"Pod {seen.pod}", f"{what}: annotation prometheus.io/path")


def _may_change_capture(seen: SeenPod) -> Iterator[Finding]:
    """A program that may write rules of the network can undo those of istio-init. Whether it does, calls
    alone show: check ``plaintext``."""
    added = mappings_at(seen.raw, "spec", "ephemeralContainers")
    names = [
        text_at(one, "name")
        for one in (*containers_of(seen.raw), *added)
        if one.get("name") not in (*CAPTURE, PROXY) and _is_network_admin(one)
    ]
    if names:
        what = f"lets container {few(names)} change what is led to its proxy (NET_ADMIN)"
        yield beside("objects", f"Pod {seen.pod}", f"{what}; that it does not, calls alone prove")


def _is_network_admin(container: Obj) -> bool:
    powers = {
        str(one).upper().removeprefix("CAP_")
        for one in list_at(container, "securityContext", "capabilities", "add")
    }
    return not powers.isdisjoint(("NET_ADMIN", "ALL")) or (
        field(container, "securityContext", "privileged") is True
    )
