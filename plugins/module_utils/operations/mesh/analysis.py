# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``istioctl analyze`` says of the mesh as it would be, before the first write.

The merged set (live objects, with what is to be written laid over them) is analysed offline: no rights beyond
our own lists are needed, and only analyzers run whose input is complete. Objects that a run does not touch
were there before and are not its findings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...documents.json_text import from_json, json_text
from ...errors import ApiError, MeshError, RefusedError
from ...fields import namespace_of, text_at
from ...istio.installation.commands import Runner
from ...kube.objects import key_of
from ...model.objects.base import API_VERSIONS
from ...verdicts import CANNOT_TELL, FAIL, PASS
from .strict_guard import StrictGuard

if TYPE_CHECKING:
    from ...context import Context
    from ...kube.client import KubeClient
    from ..apply.plan import Plan
    from .options import MeshOptions

ANALYZERS = (
    "auth.AuthorizationPoliciesAnalyzer",
    "deprecation.DeprecationAnalyzer",
    "destinationrule.CaCertificateAnalyzer",
    "destinationrule.SubsetSelectPodAnalyzer",
    "envoyfilter.EnvoyPatchAnalyzer",
    "gateway.ConflictingGatewayAnalyzer",
    "gateway.IngressGatewayPortAnalyzer",
    "serviceentry.Analyzer",
    "sidecar.SelectorAnalyzer",
    "telemetry.DefaultSelectorAnalyzer",
    "telemetry.SelectorAnalyzer",
    "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
    "virtualservice.DestinationHostAnalyzer",
    "virtualservice.DestinationRuleAnalyzer",
    "virtualservice.GatewayAnalyzer",
)
"""Names that istioctl does not know are ignored by it. Schema validation is left to the server's dry-run."""

_SURROUNDINGS = (("v1", "Namespace"), ("v1", "Service"), ("v1", "Pod"))
_ISTIO = tuple((version, kind) for kind, version in API_VERSIONS.items() if ".istio.io/" in version)
_LEVELS = ("Error", "Warning")
OFF = "off"


@dataclasses.dataclass(frozen=True, slots=True)
class AnalyzerMessage:
    """One message of an analyzer. ``origin`` is an object id."""

    code: str
    level: str
    origin: str
    message: str

    def __str__(self) -> str:
        return f"{self.level} {self.code} {self.origin}: {self.message}"


def before_write(
    plan: Plan,
    client: KubeClient,
    context: Context,
    options: MeshOptions,
    root_namespace: str = "istio-system",
) -> list[dict[str, Any]]:
    """Everything that is said about a change before its first write.

    :returns: one mapping per check with ``check``, ``status`` (pass, fail, cannot tell, off), ``reason``,
        ``findings``. :raises RefusedError: the mode of a check forbids the change.
    """
    guard = StrictGuard(client, context, options, root_namespace)
    analysis = Analysis(client, context, mode=options.check, istioctl=options.istioctl)
    guard(plan)
    analysis(plan)
    return [guard.as_result(), analysis.as_result()]


