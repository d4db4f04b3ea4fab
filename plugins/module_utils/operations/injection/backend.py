# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings namespaces into the mesh: labels, restarts of what carries the wrong proxy, proof for every pod."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ... import inventory
from ...errors import MeshError, RefusedError
from ...istio.injection.judge import NamespaceState
from ...istio.injection.labels import FIELD_MANAGER, LabelDecision, decide_labels
from ...istio.injection.plan import WAIT, Restart, RestartPlan, plan_restarts
from ...istio.injection.read import read_injectors, read_namespace, read_settings, unready_injectors
from ...istio.injection.webhooks import Injector, injectors_for
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...kube.wait import wait_until
from ...labels import INJECTED_BY_ANNOTATION
from ...model.reading.typed import variables_of
from .options import InjectionOptions, read_options
from .restart import Restarter
from .result import build_result
from .rights import refuse_without_rights

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "namespaces": {"type": "list", "elements": "raw", "required": True},
    "gateways": {"type": "list", "elements": "dict"},
    "gateway_namespaces": {"type": "list", "elements": "str"},
    "istio_namespace": {"type": "str", "default": "istio-system"},
    "restart": {"type": "bool", "default": True},
    "restart_anyway": {"type": "list", "elements": "str", "default": []},
    "replace_foreign_labels": {"type": "bool", "default": False},
    **inventory.SPEC,
    "batch": {"type": "int", "default": 4},
    "timeout": {"type": "raw", "default": 600},
}
VARIABLES = variables_of(
    ARGUMENT_SPEC,
    "injection_",
    gateways="istio_gateways",
    istio_namespace="istio_namespace",
    owner="istio_owner",
)
# What was waited for is judged again and may need a restart of its own.
ROUNDS = 3


