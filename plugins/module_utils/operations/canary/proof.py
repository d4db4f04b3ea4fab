# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof of a rollout's writes, in the dumps of the calling proxies and gateways, and of mutual TLS."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, MeshError
from ...istio.proxy.admin import LISTENERS, ROUTES, admin_get, config_dump
from ...istio.proxy.listeners import inbound_ports, serving_port
from ...istio.proxy.routes import parse_cluster_name, virtual_hosts
from ...istio.proxy.running import RunningProxy, running_proxies, sample
from ...kube.clock import Clock
from ...verdicts import CANNOT_TELL
from .protocols import Proof

if TYPE_CHECKING:
    from ...kube.client import KubeClient

Splits = frozenset[frozenset[tuple[str, int]]]
FIRST_PAUSE = 0.15
LONGEST_PAUSE = 1.0


def expected_splits(virtual_service: Mapping[str, Any]) -> Splits:
    """The subset weights of every route of a VirtualService, as proxies show them."""
    found = set()
    for route in (virtual_service.get("spec") or {}).get("http") or []:
        destinations = route.get("route") or []
        weights = {
            (
                str(item["destination"].get("subset", "")),
                100 if len(destinations) == 1 else int(item.get("weight", 0)),
            )
            for item in destinations
        }
        found.add(frozenset((subset, weight) for subset, weight in weights if weight))
    return frozenset(found)


def held_splits(dump: Iterable[Mapping[str, Any]], host: str) -> Splits:
    """The subset weights of every route of a proxy that leads to subsets of ``host``."""
    found = set()
    for virtual_host in virtual_hosts(dump):
        for route in virtual_host.routes:
            weights: dict[str, float] = {}
            for name, weight in route.weights.items():
                cluster = parse_cluster_name(name)
                if cluster and cluster.host == host and cluster.subset:
                    weights[cluster.subset] = weights.get(cluster.subset, 0.0) + weight
            kept = frozenset((subset, round(weight)) for subset, weight in weights.items() if weight)
            if kept:
                found.add(kept)
    return frozenset(found)


