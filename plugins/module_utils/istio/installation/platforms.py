# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What platforms and policies change in an installed Istio, and would change again after every repair.

Such a change is recognised by two things together: a well-known field manager owns the field, and the value
has the shape that this controller gives it. All else is drift, a person's edit of the same field included.

What an admission webhook of a platform changes (GKE's, which excludes Google's namespaces; policies at the
moment of a write) has no manager of its own, and needs no rule: the server's dry-run says the same again.

Sources: AKS, "Admissions Enforcer" (learn.microsoft.com/azure/aks/faq, Azure/AKS#1771), whose field manager
is ``admissionsenforcer`` (aws-observability/helm-charts#350); GKE, the namespaces of
dynatrace-operator#2194; cert-manager, cainjector; OpenShift, service CA, and the controller that applies
pull secrets to ServiceAccounts (openshift-controller-manager, pkg/internalregistry); the
background-controller of Kyverno and Sigstore's
policy-controller, which resolve tags to digests; the scale subresource of autoscalers.
"""

from __future__ import annotations

import copy
import dataclasses
import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...equality import same
from ...fields import list_at, mapping_at, mappings_at, text_at
from ...kube.owners import ManagerEntry, is_by_hand, owners_at
from ...words import some_of
from ..images import OTHER, compare_images
from .installed import MUTATING, VALIDATING

Shape = Callable[[Any, Any], bool]
_WEBHOOKS = (VALIDATING, MUTATING)
_WORKLOADS = ("Deployment", "DaemonSet", "StatefulSet")
_EVERY = "*"
_EXCLUSIONS = (
    "control-plane",
    "kubernetes.io/metadata.name",
    "kubernetes.azure.com/*",
    "openshift.io/*",
    "*.openshift.io/*",
    "cloud.google.com/*",
    "*.gke.io/*",
    "eks.amazonaws.com/*",
)
_NAMESPACE_NAME = "kubernetes.io/metadata.name"
_OF_PLATFORMS = (
    "kube-*",
    "gke-*",
    "gmp-*",
    "config-management-*",
    "gatekeeper-*",
    "openshift",
    "openshift-*",
    "aks-*",
    "azure-*",
    "calico-*",
    "tigera-*",
    "amazon-*",
    "aws-*",
)
"""Namespaces that platforms keep webhooks away from."""


@dataclasses.dataclass(frozen=True, slots=True)
class PlatformRule:
    """One kind of change.

    :param who: for the person who reads it. :param managers: patterns of field managers.
    :param path: of the field, ``*`` for every item of a list. :param shape: of (rendered, live) value.
    :param subresource: through which it is written; ``""`` for the object itself.
    """

    who: str
    managers: tuple[str, ...]
    kinds: tuple[str, ...]
    path: tuple[str, ...]
    shape: Shape
    subresource: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """A change that is left as it is: whose, and of which field."""

    who: str
    manager: str
    field: str


def _only_excludes(rendered: Any, live: Any) -> bool:
    """The rendered selector, and further expressions that only take a platform's own namespaces out."""
    if not isinstance(rendered, Mapping) or not isinstance(live, Mapping):
        return False
    if not same(mapping_at(rendered, "matchLabels"), mapping_at(live, "matchLabels")):
        return False
    before, after = mappings_at(rendered, "matchExpressions"), mappings_at(live, "matchExpressions")
    if not all(any(same(dict(item), dict(other)) for other in after) for item in before):
        return False
    added = [item for item in after if not any(same(dict(item), dict(other)) for other in before)]
    return bool(added) and all(
        text_at(item, "operator") in ("NotIn", "DoesNotExist")
        and _is_like(text_at(item, "key"), _EXCLUSIONS)
        and (text_at(item, "key") != _NAMESPACE_NAME or _names_platforms(list_at(item, "values")))
        for item in added
    )


def _names_platforms(namespaces: Sequence[Any]) -> bool:
    """Whether a selector excludes a platform's namespaces and none of the teams'."""
    return bool(namespaces) and all(_is_like(str(name), _OF_PLATFORMS) for name in namespaces)


def _is_like(text: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)


def _is_bundle(_rendered: Any, live: Any) -> bool:
    return isinstance(live, str) and bool(live)


def _is_same_image(rendered: Any, live: Any) -> bool:
    return isinstance(rendered, str) and isinstance(live, str) and compare_images(rendered, live) != OTHER


def _is_count(_rendered: Any, live: Any) -> bool:
    return isinstance(live, int) and not isinstance(live, bool) and live >= 0


def _adds_pull_secrets(rendered: Any, live: Any) -> bool:
    """All that is rendered, and the credentials of OpenShift's own registry (``istiod-dockercfg-x7k2p``)."""
    if not isinstance(rendered, list) or not isinstance(live, list):
        return False
    added = [item for item in live if not any(same(item, other) for other in rendered)]
    return all(any(same(item, other) for other in live) for item in rendered) and all(
        isinstance(item, Mapping) and "-dockercfg-" in text_at(item, "name") for item in added
    )


_AZURE = ("admissionsenforcer", "admissions-enforcer*", "admission-enforcer*", "aks-*")
_GOOGLE = ("gke-*", "gke.*", "autopilot*", "googlecontainerengine*", "warden*")
_OPENSHIFT = ("openshift-*", "openshift.*", "cluster-*-operator", "service-ca*")
_POLICIES = (
    "kyverno*",
    "background-controller",
    "policy-controller*",
    "policy-webhook*",
    "cosigned*",
    "connaisseur*",
    "ratify*",
    "gatekeeper*",
)
_AUTOSCALERS = ("kube-controller-manager", "horizontal-pod-autoscaler*", "keda*", "cluster-autoscaler*")
_AUTHORITIES = ("cert-manager*", "cainjector*", "service-ca*", "pilot-discovery*", "istiod*")
_SELECTOR = ("webhooks", _EVERY, "namespaceSelector")
_BUNDLE = ("webhooks", _EVERY, "clientConfig", "caBundle")

RULES = (
    PlatformRule("Azure's admissions enforcer", _AZURE, _WEBHOOKS, _SELECTOR, _only_excludes),
    PlatformRule("GKE", _GOOGLE, _WEBHOOKS, _SELECTOR, _only_excludes),
    PlatformRule("OpenShift", _OPENSHIFT, _WEBHOOKS, _SELECTOR, _only_excludes),
    PlatformRule("whoever signs the webhook's certificate", _AUTHORITIES, _WEBHOOKS, _BUNDLE, _is_bundle),
    PlatformRule(
        "whoever signs the webhook's certificate",
        _AUTHORITIES,
        ("CustomResourceDefinition",),
        ("spec", "conversion", "webhook", "clientConfig", "caBundle"),
        _is_bundle,
    ),
    *(
        PlatformRule(
            "an image policy",
            _POLICIES,
            _WORKLOADS,
            ("spec", "template", "spec", containers, _EVERY, "image"),
            _is_same_image,
        )
        for containers in ("containers", "initContainers")
    ),
    PlatformRule("an autoscaler", _AUTOSCALERS, _WORKLOADS, ("spec", "replicas"), _is_count, "scale"),
    *(
        PlatformRule("OpenShift", _OPENSHIFT, ("ServiceAccount",), (field,), _adds_pull_secrets)
        for field in ("imagePullSecrets", "secrets")
    ),
)


def with_platforms(
    rendered: Mapping[str, Any], live: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[Kept, ...]]:
    """The rendered object with what platforms changed in the live one, so that both agree there.

    :returns: a copy, and what was taken over.
    """
    obj = copy.deepcopy(dict(rendered))
    kept: list[Kept] = []
    for rule in RULES:
        if obj.get("kind") not in rule.kinds:
            continue
        for place in _places(obj, live, rule.path, ()):
            if (owner := _owner(live, place, rule)) and rule.shape(place.rendered, place.live):
                place.holder[place.key] = copy.deepcopy(place.live)
                kept.append(Kept(rule.who, owner, ".".join(map(_named, place.path))))
    return obj, tuple(kept)


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """A field that the rendered object states and the live one has otherwise.

    :param path: as ``owners_at`` takes it.
    """

    holder: dict[str, Any]
    key: str
    path: tuple[Any, ...]
    rendered: Any
    live: Any


def _places(rendered: Any, live: Any, rest: tuple[str, ...], path: tuple[Any, ...]) -> Iterator[_Place]:
    step, below = rest[0], rest[1:]
    if step == _EVERY:
        for item in rendered if isinstance(rendered, list) else ():
            name = item.get("name") if isinstance(item, Mapping) else None
            there = next(
                (other for other in list_at({"items": live}, "items") if _is_named(other, name)), None
            )
            yield from _places(item, there, below, (*path, {"name": name}))
        return
    if not isinstance(rendered, dict) or not isinstance(live, Mapping) or step not in rendered:
        return
    if below:
        yield from _places(rendered[step], live.get(step), below, (*path, step))
    elif step in live and not same(rendered[step], live[step]):
        yield _Place(rendered, step, (*path, step), rendered[step], live[step])


def _is_named(item: Any, name: Any) -> bool:
    return isinstance(item, Mapping) and item.get("name") == name


def _named(step: Any) -> str:
    return str(step["name"]) if isinstance(step, Mapping) else str(step)


def _owner(live: Mapping[str, Any], place: _Place, rule: PlatformRule) -> str:
    """The manager by which a change is recognised; ``""`` for a person's, or when nobody known owns it."""
    owners = owners_at(live, place.path)
    if is_by_hand(owners):
        return ""
    known = [owner for owner in owners if _matches(owner, rule.managers) and _is_through(owner, rule)]
    return known[0].manager if known else ""


def _matches(owner: ManagerEntry, patterns: tuple[str, ...]) -> bool:
    return _is_like(owner.manager.lower(), patterns)


def _is_through(owner: ManagerEntry, rule: PlatformRule) -> bool:
    # KEDA and others also write the object itself.
    return (
        not rule.subresource
        or owner.subresource == rule.subresource
        or "kube-controller" not in owner.manager
    )


def platform_notes(kept: Mapping[str, tuple[Kept, ...]]) -> list[str]:
    """One sentence for each who changed something.

    :param kept: object id -> what was left as it is. :returns: sorted sentences.
    """
    told: dict[tuple[str, str], list[str]] = {}
    for name, changes in kept.items():
        for change in changes:
            told.setdefault((change.who, change.manager), []).append(f"{change.field} of {name}")
    notes = []
    for (who, manager), places in sorted(told.items()):
        notes.append(f"{who} ({manager}) keeps {some_of(sorted(places))}: left as it is")
    return notes
