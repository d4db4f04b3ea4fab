# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a mesh, judged: everything that needs no probe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import MeshError
from ...fields import name_of
from ...istio.istiod import sync_table
from ...istio.proxy.running import RunningProxy
from ...kube.client import KubeClient
from ...kube.pods import takes_requests
from ...model.security.requests import Request
from .cells import Cells
from .checks.injection import check_pods
from .checks.mtls import InboundState, check_listeners, check_modes
from .checks.objects import check_objects
from .checks.openings import stated_openings
from .checks.policies import check_policies
from .checks.routes import check_proxy_routes, check_virtual_services
from .checks.sync import check_decisions, check_policies_held, check_sync
from .dumps import NEED_CERTIFICATES, ProxyDumps
from .findings import Finding, passed, unknown
from .mtls.callers import check_callers
from .mtls.certificates import HeldCertificates, MeshRoots, check_certificates
from .options import VerifyOptions
from .picture import Picture, SeenPod
from .policies.egress import check_egress
from .surroundings import Surroundings

TRIED = 240
"""Requests per proxy that are decided once more by its own filters; more are tried for none."""


class Judge:
    """Judges what was read.

    :param around: ``None`` when check ``objects`` was not asked for. :param now: seconds since the epoch.
    """

    def __init__(
        self,
        options: VerifyOptions,
        picture: Picture,
        around: Surroundings | None,
        proxies: Sequence[RunningProxy],
        now: float,
    ) -> None:
        self._options, self._picture, self._proxies, self._now = options, picture, proxies, now
        self._around = around
        self._live = picture.live
        self._seen = {str(seen.pod): seen for seen in picture.pods}
        taking = (
            f"{namespace}/{name_of(pod)}"
            for namespace in picture.namespaces
            for pod in self._live.of("Pod", namespace)
            if takes_requests(pod)
        )
        self._taking = frozenset(taking)
        self.cells = Cells(picture.trust_domains, self._taking)
        self._requests: dict[tuple[Any, ...], Sequence[Request]] = {}
        self._decided: dict[tuple[Any, ...], tuple[bool, frozenset[int]]] = {}

    def findings(self, client: KubeClient, dumps: ProxyDumps) -> list[Finding]:
        """Causes before their consequences. :returns: the findings of all checks that need no probe."""
        live, picture = self._live, self._picture
        pods = [pod for namespace in picture.namespaces for pod in live.of("Pod", namespace)]
        found = check_pods(
            pods,
            expected_version=self._options.proxy_version,
            istiods=live.istiods,
            unmeshed=self._options.unmeshed_pods,
            now=self._now,
        ) or [unknown("injection", ", ".join(picture.namespaces), "there are no pods")]
        if not live.lacks("policies"):
            found += check_policies(picture, self.cells)
            self.cells.count(picture.pods)
            found += check_egress(picture)
            found += stated_openings(picture.catalogue)
        found += self._mtls(dumps)
        if self._around is not None:
            accepted = self._options.accepted_objects
            found += check_objects(picture, self._around, self._proxies, dumps, accepted)
        if not live.lacks("routes"):
            found += check_virtual_services(live, picture.namespaces, picture.catalogue.cluster_domain)
        dangling: dict[tuple[str, str], Finding] = {}
        for proxy in self._proxies:
            dump = dumps.held.get(str(proxy))
            if dump and dump.hosts is not None:
                for finding in check_proxy_routes(proxy, dump.hosts, dump.clusters):
                    dangling.setdefault((finding.subject, finding.message.partition(" has no ")[2]), finding)
        found += [*dangling.values(), *_unread("routes", dumps)]
        return [*found, *self._sync(client, dumps), *self._content(dumps)]

    def _mtls(self, dumps: ProxyDumps) -> list[Finding]:
        live, picture = self._live, self._picture
        held = InboundState(
            ports={name: dump.ports for name, dump in dumps.held.items()},
            unread=dumps.unread,
            running=frozenset(map(str, self._proxies)),
            taking=self._taking,
        )
        roots = MeshRoots(live.roots, live.published)
        served = {name: HeldCertificates(dump.certificates, dump.roots) for name, dump in dumps.held.items()}
        found = [] if live.lacks("mtls") else [*check_modes(picture), *check_callers(picture)]
        for service in picture.catalogue.services:
            names = [name for name in map(_name, picture.pods_of(service)) if name in held.taking]
            if not live.lacks("mtls"):
                found += check_listeners(picture, service, held)
            if not NEED_CERTIFICATES.isdisjoint(self._options.checks):
                found += check_certificates(service, names, served, roots=roots, now=self._now)
        return found

    def _sync(self, client: KubeClient, dumps: ProxyDumps) -> list[Finding]:
        found = []
        try:
            table = sync_table(client, self._live.istiods)
        except MeshError as error:
            found.append(unknown("sync", "istiod", error.message, late=True))
        else:
            refused = {name: dump.refused for name, dump in dumps.held.items()}
            found += check_sync(self._proxies, table, refused)
        return found + _unread("sync", dumps)

    def _content(self, dumps: ProxyDumps) -> list[Finding]:
        """Whether the sidecars' filters hold the policies, by name and by what they decide."""
        if self._live.lacks("policies"):
            return []
        found: list[Finding] = []
        compared = decided = 0
        for proxy in self._proxies:
            dump, seen = dumps.held.get(str(proxy)), self._seen.get(str(proxy))
            if dump is None or seen is None or proxy.gateway:
                continue
            problems = check_policies_held(proxy, dump.ports, seen.policies)
            if not problems:
                key = (
                    seen.key,
                    *(chain.authorization.key for port in dump.ports.values() for chain in port.chains),
                )
                good, asked = self._decided.get(key, (False, frozenset()))
                if not good:
                    finding, asked = check_decisions(proxy, dump.ports, seen, self._tried(seen))
                    self._decided[key] = finding is None, asked
                    problems = [finding] if finding else []
                if not problems:
                    self.cells.asked(seen, asked)
                    decided += len(asked)
            compared += not problems
            found += problems
        if compared:
            what = f"those of {compared} proxies decide as the policies say"
            found.append(passed("sync", "filters", what, cells=decided))
        return found

    def _tried(self, seen: SeenPod) -> Sequence[Request]:
        """A part of the requests, evenly taken, that all ports and identities are among."""
        if seen.key not in self._requests:
            self._requests[seen.key] = self.cells.to_ask(seen, TRIED)
        return self._requests[seen.key]


def _name(seen: SeenPod) -> str:
    return str(seen.pod)


def _unread(check: str, dumps: ProxyDumps) -> list[Finding]:
    """What a check cannot tell because proxies were not read; equal reasons in equal words, to be folded."""
    return [
        unknown(check, f"Pod {name}", reason.replace(name, "POD"), late=True)
        for name, reason in dumps.unread.items()
    ]
