# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters of a rollout as checked values: parsed once, and nobody below the backend sees others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....errors import InputError, Problem
from ....istio.metrics import PrometheusOptions
from ....model.catalogue.lookup import look_up
from ....model.catalogue.mesh import Catalogue
from ....model.catalogue.services import Service
from ....model.objects.peer_authentications import port_mode
from ....model.rollout.gates import Policy, QueryGate, ShareGate
from ....model.rollout.phases import PhaseOptions, read_phases
from ....model.rollout.phases_input import PlanReader
from ....model.rollout.settings import (
    DeadmanOptions,
    ForeignRoute,
    HeaderMatch,
    LowTraffic,
    RunSettings,
    Scale,
    Sticky,
    Synthetic,
)
from ..outside.asking import Asking
from ..outside.listeners import Listener
from .gates import read_gates, read_query
from .outside import TAKEN, read_listeners, read_outside

# Reported in the journal and the evidence, as the user wrote them.
INPUTS = ("steps", "step_weight", "duration", "min_requests", "deadline", "low_traffic", "approvals")
SHORTEST_LEASE, LONGEST_LEASE = 10, 3600
SHORTEST_SCRAPE = 1.0  # a look at the metrics costs requests: one hundred a second would be an attack
MOST_PROXIES = 100_000
LONGEST_COOKIE = 365 * 24 * 3600


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RolloutOptions(RunSettings):
    """How one service is rolled out: what its runs keep in their journal, and what every call says anew.

    :param version: that shall serve; empty for the actions that need none.
    :param phases: those of the plan, in order; the live traffic gives their times.
    :param prometheus: ``None`` when none is named: enough to withdraw a version, never to go on.
    :param askings: gate outside of the mesh -> how it is asked. :param listeners: who is told of milestones.
    :param baseline: so much traffic is looked back at before the start, in seconds.
    :param behind_stable: whether a rollback may leave a stable version that the last run did not promote.
    :param inputs: name -> value of the parameters that made the plan, as the user wrote them.
    """

    catalogue: Catalogue
    service: Service
    version: str = ""
    orphans: str = "rollback"
    behind_stable: bool = False
    phases: tuple[PhaseOptions, ...] = ()
    gates: tuple[ShareGate, ...] = ()
    queries: tuple[QueryGate, ...] = ()
    policy: Policy = dataclasses.field(default_factory=Policy)
    prometheus: PrometheusOptions | None = None
    askings: Mapping[str, Asking] = dataclasses.field(default_factory=dict, repr=False)
    listeners: tuple[Listener, ...] = ()
    baseline: float = 60.0
    lease: int = 30
    resume_period: float = 60.0
    evidence: Path | None = None
    by: str = ""
    inputs: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def settings(self) -> RunSettings:
        """What the journal of a run with these options keeps."""
        return RunSettings(**{name: getattr(self, name) for name in _SETTINGS})

    def with_settings(self, settings: RunSettings) -> RolloutOptions:
        """The options of a call for a run that began with these settings."""
        return dataclasses.replace(self, **{name: getattr(settings, name) for name in _SETTINGS})

    @property
    def poll(self) -> float:
        """Seconds between two looks at pods and requests."""
        return min(5.0, self.scrape_interval)


_SETTINGS = tuple(field.name for field in dataclasses.fields(RunSettings))


def find_service(params: Mapping[str, Any], catalogue: Catalogue) -> Service:
    """The service that the parameters name.

    :raises InputError: none, or one that the catalogue does not have.
    """
    name = params.get("service") or ""
    if not name:
        raise InputError([Problem("canary_service", "is missing", "service")])
    service, fault = look_up(catalogue, name, params.get("namespace") or "")
    if service is None:
        raise InputError([Problem("canary_service", fault, "service")])
    return service


