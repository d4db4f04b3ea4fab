# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a rollout as data: what a run has done, is doing, and is asked to do.

The one definition of its fields and states. Everybody who looks at a journal (the run itself, its successor,
``canary_info``, role ``mesh``) reads it with :func:`parse_journal`, which refuses a journal that it does not
understand as a whole: nobody may guess what a dead run was doing.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Mapping
from typing import Any

from ...documents.json_text import from_json
from ...errors import MeshError
from ...fields import name_of, namespace_of, text_at
from .capacity import Size
from .gates import Judgement, Policy, QueryGate, ShareGate
from .measurement import Baseline
from .outside_gates import GateAnswer
from .phases import RolloutPlan, TrafficState
from .record import journal_name
from .settings import RunSettings, VersionFacts
from .typed_json import SchemaError, decode, encode, encode_fields

SCHEMA = 1
JOURNAL_KEY = "journal"
MAX_BYTES = 900_000  # etcd refuses 1.5 MiB, and a ConfigMap's data may have 1 MiB
KEPT_EVENTS = 400
KEPT_PROOFS = 200
KEPT_DISCARDED = 200
WAY_OUT = "if nobody can repair it, delete it; canary_rollback then gives everything back to stable"
FEWEST_WINDOWS = 20  # are never added up: they are the evidence
# Whoever can write ConfigMaps writes journals; ids of runs end in names of files and in messages.
_RUN = re.compile(r"[0-9A-Za-z][-0-9A-Za-z]{0,62}")


class JournalError(MeshError):
    """A journal that cannot be read: nobody may guess what a dead run was doing."""


class State(enum.StrEnum):
    """Where a run is. Each is in the journal before its writes happen, and has one next action."""

    RUNNING = "running"  # go on, or withdraw
    PROMOTING = "promoting"  # finish the promotion
    ROLLING_BACK = "rolling_back"  # finish the rollback
    HOLDING = "holding"  # finish keeping the requests away from a sick stable version
    AWAITING_APPROVAL = "awaiting_approval"  # go on when somebody approves
    PAUSED = "paused"  # go on when somebody asks for it
    FINISHED = "finished"  # nothing

    @property
    def active(self) -> bool:
        """Whether a run has begun and not ended (its runner may be dead)."""
        return self in _ACTIVE

    @property
    def waiting(self) -> bool:
        """Whether the run ended well in a state that another call continues."""
        return self in _WAITING

    @property
    def open(self) -> bool:
        """Whether the run still decides the service's split: it is active or waits."""
        return self.active or self.waiting


_ACTIVE = frozenset({State.RUNNING, State.PROMOTING, State.ROLLING_BACK, State.HOLDING})
_WAITING = frozenset({State.AWAITING_APPROVAL, State.PAUSED})


class Outcome(enum.StrEnum):
    """How a run ended."""

    NONE = ""  # it has not
    PROMOTED = "promoted"
    SPLIT = "split"
    ROLLED_BACK = "rolled_back"
    HELD_ON_CANARY = "held_on_canary"  # the stable version is down, and the proved canary serves everybody
    HELD_AT_SPLIT = "held_at_split"  # neither version may take everything; canary_resume looks again

    @property
    def held(self) -> bool:
        """Whether the run ended away from its stable version because that one is sick or down."""
        return self in (Outcome.HELD_ON_CANARY, Outcome.HELD_AT_SPLIT)


class Hold(enum.StrEnum):
    """Why requests are kept away from the stable version."""

    NONE = ""
    STABLE_DOWN = "stable_down"  # it has no ready endpoint
    STABLE_WORSE = "stable_worse"  # it fails more requests than the canary, which fails too many as well


class LastStep(enum.StrEnum):
    """The last thing that a run did, for people who look at it."""

    BEGIN = "begin"
    WEIGHTS = "weights"
    PROVED = "proved"
    WATCH = "watch"
    PASSED = "passed"
    RESTART = "restart"
    APPROVAL = "approval"
    PROMOTE = "promote"
    ROLLBACK = "rollback"
    HOLD = "hold"
    RECORD = "record"
    LEFT = "left"
    DONE = "done"