class ProxyProver:
    """Asks proxies through ``exec``, the only way in that needs no port-forward and no shell.

    :param desired: the VirtualService as it should be now. :param host: fully qualified name of the service.
    :param ports: target ports that must take mutual TLS only. :param labels: version -> labels of its pods.
    :param principal: SPIFFE id (without ``spiffe://``) that the pods' certificates must bear; empty = any.
    :param callers: (namespace, service account) of the callers; empty when they are not known.
    :param namespaces: where callers and gateways live; empty for the whole cluster.
    """

    def __init__(
        self,
        client: KubeClient,
        clock: Clock,
        *,
        desired: Callable[[Mapping[str, int]], Mapping[str, Any]],
        host: str,
        namespace: str,
        ports: Sequence[int],
        labels: Mapping[str, Mapping[str, str]],
        principal: str = "",
        timeout: float = 60.0,
        limit: int = 200,
        callers: frozenset[tuple[str, str]] = frozenset(),
        namespaces: tuple[str, ...] = (),
    ) -> None:
        self._client = client
        self._clock = clock
        self._desired = desired
        self._host = host
        self._namespace = namespace
        self._ports = ports
        self._labels = labels
        self._principal = principal
        self._timeout = timeout
        self._limit = limit
        self._callers = callers
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)

    def routes(self, weights: Mapping[str, int], keep: Callable[[], None]) -> Proof:
        """Waits until every proxy that imports the host holds exactly the splits of the object."""
        began = self._clock.monotonic()
        wanted = expected_splits(self._desired(weights))
        pause = FIRST_PAUSE
        held: set[str] = set()
        while True:
            keep()
            try:
                asked = self._proxies()
                late, holders, denied = self._ask(
                    [proxy for proxy in asked if str(proxy) not in held], wanted
                )
            except MeshError as error:
                return Proof(CANNOT_TELL, self._clock.monotonic() - began, 0, str(error))
            held |= holders
            seconds = self._clock.monotonic() - began
            if denied:
                return Proof(CANNOT_TELL, seconds, len(held), denied)
            if not late and held:
                note = "" if len(asked) < self._limit else f"a sample of {self._limit} proxies"
                return Proof("pass", seconds, len(held), note)
            if seconds >= self._timeout:
                if not late:
                    return Proof(CANNOT_TELL, seconds, 0, f"no proxy routes to {self._host}")
                return Proof(
                    "fail", seconds, len(held), f"late after {seconds:.0f} s: {', '.join(sorted(late)[:10])}"
                )
            self._clock.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 1.5)

    def _proxies(self) -> list[RunningProxy]:
        """The proxies that may call the service: those of its callers and the gateways, or all when the
        callers are not known."""
        lists = self._client.in_parallel(
            lambda namespace: self._client.list("v1", "Pod", namespace).items, self._namespaces
        )
        pods = [pod for items in lists for pod in items]
        proxies = running_proxies(pods)
        if self._callers:
            proxies = [
                proxy
                for proxy in proxies
                if proxy.gateway or (proxy.namespace, proxy.service_account) in self._callers
            ]
        return sample(proxies, self._limit)

    def _ask(self, proxies: Sequence[RunningProxy], wanted: Splits) -> tuple[set[str], set[str], str]:
        """:returns: (late proxies, proxies that hold it, why nothing can be told)."""
        answers = self._client.in_parallel(self._splits_of, proxies)
        late, holders = set(), set()
        for proxy, answer in zip(proxies, answers, strict=True):
            if isinstance(answer, ApiError):
                if answer.status == 403:
                    return set(), set(), f"no right to exec into pod {proxy}"
                late.add(f"{proxy} ({answer.reason or answer.status})")
            elif answer == wanted:
                holders.add(str(proxy))
            elif answer:
                late.add(str(proxy))
            # a proxy without any route to the host does not import it and cannot call by it
        return late, holders, ""

    def _splits_of(self, proxy: RunningProxy) -> Splits | ApiError:
        try:
            return held_splits(config_dump(self._client, proxy, ROUTES), self._host)
        except ApiError as error:
            if error.status == 404:  # the pod went away while it was asked
                return frozenset()
            return error

    def mtls(self, versions: tuple[str, ...], keep: Callable[[], None]) -> Proof:
        """Whether the versions' pods take mutual TLS only, with valid certificates of their identity."""
        began = self._clock.monotonic()
        keep()
        try:
            pods = self._client.list("v1", "Pod", self._namespace).items
            mine = [
                proxy
                for proxy in running_proxies(pods)
                if any(proxy.selected_by(self._labels[version]) for version in versions)
            ]
            faults = [fault for fault in self._client.in_parallel(self._mtls_fault, mine) if fault]
        except MeshError as error:
            return Proof(CANNOT_TELL, self._clock.monotonic() - began, 0, str(error))
        seconds = self._clock.monotonic() - began
        if not mine:
            return Proof(CANNOT_TELL, seconds, 0, "no pod of these versions runs a proxy")
        if faults:
            return Proof("fail", seconds, len(mine), "; ".join(faults[:5]))
        return Proof("pass", seconds, len(mine))

    def _mtls_fault(self, proxy: RunningProxy) -> str:
        inbound = inbound_ports(config_dump(self._client, proxy, LISTENERS))
        for port in self._ports:
            serving = serving_port(inbound, port)
            if serving is None:
                return f"{proxy} has no inbound listener for port {port}"
            if serving.plaintext or not serving.mtls:
                return f"{proxy} takes plaintext on port {port}"
        return certificate_fault(
            admin_get(self._client, proxy, "certs"), self._principal, self._clock.now(), proxy
        )


def certificate_fault(text: str, principal: str, now: float, proxy: object) -> str:
    """What is wrong with the certificates that a proxy serves (Envoy's ``/certs``); empty for nothing."""
    try:
        chains = [
            chain for entry in json.loads(text)["certificates"] for chain in entry.get("cert_chain") or []
        ]
    except (ValueError, KeyError, TypeError):
        return f"{proxy} shows no certificates"
    if not chains:
        return f"{proxy} serves no certificate"
    for chain in chains:
        try:
            until = datetime.datetime.fromisoformat(
                chain["expiration_time"].replace("Z", "+00:00")
            ).timestamp()
        except (KeyError, ValueError):
            return f"{proxy} serves a certificate without an end"
        if until <= now:
            return f"{proxy} serves a certificate that expired {chain['expiration_time']}"
    names = {name.get("uri", "") for chain in chains for name in chain.get("subject_alt_names") or []}
    if principal and f"spiffe://{principal}" not in names:
        return f"{proxy} serves {', '.join(sorted(names)) or 'no identity'}, not spiffe://{principal}"
    return ""
