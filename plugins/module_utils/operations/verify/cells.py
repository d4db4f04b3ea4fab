# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every cell of the mesh (who may send what to which workload), and by what it was proved.

Three levels. By the objects: the live policies were evaluated. At the proxies: the filters of each ready pod
of the workload decided the same. Called: a probe sent it, or one of the same method and port that neither the
catalogue nor a policy can tell from it, and the answer was right.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ...model.catalogue.edges import Edge
from ...model.catalogue.services import Service
from ...model.security.authorization import WorkloadPolicies
from ...model.security.classes import ANY_OTHER_PORT
from ...model.security.matrix import Cell, caller_of, is_stated, mark_of, request_of
from ...model.security.requests import UNKNOWN, Request
from ...model.security.witnesses import FILLERS
from ...verdicts import CANNOT_TELL, FAIL, PASS
from .picture import SeenPod
from .planned_calls import SAFE_METHODS, PlannedCall, concrete_path

CALLED, AT_THE_PROXIES, BY_THE_OBJECTS = "called", "at the proxies", "by the objects"
LEVELS = (CALLED, AT_THE_PROXIES, BY_THE_OBJECTS)
ONLY_STREAM = "no HTTP: what a server does with a connection proves nothing about policies"
NO_PORT = "nothing is known to listen on the ports that nobody names"
NO_PROBE_SENDS = "it hangs on an address, a header, a host, a token or a server name, which no probe sends"
CHANGES = "its method changes something (verify_unsafe_methods)"
NOT_SENT = "no call of its kind was planned: each rule and each class of strangers is called once"
NOBODY_ASKED = "no call was made"
NOT_READ = "not every proxy of its pods was read"
NOT_ASKED = "one of several alike, of which the proxies were asked for the first"


@dataclasses.dataclass(slots=True)
class _Held:
    """The cells of pods that are alike, behind one service. :param asked: by cell, the proxies that decided
    it as the policies say."""

    service: str
    edges: Sequence[Edge]
    home: str
    policies: WorkloadPolicies
    cells: tuple[Cell, ...]
    asked: Counter[int] = dataclasses.field(default_factory=Counter)
    proxies: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class ProvedCell:
    """One cell for reports.

    :param service: ``namespace/name``. :param verdict: PASS where the policies decide as the catalogue says.
    :param level: one of LEVELS. :param why: it is at no higher level, as half a sentence.
    """

    service: str
    caller: str
    request: str
    stated: bool
    verdict: str
    level: str
    why: str

    def as_dict(self) -> dict[str, str]:
        """The cell as it stands in a report.

        :returns: ``service``, ``caller``, ``request``, ``stated`` (allow or deny), ``verdict``, ``level``,
            and, where it was not called, ``why``.
        """
        told = {
            "service": self.service,
            "caller": self.caller,
            "request": self.request,
            "stated": "allow" if self.stated else "deny",
            "verdict": self.verdict,
            "level": self.level,
        }
        return {**told, "why": self.why} if self.why else told