def read_options(params: Mapping[str, Any], catalogue: Catalogue, service: Service) -> RolloutOptions:
    """Checks everything that does not depend on the cluster.

    :param params: as `argument_spec` describes them. :raises InputError: with every problem, each under the
        name of its variable.
    """
    reader = PlanReader("canary_")
    _check_version(reader, params, service)
    gates, max_ms = read_gates(reader, params)
    testers = _testers(reader, params.get("testers"))
    prometheus = PrometheusOptions.from_params(params["prometheus"]) if params.get("prometheus") else None
    phases = _phases(reader, params)
    outside, askings = read_outside(
        reader, params["gates"], len(phases) if params["action"] == "run" else None
    )
    queries = tuple(read_query(reader, index, item) for index, item in enumerate(params["queries"]))
    for name in sorted({gate.name for gate in queries} & ({gate.name for gate in outside} | TAKEN)):
        reader.problem("queries", f"{name} is the name of another gate", "gate")
    mode = port_mode(catalogue, service, service.http_port.target_port if service.http_port else 0)
    options = RolloutOptions(
        catalogue=catalogue,
        service=service,
        version=params.get("version") or "",
        orphans=params["orphans"],
        behind_stable=params["behind_stable"],
        sick_stable=params["sick_stable"],
        phases=phases,
        promote=params["promote"],
        approvals=_approvals(reader, params, len(phases)),
        testers=testers,
        sticky=_sticky(reader, params.get("sticky")),
        gates=gates,
        queries=queries,
        outside=outside,
        askings=askings,
        listeners=read_listeners(reader, params["notify"]),
        policy=Policy(
            alpha=reader.share("alpha", params["alpha"]),
            power=reader.share("power", params["power"]),
            mode=params["mode"],
        ),
        max_ms=max_ms,
        prometheus=prometheus,
        low_traffic=LowTraffic(params["low_traffic"]),
        synthetic=_synthetic(reader, params, service),
        propagation=params["propagation"],
        propagation_max_proxies=reader.whole(
            "propagation_max_proxies", params["propagation_max_proxies"], 1, MOST_PROXIES
        ),
        mtls=params["mtls"] if params["mtls"] != "auto" else ("require" if mode == "STRICT" else "report"),
        lease=_lease(reader, params["lease"]),
        on_stop=params["on_stop"],
        gitops=params["gitops"],
        routes=_foreign(params.get("routes"), service),
        scale=_scale(reader, params.get("scale")),
        capacity=params["capacity"],
        deadman=_deadman(reader, params),
        evidence=Path(params["evidence"]) if params.get("evidence") else None,
        by=params.get("by") or "",
        inputs={key: params[key] for key in INPUTS if params.get(key) is not None},
        **{name: reader.seconds(name, params[name]) for name in _TIMES},
    )
    _check_times(reader, options)
    _check_foreign(reader, options)
    if reader.problems:
        raise InputError(reader.problems)
    return options


def _phases(reader: PlanReader, params: Mapping[str, Any]) -> tuple[PhaseOptions, ...]:
    return read_phases(
        reader,
        steps=params.get("steps"),
        step_weight=params.get("step_weight"),
        duration=params["duration"],
        min_requests=params["min_requests"],
        promote=params["promote"],
        dark=params.get("dark"),
        mirror=params.get("mirror"),
        testers=params.get("testers"),
    )


def _approvals(reader: PlanReader, params: Mapping[str, Any], phases: int) -> tuple[int, ...]:
    """An approval that no phase would wait for is refused: whoever asked for it relies on it."""
    for index, number in enumerate(params["approvals"]):
        if params["action"] == "run" and phases and not 1 <= number <= phases:
            message = f"{number} is no phase of the plan (1 to {phases})"
            reader.problem(f"approvals[{index}]", message, "approvals")
    return tuple(sorted(set(params["approvals"])))


_TIMES = (
    "scrape_interval",
    "baseline",
    "deadline",
    "phase_deadline",
    "unmeasurable",
    "ready_timeout",
    "propagation_timeout",
    "resume_period",
)


def _check_version(reader: PlanReader, params: Mapping[str, Any], service: Service) -> None:
    if params["action"] != "run":
        return
    version = params.get("version") or ""
    if version not in service.versions:
        known = ", ".join(service.versions) or "none"
        reader.problem("version", f"{version!r} is not a version of {service.name} ({known})", "version")
    if service.http_port is None:
        reader.problem("service", f"{service.name} has no HTTP port, so its requests cannot be split", "http")