@dataclasses.dataclass(slots=True)
class InjectionRun:
    """One run. ``before`` is the first plan: what check mode shows and what the result tells."""

    client: KubeClient
    context: Context
    options: InjectionOptions
    decisions: Sequence[LabelDecision]
    injectors: Sequence[Injector]
    before: RestartPlan

    def namespaces(self) -> list[NamespaceState]:
        """The namespaces that exist, with the labels they will have when pods are created.

        :returns: one per namespace, in the order of the request.
        """
        return [
            read_namespace(
                self.client,
                decision.request.name,
                _labels_after(decision),
                keep=decision.request.mode == "keep",
            )
            for decision in self.decisions
            if decision.action not in ("create", "missing")
        ]

    def plan(self) -> RestartPlan:
        """The plan for the cluster as it is now."""
        settings = read_settings(self.client, self.injectors, self.options.istio_namespace)
        return plan_restarts(
            self.namespaces(),
            self.injectors,
            settings,
            batch=self.options.batch,
            anyway=self.options.restart_anyway,
        )


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``injection``.

    :returns: the module's result; see :func:`result.build_result`.
    :raises InputError: for a bad list of namespaces.
    :raises RefusedError: when a label would be fought over, or no injector would answer.
    :raises WaitTimeout: when restarted workloads or proxies do not become ready in time.
    """
    options = read_options(params)
    connection = ConnectionOptions.from_params(params, context.environment)
    with context.client(connection) as client:
        live = client.in_parallel(
            lambda request: client.get("v1", "Namespace", request.name), options.requests
        )
        decisions = [
            decide_labels(
                request,
                namespace,
                inventory=options.inventory,
                replace_foreign=options.replace_foreign_labels,
            )
            for request, namespace in zip(options.requests, live, strict=True)
        ]
        injectors = read_injectors(client)
        installed = bool(injectors) or _is_installed(client, options.istio_namespace)
        silent = _refuse(decisions, injectors, context, installed=installed)
        work = InjectionRun(client, context, options, decisions, injectors, RestartPlan((), ()))
        # What the labels will make of each pod is known before they are written.
        work.before = work.plan()
        acting = [step for step in work.before.steps if step.batch and options.restart]
        refuse_without_rights(client, decisions, acting, _asked(work))
        for decision, namespace in zip(decisions, live, strict=True):
            _write_labels(client, decision, namespace, context)
        after = work.before
        if options.restart and not context.check_mode:
            after = _restart(work)
        return build_result(
            decisions,
            injectors,
            work.before,
            after,
            context=context,
            restart=options.restart,
            silent=silent,
        )


def _labels_after(decision: LabelDecision) -> dict[str, str]:
    return dict(decision.after)


_WEBHOOK_GONE = (
    "Istio is installed, but the MutatingWebhookConfiguration of its injector is gone; istio.yml puts it back"
)


def _is_installed(client: KubeClient, namespace: str) -> bool:
    """Whether an istiod has left its settings: then only its webhook is missing."""
    return client.get("v1", "ConfigMap", "istio-sidecar-injector", namespace) is not None


def _refuse(
    decisions: Sequence[LabelDecision], injectors: Sequence[Injector], context: Context, *, installed: bool
) -> list[str]:
    """What speaks against the first write. What an earlier role would cure only warns in check mode.

    :returns: in check mode, what makes it impossible to tell which pods would be injected.
    """
    refusals = [decision.refusal for decision in decisions if decision.refusal]
    if refusals:
        raise RefusedError("; ".join(refusals), rule="injection-label")
    missing = [d.request.name for d in decisions if d.action == "missing" and d.request.mode != "keep"]
    if missing:
        message = f"these namespaces do not exist: {', '.join(missing)}; create them, or set create for them"
        _refuse_or_warn(message, "namespace-missing", context)
    silent = [text for decision in decisions if (text := _silence(decision, injectors, installed=installed))]
    if silent:
        _refuse_or_warn("; ".join(silent), "no-injector", context)
    return silent


def _refuse_or_warn(message: str, rule: str, context: Context) -> None:
    if not context.check_mode:
        raise RefusedError(message, rule=rule)
    context.warn(message)


def _silence(decision: LabelDecision, injectors: Sequence[Injector], *, installed: bool) -> str:
    if decision.request.mode == "keep":
        return ""
    name, labels = decision.request.name, _labels_after(decision)
    label = ", ".join(f"{key}={value}" for key, value in labels.items())
    found = injectors_for(injectors, name, labels, {})
    if not found:
        known = sorted({entry.tag or entry.revision for entry in injectors})
        nothing = _WEBHOOK_GONE if installed else "Istio is not installed"
        here = f"revisions and tags here: {', '.join(known)}" if known else nothing
        return f"no injector answers to {label} on namespace {name} ({here})"
    if len({entry.revision for entry in found}) > 1:
        names = ", ".join(sorted({entry.configuration for entry in found}))
        return f"several injectors answer to {label} on namespace {name}: {names}"
    return ""


def _write_labels(
    client: KubeClient, decision: LabelDecision, live: Mapping[str, Any] | None, context: Context
) -> None:
    for note in decision.notes:
        context.warn(note)
    if not decision.changed or (live is None and context.check_mode):
        return
    name, dry_run = decision.request.name, context.check_mode
    mark = {"annotations": {INJECTED_BY_ANNOTATION: decision.holder}} if decision.holder else {}
    if decision.action == "relabel" and live is not None:
        # One request for both labels: between two, pods would be created with the wrong proxy or with none.
        labels: dict[str, str | None] = {decision.request.other: None, **decision.request.wanted}
        patch = {"metadata": {"resourceVersion": live["metadata"]["resourceVersion"], "labels": labels}}
        client.patch("v1", "Namespace", name, None, patch, field_manager=FIELD_MANAGER, dry_run=dry_run)
        if dry_run:
            return
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": decision.request.wanted, **mark},
    }
    # decide_labels has looked at the owners: nobody who is overruled here would put the value back.
    client.apply(namespace, field_manager=FIELD_MANAGER, force=True, dry_run=dry_run)


def _restart(work: InjectionRun) -> RestartPlan:
    """Executes plans until nothing is left to do, then proves every pod."""
    restarter = Restarter(work.client, work.context, timeout=work.options.timeout)
    current = work.before
    for _round in range(ROUNDS):
        batches = current.batches
        if not batches:
            break
        _await_injectors(work)
        for number, planned in enumerate(batches, start=1):
            # A restart may have shown that others carry what the injector gives: images pinned by a policy.
            open_owners = {step.owner for step in current.steps if step.batch}
            batch = [step for step in planned if step.owner in open_owners]
            if not batch:
                continue
            names = ", ".join(str(step.owner) for step in batch)
            work.context.progress(f"batch {number} of {len(batches)}: {names}")
            restarter.run_batch(batch)
            current = work.plan()
            _stop_if_in_vain(batch, current)
    return _prove(work, current)


def _stop_if_in_vain(batch: Sequence[Restart], after: RestartPlan) -> None:
    """A restart that changes nothing means that the planner misjudges this injector: it must not go on.

    Without this, every run would restart the whole mesh until somebody notices.
    """
    restarted = {step.owner for step in batch if step.action != WAIT}
    wrong = [
        step for batch in after.batches for step in batch if step.owner in restarted and step.action != WAIT
    ]
    if wrong:
        names = ", ".join(sorted(str(step.owner) for step in wrong))
        raise MeshError(
            f"restarted, and still not what the injector's settings say: {names} ({wrong[0].why})",
            restarted=sorted(str(owner) for owner in restarted),
        )


def _asked(work: InjectionRun) -> list[Injector]:
    """The injectors that pods of these namespaces meet."""
    return [
        injector
        for decision in work.decisions
        for injector in injectors_for(work.injectors, decision.request.name, _labels_after(decision), {})
    ]


def _await_injectors(work: InjectionRun) -> None:
    """Pods that are created while istiod is away are refused, or start without proxy."""
    asked = _asked(work)

    def check() -> tuple[bool, str]:
        troubles = unready_injectors(work.client, asked)
        return not troubles, "; ".join(troubles)

    wait_until(
        check,
        awaited="the injector",
        timeout=min(120, work.options.timeout),
        stop=work.context.stop,
        progress=work.context.progress,
        clock=work.context.clock,
    )


def _prove(work: InjectionRun, current: RestartPlan) -> RestartPlan:
    """Waits until the proxy of every injected pod is ready; returns the plan that was seen last."""
    seen = current

    def check() -> tuple[bool, str]:
        nonlocal seen
        late = [v.pod for v in seen.pods("ok") if v.pod.proxy and not v.pod.proxy.ready]
        if late:
            seen = work.plan()
        text = (
            f"{len(late)} proxies are not ready, such as {late[0].namespace}/{late[0].name}" if late else ""
        )
        return not late, f"{text}: {late[0].trouble}" if late and late[0].trouble else text

    wait_until(
        check,
        awaited="ready proxies in all injected pods",
        timeout=work.options.timeout,
        stop=work.context.stop,
        progress=work.context.progress,
        clock=work.context.clock,
    )
    return seen
