# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why something does not work: from a symptom to ranked causes, each with the object at fault. Only reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import InputError, MeshError, Problem, nearest
from ...fields import name_of, namespace_of
from ...istio.installation.commands import Runner, find_tool
from ...kube.client import KubeClient
from ...kube.options import CONNECTION_SPEC, ConnectionOptions
from ...kube.target import tool_environment
from ...model.catalogue.mesh import Catalogue
from ...model.catalogue.parse import parse_catalogue
from ...model.reading.typed import variables_of
from ...verdicts import CANNOT_TELL
from ..verify.findings import Finding
from .analyze import merged, messages
from .bundle import check_path, write_bundle
from .case import Case, full_name
from .cause import LIKELY, Cause
from .ranking import Unknown, lasting, ranked, search, status_of, told
from .reading import ask_proxies, read_material
from .steps import call_of, follow, with_steps
from .symptom import Symptom

if TYPE_CHECKING:
    from ...context import Context

ARGUMENT_SPEC: dict[str, Any] = {
    **CONNECTION_SPEC,
    "catalogue": {"type": "dict", "required": True},
    "source": {"type": "str", "default": ""},
    "destination": {"type": "str", "default": ""},
    "hostname": {"type": "str", "default": ""},
    "pod": {"type": "str", "default": ""},
    "namespace": {"type": "str", "default": ""},
    "method": {"type": "str", "default": "GET"},
    "path": {"type": "str", "default": "/"},
    "port": {"type": "str", "default": ""},
    "istioctl_path": {"type": "str", "default": ""},
    "bundle_path": {"type": "str", "default": ""},
}
VARIABLES = variables_of(ARGUMENT_SPEC, "diagnose_")
LOOKS, PAUSE = 3, 4.0
"""What a starting pod shows too counts when it stands in so many looks, so many seconds apart."""
MAX_LINES = 10
"""So many causes are told to the person who watches; the result has all."""


@dataclasses.dataclass(frozen=True, slots=True)
class Diagnosis:
    """What came of one look, or of all. :param case: None without Istio."""

    causes: list[Cause]
    unknown: list[Unknown]
    steps: list[Finding]
    case: Case | None = None


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Backend of module ``diagnose``: looks for everything that explains a symptom, and ranks it.

    :returns: ``{changed, status, cause, causes, unknown, steps}``, see module ``diagnose``.
    """
    catalogue = parse_catalogue(params["catalogue"])
    symptom = Symptom.from_params(params)
    call_of(catalogue, symptom)
    bundle_path = str(params.get("bundle_path") or "")
    if bundle_path:
        check_path(bundle_path)
    program = str(params.get("istioctl_path") or "")
    if program:
        program = find_tool(program, where="diagnose_istioctl_path", environment=context.environment)
    connection = ConnectionOptions.from_params(params, context.environment)
    with context.client(connection) as client:
        found = _diagnose(client, catalogue, symptom, context)
    if program and found.case is not None:
        found = _with_analysis(found, program, connection, context)
    result = _result(found, context)
    if bundle_path and found.case is not None:
        write_bundle(bundle_path, found.case, result)
    return result


def _with_analysis(
    found: Diagnosis, program: str, connection: ConnectionOptions, context: Context
) -> Diagnosis:
    """The same with what istioctl says; that it fails is told, and no failure of the diagnosis."""
    case = found.case
    if case is None:
        return found
    try:
        with tool_environment(connection, context.environment) as (environment, secrets):
            runner = Runner(environment, context.stop, secrets)
            said = messages(runner, program, case.catalogue.istio_namespace, case.symptom.namespaces)
    except MeshError as error:
        return dataclasses.replace(
            found, unknown=[*found.unknown, Unknown("control plane", "istioctl analyze", error.message)]
        )
    return dataclasses.replace(found, causes=ranked(merged(case, found.causes, said)))


def _diagnose(client: KubeClient, catalogue: Catalogue, symptom: Symptom, context: Context) -> Diagnosis:
    looks: list[list[Cause]] = []
    while True:
        found = _look(client, catalogue, symptom, context.clock.now())
        looks.append(found.causes)
        if len(looks) == LOOKS or not any(item.late for item in lasting(looks)):
            causes = told(ranked(lasting(looks)), anything=symptom.anything)
            return dataclasses.replace(found, causes=causes)
        context.clock.sleep(PAUSE)


def _look(client: KubeClient, catalogue: Catalogue, symptom: Symptom, now: float) -> Diagnosis:
    material = read_material(client, symptom, catalogue)
    if not material.live.installed:
        return Diagnosis([], [Unknown("control plane", "istio", "not installed")], [])
    case = Case(symptom, catalogue, material, now)
    _check_names(case)
    case.material = ask_proxies(client, case)
    causes, unknown = search(case)
    call = call_of(catalogue, symptom)
    steps = follow(client, case, call) if call else []
    return Diagnosis(with_steps(causes, steps), unknown, steps, case)


def _check_names(case: Case) -> None:
    """:raises InputError: the caller, or the pod, that the symptom names does not exist.

    A destination that does not exist is no mistake of whoever asks, but a cause.
    """
    problems = []
    for option, text, pods in (
        ("source", case.symptom.source, case.callers),
        ("pod", case.symptom.pod, case.named),
    ):
        if not text or pods:
            continue
        namespace, name = case.symptom.place_of(text, case.home)
        if not case.was_read(namespace) or "Pod" in case.material.unread:
            continue
        if option == "source" and case.service(f"{name}.{namespace}.svc.{case.domain}") is not None:
            continue
        if any(name_of(item) == name and namespace_of(item) == namespace for item in case.of("Deployment")):
            continue
        known = sorted(
            {full_name(item) for item in case.of("Service")}
            | {service.key for service in case.catalogue.services}
        )
        said = (
            f"no Service, workload or pod is called {namespace}/{name}{nearest(f'{namespace}/{name}', known)}"
        )
        problems.append(Problem(f"diagnose_{option}", said, "unknown-name"))
    if problems:
        raise InputError(problems)


def _result(found: Diagnosis, context: Context) -> dict[str, Any]:
    status = status_of(found.causes, found.unknown)
    if status != "fail" and any(step.verdict == CANNOT_TELL for step in found.steps):
        status = CANNOT_TELL
    first = found.causes[0] if found.causes and found.causes[0].weight >= LIKELY - 10 else None
    for step in found.steps:
        context.progress(f"{step.check:<14} {step}")
    for rank, cause in enumerate(found.causes[:MAX_LINES], 1):
        context.progress(f"{rank:>2}. {cause.family:<13} {cause}")
        for line in cause.evidence:
            context.progress(f"    {'seen':<13} {line}")
        context.progress(f"    {'mend':<13} {cause.remedy}")
    for item in found.unknown:
        context.progress(f"cannot tell    {item.what}: {item.why}")
    return {
        "changed": False,
        "status": status,
        "cause": str(first) if first else "",
        "causes": [cause.as_dict(rank) for rank, cause in enumerate(found.causes, 1)],
        "unknown": [item.as_dict() for item in dict.fromkeys(found.unknown)],
        "steps": [{"step": step.check, **step.as_dict()} for step in found.steps],
    }
