# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what a diagnosis needs: objects, the control plane, proxies of both ends, and their access logs.

What may not be read is noted with its reason, and what hangs on it is then "cannot tell".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ApiError, MeshError
from ...fields import mapping_at, namespace_of
from ...istio.injection.read import read_settings
from ...istio.injection.webhooks import parse_injectors, stored_yaml
from ...istio.istiod import DEFAULT_REVISION, ISTIOD_SELECTOR, Istiod, ready_istiods, sync_table
from ...istio.probe.pods import is_probe
from ...istio.proxy.access_log import access_lines
from ...istio.proxy.admin import cluster_statuses
from ...istio.proxy.endpoints import endpoints
from ...istio.proxy.running import RunningProxy, sample
from ...istio.workloads import PROXY_CONTAINER
from ...kube.client import KubeClient
from ...kube.pods import is_active
from ...model.catalogue.mesh import Catalogue
from ..verify.dumps import read_proxies
from ..verify.live_objects import LiveObjects, published_roots
from ..verify.surroundings import KINDS, read_everywhere
from .case import Case, Material, Obj, SeenLine, View, full_name
from .figures import read_figures
from .gateway_pods import authorities_of, credentials_of
from .symptom import Symptom
from .throttling import read_throttling

READ = {
    **KINDS,
    "NetworkPolicy": "networking.k8s.io/v1",
    "RequestAuthentication": "security.istio.io/v1",
    "Service": "v1",
    "Namespace": "v1",
}
MAX_PROXIES = 40
"""So many proxies are asked at most; of each workload one comes first."""
LOG_LINES = 400
LOG_SECONDS = 300.0
"""What is older in an access log is no sign of what is wrong now."""


def read_material(client: KubeClient, symptom: Symptom, catalogue: Catalogue) -> Material:
    """The objects, and the control plane. :raises ApiError: the API server does not answer."""
    known = tuple(
        dict.fromkeys(
            (
                *symptom.namespaces,
                catalogue.namespace,
                *catalogue.namespaces,
                *catalogue.gateway_namespaces,
                catalogue.root_namespace,
                catalogue.istio_namespace,
            )
        )
    )
    kinds = list(READ)
    answers = client.in_parallel(lambda kind: read_everywhere(client, READ[kind], kind, known), kinds)
    objects: dict[str, list[Any]] = {}
    unread: dict[str, str] = {}
    for kind, (items, why) in zip(kinds, answers, strict=True):
        objects[kind] = items
        if why:
            unread[kind] = why
    wanted = _places(symptom, catalogue, objects)
    pods, places = _read(client, "v1", "Pod", wanted, known, unread)
    objects["Pod"] = [item for item in pods if not is_probe_pod(item)]
    objects["Deployment"], _where = _read(client, "apps/v1", "Deployment", wanted, known, unread)
    istiods = _istiods(client, catalogue.istio_namespace, unread)
    ready = ready_istiods(istiods)
    missing = frozenset() if ready else _missing(client, catalogue)
    roots = published_roots(client, catalogue.istio_namespace)
    live = LiveObjects(objects, ready, unread, missing, roots)
    if "Service" not in unread:  # by Services the tags of revisions are known
        in_force = {kind: live.in_force(kind) for kind, version in READ.items() if ".istio.io/" in version}
        objects |= {kind: list(items) for kind, items in in_force.items()}
        live = LiveObjects(objects, ready, unread, missing, roots)
    config, config_name = _config(client, catalogue, ready, unread)
    material = Material(
        objects,
        unread,
        live,
        istiods=istiods,
        places=places,
        config=config,
        config_name=config_name,
        secrets=_secrets(client, objects, unread),
    )
    return _control_plane(client, material, catalogue, unread)


def _missing(client: KubeClient, catalogue: Catalogue) -> frozenset[str]:
    """Whether the cluster knows Istio's kinds at all, asked where nothing else shows it."""
    try:
        answer = client.list(READ["PeerAuthentication"], "PeerAuthentication", catalogue.root_namespace)
    except ApiError as error:
        if not error.not_allowed:
            raise
        return frozenset()
    return frozenset({"PeerAuthentication"} if answer.missing else ())


