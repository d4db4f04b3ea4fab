# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running control plane writes into its own objects, and whether those objects say that it is ready.

istiod and istioctl change three things in what they installed; a comparison with the rendered manifest has to
leave them out (seen on Istio 1.31; source per function).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ...fields import annotations_of, labels_of, mapping_at, mappings_at, name_of, text_at
from ...kube.owners import is_by_hand, owners_at

VALIDATING = "ValidatingWebhookConfiguration"
MUTATING = "MutatingWebhookConfiguration"
WEBHOOK_API = "admissionregistration.k8s.io/v1"
DEACTIVATED_LABEL = "istio.io/deactivated"
_SELECTORS = ("namespaceSelector", "objectSelector")


def settled(rendered: Mapping[str, Any], live: Mapping[str, Any] | None) -> dict[str, Any]:
    """The rendered object with the live values of the fields that istiod or istioctl sets after the install.

    - ``failurePolicy`` of a validating webhook: installed as Ignore, turned to Fail by istiod once it serves
      (pkg/webhooks/validation/controller). Only that direction counts as istiod's doing.
    - ``clientConfig.caBundle`` of every webhook (pkg/webhooks/webhookpatch.go), unless a person set it.
    - the selectors of a plain injector that the ``default`` tag has switched off
      (istioctl/pkg/tag/generate.go DeactivateIstioInjectionWebhook).

    :returns: a copy of the rendered object.
    """
    obj = copy.deepcopy(dict(rendered))
    if live is None or obj.get("kind") not in (VALIDATING, MUTATING) or "webhooks" not in obj:
        return obj
    present = {text_at(webhook, "name"): webhook for webhook in mappings_at(live, "webhooks")}
    obj["webhooks"] = [
        _settled_webhook(
            webhook,
            present.get(text_at(webhook, "name")),
            obj["kind"],
            by_hand=_bundle_is_by_hand(live, text_at(webhook, "name")),
        )
        for webhook in mappings_at(obj, "webhooks")
    ]
    return obj


def _bundle_is_by_hand(live: Mapping[str, Any], name: str) -> bool:
    return is_by_hand(owners_at(live, ("webhooks", {"name": name}, "clientConfig", "caBundle")))


def _settled_webhook(
    rendered: Mapping[str, Any], found: Mapping[str, Any] | None, kind: str, *, by_hand: bool
) -> dict[str, Any]:
    webhook = dict(rendered)
    if found is None:
        return webhook
    configuration = mapping_at(webhook, "clientConfig")
    bundle = text_at(found, "clientConfig", "caBundle")
    if bundle and not configuration.get("caBundle") and not by_hand:
        webhook["clientConfig"] = {**configuration, "caBundle": bundle}
    if (
        kind == VALIDATING
        and webhook.get("failurePolicy", "Ignore") == "Ignore"
        and found.get("failurePolicy") == "Fail"
    ):
        webhook["failurePolicy"] = "Fail"
    if is_deactivated(found):
        for selector in _SELECTORS:
            webhook[selector] = mapping_at(found, selector)
    return webhook


def is_deactivated(webhook: Mapping[str, Any]) -> bool:
    """Whether an injection webhook can never match because the ``default`` tag took its place."""
    return any(DEACTIVATED_LABEL in mapping_at(webhook, selector, "matchLabels") for selector in _SELECTORS)


def webhook_trouble(configuration: Mapping[str, Any]) -> str:
    """Why a webhook configuration of a control plane is not ready yet; "" when it is.

    A validating webhook that still says Ignore lets invalid configuration through; one without CA cannot be
    called at all.
    """
    name, webhooks = name_of(configuration), mappings_at(configuration, "webhooks")
    if not webhooks:
        return f"{configuration.get('kind')} {name} holds no webhook"
    for webhook in webhooks:
        if not text_at(webhook, "clientConfig", "caBundle"):
            return f"webhook {webhook.get('name')} of {name} has no CA bundle"
        if configuration.get("kind") == VALIDATING and webhook.get("failurePolicy") != "Fail":
            return f"webhook {webhook.get('name')} of {name} has failurePolicy {webhook.get('failurePolicy')}"
    return ""


def crd_trouble(crd: Mapping[str, Any]) -> str:
    """Why a CustomResourceDefinition cannot be used yet; "" when it is Established."""
    for condition in mappings_at(crd, "status", "conditions"):
        if condition.get("type") == "Established" and condition.get("status") == "True":
            return ""
    return f"CustomResourceDefinition {name_of(crd)} is not Established"


def belongs_to_revision(configuration: Mapping[str, Any], revision: str) -> bool:
    """Whether a webhook configuration is one of this control plane revision ("" is ``default``)."""
    return labels_of(configuration).get("istio.io/rev") == (revision or "default")


def installer_of(deployment: Mapping[str, Any]) -> str:
    """Which tool installed this istiod: ``istioctl``, ``helm``, or "" when neither left its mark."""
    if "meta.helm.sh/release-name" in annotations_of(deployment):
        return "helm"
    if "operator.istio.io/managed" in labels_of(deployment):
        return "istioctl"
    return ""


def images_of(deployment: Mapping[str, Any]) -> list[str]:
    """The container images of a workload's pod template.

    :returns: one per container; init containers are not among them.
    """
    containers = mappings_at(deployment, "spec", "template", "spec", "containers")
    return [text_at(container, "image") for container in containers]
