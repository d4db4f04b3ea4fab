# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves that a mesh is what its catalogue says, from the proxies and from the outside."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, InputError, MeshError, Problem, WaitTimeout
from ...fields import name_of
from ...istio.probe.pods import Identity
from ...istio.proxy.running import RunningProxy
from ...kube.client import KubeClient
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...kube.pods import is_active, takes_requests
from ...kube.wait import wait_until
from ...model.catalogue.edges import gateway_edge
from ...model.reading.typed import variables_of
from ...model.security.requests import Request
from ...object_id import object_id
from ...verdicts import CANNOT_TELL, PASS
from ..cluster_check.mesh_config import compare_config
from ..cluster_check.read import Place, places_of
from .call_plan import plan_calls
from .cells import Cells, sent_by, sent_through
from .checks.gateways import GatewayResult
from .dumps import read_proxies
from .findings import TITLES, Finding, Findings, not_tested, passed, unknown
from .gateways.check import GatewayCheck
from .judge import Judge
from .ledger import Answered, Outcome, draw_up
from .live_objects import DECIDED_BY, LiveObjects, read_live_objects
from .looks import Looks
from .options import VerifyOptions
from .picture import Picture
from .planned_calls import OUTSIDE, PLAINTEXT, CallPlan, PlannedCall
from .probes import Probes, batches
from .reports.history import compared, read_report, told
from .reports.record import Circumstances, record_of, versions_of_objects
from .reports.write import check_path, write_report
from .send_calls import send_calls
from .surroundings import Surroundings, read_surroundings