class Kind(enum.StrEnum):
    """What a run is for."""

    ROLLOUT = "rollout"
    UNDO = "undo"  # the rollback of a run that has ended


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """One measured span of time.

    :param phase: number of the phase that the requests belong to. :param begin, end: RFC 3339.
    :param weight: the canary's percent of all requests.
    :param counts: gate -> (canary total, canary bad, stable total, stable bad).
    :param latency: version -> quantile -> milliseconds. :param values: query gate -> its number.
    """

    phase: int
    begin: str
    end: str
    weight: int
    counts: Mapping[str, tuple[int, int, int, int]]
    latency: Mapping[str, Mapping[str, float | None]] = dataclasses.field(default_factory=dict)
    values: Mapping[str, float | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class After:
    """Requests between the last look and weight 0 of a withdrawn version."""

    end: str
    counts: Mapping[str, tuple[int, int, int, int]]


@dataclasses.dataclass(frozen=True, slots=True)
class ProofNote:
    """What the proxies said about one write. ``status`` is a verdict, ``seconds`` from write to proof."""

    at: str
    weights: Mapping[str, int]
    status: str
    seconds: float
    proxies: int
    detail: str


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One line of the timeline."""

    at: str
    event: str
    phase: int = 0
    weights: Mapping[str, int] | None = None
    seconds: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ScaledDown:
    """A Deployment that a promotion scaled to 0, and the replicas that it had."""

    workload: str
    replicas: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What is known of a run when it begins, and does not change.

    :param run: id. :param by: who asked for it. :param cluster: UID of the cluster, empty when not known.
    :param inputs: the parameters that made the plan. :param selectors: metric -> PromQL selector.
    :param diffs: the exact change of the routes per phase, as Ansible shows it.
    :param original: route lists of a foreign VirtualService before the run.
    :param scaled_down: of the promotion that an undo takes back.
    :param sizes: version -> pods and autoscaler before the run; none where nobody may look.
    :param settings: how the run decides. :param versions: both versions as the catalogue had them.
    :param before: version -> percent of the split that the run found.
    """

    run: str
    kind: Kind = Kind.ROLLOUT
    by: str = ""
    cluster: str = ""
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    gates: tuple[ShareGate, ...] = ()
    queries: tuple[QueryGate, ...] = ()
    policy: Policy | None = None
    selectors: Mapping[str, str] = dataclasses.field(default_factory=dict)
    baseline: Baseline | None = None
    diffs: tuple[Mapping[str, Any], ...] = ()
    original: tuple[Any, ...] | None = None
    scaled_down: ScaledDown | None = None
    settings: RunSettings | None = None
    versions: Mapping[str, VersionFacts] = dataclasses.field(default_factory=dict)
    before: Mapping[str, int] = dataclasses.field(default_factory=dict)
    sizes: Mapping[str, Size] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Journal(RunFacts):
    """One run: its facts, and where it stands.

    :param fence: of the runner that wrote last. :param at: when. :param runner: its identity.
    :param phase: number of the phase that the run is in, 0 before the first. :param passed: of the last phase
        that passed. :param approved: of the last phase that somebody approved.
    :param outcome: how the run ended, and ``reason`` why, or why it waits.
    :param templates: ``pod-template-hash`` of the canary's pods: others are another revision.
    :param stable_templates: of the stable version's pods, all that were seen.
    :param discarded: windows about an earlier revision, which cost users and prove nothing.
    :param verdicts: of the last look, in phase ``judged``, which had ``ended`` as far as time goes.
    :param by_phase: phase number -> the verdicts of its last look.
    :param answers: the last one of each gate outside of the mesh, at each moment that it was asked.
    :param values: query gate -> its values.
    :param api_calls: phase number -> calls to the API server.
    :param intent: what the routes shall do next. :param rollback_began: RFC 3339.
    :param hold: why requests are kept away from the stable version. :param spent: seconds that runners have
        worked on it.
    :param previous_run: id of the run before this one.
    """

    runner: str
    service: str
    namespace: str
    stable: str
    canary: str
    plan: RolloutPlan
    state: State
    step: LastStep
    phase: int
    passed: int
    outcome: Outcome
    reason: str
    fence: int = 0
    at: str = ""
    previous_run: str = ""
    templates: tuple[str, ...] = ()
    stable_templates: tuple[str, ...] = ()
    approved: int = 0
    restarts: int = 0
    intent: TrafficState | None = None
    windows: tuple[Window, ...] = ()
    discarded: tuple[Window, ...] = ()
    after: After | None = None
    verdicts: tuple[Judgement, ...] = ()
    by_phase: Mapping[str, tuple[Judgement, ...]] = dataclasses.field(default_factory=dict)
    answers: tuple[GateAnswer, ...] = ()
    values: Mapping[str, tuple[float | None, ...]] = dataclasses.field(default_factory=dict)
    judged: int | None = None
    ended: bool = True
    proofs: tuple[ProofNote, ...] = ()
    timeline: tuple[Event, ...] = ()
    api_calls: Mapping[str, int] = dataclasses.field(default_factory=dict)
    rollback_began: str = ""
    hold: Hold = Hold.NONE
    spent: float = 0.0
    evidence_sha256: str = ""

    @property
    def intended_share(self) -> int:
        """Percent of the requests that the canary was to get at last."""
        return self.intent.weights.get(self.canary, 0) if self.intent else 0

    def as_dict(self) -> dict[str, Any]:
        """The journal as JSON data. :returns: field -> value, with ``schema``."""
        return {"schema": SCHEMA, **encode_fields(self)}

    def as_json(self) -> str:
        """The text that the ConfigMap holds, within its size.

        Where it would be too long, the diffs are left out, by which nobody decides (a hundred steps have a
        hundred of them). Then neighbouring windows of one phase are added up, which keeps every count and
        only makes the strata of the tests coarser.
        """
        journal = self
        while True:
            text = json.dumps(journal.as_dict(), separators=(",", ":"))
            if len(text) <= MAX_BYTES:
                return text
            if journal.diffs:
                journal = dataclasses.replace(journal, diffs=())
                continue
            windows = halved(journal.windows)
            if len(windows) == len(journal.windows) or len(journal.windows) <= FEWEST_WINDOWS:
                return text
            journal = dataclasses.replace(journal, windows=windows)


def begun(
    facts: RunFacts,
    *,
    runner: str,
    service: str,
    namespace: str,
    plan: RolloutPlan,
    templates: tuple[str, ...],
    reason: str = "",
) -> Journal:
    """The journal of a run that begins. One that only rolls back has decided that already, for ``reason``:
    nobody who goes on may take it for a rollout of the version that it withdraws."""
    return Journal(
        runner=runner,
        service=service,
        namespace=namespace,
        stable=plan.stable,
        canary=plan.canary,
        plan=plan,
        state=State.ROLLING_BACK if facts.kind is Kind.UNDO else State.RUNNING,
        step=LastStep.BEGIN,
        phase=0,
        passed=0,
        outcome=Outcome.NONE,
        reason=reason,
        templates=templates,
        **{field.name: getattr(facts, field.name) for field in dataclasses.fields(facts)},
    )


def parse_journal(text: str, service: str, namespace: str) -> Journal:
    """The journal that the ConfigMap of a service holds.

    :param service: whose ConfigMap it is, in ``namespace``: nothing in the cluster says it better.
    :raises JournalError: it is no JSON object, of a schema that this version does not know, a field is
        missing or of another type, or it is about another service; the message names the field.
    """
    name = journal_name(service)
    try:
        data = from_json(text)
    except ValueError as error:
        raise JournalError(f"ConfigMap {name} holds no readable journal: {error}; {WAY_OUT}") from error
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA or isinstance(schema, bool):
        raise JournalError(f"ConfigMap {name} holds a journal of an unknown schema; {WAY_OUT}")
    try:
        journal: Journal = decode(Journal, data)
        _refuse_contradictions(journal)
    except SchemaError as error:
        message = f"ConfigMap {name} holds a journal that cannot be read: {error}; {WAY_OUT}"
        raise JournalError(message) from error
    if (journal.service, journal.namespace) != (service, namespace):
        raise JournalError(f"ConfigMap {name} in {namespace} holds the journal of another service")
    if not all(_RUN.fullmatch(run) for run in (journal.run, journal.previous_run or "none")):
        raise JournalError(f"ConfigMap {name} in {namespace} holds a journal whose run is no id of a run")
    return journal


def open_run(config_map: Mapping[str, Any]) -> Journal | None:
    """The run of a ConfigMap, of whichever service, that has begun and not ended; None for anything else.

    :raises JournalError: it holds a journal that cannot be read.
    """
    text, name = text_at(config_map, "data", JOURNAL_KEY), name_of(config_map)
    if not text or not name.startswith(journal_name("")):
        return None
    run = parse_journal(text, name.removeprefix(journal_name("")), namespace_of(config_map))
    return run if run.state.open else None


def _refuse_contradictions(journal: Journal) -> None:
    """:raises SchemaError: fields that somebody has edited do not go together: whoever goes on would act on
    phases or versions that the plan does not have."""
    plan = journal.plan
    versions, count = {journal.stable, journal.canary}, len(plan.phases)
    if (plan.stable, plan.canary) != (journal.stable, journal.canary) or len(versions) != 2:
        raise SchemaError(
            f"plan is one of {plan.stable} and {plan.canary}, not of {journal.stable} and {journal.canary}"
        )
    if [phase.number for phase in plan.phases] != list(range(1, count + 1)) or not count:
        raise SchemaError("plan.phases are not numbered from 1")
    for phase in plan.phases:
        if set(phase.weights) != versions or sum(phase.weights.values()) != 100:
            raise SchemaError(f"plan.phases[{phase.number - 1}].weights are not the shares of both versions")
    for name in ("phase", "passed", "approved"):
        if not 0 <= getattr(journal, name) <= count:
            raise SchemaError(f"{name} is {getattr(journal, name)}, and the plan has {count} phases")


class Action(enum.StrEnum):
    """What somebody may ask of a live runner."""

    ROLLBACK = "rollback"
    PROMOTE = "promote"
    PAUSE = "pause"


@dataclasses.dataclass(frozen=True, slots=True)
class PersonRequest:
    """What somebody asks of a live runner. :param run: id of the run that is meant. :param at: RFC 3339."""

    action: Action
    by: str
    at: str
    run: str

    def as_json(self) -> str:
        """The text under the key ``request``."""
        return json.dumps(encode(self), separators=(",", ":"))


def parse_request(text: str, run: str) -> PersonRequest | None:
    """The request for a run.

    :returns: None for another run's, and for what nobody can understand: anybody may write one, and none may
        stop a run.
    """
    try:
        request: PersonRequest = decode(PersonRequest, from_json(text))
    except ValueError:
        return None
    return request if request.run == run else None


def halved(windows: tuple[Window, ...]) -> tuple[Window, ...]:
    """Pairs of neighbouring windows of one phase, added up. :returns: as many requests in fewer windows."""
    merged: list[Window] = []
    full = False  # the last one is a pair already
    for window in windows:
        last = merged[-1] if merged else None
        if last and not full and last.phase == window.phase:
            merged[-1] = _added(last, window)
            full = True
        else:
            merged.append(window)
            full = False
    return tuple(merged)


def _added(left: Window, right: Window) -> Window:
    gates = (*left.counts, *right.counts)
    counts = {gate: _sum(left.counts.get(gate), right.counts.get(gate)) for gate in gates}
    return dataclasses.replace(left, end=right.end, counts=counts)


def _sum(
    left: tuple[int, int, int, int] | None, right: tuple[int, int, int, int] | None
) -> tuple[int, int, int, int]:
    nothing = (0, 0, 0, 0)
    a, b = left or nothing, right or nothing
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3])