def _places(
    symptom: Symptom, catalogue: Catalogue, objects: Mapping[str, Sequence[Obj]]
) -> frozenset[str] | None:
    """The namespaces whose pods count; None for all: a symptom that names none can lie anywhere."""
    if symptom.host or not symptom.namespaces:
        return None
    gateways = {namespace_of(item) for item in objects["Gateway"]}
    own = {catalogue.root_namespace, catalogue.istio_namespace, "kube-system", *catalogue.gateway_namespaces}
    return frozenset({*symptom.namespaces, catalogue.namespace, *own, *gateways})


def is_probe_pod(pod: Obj) -> bool:
    """Whether a pod is one of verify's own."""
    return is_probe(mapping_at(pod, "metadata", "labels"))


def _read(
    client: KubeClient,
    version: str,
    kind: str,
    places: frozenset[str] | None,
    known: Sequence[str],
    unread: dict[str, str],
) -> tuple[list[Any], frozenset[str] | None]:
    """One kind of some namespaces, or of all.

    :returns: the objects, and where they were read; None for everywhere.
    """
    if places is None:
        try:
            return list(client.list(version, kind).items), None
        except ApiError as error:
            unread[kind] = _refusal(error)
        places = frozenset(known)
    found: list[Any] = []
    seen: set[str] = set()
    for place in sorted(places):
        try:
            found += client.list(version, kind, place).items
            seen.add(place)
        except ApiError as error:
            unread[kind] = _refusal(error)
    return found, frozenset(seen)


def _istiods(client: KubeClient, namespace: str, unread: dict[str, str]) -> list[Any]:
    """The pods of istiod. :returns: raw; none where they may not be listed."""
    try:
        return list(client.list("v1", "Pod", namespace, label_selector=ISTIOD_SELECTOR).items)
    except ApiError as error:
        unread["Pod"] = _refusal(error)
        return []


def _refusal(error: ApiError) -> str:
    """What the API server says of a missing right. :raises ApiError: it is about something else."""
    if not error.not_allowed:
        raise error
    return error.message


def _config(
    client: KubeClient, catalogue: Catalogue, istiods: Sequence[Istiod], unread: dict[str, str]
) -> tuple[Obj, str]:
    """The configuration that a running istiod has; of the plain revision where there are several.

    :returns: with the name of its ConfigMap.
    """
    revisions = sorted(
        {item.revision for item in istiods} or {DEFAULT_REVISION},
        key=lambda one: (one != DEFAULT_REVISION, one),
    )
    for revision in revisions:
        name = "istio" if revision == DEFAULT_REVISION else f"istio-{revision}"
        try:
            found = client.get("v1", "ConfigMap", name, catalogue.istio_namespace)
            if found is not None:
                return stored_yaml(found, "mesh"), name
        except MeshError as error:
            if isinstance(error, ApiError) and not error.not_allowed:
                raise
            unread["ConfigMap"] = error.message
            return {}, name
    unread["ConfigMap"] = f"there is no ConfigMap istio in namespace {catalogue.istio_namespace}"
    return {}, "istio"


def _secrets(
    client: KubeClient, objects: Mapping[str, Sequence[Obj]], unread: dict[str, str]
) -> dict[str, Obj | None]:
    """The credentials of all Gateways, where the pods that need them are."""
    pods = objects["Pod"]
    wanted = sorted(
        {
            key
            for item in objects["Gateway"]
            for key in (*credentials_of(item, pods), *authorities_of(item, pods))
        }
    )

    def read(key: str) -> Obj | str | None:
        namespace, _slash, name = key.partition("/")
        try:
            return client.get("v1", "Secret", name, namespace)
        except ApiError as error:
            if not error.not_allowed:
                raise
            return error.message

    found: dict[str, Obj | None] = {}
    for key, answer in zip(wanted, client.in_parallel(read, wanted), strict=True):
        if isinstance(answer, str):
            unread["Secret"] = answer
        else:
            found[key] = answer
    return found