if TYPE_CHECKING:
    from ...context import Context

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "catalogue": {"type": "dict", "required": True},
    "namespaces": {"type": "list", "elements": "raw", "default": []},
    "proxy_version": {"type": "str", "default": ""},
    "checks": {"type": "list", "elements": "str", "choices": list(TITLES), "default": list(TITLES)},
    "unmeshed_pods": {"type": "list", "elements": "str", "default": []},
    "accepted_objects": {"type": "dict", "default": {}},
    "unsafe_methods": {"type": "bool", "default": False},
    "probe_image": {"type": "str", "default": "docker.io/curlimages/curl:8.14.1"},
    "probe_pull_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "probe_start_timeout": {"type": "raw", "default": 60},
    "probe_lifetime": {"type": "raw", "default": 180},
    "call_timeout": {"type": "raw", "default": 5},
    "gateway_ca": {"type": "str", "default": ""},
    "gateway_ca_secret": {
        "type": "dict",
        "no_log": False,
        "options": {
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
        },
    },
    "gateway_addresses": {"type": "dict", "default": {}},
    "gateway_client_cert": {"type": "path"},
    "gateway_client_key": {"type": "path", "no_log": False},
    "max_proxies": {"type": "int", "default": 2000},
    "report_path": {"type": "str"},
    "last_report": {"type": "str"},
}
VARIABLES = variables_of(ARGUMENT_SPEC, "verify_")
PROBE_CHECKS = frozenset({"plaintext", "authorization"})
PROXY_CHECKS = frozenset({"injection", "policies", "mtls", "objects", "routes", "sync"})
CHECK_MODE = "not asked in check mode: it takes probe pods"
PAUSE = 1.0
"""Seconds from a look at what may be late to the next."""
RECONNECT, RECONNECT_PAUSE = 75.0, 4.0
"""Seconds that proxies may take to find an istiod again after theirs was restarted: Envoy tries again after
up to 30 s, and the first istiod it finds may be one that is just ending."""


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``verify``. Never fails because of a verdict: ``status`` tells it.

    :returns: ``{changed, status, headline, checks, ledger, changes, findings, problems}``, see module
        ``verify``.
    """
    options = VerifyOptions.from_params(params)
    if options.report_path:
        check_path(options.report_path)
    previous = _previous(options)
    with context.client(ConnectionOptions.from_params(params, context.environment)) as client:
        run_of = Verification(client, options, context)
        findings = run_of.run()
        circumstances = run_of.circumstances()
    for line in findings.lines():
        context.progress(line)
    changes: dict[str, Any] = {}
    if previous is not None:
        record = record_of(findings, options.catalogue, params["catalogue"], circumstances, previous)
        changes = compared(previous, record)
        context.progress(f"verify: {told(changes)}")
    context.progress(f"verify: {findings.headline()}")
    if options.report_path:
        given = params["catalogue"]
        write_report(options.report_path, findings, options.catalogue, given, circumstances, previous)
    return {
        "changed": False,
        "status": findings.status,
        "headline": findings.headline(),
        "checks": findings.checks(),
        "ledger": findings.ledger or {},
        "changes": changes,
        "findings": findings.for_result(),
        "problems": findings.problems(),
    }


def _previous(options: VerifyOptions) -> dict[str, Any] | None:
    """The report to compare with: the one that was named, else the JSON report that this run replaces."""
    if options.last_report:
        found = read_report(options.last_report, "last_report")
        if found is None:
            problem = f"there is no report {options.last_report}"
            raise InputError([Problem("last_report", problem, "report")])
        return found
    if options.report_path.endswith(".json"):
        return read_report(options.report_path, "report_path")
    return None


class Verification:
    """One run over one cluster."""

    def __init__(self, client: KubeClient, options: VerifyOptions, context: Context) -> None:
        self._client = client
        self._options = options
        self._catalogue = options.catalogue
        self._context = context
        self._checks = options.checks
        self._namespaces = tuple(dict.fromkeys((*options.catalogue.namespaces, *options.namespaces)))
        self._live = LiveObjects({}, [], {}, frozenset())
        self._around: Surroundings | None = None
        self._told: list[Finding] = []
        self._outcomes: list[Outcome] = []
        self._answered: tuple[Answered, ...] = ()
        self._compared = Cells()

    def run(self) -> Findings:
        """All checks that were asked for."""
        self._read()
        if not self._live.installed:
            return Findings((unknown("injection", "", "not installed"),))
        plan = plan_calls(
            self._catalogue,
            self._accounts(),
            unsafe_methods=self._options.unsafe_methods,
            pods=self._live.addresses(self._catalogue),
        )
        if self._context.check_mode or not self._checks & (PROBE_CHECKS | {"gateways"}):
            return self._findings(
                [*self._from_proxies(), *self._gateways(None).findings, *self._without_probes()]
            )
        with self._probes() as probes:
            swept = probes.sweep(self._namespaces)
            if swept:
                self._context.progress(f"verify: removed {swept} leftovers of probes of earlier runs")
            findings: list[Finding] = []
            for number, identities in enumerate(batches(self._outside(), self._identities(plan))):
                self._context.progress(f"verify: starting {len(identities)} probes")
                probes.start(identities)
                findings += self._from_proxies() if number == 0 else []
                probes.wait()
                if number == 0:
                    served = self._gateways(probes)
                    findings += [*served.findings, *self._through_gateway(plan, served)]
                findings += self._calls(plan, probes, identities)
                probes.remove()
        return self._findings([*findings, *plan.findings])

    def circumstances(self) -> Circumstances:
        """What a report says beside the findings; what may not be read is left out of it."""
        live, around = self._live, self._around
        told_of = {finding.subject for finding in self._told}
        deciding = [item for kind, items in live.objects.items() if kind != "Pod" for item in items]
        for items in around.objects.values() if around else ():
            deciding += [item for item in items if object_id(item) in told_of]
        try:
            server = str(self._client.server_version().get("gitVersion", ""))
        except MeshError:
            server = ""
        now = datetime.datetime.fromtimestamp(self._context.clock.now(), datetime.UTC)
        return Circumstances(
            now.isoformat(timespec="seconds"),
            around.cluster if around else "",
            server,
            tuple(sorted({istiod.version for istiod in live.istiods})),
            versions_of_objects(deciding),
        )

    def _findings(self, findings: Sequence[Finding]) -> Findings:
        unread = [
            unknown(check, kind, why)
            for kind, why in self._live.unread.items()
            for check in DECIDED_BY
            if kind in DECIDED_BY[check]
        ]
        order = list(TITLES)
        wanted = [item for item in (*findings, *unread) if item.check in self._checks]
        self._told = wanted
        cells = self._compared.proved(self._sent())
        ledger = draw_up(self._catalogue, wanted, self._outcomes, self._answered, cells)
        if "authorization" in self._checks:
            self._context.progress(f"verify: {ledger}")
        ordered = tuple(sorted(wanted, key=lambda item: (not item.source, order.index(item.check))))
        told = [cell.as_dict() for cell in cells] if self._options.report_path.endswith(".json") else []
        return Findings(ordered, ledger.as_dict(), told)

    def _sent(self) -> list[tuple[str, Request]]:
        """The calls that came to what they had to, through gateways too. :returns: service and request."""
        catalogue = self._catalogue
        found = [
            sent_by(call, catalogue.trust_domain)
            for call, finding in self._outcomes
            if finding.verdict == PASS and call.expect != PLAINTEXT
        ]
        for service, exposure in self._answered:
            found += sent_through(gateway_edge(catalogue, service, exposure), service)
        return found

    def _read(self) -> None:
        gateways = self._catalogue.gateway_namespaces
        self._live = read_live_objects(
            self._client,
            namespaces=(*self._namespaces, *gateways),
            root_namespace=self._catalogue.root_namespace,
            istio_namespace=self._catalogue.istio_namespace,
        )
        if "objects" in self._checks and self._live.installed:
            own = (*self._namespaces, *gateways, self._catalogue.root_namespace)
            self._around = read_surroundings(self._client, own)
            places = {
                name: Place(name, pods=[pod for pod in self._live.of("Pod", name) if is_active(pod)])
                for name in places_of(self._catalogue)
            }
            self._around.settings = compare_config(self._client, self._catalogue, places, installed=True)

    def _proxies(self) -> list[RunningProxy]:
        """The sidecars of the mesh's namespaces, and the gateways of the catalogue, that for egress too."""
        egress = self._catalogue.egress_gateway
        gateways = [(item.workload_namespace, item.selector) for item in self._catalogue.gateways]
        gateways += [(egress.workload_namespace, egress.selector)] if egress else []
        return [
            proxy
            for proxy in self._live.proxies()
            if proxy.namespace in self._namespaces
            or any(
                proxy.namespace == namespace and proxy.selected_by(selector)
                for namespace, selector in gateways
            )
        ]

    def _from_proxies(self) -> list[Finding]:
        """Everything that needs no probe; looked at again while something is wrong that may just be
        late."""
        if not self._checks & PROXY_CHECKS:
            return []
        looks = Looks()

        def look() -> tuple[bool, str]:
            if looks:
                self._read()
            looks.add(self._look_at_proxies())
            if looks.away:
                self._context.progress(f"verify: waiting for {looks.away} proxies to find an istiod again")
            return looks.done(), f"{len(looks.late)} proxies are late"

        try:
            wait_until(
                look,
                awaited="the proxies to hold what the catalogue says",
                timeout=RECONNECT,
                interval=PAUSE,
                max_interval=RECONNECT_PAUSE,
                stop=self._context.stop,
                clock=self._context.clock,
            )
        except WaitTimeout:
            pass  # the findings of the last look say who is late
        except ApiError as error:
            if error.reason != "Interrupted" or not looks:
                raise
        return looks.findings(self._is_gone)

    def _is_gone(self, name: str) -> bool:
        """Whether the pod ``namespace/name`` gets no requests any more."""
        namespace, slash, pod = name.partition("/")
        if not slash:
            return False
        found = self._client.list("v1", "Pod", namespace).items
        return not any(name_of(item) == pod and takes_requests(item) for item in found)

    def _look_at_proxies(self) -> list[Finding]:
        proxies = self._proxies()
        limit = self._options.max_proxies
        self._context.progress(f"verify: reading {min(len(proxies), limit)} proxies")
        dumps = read_proxies(self._client, proxies, limit, self._checks)
        picture = Picture(self._catalogue, self._live, self._namespaces)
        judge = Judge(self._options, picture, self._around, proxies, self._context.clock.now())
        found = judge.findings(self._client, dumps)
        self._compared = judge.cells
        return found

    def _accounts(self) -> frozenset[Identity]:
        """The identities of the mesh: those of its services, and ``default``, whom no catalogue lets in."""
        known = {Identity(item.namespace, item.service_account) for item in self._catalogue.services}
        return frozenset(known | {Identity(namespace, "default") for namespace in self._catalogue.namespaces})

    def _probes(self) -> Probes:
        context = self._context
        return Probes(
            self._client, self._options.probes, warn=context.warn, stop=context.stop, clock=context.clock
        )

    def _wanted(self, call: PlannedCall) -> bool:
        return ("plaintext" if call.expect == PLAINTEXT else "authorization") in self._checks

    def _identities(self, plan: CallPlan) -> list[Identity]:
        outside = {self._outside()} if "gateways" in self._checks and self._catalogue.gateways else set()
        return sorted({call.identity for call in plan.calls if self._wanted(call)} | outside)

    def _outside(self) -> Identity:
        return Identity(self._catalogue.namespace, OUTSIDE, meshed=False)

    def _calls(self, plan: CallPlan, probes: Probes, identities: Sequence[Identity]) -> list[Finding]:
        calls = [call for call in plan.calls if self._wanted(call) and call.identity in identities]
        findings, outcomes = send_calls(
            self._client,
            probes,
            calls,
            self._options.probes.call_timeout,
            self._context.stop,
            self._context.clock,
            self._live.root_certificates,
        )
        lost = {
            id(finding)
            for call, finding in outcomes
            if call.pod and finding.verdict == CANNOT_TELL and self._is_gone(call.pod_key)
        }
        self._outcomes += [one for one in outcomes if id(one[1]) not in lost]
        return [finding for finding in findings if id(finding) not in lost]

    def _through_gateway(self, plan: CallPlan, served: GatewayResult) -> list[Finding]:
        """Services of which only the gateway's rules could be called: that was done through the gateway."""
        found = []
        alone = "no other caller can be probed"
        for key in sorted(plan.through_gateway):
            if key in served.reached:
                found.append(passed("authorization", key, f"the gateway was let in; {alone}"))
            elif key in served.untested:
                why = f"nobody here can call it through the gateway (see gateways); {alone}"
                found.append(not_tested("authorization", key, why))
            else:
                why = f"no call through the gateway was answered by it; {alone}"
                found.append(unknown("authorization", key, why))
        return found

    def _without_probes(self) -> list[Finding]:
        why = CHECK_MODE if self._context.check_mode else "no probes were asked for"
        return [unknown(check, self._catalogue.name, why) for check in sorted(PROBE_CHECKS & self._checks)]

    def _gateways(self, probes: Probes | None) -> GatewayResult:
        if "gateways" not in self._checks:
            return GatewayResult(())
        check = GatewayCheck(
            self._client, self._options, self._live, probes, self._outside(), self._context.clock
        )
        found = check.run()
        self._answered = found.answered
        return found
