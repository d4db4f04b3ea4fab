# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A catalogue beside the cluster that it describes, before anything is written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, InputError, Problem, nearest
from ...fields import mapping_at, name_of, namespace_of
from ...kube.pods import is_active
from ...model.catalogue.mesh import Catalogue
from ...model.objects.base import API_VERSIONS
from .findings import UNKNOWN, Comparison, Difference
from .gateways import compare_gateways, external_names, foreign, idle_gateways
from .mesh_config import compare_config
from .read import Obj, Place, places_of, read_places
from .services import Weights, compare_services, is_listed, whole_pattern

if TYPE_CHECKING:
    from ...kube.client import KubeClient


def compare(
    client: KubeClient,
    catalogue: Catalogue,
    *,
    not_deployed: Collection[str] = (),
    weights: Weights | None = None,
    extra: Sequence[Obj] = (),
    unread_files: bool = False,
    gateways_to_come: Iterable[tuple[str, str]] = (),
    gateways_may_come: bool = False,
    to_be_installed: Collection[str] = (),
) -> Comparison:
    """Reads the namespaces of services and gateways, and compares.

    :param not_deployed: services that need not exist yet, by name or ``namespace/name``, with wildcards.
    :param weights: the split that is going to be rendered, by ``namespace/name``.
    :param extra: objects of a team that the same run writes; its Services count as there.
    :param unread_files: whether there are such objects that were not read.
    :param gateways_to_come: see ``to_come`` of ``compare_gateways``. :param gateways_may_come: see there.
    :param to_be_installed: see ``compare_config``.
    :raises InputError: ``not_deployed`` names no service of the catalogue.
    """
    _check_names(catalogue, not_deployed)
    places = read_places(client, places_of(catalogue), to_come=extra)
    differences, missing = compare_services(
        catalogue, places, not_deployed=not_deployed, weights=weights, may_come=unread_files
    )
    differences += compare_gateways(catalogue, places, to_come=gateways_to_come, may_come=gateways_may_come)
    differences += compare_config(client, catalogue, places, to_be_installed=to_be_installed)
    differences += external_names(catalogue, places)
    differences += _idle_gateways(client, catalogue, places, extra)
    return Comparison(tuple(differences), missing)


def _check_names(catalogue: Catalogue, patterns: Collection[str]) -> None:
    """A misspelt name would allow nothing, and nobody would see why."""
    problems = []
    for index, pattern in enumerate(patterns):
        if any(is_listed(catalogue, service, [pattern]) for service in catalogue.services):
            continue
        known = [service.key for service in catalogue.services]
        near = nearest(whole_pattern(catalogue, pattern), known)
        message = f"{pattern!r} names no service of the catalogue{near}"
        problems.append(Problem(f"mesh_not_deployed[{index}]", message, "unknown-service"))
    if problems:
        raise InputError(problems)


def _idle_gateways(
    client: KubeClient, catalogue: Catalogue, places: Mapping[str, Place], extra: Sequence[Obj]
) -> list[Difference]:
    """Those of a team's files, and those that lie in the catalogue's namespaces, whoever wrote them."""
    objects = [obj for obj in extra if obj.get("kind") == "Gateway" and _is_istio(obj)]
    named = {(namespace_of(obj), name_of(obj)) for obj in objects}
    lists = client.in_parallel(lambda name: _gateways(client, name), list(places))
    objects += [obj for found in lists for obj in found if (namespace_of(obj), name_of(obj)) not in named]
    others = foreign(objects, catalogue)
    near = [pod for place in places.values() for pod in place.pods]
    idle = idle_gateways(others, near)
    if not idle:
        return []
    # A Gateway may select pods of any namespace.
    selectors = {tuple(sorted(mapping_at(obj, "spec", "selector").items())) for obj in others}
    try:
        pods = [pod for selector in sorted(selectors) for pod in _selected(client, selector)]
    except ApiError as error:
        if not error.not_allowed:
            raise
        return [Difference(item.where, item.message, item.rule, UNKNOWN) for item in idle]
    return idle_gateways(others, [*near, *pods])


def _gateways(client: KubeClient, namespace: str) -> Sequence[Obj]:
    try:
        return client.list(API_VERSIONS["Gateway"], "Gateway", namespace).items
    except ApiError as error:
        if not error.not_allowed and error.status != 404:
            raise
        return ()


def _selected(client: KubeClient, selector: Sequence[tuple[str, Any]]) -> list[dict[str, Any]]:
    if not selector:
        return []
    text = ",".join(f"{key}={value}" for key, value in selector)
    return [pod for pod in client.list("v1", "Pod", label_selector=text).items if is_active(pod)]


def _is_istio(obj: Obj) -> bool:
    return str(obj.get("apiVersion", "")).startswith("networking.istio.io/")