class Cells:
    """The cells of one look.

    :param trust_domains: the mesh's own one first. :param running: ``namespace/pod`` of the pods that take
        requests.
    """

    def __init__(self, trust_domains: Sequence[str] = (), running: Collection[str] = ()) -> None:
        self._domains, self._running = tuple(trust_domains), running
        self._of_kind: dict[tuple[Any, ...], list[_Held]] = {}

    def compared(self, seen: SeenPod, service: str, edges: Sequence[Edge], cells: tuple[Cell, ...]) -> None:
        """What the objects decide about a kind of pods, of which ``seen`` is the first."""
        held = _Held(service, edges, seen.pod.namespace, seen.held, cells)
        self._of_kind.setdefault(seen.key, []).append(held)

    def count(self, pods: Iterable[SeenPod]) -> None:
        """The pods whose proxies all have to be asked."""
        for seen in pods:
            if str(seen.pod) in self._running:
                for held in self._of_kind.get(seen.key, ()):
                    held.proxies += 1

    def to_ask(self, seen: SeenPod, limit: int) -> list[Request]:
        """The requests that the proxy of a pod is asked for: all up to ``limit``, then evenly chosen ones.

        :returns: each as it stands in the cells.
        """
        found = [cell.request for held in self._of_kind.get(seen.key, ()) for cell in held.cells]
        return found[:: len(found) // limit + 1]

    def asked(self, seen: SeenPod, requests: Collection[int]) -> None:
        """A proxy decided as the policies say. :param requests: ``id`` of those that it was asked for."""
        if str(seen.pod) not in self._running:
            return
        for held in self._of_kind.get(seen.key, ()):
            held.asked.update(place for place, cell in enumerate(held.cells) if id(cell.request) in requests)

    def proved(self, sent: Iterable[tuple[str, Request]]) -> list[ProvedCell]:
        """Each cell once, at the lowest level that it has at any of the service's pods.

        :param sent: service and request of those calls that came to what they had to.
        :returns: in the order of services and requests.
        """
        made: dict[str, list[Request]] = {}
        for service, request in sent:
            made.setdefault(service, []).append(request)
        found: dict[tuple[str, str, str], ProvedCell] = {}
        for held in (one for some in self._of_kind.values() for one in some if one.service):
            marks = {self._mark_of(held, request) for request in made.get(held.service, ())}
            for place, cell in enumerate(held.cells):
                proved = self._proved(held, place, cell, marks)
                key = (proved.service, proved.caller, proved.request)
                known = found.get(key)
                if known is None or _rank(proved) > _rank(known):
                    found[key] = proved
        return list(found.values())

    def _mark_of(self, held: _Held, request: Request) -> tuple[object, ...]:
        stated = is_stated(held.edges, request, self._domains)
        cell = Cell(request, stated, held.policies.decide(request))
        return mark_of(held.edges, cell, held.home, self._domains)

    def _proved(
        self, held: _Held, place: int, cell: Cell, called: Collection[tuple[object, ...]]
    ) -> ProvedCell:
        level, why = self._level(held, place, cell, called)
        unsure = cell.decision.verdict == UNKNOWN
        verdict = CANNOT_TELL if unsure else PASS if cell.as_stated else FAIL
        caller, request = caller_of(cell.request), _told(cell.request)
        return ProvedCell(held.service, caller, request, cell.stated, verdict, level, why)

    def _level(
        self, held: _Held, place: int, cell: Cell, called: Collection[tuple[object, ...]]
    ) -> tuple[str, str]:
        why = _why_no_probe(cell.request)
        if not why and cell.as_stated and mark_of(held.edges, cell, held.home, self._domains) in called:
            return CALLED, ""
        if not why:
            why = _why_not_called(cell) if called else NOBODY_ASKED
        if held.asked[place] >= held.proxies > 0:
            return AT_THE_PROXIES, why
        return BY_THE_OBJECTS, f"{NOT_ASKED if held.asked else NOT_READ}; {why}"


def _told(request: Request) -> str:
    """In words, with ``...`` for what stands for all that nobody names."""
    text, path = request_of(request), request.path
    for word in sorted(FILLERS, key=len, reverse=True):
        path = path.replace(word, "...")
    return text.replace("any other path", path, 1)


def sent_by(call: PlannedCall, trust_domain: str) -> tuple[str, Request]:
    """A probe's call as the server sees it. :returns: service and request."""
    identity, http = call.identity, call.port.is_http
    principal = f"{trust_domain}/ns/{identity.namespace}/sa/{identity.service_account}"
    method, path = (call.method, call.path) if http else ("", "")
    return call.service.key, Request(
        principal if identity.meshed else "", call.port.target_port, method, path, http
    )


def sent_through(edge: Edge, service: Service) -> list[tuple[str, Request]]:
    """A request through a gateway as the server sees it. :returns: service and request; none of a port that
    the service does not have."""
    path = concrete_path(edge.paths)
    return [(service.key, Request(edge.principal, port, "GET", path)) for port in edge.ports]


def _rank(cell: ProvedCell) -> tuple[int, int]:
    return (PASS, CANNOT_TELL, FAIL).index(cell.verdict), LEVELS.index(cell.level)


def _why_no_probe(request: Request) -> str:
    if not request.http:
        return ONLY_STREAM
    if request.port == ANY_OTHER_PORT:
        return NO_PORT
    special = (request.source_ip, request.remote_ip, request.headers, request.token, request.sni)
    return NO_PROBE_SENDS if any(special) else ""


def _why_not_called(cell: Cell) -> str:
    return CHANGES if cell.stated and cell.request.method not in SAFE_METHODS else NOT_SENT


def levels_of(cells: Iterable[ProvedCell]) -> dict[str, int]:
    """How many cells were proved at each level, each counted at its highest one.

    :returns: ``all``, ``called``, ``at_the_proxies``, ``by_the_objects``, and ``not_proved`` of those that
        are not as stated, or about which nobody can tell.
    """
    found = Counter(item.level if item.verdict == PASS else "not proved" for item in cells)
    names = (*LEVELS, "not proved")
    return {"all": found.total(), **{name.replace(" ", "_"): found[name] for name in names}}


def reasons_of(cells: Iterable[ProvedCell]) -> dict[str, int]:
    """Why cells were not called. :returns: reason -> cells."""
    return dict(Counter(item.why for item in cells if item.why))
