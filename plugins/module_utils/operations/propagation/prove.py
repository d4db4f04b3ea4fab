# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves that a change has reached the proxies: by what each holds, never by what istiod says it sent.

The barrier between the steps of a change, the end of every apply, and the proof of every phase of a rollout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...errors import ApiError, MeshError, WaitTimeout
from ...istio.istiod import ISTIOD_SELECTOR, ready_istiods, sync_table
from ...istio.proxy.running import RunningProxy, sample
from ...kube.client import KubeClient
from ...kube.clock import Clock, SystemClock
from ...kube.wait import wait_until
from ...model.objects.expectations import Expectation
from ...verdicts import CANNOT_TELL, FAIL, PASS
from .facts import is_concerned, missing, read_facts
from .report import Laggard, PropagationReport
from .scope import assign, read_population

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 1.5
REFRESH = 10.0
"""Seconds after which the population is read again: pods come and go while we wait."""
QUIET = 5.0
"""Seconds of waiting that nobody needs to be told of."""

Concerned = Sequence[tuple[RunningProxy, tuple[Expectation, ...]]]
"""The proxies that matter, each with what it ought to hold."""


def prove(
    client: KubeClient,
    expectations: Sequence[Expectation],
    *,
    timeout: float,
    progress: Callable[[str], None],
    max_proxies: int = 200,
    namespaces: Sequence[str] | None = None,
    root_namespace: str = "istio-system",
    istio_namespace: str = "istio-system",
    since: float | None = None,
    stop: Callable[[], bool] = lambda: False,
    clock: Clock | None = None,
) -> PropagationReport:
    """Waits until every proxy that matters holds what is expected of it.

    :param timeout: seconds. :param max_proxies: above it a sample of every workload is asked.
    :param namespaces: where proxies are looked for; ``None`` for the whole cluster.
    :param root_namespace: whose Sidecar is everybody's default. :param istio_namespace: where istiod runs.
    :param since: the clock's ``monotonic()`` at the write, for the report; by default now.
    :raises ApiError: pods cannot be listed.
    """

    def concerned() -> Concerned:
        return assign(expectations, read_population(client, namespaces, root_namespace))

    return prove_for(
        client,
        concerned,
        timeout=timeout,
        progress=progress,
        max_proxies=max_proxies,
        istio_namespace=istio_namespace,
        since=since,
        stop=stop,
        clock=clock,
    )


def prove_for(
    client: KubeClient,
    concerned: Callable[[], Concerned],
    *,
    timeout: float,
    progress: Callable[[str], None],
    max_proxies: int = 200,
    istio_namespace: str = "istio-system",
    since: float | None = None,
    stop: Callable[[], bool] = lambda: False,
    clock: Clock | None = None,
    before_look: Callable[[], None] = lambda: None,
    at_least: int = 0,
) -> PropagationReport:
    """`prove` for proxies that the caller chooses.

    :param concerned: reads the proxies that matter; called again while the wait lasts.
    :param istio_namespace: where istiod runs, which knows the proxies that are connected.
    :param before_look: called before each look; what it raises ends the wait.
    :param at_least: wait until so many proxies hold what is expected; fewer at the end is "cannot tell".
    :raises ApiError: pods cannot be listed, or the run was stopped before they were.
    """
    clock = clock or SystemClock()
    begin = clock.monotonic()
    wait = _Wait(client, concerned, max_proxies, istio_namespace, at_least)
    refreshed: list[float] = []

    def look() -> tuple[bool, str]:
        before_look()
        if not refreshed or clock.monotonic() - refreshed[-1] >= REFRESH:
            wait.refresh()
            refreshed.append(clock.monotonic())
        return wait.look(), wait.seen()

    def patient(line: str) -> None:
        if clock.monotonic() - begin >= QUIET:
            progress(line)

    try:
        wait_until(
            look,
            awaited="the proxies to hold the change",
            timeout=timeout,
            interval=FIRST_PAUSE,
            max_interval=LONGEST_PAUSE,
            stop=stop,
            progress=patient,
            clock=clock,
        )
    except WaitTimeout:
        pass  # the report says who is late
    except ApiError as error:
        if error.reason != "Interrupted" or not refreshed:
            raise  # of proxies that nobody has looked for, none would lack anything
    return wait.report(clock.monotonic() - (begin if since is None else since))