def _check_foreign(reader: PlanReader, options: RolloutOptions) -> None:
    """In a VirtualService of somebody else only weights change."""
    if options.routes and options.sticky:
        message = "needs routes that are computed from the catalogue, and canary_routes names another object"
        reader.problem("sticky", message, "foreign-routes")


def _check_times(reader: PlanReader, options: RolloutOptions) -> None:
    if 0 < options.scrape_interval < SHORTEST_SCRAPE:
        message = f"is {options.scrape_interval:g} s, less than {SHORTEST_SCRAPE:g} s"
        reader.problem("scrape_interval", message, "scrape-interval")
    if options.baseline < 4 * options.scrape_interval:
        message = f"is {options.baseline:g} s, less than four scrapes of {options.scrape_interval:g} s"
        reader.problem("baseline", message, "baseline")


def _lease(reader: PlanReader, value: Any) -> int:
    """Whole seconds: the Lease API knows no others."""
    seconds = reader.seconds("lease", value)
    if seconds and not SHORTEST_LEASE <= seconds <= LONGEST_LEASE:
        message = f"is {seconds:g} s, not from {SHORTEST_LEASE} to {LONGEST_LEASE} seconds"
        reader.problem("lease", message, "lease")
    elif seconds != int(seconds):
        reader.problem("lease", f"is {seconds:g} s, not a whole number of seconds", "lease")
    return int(seconds)


def _testers(reader: PlanReader, value: Any) -> HeaderMatch | None:
    """Header and value; `read_phases` reads the rest, and refuses unknown fields."""
    if not isinstance(value, Mapping):
        return None
    header = value.get("header")
    return HeaderMatch(
        header=header.lower() if isinstance(header, str) else "",
        value=reader.text("testers.value", value.get("value", "true")),
    )


def _sticky(reader: PlanReader, value: Any) -> Sticky | None:
    if value is None:
        return None
    given = reader.mapping("sticky", value, {"cookie", "max_age"})
    return Sticky(
        # RFC 6265: the name of a cookie is a token, as that of a header
        cookie=reader.header("sticky.cookie", given.get("cookie"), "cookie"),
        max_age=reader.whole("sticky.max_age", given.get("max_age", 3600), 1, LONGEST_COOKIE),
    )


def _synthetic(reader: PlanReader, params: Mapping[str, Any], service: Service) -> Synthetic | None:
    if params["low_traffic"] != LowTraffic.SYNTHETIC:
        return None
    fields = {"namespace", "selector", "container", "command"}
    given = reader.mapping("synthetic", params.get("synthetic"), fields)
    command = given.get("command")
    if isinstance(command, str) or not isinstance(command, list) or not command:
        reader.problem("synthetic.command", "is not a list of words", "synthetic")
        command = []
    return Synthetic(
        namespace=reader.text("synthetic.namespace", given.get("namespace") or service.namespace),
        selector=reader.text("synthetic.selector", given.get("selector")),
        container=reader.text("synthetic.container", given.get("container")),
        command=tuple(str(word) for word in command),
    )


def _scale(reader: PlanReader, value: Mapping[str, Any] | None) -> Scale | None:
    if not value:
        return None
    up = value.get("up")
    return Scale(
        up=None if up is None else reader.whole("scale.up", up, 1, 10_000),
        down=bool(value.get("down")),
        delay=reader.seconds("scale.delay", value.get("delay", 30)),
        drain=reader.seconds("scale.drain", value.get("drain", 600)),
    )


def _foreign(value: Mapping[str, Any] | None, service: Service) -> ForeignRoute | None:
    return ForeignRoute(value["name"], value.get("namespace") or service.namespace) if value else None


def _deadman(reader: PlanReader, params: Mapping[str, Any]) -> DeadmanOptions | None:
    job = params["deadman_job"]
    if params["deadman"] != "job":
        return None
    return DeadmanOptions(
        job["image"],
        job["service_account"],
        tuple(job["image_pull_secrets"]),
        reader.object_name("deadman_job.notify_secret", job.get("notify_secret")),
    )
