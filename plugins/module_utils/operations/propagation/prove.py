# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves that a change has reached the proxies: by what each holds, never by what istiod says it sent.

The barrier between the steps of a change, and the end of every apply.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...errors import ApiError, MeshError, WaitTimeout
from ...istio.istiod import ISTIOD_SELECTOR, ready_istiods, sync_table
from ...istio.proxy.running import RunningProxy, running_proxies, sample
from ...kube.client import KubeClient
from ...model.objects.expectations import Expectation
from ...verdicts import CANNOT_TELL, FAIL, PASS
from .facts import missing, read_facts
from .scope import Population, assign

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 1.5
REFRESH = 10.0
"""Seconds after which the population is read again: pods come and go while we wait."""
TOLD = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Laggard:
    """A proxy that does not hold everything. ``missing`` are half sentences."""

    proxy: str
    missing: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class PropagationReport:
    """What was proved.

    :param status: pass, fail (somebody is late), or cannot tell (proxies could not be read).
    :param proved: proxies that hold everything. :param concerned: proxies that ought to.
    :param seconds: from ``since`` to the moment the last proxy was seen to hold everything, or to giving up.
    :param sampled: whether only ``max_proxies`` of the proxies were asked.
    """

    status: str
    proved: int
    concerned: int
    seconds: float
    sampled: bool = False
    laggards: tuple[Laggard, ...] = ()
    unreadable: tuple[Laggard, ...] = ()

    def headline(self) -> str:
        """One sentence."""
        if self.status == PASS:
            what = "of a sample of all" if self.sampled else "that matter"
            return f"{self.proved} proxies {what} hold the change, the last after {self.seconds:.1f} s"
        first = (self.laggards or self.unreadable)[0]
        number = len(self.laggards or self.unreadable)
        verb = "is late" if self.status == FAIL else "cannot be read"
        more = f" (and {number - 1} more)" if number > 1 else ""
        return f"after {self.seconds:.0f} s proxy {first.proxy} {verb}: {first.missing[0]}{more}"

    def as_result(self) -> dict[str, Any]:
        """The report as it stands in a module's result."""
        return {
            "status": self.status,
            "headline": self.headline(),
            "proved": self.proved,
            "concerned": self.concerned,
            "seconds": round(self.seconds, 2),
            "sampled": self.sampled,
            "laggards": [dataclasses.asdict(item) for item in self.laggards[:TOLD]],
            "unreadable": [dataclasses.asdict(item) for item in self.unreadable[:TOLD]],
        }

    def check(self) -> None:
        """:raises WaitTimeout: a proxy is late. :raises ApiError: proxies could not be read."""
        if self.status == FAIL:
            raise WaitTimeout(
                self.headline(),
                awaited="the proxies to hold the change",
                last_seen=str(self.laggards[0].missing),
            )
        if self.status == CANNOT_TELL:
            raise ApiError(self.headline(), reason="Unproved")


