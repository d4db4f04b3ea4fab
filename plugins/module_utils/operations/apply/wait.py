# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until applied objects work, or deleted ones are gone."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...equality import same
from ...errors import InputError, MeshError, Problem
from ...fields import integer_at, mappings_at, text_at
from ...kube.objects import kept_by
from ...kube.rollouts import pod_trouble
from ...kube.secret_fields import is_secret_name
from ...kube.wait import rollout_status, wait_until
from ...object_id import object_id
from .plan import get_live

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient

_ROLLOUTS = ("Deployment", "StatefulSet", "DaemonSet")
_WORD = re.compile(r"[\w-]+")
# Kinds whose readiness is a condition of their status.
_CONDITIONS = {
    "CustomResourceDefinition": "Established",
    "APIService": "Available",
    "Pod": "Ready",
    "Job": "Complete",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """How long to wait, and for what beyond what a kind itself calls ready.

    :param timeout: seconds for all objects together.
    :param conditions: each ``{"jmespath": expression over the object, "equals": value}``.
    :param status_condition: an entry of ``status.conditions`` that each must have: ``type``, ``status`` and,
        unless empty, ``reason``.
    """

    timeout: float = 120.0
    conditions: tuple[Mapping[str, Any], ...] = ()
    status_condition: Mapping[str, str] | None = None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Wait:
        """The wait of module ``resources``.

        :param params: as its argument spec leaves them: every option is there.
        """
        given = params["wait_condition"]
        condition = given and {name: given[name] or "" for name in ("type", "status", "reason")}
        return cls(float(params["wait_timeout"]), tuple(params["wait_for"]), condition or None)

    @property
    def chosen(self) -> bool:
        """Whether somebody says what ready means."""
        return bool(self.conditions or self.status_condition)


def check_conditions(conditions: Sequence[Mapping[str, Any]]) -> None:
    """:raises InputError: an expression that JMESPath does not understand."""
    problems = []
    for index, condition in enumerate(conditions):
        try:
            _compiled(str(condition["jmespath"]))
        except ValueError as error:
            problems.append(Problem(f"wait_for[{index}].jmespath", str(error).splitlines()[0], "jmespath"))
    if problems:
        raise InputError(problems)


def wait_for_objects(
    client: KubeClient,
    objects: Sequence[Mapping[str, Any]],
    gone: Sequence[Mapping[str, Any]],
    wait: Wait,
    context: Context,
) -> None:
    """Wait until every object is ready and every deleted one is gone.

    :raises WaitTimeout: naming the first object that is late and what was seen of it.
    """
    pending = [obj for obj in objects if wait.chosen or _has_readiness(obj)]
    vanishing = list(gone)

    def look() -> tuple[bool, str]:
        nonlocal pending, vanishing
        states = client.in_parallel(lambda obj: _looked_at(client, obj, wait), pending)
        pending = [obj for obj, (done, _unused) in zip(pending, states, strict=True) if not done]
        late = [seen for done, seen in states if not done]
        there = client.in_parallel(lambda obj: get_live(client, obj), vanishing)
        left = [
            (obj, live)
            for obj, live in zip(vanishing, there, strict=True)
            if live is not None and _is_same(live, obj)
        ]
        vanishing = [obj for obj, _unused in left]
        late += [f"{object_id(obj)} is still there ({kept_by(live)})" for obj, live in left]
        return not late, late[0] + (
            f" (and {len(late) - 1} more)" if len(late) > 1 else ""
        ) if late else "ready"

    if pending or vanishing:
        wait_until(
            look,
            awaited="the objects to be ready",
            timeout=wait.timeout,
            stop=context.stop,
            progress=context.progress,
            clock=context.clock,
        )


def _looked_at(client: KubeClient, obj: Mapping[str, Any], wait: Wait) -> tuple[bool, str]:
    live = get_live(client, obj)
    done, seen = _state(live, obj, wait)
    why = pod_trouble(client, live) if live is not None and not done and obj["kind"] in _ROLLOUTS else ""
    return done, f"{seen}; {why}" if why else seen


def _is_same(live: Mapping[str, Any], deleted: Mapping[str, Any]) -> bool:
    uid = deleted["metadata"].get("uid")
    return uid is None or live["metadata"].get("uid") == uid


def _has_readiness(obj: Mapping[str, Any]) -> bool:
    return obj["kind"] in _ROLLOUTS or obj["kind"] in _CONDITIONS or obj["kind"] == "Namespace"


def _state(live: Mapping[str, Any] | None, obj: Mapping[str, Any], wait: Wait) -> tuple[bool, str]:
    name = object_id(obj)
    if live is None:
        return False, f"{name}: not there yet"
    generation = integer_at(live, "metadata", "generation")
    if integer_at(live, "status", "observedGeneration", default=generation) < generation:
        return False, f"{name}: its controller has not seen the change yet"
    if wait.status_condition:
        done, seen = _status_condition(live, wait.status_condition)
        if not done:
            return False, f"{name}: {seen}"
    for condition in wait.conditions:
        expression, wanted = str(condition["jmespath"]), condition.get("equals")
        try:
            value = _compiled(expression).search(live)
        except ValueError as error:  # a function on a field that is not there yet (JMESPathError is one)
            cause = "" if _is_secret(obj, expression) else f": {error}"
            return False, f"{name}: {expression} cannot be computed{cause}"
        if not same(value, wanted):
            told = "something else" if _is_secret(obj, expression) else f"{value!r}, not {wanted!r}"
            return False, f"{name}: {expression} is {told}"
    if wait.chosen:
        return True, name
    done, seen = _readiness(live)
    return done, f"{name}: {seen}"


def _is_secret(obj: Mapping[str, Any], expression: str) -> bool:
    """Whether what an expression finds may not be shown."""
    return obj["kind"] == "Secret" or any(map(is_secret_name, _WORD.findall(expression)))


def _status_condition(live: Mapping[str, Any], wanted: Mapping[str, str]) -> tuple[bool, str]:
    """Whether an object has a condition, and what it has instead."""
    for entry in mappings_at(live, "status", "conditions"):
        if entry.get("type") != wanted["type"]:
            continue
        status, reason = text_at(entry, "status"), text_at(entry, "reason")
        done = status == wanted["status"] and wanted["reason"] in ("", reason)
        return done, f"condition {wanted['type']} is {status}{f' ({reason})' if reason else ''}"
    return False, f"condition {wanted['type']} is not reported yet"


def _readiness(live: Mapping[str, Any]) -> tuple[bool, str]:
    kind = str(live["kind"])
    if kind in _ROLLOUTS:
        return rollout_status(dict(live))
    if kind == "Namespace":
        phase = text_at(live, "status", "phase")
        return phase == "Active", f"phase {phase or 'unknown'}"
    wanted = _CONDITIONS.get(kind)
    if wanted is None:
        return True, "there"
    conditions = {text_at(entry, "type"): entry for entry in mappings_at(live, "status", "conditions")}
    failed = conditions.get("Failed", {})
    if kind == "Job" and failed.get("status") == "True":
        return False, f"failed: {text_at(failed, 'reason')} {text_at(failed, 'message')}".rstrip()
    if wanted in conditions:
        status = text_at(conditions[wanted], "status")
        return status == "True", f"{wanted} is {status}"
    return False, f"{wanted} is not reported yet"


def _compiled(expression: str) -> Any:
    try:
        import jmespath  # type: ignore[import-untyped]  # it has no types
    except ImportError as error:
        raise MeshError(
            "the Python package 'jmespath' is needed for wait_for where this task runs", missing="jmespath"
        ) from error
    try:
        return jmespath.compile(expression)
    except jmespath.exceptions.JMESPathError as error:
        raise ValueError(f"'{expression}' is not JMESPath: {error}") from error
