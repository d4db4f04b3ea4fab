# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running control plane writes into its own objects, and whether those objects say that it is ready.

istiod and istioctl change three things in what they installed; a comparison with the rendered manifest has to
leave them out (seen on Istio 1.31; source per function).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

VALIDATING = "ValidatingWebhookConfiguration"
MUTATING = "MutatingWebhookConfiguration"
WEBHOOK_API = "admissionregistration.k8s.io/v1"
DEACTIVATED_LABEL = "istio.io/deactivated"


def settled(rendered: Mapping[str, Any], live: Mapping[str, Any] | None) -> dict[str, Any]:
    """The rendered object with the live values of the fields that istiod or istioctl sets after the install.

    - ``failurePolicy`` of a validating webhook: installed as Ignore, turned to Fail by istiod once it serves
      (pkg/webhooks/validation/controller). Only that direction counts as istiod's doing.
    - ``clientConfig.caBundle`` of every webhook (pkg/webhooks/webhookpatch.go).
    - the selectors of a plain injector that the ``default`` tag has switched off
      (istioctl/pkg/tag/generate.go DeactivateIstioInjectionWebhook).

    :returns: a copy of the rendered object.
    """
    obj = copy.deepcopy(dict(rendered))
    if live is None or obj.get("kind") not in (VALIDATING, MUTATING):
        return obj
    present = {webhook.get("name"): webhook for webhook in live.get("webhooks") or ()}
    for webhook in obj.get("webhooks") or ():
        found = present.get(webhook.get("name"))
        if found is None:
            continue
        bundle = (found.get("clientConfig") or {}).get("caBundle")
        if bundle and not webhook["clientConfig"].get("caBundle"):
            webhook["clientConfig"]["caBundle"] = bundle
        if (
            obj["kind"] == VALIDATING
            and webhook.get("failurePolicy", "Ignore") == "Ignore"
            and found.get("failurePolicy") == "Fail"
        ):
            webhook["failurePolicy"] = "Fail"
        if is_deactivated(found):
            webhook["namespaceSelector"] = found.get("namespaceSelector")
            webhook["objectSelector"] = found.get("objectSelector")
    return obj


def is_deactivated(webhook: Mapping[str, Any]) -> bool:
    """Whether an injection webhook can never match because the ``default`` tag took its place."""
    return any(
        DEACTIVATED_LABEL in ((webhook.get(selector) or {}).get("matchLabels") or {})
        for selector in ("namespaceSelector", "objectSelector")
    )


def webhook_trouble(configuration: Mapping[str, Any]) -> str:
    """Why a webhook configuration of a control plane is not ready yet; "" when it is.

    A validating webhook that still says Ignore lets invalid configuration through; one without CA cannot be
    called at all.
    """
    name = (configuration.get("metadata") or {}).get("name", "")
    for webhook in configuration.get("webhooks") or ():
        if not (webhook.get("clientConfig") or {}).get("caBundle"):
            return f"webhook {webhook.get('name')} of {name} has no CA bundle"
        if configuration.get("kind") == VALIDATING and webhook.get("failurePolicy") != "Fail":
            return f"webhook {webhook.get('name')} of {name} has failurePolicy {webhook.get('failurePolicy')}"
    return ""


def crd_trouble(crd: Mapping[str, Any]) -> str:
    """Why a CustomResourceDefinition cannot be used yet; "" when it is Established."""
    conditions = {
        str(condition.get("type")): condition
        for condition in (crd.get("status") or {}).get("conditions") or ()
        if isinstance(condition, Mapping)
    }
    if (conditions.get("Established") or {}).get("status") == "True":
        return ""
    return f"CustomResourceDefinition {(crd.get('metadata') or {}).get('name', '')} is not Established"


def belongs_to_revision(configuration: Mapping[str, Any], revision: str) -> bool:
    """Whether a webhook configuration is one of this control plane revision ("" is ``default``)."""
    labels = (configuration.get("metadata") or {}).get("labels") or {}
    return labels.get("istio.io/rev") == (revision or "default")


def installer_of(deployment: Mapping[str, Any]) -> str:
    """Which tool installed this istiod: ``istioctl``, ``helm``, or "" when neither left its mark."""
    metadata = deployment.get("metadata") or {}
    if "meta.helm.sh/release-name" in (metadata.get("annotations") or {}):
        return "helm"
    if "operator.istio.io/managed" in (metadata.get("labels") or {}):
        return "istioctl"
    return ""


def images_of(deployment: Mapping[str, Any]) -> list[str]:
    """The container images of a workload's pod template.

    :returns: one per container; init containers are not among them.
    """
    template = ((deployment.get("spec") or {}).get("template") or {}).get("spec") or {}
    containers: Sequence[Mapping[str, Any]] = template.get("containers") or ()
    return [str(container.get("image", "")) for container in containers]
