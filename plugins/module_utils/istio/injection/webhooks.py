# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which injector a pod meets at its creation: Istio's webhook selectors and policy, evaluated offline.

Nothing here knows the names of revisions or tags. The ``MutatingWebhookConfiguration`` objects of the cluster
are the only truth, because tags, deactivated injectors and ``enableNamespacesByDefault`` exist nowhere else
(Istio manifests/charts/istio-control/istio-discovery/templates/mutatingwebhook.yaml, revision-tags-mwc.yaml).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...documents.read import read_document
from ...errors import InputError, MalformedError, MeshError
from ...fields import field, labels_of, list_at, mapping_at, mappings_at, name_of, text_at
from ...kube.clock import seconds_of
from ...model.installation.injection import SYSTEM_NAMESPACES
from ...model.installation.mesh_config import as_spelled
from ...object_id import object_id

INJECT_KEY = "sidecar.istio.io/inject"
REVISION_KEY = "istio.io/rev"
TAG_KEY = "istio.io/tag"
NAMESPACE_NAME_KEY = "kubernetes.io/metadata.name"
WEBHOOK_SUFFIX = "sidecar-injector.istio.io"
# Istio pkg/kube/inject/inject.go, KnownImageTypes.
KNOWN_VARIANTS = ("distroless", "debug")


@dataclasses.dataclass(frozen=True, slots=True)
class Injector:
    """One webhook that injects proxies.

    :param configuration: name of its ``MutatingWebhookConfiguration``.
    :param revision: revision whose istiod answers (``default`` for an installation without revision).
    :param tag: the revision tag this webhook stands for, or ``""``.
    :param service: ``(namespace, name)`` of the istiod Service it calls, or None for a URL.
    :param trusted: whether the API server already has a CA bundle to call it with.
    """

    configuration: str
    webhook: str
    revision: str
    tag: str
    service: tuple[str, str] | None
    trusted: bool
    namespace_selector: Mapping[str, Any]
    object_selector: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class InjectorSettings:
    """What an injector gives: the parts of ConfigMap ``istio-sidecar-injector[-REVISION]`` that decide.

    :param image: ``values.global.proxy.image``; with a slash it is a whole image reference.
    :param variant: image type of meshConfig's default proxy configuration, else ``values.global.variant``.
    :param changed: when somebody wrote these settings last, in seconds since the epoch; None if unknown.
    """

    enabled: bool
    never: tuple[Mapping[str, Any], ...]
    always: tuple[Mapping[str, Any], ...]
    hub: str
    tag: str
    image: str
    variant: str
    changed: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ExpectedProxy:
    """What a pod would get if it were created now.

    :param inject: whether it gets a proxy. :param why: the reason when it does not.
    :param image: image of the proxy, or ``""`` when it cannot be predicted.
    :param injectors: the webhooks it meets.
    """

    inject: bool
    why: str = ""
    revision: str = ""
    image: str = ""
    injectors: tuple[Injector, ...] = ()


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a Kubernetes LabelSelector selects ``labels``. An empty or missing selector selects everything.

    Source: k8s.io/apimachinery pkg/apis/meta/v1/helpers.go, LabelSelectorAsSelector.
    """
    if not selector:
        return True
    wanted = mapping_at(selector, "matchLabels")
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(
        _expression_holds(expression, labels) for expression in mappings_at(selector, "matchExpressions")
    )


def _expression_holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator = text_at(expression, "key"), text_at(expression, "operator")
    values = list_at(expression, "values")
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    raise MeshError(f"a webhook selector uses the unknown operator {operator!r} on {key}")


def parse_injectors(configurations: Iterable[Mapping[str, Any]]) -> tuple[Injector, ...]:
    """All injecting webhooks in ``configurations`` (MutatingWebhookConfiguration objects), sorted by name.

    :returns: one per webhook, sorted by configuration and webhook.
    """
    found: list[Injector] = []
    for configuration in configurations:
        labels = labels_of(configuration)
        for webhook in mappings_at(configuration, "webhooks"):
            if not text_at(webhook, "name").endswith(WEBHOOK_SUFFIX) or not _is_asked_for_pods(webhook):
                continue
            service = mapping_at(webhook, "clientConfig", "service")
            found.append(
                Injector(
                    configuration=name_of(configuration),
                    webhook=text_at(webhook, "name"),
                    revision=labels.get(REVISION_KEY) or "default",
                    tag=labels.get(TAG_KEY, ""),
                    service=(text_at(service, "namespace"), text_at(service, "name")) if service else None,
                    # A URL may use a certificate that the API server trusts anyway.
                    trusted=bool(text_at(webhook, "clientConfig", "caBundle")) or not service,
                    namespace_selector=mapping_at(webhook, "namespaceSelector"),
                    object_selector=mapping_at(webhook, "objectSelector"),
                )
            )
    return tuple(sorted(found, key=lambda injector: (injector.configuration, injector.webhook)))


def _is_asked_for_pods(webhook: Mapping[str, Any]) -> bool:
    return any(
        {"CREATE", "*"} & set(list_at(rule, "operations")) and {"pods", "*"} & set(list_at(rule, "resources"))
        for rule in mappings_at(webhook, "rules")
    )


def injectors_for(
    injectors: Sequence[Injector],
    namespace: str,
    namespace_labels: Mapping[str, str],
    pod_labels: Mapping[str, str],
) -> list[Injector]:
    """The webhooks that a pod with ``pod_labels`` meets in a namespace with ``namespace_labels``.

    :returns: those whose selectors match, in the given order.
    """
    labels = {NAMESPACE_NAME_KEY: namespace, **namespace_labels}
    return [
        injector
        for injector in injectors
        if matches(injector.namespace_selector, labels) and matches(injector.object_selector, pod_labels)
    ]


def parse_settings(
    config_map: Mapping[str, Any], mesh_config: Mapping[str, Any] | None = None
) -> InjectorSettings:
    """Settings out of an injector ConfigMap.

    :param config_map: the ConfigMap with ``data.config`` (YAML) and ``data.values`` (JSON).
    :param mesh_config: the parsed ``data.mesh`` of ConfigMap ``istio[-REVISION]``: the default image type.
    """
    config, values = stored_yaml(config_map, "config"), stored_yaml(config_map, "values")
    mesh = mesh_config or {}
    image_type = text_at(mesh, *as_spelled(mesh, "defaultConfig", "image", "imageType"))
    return InjectorSettings(
        enabled=(text_at(config, "policy") or "enabled") == "enabled",
        never=tuple(selector for selector in mappings_at(config, "neverInjectSelector") if selector),
        always=tuple(selector for selector in mappings_at(config, "alwaysInjectSelector") if selector),
        hub=text_at(values, "global", "hub"),
        # Helm takes `1.31` for a number.
        tag=str(field(values, "global", "tag") or ""),
        image=text_at(values, "global", "proxy", "image") or "proxyv2",
        variant=image_type or text_at(values, "global", "variant"),
        changed=_last_change(config_map),
    )


def _last_change(config_map: Mapping[str, Any]) -> float | None:
    """When the data of a ConfigMap was written last, by whomever."""
    times = [
        seconds_of(text_at(entry, "time"))
        for entry in mappings_at(config_map, "metadata", "managedFields")
        if field(entry, "fieldsV1", "f:data") is not None
    ]
    known = [time for time in times if time is not None]
    return max(known) if known else seconds_of(text_at(config_map, "metadata", "creationTimestamp"))


def stored_yaml(config_map: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The YAML under ``data.KEY`` of a ConfigMap. :returns: ``{}`` when there is none.

    :raises MalformedError: it is not YAML, or no mapping.
    """
    about = f"{object_id(config_map)} data.{key}"
    try:
        content = read_document(text_at(config_map, "data", key), about)
    except InputError as error:
        raise MalformedError(error.message) from error
    if content is not None and not isinstance(content, Mapping):
        raise MalformedError(f"{about}: is no mapping")
    return content or {}


