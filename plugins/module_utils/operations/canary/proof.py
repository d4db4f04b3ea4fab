# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof of a rollout's writes, in the dumps of the calling proxies and gateways, and of mutual TLS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, MeshError
from ...fields import text_at
from ...istio.proxy.admin import LISTENERS, admin_get, cluster_statuses, config_dump
from ...istio.proxy.certificates import (
    ROOT_CONFIG_MAP,
    ROOT_KEY,
    CertificateJudgement,
    judge_certificates,
    serial_numbers,
)
from ...istio.proxy.endpoints import inbound_requests
from ...istio.proxy.listeners import VIRTUAL_INBOUND, inbound_ports, mode_fault
from ...istio.proxy.running import RunningProxy, running_proxies
from ...kube.clock import Clock
from ...kube.pods import has_labels, is_active, is_ready
from ...model.objects.expectations import Expectation, Scope
from ...model.security.peer_authentication import STRICT
from ...model.virtual_services import expected_shares, read_virtual_service
from ...object_id import object_id
from ...verdicts import CANNOT_TELL, FAIL, PASS, overall
from ..propagation.prove import prove_for
from .protocols import Proof

if TYPE_CHECKING:
    from ...kube.client import KubeClient


class ProxyProver:
    """Asks proxies through ``exec``, the only way in that needs no port-forward and no shell.

    :param desired: the VirtualService as it should be now. :param host: fully qualified name of the service.
    :param ports: target ports that must take mutual TLS only. :param labels: version -> labels of its pods.
    :param principal: SPIFFE id (without ``spiffe://``) that the pods' certificates must bear; empty: that of
        their ServiceAccount, in any trust domain.
    :param timeout: seconds. :param limit: above so many proxies a sample is asked.
    :param callers: (namespace, service account) of the callers; empty when they are not known.
    :param namespaces: where callers and gateways live; empty for the whole cluster.
    :param istio_namespace: where istiod runs, which knows the proxies that are connected.
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
        istio_namespace: str = "istio-system",
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
        self._istio_namespace = istio_namespace

    def routes(self, weights: Mapping[str, int], renew_if_due: Callable[[], None]) -> Proof:
        """Waits until every proxy that routes to the host holds the splits of the object, and no other."""
        began = self._clock.monotonic()
        try:
            wanted = self._expectation(self._desired(weights))
            report = prove_for(
                self._client,
                lambda: [(proxy, (wanted,)) for proxy in self._proxies()],
                timeout=self._timeout,
                progress=lambda _line: None,
                max_proxies=self._limit,
                istio_namespace=self._istio_namespace,
                clock=self._clock,
                before_look=renew_if_due,
                at_least=1,
            )
        except ApiError as error:
            return Proof(CANNOT_TELL, self._clock.monotonic() - began, 0, str(error))
        detail = report.headline()
        if report.status == PASS:
            detail = f"a sample of {self._limit} proxies" if report.sampled else ""
        elif report.status == CANNOT_TELL and not report.unreadable:
            detail = f"no proxy routes to {self._host}"
        return Proof(report.status, report.seconds, report.proved, detail)

    def _expectation(self, desired: Mapping[str, Any]) -> Expectation:
        """What every proxy must hold that routes to the host. Its routes may come through any root."""
        read = read_virtual_service(desired, self._host.partition(".svc.")[2])
        shares = expected_shares(read, self._host, unnamed=False)
        data = {"host": self._host, "port": None, "virtual_service": "", "shares": shares}
        return Expectation(object_id(desired), Scope(clients_of=self._host), "route", data, if_routed=True)

    def _proxies(self) -> list[RunningProxy]:
        """The proxies that may call the service: those of its callers and the gateways, or all when the
        callers are not known."""
        lists = self._client.in_parallel(
            lambda namespace: self._client.list("v1", "Pod", namespace).items, self._namespaces
        )
        proxies = running_proxies(pod for items in lists for pod in items)
        return [
            proxy
            for proxy in proxies
            if not self._callers or proxy.gateway or (proxy.namespace, proxy.service_account) in self._callers
        ]

    def mtls(self, versions: tuple[str, ...], renew_if_due: Callable[[], None]) -> Proof:
        """Whether the versions' pods take mutual TLS only, with valid certificates of their identity."""
        began = self._clock.monotonic()
        renew_if_due()
        try:
            pods = self._client.list("v1", "Pod", self._namespace).items
            roots = self._roots()
            mine = [
                proxy
                for proxy in running_proxies(pods)
                if any(proxy.selected_by(self._labels[version]) for version in versions)
            ]
            judged = self._client.in_parallel(lambda proxy: self._judge(proxy, roots), mine)
        except MeshError as error:
            return Proof(CANNOT_TELL, self._clock.monotonic() - began, 0, str(error))
        seconds = self._clock.monotonic() - began
        if not mine:
            return Proof(CANNOT_TELL, seconds, 0, "no pod of these versions runs a proxy")
        status = overall(judgement.verdict for judgement in judged)
        reasons = [
            f"{proxy} {judgement.reason}"
            for proxy, judgement in zip(mine, judged, strict=True)
            if judgement.verdict == status != PASS
        ]
        return Proof(status, seconds, len(mine), "; ".join(reasons[:5]))

    def open_requests(self, version: str) -> int | None:
        """Requests that the pods of a version serve now, WebSockets and other streams among them.

        Counted where they leave the proxy for the program, from Envoy's own figures of each host, which no
        ``proxyStatsMatcher`` takes away.

        :returns: None when a proxy does not answer, or a pod has none.
        """
        selector = self._labels[version]
        try:
            pods = [
                pod
                for pod in self._client.list("v1", "Pod", self._namespace).items
                if has_labels(pod, selector) and is_active(pod)
            ]
            proxies = running_proxies(pods)
            if len(proxies) < sum(is_ready(pod) for pod in pods):
                return None
            statuses = self._client.in_parallel(lambda proxy: cluster_statuses(self._client, proxy), proxies)
        except ApiError as error:
            if not error.not_allowed and error.status not in (0, 404):
                raise
            return None
        return sum(inbound_requests(found) for found in statuses)

    def _roots(self) -> frozenset[str]:
        """Serial numbers of the roots that istiod publishes; empty when they cannot be read."""
        try:
            found = self._client.get("v1", "ConfigMap", ROOT_CONFIG_MAP, self._namespace)
        except ApiError as error:
            if not error.not_allowed:
                raise
            return frozenset()
        return serial_numbers(text_at(found, "data", ROOT_KEY))

    def _judge(self, proxy: RunningProxy, roots: frozenset[str]) -> CertificateJudgement:
        inbound = inbound_ports(config_dump(self._client, proxy, LISTENERS, VIRTUAL_INBOUND))
        for port in self._ports:
            fault = mode_fault(inbound, port, STRICT)
            if fault:
                return CertificateJudgement(FAIL, fault)
        return judge_certificates(
            admin_get(self._client, proxy, "certs"),
            identity=self._principal or f"/ns/{proxy.namespace}/sa/{proxy.service_account}",
            roots=roots,
            now=self._clock.now(),
        )
