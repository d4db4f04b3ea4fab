# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Add-ons as data: which objects belong to which, and where their images come from."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import MalformedError, Problem, nearest
from ...fields import labels_of, mappings_at, text_at
from ...labels import COLLECTION, MANAGED_BY_LABEL, PART_OF_LABEL
from ...object_id import object_id
from ..reading.problems import Problems
from ..reading.reader import Reader
from ..reading.values import TEXT

PART_OF = "servicemesh-addons"
ADDON_LABEL = "servicemesh.istio/addon"
# samples/addons of the Istio release.
RELEASE_ADDONS = ("grafana", "jaeger", "kiali", "loki", "prometheus")
# Everything that add-ons of the Istio release and of the lab consist of, and what URLs and policies add.
KINDS = (
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("networking.istio.io/v1", "Gateway"),
    ("networking.istio.io/v1", "VirtualService"),
    ("networking.istio.io/v1alpha3", "EnvoyFilter"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("telemetry.istio.io/v1", "Telemetry"),
)
CLUSTER_KINDS = frozenset(("ClusterRole", "ClusterRoleBinding"))
WORKLOADS = frozenset(("DaemonSet", "Deployment", "StatefulSet"))


def check_addons(variables: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the choice of add-ons.

    :param variables: ``addons_enabled`` (names), ``addons_sources`` (name to ``{path}`` or
        ``{url, checksum}``), and ``addons_release_path``, an unpacked release that may hold add-ons of other
        names; as far as they are set.
    :returns: every problem, ``[]`` when there is none.
    """
    problems = Problems()
    reader = Reader(variables, "", problems)
    sources = reader.table("addons_sources")
    known = sorted({*sources, *RELEASE_ADDONS})
    release = reader.value("addons_release_path")
    for index, name in enumerate(reader.texts("addons_enabled", TEXT)):
        if name not in known and not release:
            message = f"no add-on is called {name!r}{nearest(name, known)} (known: {', '.join(known)})"
            problems.add(f"addons_enabled[{index}]", message, "unknown-addon")
    for source in sources.values():
        path, url = source.maybe_text("path", TEXT), source.maybe_text("url", TEXT)
        if source.has("path") is source.has("url"):
            source.fault("", "needs a path or a url", "addon-source")
        if url and not path and not source.maybe_text("checksum", TEXT):
            message = "a url needs its checksum (sha256:...): what it holds may change"
            source.fault("checksum", message, "addon-source")
        source.value("checksum")
        source.finish()
    return list(problems.found)


def prepared(
    objects: Sequence[Mapping[str, Any]], *, addon: str, namespace: str, images: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The objects of one add-on as they are written: labelled, with a namespace, with their images remapped.

    :param namespace: for objects that name none; a namespace in the file stays. Of other kinds than ``KINDS``
        only the API server knows whether they have one.
    :param images: see ``remapped``.
    :returns: copies of the objects, in their order.
    :raises MalformedError: labels or containers of another shape than their API has.
    """
    result = []
    for given in objects:
        obj = copy.deepcopy(dict(given))
        metadata = obj["metadata"]
        if (obj["apiVersion"], obj["kind"]) in KINDS and obj["kind"] not in CLUSTER_KINDS:
            metadata.setdefault("namespace", namespace)
        metadata["labels"] = {
            **labels_of(obj),
            PART_OF_LABEL: PART_OF,
            MANAGED_BY_LABEL: COLLECTION,
            ADDON_LABEL: addon,
        }
        for container in _containers(obj):
            image = container.get("image")
            if image is not None and not isinstance(image, str):
                raise MalformedError(f"{object_id(obj)}: an image is {type(image).__name__}, not a string")
            if image:
                container["image"] = remapped(image, images)
        result.append(obj)
    return result


def _containers(obj: Mapping[str, Any]) -> Iterator[Any]:
    if obj.get("kind") not in WORKLOADS:
        return
    for section in ("initContainers", "containers"):
        yield from mappings_at(obj, "spec", "template", "spec", section)


def remapped(image: str, images: Mapping[str, str]) -> str:
    """The image to pull instead.

    :param images: exact images (``prom/prometheus:v3.10.0``), or prefixes that end where a ``/``, ``:`` or
        ``@`` follows (``docker.io/grafana``, ``prom/prometheus``); the longest key wins. A prefix keeps the
        rest of the image, its tag included.
    """
    if image in images:
        return images[image]
    fitting = [key for key in images if image.startswith(key) and image[len(key) :][:1] in ("/", ":", "@")]
    if not fitting:
        return image
    longest = max(fitting, key=len)
    return images[longest] + image[len(longest) :]


def all_images(objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every image of these objects, sorted. :returns: each once."""
    return sorted({text_at(container, "image") for obj in objects for container in _containers(obj)} - {""})