class Analysis:
    """Called with the plan of a run that would change something; then ``status`` and ``findings`` tell.

    :param mode: ``strict`` refuses on errors and when it cannot tell; ``warn`` warns; ``off`` does nothing.
    :param istioctl: path of istioctl, ``""`` when there is none.
    """

    def __init__(self, client: KubeClient, context: Context, *, mode: str, istioctl: str) -> None:
        self._client, self._context, self._mode, self._istioctl = client, context, mode, istioctl
        self.status = OFF if mode == "off" else CANNOT_TELL
        self.reason = "nothing would change"
        self.findings: list[AnalyzerMessage] = []

    def as_result(self) -> dict[str, Any]:
        """The part of the module's result. :returns: ``check``, ``status``, ``reason``, ``findings``."""
        findings = [str(item) for item in self.findings]
        return {"check": "analyze", "status": self.status, "reason": self.reason, "findings": findings}

    def __call__(self, plan: Plan) -> None:
        """:raises RefusedError: in mode strict, for errors or without a verdict."""
        if self._mode == "off":
            return
        try:
            self.findings = self._analyse(plan)
            bad = any(item.level == "Error" for item in self.findings)
            self.status, self.reason = (FAIL if bad else PASS), ""
        except MeshError as error:
            self.status, self.reason = CANNOT_TELL, error.message
        for finding in self.findings:
            self._context.warn(f"istioctl analyze: {finding}")
        if self.status == CANNOT_TELL:
            self._context.warn(f"istioctl analyze: cannot tell: {self.reason}")
        if self._mode == "strict" and self.status != PASS:
            errors = [str(item) for item in self.findings if item.level == "Error"]
            said = "; ".join(errors) or f"no verdict of istioctl analyze: {self.reason}"
            raise RefusedError(f"refused before the first write: {said}", rule="mesh-check")

    def _analyse(self, plan: Plan) -> list[AnalyzerMessage]:
        if not self._istioctl:
            raise MeshError("there is no istioctl (mesh_istioctl_path)")
        changed = {item.id for item in plan.items if item.changes}
        objects = self._merged(plan)
        text = "\n---\n".join(map(json_text, objects))
        argv = [self._istioctl, "analyze", "--use-kube=false", "--all-namespaces", "-o", "json"]
        argv += [part for name in ANALYZERS for part in ("--analyzer", name)] + ["-"]
        runner = Runner(self._context.environment, self._context.stop)
        return parse_messages(runner.run(argv, stdin=text, about="analyse the mesh as it would be"), changed)

    def _merged(self, plan: Plan) -> list[Mapping[str, Any]]:
        kinds = (*_SURROUNDINGS, *_ISTIO)
        lists = self._client.in_parallel(lambda kind: self._list(plan, *kind), kinds)
        merged = {key_of(obj): obj for found in lists for obj in found}
        for item in plan.items:
            merged.pop(key_of(item.desired), None)
            if item.action != "deleted":
                merged[key_of(item.desired)] = item.after or item.desired
        return [_lean(obj) for obj in merged.values()]

    def _list(self, plan: Plan, api_version: str, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind; without the right to that, those of the namespaces that the run touches."""
        try:
            return list(self._client.list(api_version, kind).items)
        except ApiError as error:
            if not error.not_allowed:
                raise
        namespaces = _namespaces(plan)
        if kind == "Namespace":
            return [{"apiVersion": "v1", "kind": kind, "metadata": {"name": name}} for name in namespaces]
        lists = self._client.in_parallel(
            lambda name: self._client.list(api_version, kind, name).items, namespaces
        )
        return [obj for found in lists for obj in found]


def _namespaces(plan: Plan) -> list[str]:
    return sorted({namespace_of(item.desired) for item in plan.items} - {""})


def _lean(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without what no analyzer reads and what is long: managed fields, and environments of containers."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    lean = {**obj, "metadata": metadata}
    if obj["kind"] == "Pod":
        lean["spec"] = {"serviceAccountName": text_at(obj, "spec", "serviceAccountName") or "default"}
        lean.pop("status", None)
    return lean


def parse_messages(text: str, changed: Iterable[str]) -> list[AnalyzerMessage]:
    """Errors and warnings about ``changed`` objects, out of the JSON of ``istioctl analyze``.

    :returns: errors and warnings, in istioctl's order.
    :raises MeshError: the output is no list of messages. (The exit code is 0 whatever is found.)
    """
    wanted = set(changed)
    try:
        messages: Sequence[Mapping[str, Any]] = from_json(text) or ()
        found = [
            AnalyzerMessage(str(item["code"]), str(item["level"]), str(item["origin"]), str(item["message"]))
            for item in messages
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise MeshError("istioctl analyze answered with something else than a list of messages") from error
    return sorted(
        {item for item in found if item.level in _LEVELS and item.origin in wanted},
        key=lambda item: (_LEVELS.index(item.level), item.origin, item.code, item.message),
    )