def _control_plane(
    client: KubeClient, material: Material, catalogue: Catalogue, unread: dict[str, str]
) -> Material:
    """Injectors, and what istiod itself says."""
    try:
        found = client.list("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration").items
        injectors = parse_injectors(found)
        settings = read_settings(client, injectors, catalogue.istio_namespace)
        objects = {**material.objects, "MutatingWebhookConfiguration": found}
        material = dataclasses.replace(material, objects=objects, injectors=injectors, settings=settings)
    except MeshError as error:
        unread["MutatingWebhookConfiguration"] = error.message
    try:
        found = client.list("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration").items
        objects = {**material.objects, "ValidatingWebhookConfiguration": found}
        material = dataclasses.replace(material, objects=objects)
    except MeshError as error:
        unread["ValidatingWebhookConfiguration"] = error.message
    if not material.live.istiods:
        return material
    try:
        material = dataclasses.replace(material, sync=sync_table(client, material.live.istiods))
    except MeshError as error:
        unread["istiod"] = error.message
    try:
        material = dataclasses.replace(material, figures=read_figures(client, material.live.istiods))
    except MeshError as error:
        unread["istiod's metrics"] = error.message
    return material


def ask_proxies(client: KubeClient, case: Case) -> Material:
    """What the proxies of both ends show, and their access logs, for the material of ``case``."""
    unread = dict(case.material.unread)
    chosen = _chosen(case)
    dumps = read_proxies(client, chosen, len(chosen))
    silent = dict(dumps.unread)
    asked = [proxy for proxy in chosen if str(proxy) in dumps.held]

    def look(proxy: RunningProxy) -> View | str:
        try:
            return View(proxy, dumps.held[str(proxy)], endpoints(cluster_statuses(client, proxy)))
        except MeshError as error:
            return error.message

    views: dict[str, View] = {}
    for proxy, answer in zip(asked, client.in_parallel(look, asked), strict=True):
        if isinstance(answer, str):
            silent[str(proxy)] = answer
        else:
            views[str(proxy)] = answer
    lines, unlogged = _lines(client, chosen, case.now)
    left = sorted(name for name in {*silent, *unlogged} if not _is_gone(client, name))
    unread |= {f"Pod {name}": silent[name] for name in left if name in silent}
    if unheard := [unlogged[name] for name in left if name in unlogged]:
        unread["access logs"] = unheard[0]
    throttling = {} if case.symptom.anything else read_throttling(client, _with_pods_of(case, chosen))
    return dataclasses.replace(case.material, views=views, lines=lines, unread=unread, throttling=throttling)


def _with_pods_of(case: Case, proxies: Sequence[RunningProxy]) -> list[Any]:
    """The pods of the symptom, and those of some proxies besides, such as its gateway's."""
    pods = {full_name(pod): pod for pod in case.subjects}
    names = {str(proxy) for proxy in proxies} - set(pods)
    return [*pods.values(), *(pod for pod in case.live.of("Pod") if full_name(pod) in names)]


def _chosen(case: Case) -> list[RunningProxy]:
    """The proxies of the pods that the symptom is about, and of gateways where it is about a host."""
    found = case.running_of(case.subjects)
    if case.symptom.host or case.symptom.anything:
        own = set(map(str, found))
        found += [proxy for proxy in case.running if proxy.gateway and str(proxy) not in own]
    return sample(found, MAX_PROXIES)


def _is_gone(client: KubeClient, name: str) -> bool:
    """Whether a pod that did not answer has ended meanwhile, as in every rollout."""
    namespace, _slash, pod = name.partition("/")
    try:
        found = client.get("v1", "Pod", pod, namespace)
    except ApiError as error:
        if not error.not_allowed:
            raise
        return False
    return found is None or not is_active(found)


def _lines(
    client: KubeClient, proxies: Sequence[RunningProxy], now: float
) -> tuple[list[SeenLine], dict[str, str]]:
    """The access logs of some proxies. :returns: their lines; by pod, why its log was not read."""

    def read(proxy: RunningProxy) -> list[SeenLine] | str:
        try:
            text = client.logs(proxy.namespace, proxy.pod, PROXY_CONTAINER, tail_lines=LOG_LINES)
        except ApiError as error:
            return error.message
        return [SeenLine(str(proxy), line) for line in access_lines(text, since=now - LOG_SECONDS)]

    found: list[SeenLine] = []
    unread: dict[str, str] = {}
    for proxy, answer in zip(proxies, client.in_parallel(read, list(proxies)), strict=True):
        if isinstance(answer, str):
            unread[str(proxy)] = answer
        else:
            found += answer
    return found, unread