class _Wait:
    """The state of one wait."""

    def __init__(
        self,
        client: KubeClient,
        concerned: Callable[[], Concerned],
        max_proxies: int,
        istio_namespace: str,
        at_least: int,
    ) -> None:
        self._client = client
        self._concerned = concerned
        self._max_proxies = max_proxies
        self._istio_namespace = istio_namespace
        self._at_least = at_least
        self._done: set[str] = set()
        self._late: dict[str, tuple[str, ...]] = {}
        self._unreadable: dict[str, tuple[str, ...]] = {}
        self._sampled = False
        self._denied = False
        self._pending: dict[str, tuple[RunningProxy, tuple[Expectation, ...]]] = {}

    def seen(self) -> str:
        """How far the wait is, and one proxy with one thing that it lacks."""
        number = f"{len(self._pending)} of {len(self._done) + len(self._pending)} proxies do not hold it yet"
        for name, lacking in {**self._unreadable, **self._late}.items():
            return f"{number}: {name}: {lacking[0]}"
        return number

    def refresh(self) -> None:
        """Reads which proxies there are, and what each is concerned with."""
        concerned = self._concerned()
        chosen = {str(proxy) for proxy in sample([proxy for proxy, _facts in concerned], self._max_proxies)}
        self._sampled = len(chosen) < len(concerned)
        self._pending = {
            str(proxy): (proxy, facts)
            for proxy, facts in concerned
            if str(proxy) in chosen and str(proxy) not in self._done
        }
        for memory in (self._late, self._unreadable):
            for name in set(memory) - set(self._pending):
                del memory[name]

    def look(self) -> bool:
        """Asks every pending proxy once; whether there is nothing left to wait for."""
        asked = list(self._pending.values())
        results = self._client.in_parallel(lambda item: self._ask(*item), asked)
        for (proxy, _facts), answer in zip(asked, results, strict=True):
            self._note(str(proxy), answer)
        return self._denied or (not self._pending and len(self._done) >= self._at_least)

    def _note(self, name: str, answer: tuple[str, ...] | MeshError | None) -> None:
        """Remembers one answer: what lacks, why it could not be read, or None where it is no concern."""
        self._late.pop(name, None)
        self._unreadable.pop(name, None)
        if isinstance(answer, MeshError):
            status = answer.status if isinstance(answer, ApiError) else None
            self._denied = self._denied or (isinstance(answer, ApiError) and answer.lasting)
            if status != 404:  # the pod went away while it was asked
                self._unreadable[name] = (answer.message,)
                return
        elif answer:
            self._late[name] = answer
            return
        elif answer is not None:
            self._done.add(name)
        del self._pending[name]

    def report(self, seconds: float) -> PropagationReport:
        """What came of it."""
        late = dict(self._late)
        if late:
            connected = self._connected()
            for name, lacking in late.items():
                if connected is not None and self._pending[name][0].sync_id not in connected:
                    late[name] = ("is not connected to any istiod", *lacking)
        status = PASS
        if self._unreadable or len(self._done) < self._at_least:
            status = CANNOT_TELL
        if late and not self._denied:
            status = FAIL
        return PropagationReport(
            status=status,
            proved=len(self._done),
            concerned=len(self._done) + len(self._pending),
            seconds=seconds,
            sampled=self._sampled,
            laggards=tuple(Laggard(name, lacking) for name, lacking in sorted(late.items())),
            unreadable=tuple(Laggard(name, lacking) for name, lacking in sorted(self._unreadable.items())),
        )

    def _ask(self, proxy: RunningProxy, facts: Sequence[Expectation]) -> tuple[str, ...] | MeshError | None:
        try:
            held = read_facts(self._client, proxy, facts)
        except MeshError as error:
            return error
        mine = [fact for fact in facts if is_concerned(held, fact)]
        if not mine:
            return None
        return tuple(dict.fromkeys(lack for fact in mine if (lack := missing(held, fact))))

    def _connected(self) -> Mapping[str, object] | None:
        try:
            pods = self._client.list("v1", "Pod", self._istio_namespace, label_selector=ISTIOD_SELECTOR).items
            istiods = ready_istiods(pods)
            return sync_table(self._client, istiods) if istiods else None
        except MeshError:
            return None