def refusal(
    settings: InjectorSettings | None,
    namespace: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    host_network: bool,
) -> str:
    """Why istiod would leave this pod alone although its webhook was called; ``""`` when it injects.

    Source: Istio pkg/kube/inject/inject.go, injectRequired.
    """
    if host_network:
        return "hostNetwork: the redirection would change the node's network"
    if namespace in SYSTEM_NAMESPACES:
        return f"namespace {namespace} is never injected"
    if opted_by := opted_out_by(labels, annotations):
        return f"opted out by the {opted_by} {INJECT_KEY}=false"
    if labels.get(INJECT_KEY, annotations.get(INJECT_KEY)) == "true" or settings is None:
        return ""
    if any(matches(selector, labels) for selector in settings.never):
        return "a neverInjectSelector of the injector matches it"
    if settings.enabled or any(matches(selector, labels) for selector in settings.always):
        return ""
    return "the injector's policy is disabled and the pod does not ask for a proxy"


def opted_out_by(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """By what a pod wants no proxy, ``label`` or ``annotation``; ``""`` for one that does not say so. A label
    counts before the annotation, be it empty."""
    told, by = (labels, "label") if INJECT_KEY in labels else (annotations, "annotation")
    return by if told.get(INJECT_KEY) == "false" else ""


def proxy_image(settings: InjectorSettings, annotations: Mapping[str, str]) -> str:
    """The image that the injector writes into a pod with ``annotations``.

    Source: Istio files/injection-template.yaml (an override counts only with a slash in it) and
    pkg/kube/inject/inject.go, proxyImageURL and updateImageTypeIfPresent.
    """
    override = annotations.get("sidecar.istio.io/proxyImage", settings.image)
    if "/" in override:
        return override
    variant = annotations.get("sidecar.istio.io/proxyImageType", settings.variant)
    return f"{settings.hub}/{settings.image}:{_tag_of(settings.tag, variant)}"


def _tag_of(tag: str, variant: str) -> str:
    if not variant:
        return tag
    for known in KNOWN_VARIANTS:
        if tag.endswith(f"-{known}"):
            tag = tag[: -len(known) - 1]
            break
    return tag if variant == "default" else f"{tag}-{variant}"


def expected_proxy(
    injectors: Sequence[Injector],
    settings: Mapping[str, InjectorSettings],
    *,
    namespace: str,
    namespace_labels: Mapping[str, str],
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    host_network: bool,
) -> ExpectedProxy:
    """What a pod with these properties would get now.

    :param settings: by revision; a revision that is missing here gets no image prediction.
    """
    asked = tuple(injectors_for(injectors, namespace, namespace_labels, labels))
    if not asked:
        why = refusal(None, namespace, labels, annotations, host_network)
        return ExpectedProxy(inject=False, why=why or "no injector selects it")
    revision = asked[0].revision
    known = settings.get(revision)
    why = refusal(known, namespace, labels, annotations, host_network)
    if why:
        return ExpectedProxy(inject=False, why=why, revision=revision, injectors=asked)
    image = proxy_image(known, annotations) if known else ""
    return ExpectedProxy(inject=True, revision=revision, image=image, injectors=asked)
