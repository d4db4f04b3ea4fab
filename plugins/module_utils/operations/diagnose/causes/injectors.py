# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Injection and control plane: webhooks that cannot answer, compete, or are called with a foreign CA."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from ....fields import labels_of, mapping_at, mappings_at, name_of, text_at
from ....istio.injection.webhooks import Injector, injectors_for
from ....istio.istiod import calls_istiod
from ....istio.proxy.certificates import serial_numbers
from ....words import few
from ..case import Case
from ..cause import CONTROL_PLANE, INJECTION, LIKELY, SURE, Cause

ISTIODS = (
    ("MutatingWebhookConfiguration", "its calls fail"),
    ("ValidatingWebhookConfiguration", "nobody can write Istio's objects"),
)
"""Kinds of the webhooks that istiod answers, and what does not work without them."""
INSTALL = "ansible-playbook servicemesh.istio.istio -i INVENTORY"


def find(case: Case) -> Iterator[Cause]:
    """Webhooks that the namespaces of the symptom meet. :returns: one cause per object at fault."""
    injectors = case.material.injectors or ()
    met = [item for item in injectors if not case.meshed or _takes_any(case, item)]
    for item in met:
        if not item.trusted:
            said = "has no CA bundle: the API server cannot call istiod, and no pod gets a sidecar"
            yield Cause(
                CONTROL_PLANE, f"MutatingWebhookConfiguration {item.configuration}", said, INSTALL, SURE
            )
        elif item.service and not _answers(case, item):
            namespace, name = item.service
            said = "leads to no ready istiod: the injector does not answer, pods are refused or stay bare"
            yield Cause(
                INJECTION,
                f"Service {namespace}/{name}",
                said,
                f"kubectl get pods -n {namespace} -l app=istiod, then mend istiod",
                SURE,
                (f"MutatingWebhookConfiguration {item.configuration} calls it",),
                late=True,
            )
    yield from _competing(case)


def _takes_any(case: Case, item: Injector) -> bool:
    return any(
        injectors_for([item], name, labels_of(case.namespaces.get(name)), {}) for name in sorted(case.meshed)
    )


def _answers(case: Case, item: Injector) -> bool:
    """Whether a ready istiod stands behind the Service that a webhook calls."""
    if item.service is None or not case.was_read(item.service[0]):
        return True
    namespace, name = item.service
    service = case.service(f"{name}.{namespace}.svc.{case.domain}")
    if service is None:  # deleted, or not read
        return "Service" in case.material.unread
    selector = mapping_at(service, "spec", "selector")
    ready = {f"{one.namespace}/{one.pod}" for one in case.live.istiods}
    return any(
        f"{namespace}/{name_of(pod)}" in ready
        and all(labels_of(pod).get(key) == value for key, value in selector.items())
        for pod in case.material.istiods
    )


def _competing(case: Case) -> Iterator[Cause]:
    for name in sorted(case.meshed):
        if not (case.symptom.anything or any(name == place for place in case.symptom.namespaces)):
            continue
        asked = injectors_for(case.material.injectors or (), name, labels_of(case.namespaces.get(name)), {})
        if len({item.revision for item in asked}) > 1:
            names = few(sorted({item.configuration for item in asked}))
            said = f"is injected by several revisions at once: {names}"
            remedy = f"kubectl label namespace {name} istio-injection- (keep istio.io/rev alone)"
            yield Cause(INJECTION, f"Namespace {name}", said, remedy, LIKELY)


def foreign_bundles(case: Case) -> Iterator[Cause]:
    """Webhooks whose CA bundle holds none of the roots that istiod publishes."""
    roots, home = case.live.roots, case.catalogue.istio_namespace
    for kind, broken in ISTIODS if roots else ():
        for item in case.of(kind):
            for webhook in mappings_at(item, "webhooks"):
                held = _bundle(text_at(webhook, "clientConfig", "caBundle"))
                if calls_istiod(webhook, home) and held and not serial_numbers(held) & roots:
                    said = f"calls istiod with a CA bundle that does not hold the mesh's root: {broken}"
                    yield Cause(CONTROL_PLANE, f"{kind} {name_of(item)}", said, INSTALL, SURE)
                    break


def _bundle(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except ValueError:
        return "unreadable"