def prove(
    client: KubeClient,
    expectations: Sequence[Expectation],
    *,
    timeout: float,
    progress: Callable[[str], None],
    max_proxies: int = 200,
    namespaces: Sequence[str] | None = None,
    root_namespace: str = "istio-system",
    since: float | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> PropagationReport:
    """Waits until every proxy that matters holds what is expected of it.

    :param timeout: seconds. :param max_proxies: above it a sample of every workload is asked.
    :param namespaces: where proxies are looked for; ``None`` for the whole cluster.
    :param since: ``time.monotonic()`` of the write, for the report; by default now.
    :raises ApiError: pods cannot be listed.
    """
    begin = time.monotonic()
    written = begin if since is None else since
    wait = _Wait(client, expectations, max_proxies, namespaces, root_namespace)
    wait.refresh()
    pause, told, refreshed = FIRST_PAUSE, 0.0, begin
    while not wait.look():
        now = time.monotonic()
        if now - begin >= timeout or stop():
            break
        if now - told >= 5.0 and told:
            progress(
                f"{len(wait.pending)} of {wait.concerned} proxies do not hold the change yet: {wait.first()}"
            )
        told = now if now - told >= 5.0 else told
        time.sleep(min(pause, max(0.0, begin + timeout - now)))
        pause = min(LONGEST_PAUSE, pause * 1.5)
        if time.monotonic() - refreshed >= REFRESH:
            wait.refresh()
            refreshed = time.monotonic()
    return wait.report(time.monotonic() - written)


class _Wait:
    """The state of one wait."""

    def __init__(
        self,
        client: KubeClient,
        expectations: Sequence[Expectation],
        max_proxies: int,
        namespaces: Sequence[str] | None,
        root_namespace: str,
    ) -> None:
        self._client = client
        self._expectations = expectations
        self._max_proxies = max_proxies
        self._namespaces = namespaces
        self._root_namespace = root_namespace
        self._done: set[str] = set()
        self._late: dict[str, tuple[str, ...]] = {}
        self._unreadable: dict[str, tuple[str, ...]] = {}
        self._sampled = False
        self.pending: dict[str, tuple[RunningProxy, tuple[Expectation, ...]]] = {}

    @property
    def concerned(self) -> int:
        """How many proxies ought to hold something."""
        return len(self._done) + len(self.pending)

    def first(self) -> str:
        """One proxy and one thing that it lacks."""
        for name, lacking in {**self._unreadable, **self._late}.items():
            return f"{name}: {lacking[0]}"
        return "not read yet"

    def refresh(self) -> None:
        """Reads which proxies there are, and what each is concerned with."""
        population = self._population()
        concerned = assign(self._expectations, population)
        chosen = sample([proxy for proxy, _facts in concerned], self._max_proxies)
        self._sampled = len(chosen) < len(concerned)
        names = {str(proxy) for proxy in chosen}
        self.pending = {
            str(proxy): (proxy, facts)
            for proxy, facts in concerned
            if str(proxy) in names and str(proxy) not in self._done
        }
        for memory in (self._late, self._unreadable):
            for name in set(memory) - set(self.pending):
                del memory[name]

    def look(self) -> bool:
        """Asks every pending proxy once; whether all hold everything."""
        asked = list(self.pending.values())
        results = self._client.in_parallel(lambda item: self._ask(*item), asked)
        for (proxy, _facts), (lacking, readable) in zip(asked, results, strict=True):
            name = str(proxy)
            self._late.pop(name, None)
            self._unreadable.pop(name, None)
            if not lacking:
                self._done.add(name)
                del self.pending[name]
            else:
                (self._late if readable else self._unreadable)[name] = lacking
        return not self.pending

    def report(self, seconds: float) -> PropagationReport:
        """What came of it."""
        late = dict(self._late)
        if late:
            connected = self._connected()
            for name, lacking in late.items():
                if connected is not None and ".".join(reversed(name.split("/", 1))) not in connected:
                    late[name] = ("is not connected to any istiod", *lacking)
        status = FAIL if late else CANNOT_TELL if self._unreadable else PASS
        return PropagationReport(
            status=status,
            proved=len(self._done),
            concerned=self.concerned,
            seconds=seconds,
            sampled=self._sampled,
            laggards=tuple(Laggard(name, lacking) for name, lacking in sorted(late.items())),
            unreadable=tuple(Laggard(name, lacking) for name, lacking in sorted(self._unreadable.items())),
        )

    def _ask(self, proxy: RunningProxy, facts: Sequence[Expectation]) -> tuple[tuple[str, ...], bool]:
        try:
            held = read_facts(self._client, proxy, facts)
        except MeshError as error:
            return (error.message,), False
        return tuple(dict.fromkeys(lack for fact in facts if (lack := missing(held, fact)))), True

    def _connected(self) -> Mapping[str, object] | None:
        try:
            pods = self._client.list("v1", "Pod", self._root_namespace, label_selector=ISTIOD_SELECTOR).items
            return sync_table(self._client, ready_istiods(pods))
        except MeshError:
            return None

    def _population(self) -> Population:
        places: Sequence[str | None] = (
            [None]
            if self._namespaces is None
            else list(dict.fromkeys((*self._namespaces, self._root_namespace)))
        )
        keys = [
            (*kind, place)
            for place in places
            for kind in (("v1", "Pod"), ("networking.istio.io/v1", "Sidecar"))
        ]
        lists = self._client.in_parallel(lambda key: self._client.list(*key).items, keys)
        found: dict[str, list[dict[str, Any]]] = {"Pod": [], "Sidecar": []}
        for (_version, kind, _place), items in zip(keys, lists, strict=True):
            found[kind] += items
        return Population(running_proxies(found["Pod"]), found["Sidecar"], self._root_namespace)
