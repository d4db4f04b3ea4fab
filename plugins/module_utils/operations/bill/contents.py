# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an installation consists of: the images of its objects, its charts and its programs."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import MeshError
from ...fields import mapping_at, name_of
from ...istio.images import parse_image
from ...istio.injection.webhooks import InjectorSettings, parse_settings, proxy_image, stored_yaml
from ...istio.installation.commands import Runner, Tool
from ...istio.installation.helm_releases import desired_releases
from ...model.installation.settings import Installation
from ...model.pod_images import INJECTED, pod_images
from ...model.versions import SUPPORT_TABLE, parse_istio_version
from ...object_id import object_id
from ..control_plane.installer import chart_references, chart_version, render_helm, render_istioctl
from ..control_plane.options import ToolOptions

_INJECTOR = "istio-sidecar-injector"
_MESH = "istio"
SIDECARS = "sidecars"


@dataclasses.dataclass(frozen=True, slots=True)
class BilledImage:
    """One image. :param used_by: ids of objects, or what else pulls it.

    :param variables: by which an inventory takes it from elsewhere.
    """

    image: str
    used_by: tuple[str, ...]
    variables: tuple[str, ...]

    def as_result(self) -> dict[str, Any]:
        """:returns: the parts of the reference (registry, repository, tag, digest), and the fields."""
        parts = parse_image(self.image)
        return {
            "image": self.image,
            "registry": parts.registry,
            "repository": parts.path,
            "tag": parts.tag,
            "digest": parts.digest,
            "used_by": list(self.used_by),
            "variables": list(self.variables),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Rendered:
    """What the installer would apply.

    :param charts: each with ``name``, ``version``, ``source`` and ``sha256``.
    """

    objects: tuple[Mapping[str, Any], ...]
    charts: tuple[Mapping[str, Any], ...]


def render(installation: Installation, runner: Runner, tool: Tool, tools: ToolOptions) -> Rendered:
    """The objects of the control plane and its gateways, rendered as they are installed; asks no cluster."""
    if installation.method == "istioctl":
        return Rendered(tuple(render_istioctl(installation, runner, tool)), ())
    releases = desired_releases(installation)
    references = chart_references(releases, runner, tool, tools, version=installation.version)
    rendered = render_helm(
        releases,
        references,
        runner,
        tool,
        kubernetes=_kubernetes(installation.version),
        installs=[release.key for release in releases],
    )
    charts = [
        {
            "name": name,
            "version": chart_version(reference),
            "source": tools.chart_source,
            "sha256": _digest(Path(reference.reference)),
        }
        for name, reference in sorted(references.items())
    ]
    return Rendered(tuple(obj for objects in rendered.values() for obj in objects), tuple(charts))


def _kubernetes(version: str) -> str:
    """The newest Kubernetes that this Istio supports: charts may ask, and there is no cluster to tell."""
    numbers = parse_istio_version(version)
    row = SUPPORT_TABLE.get(numbers[:2]) if numbers else None
    major, minor = (row or SUPPORT_TABLE[max(SUPPORT_TABLE)]).kubernetes[1]
    return f"v{major}.{minor}.0"


def _digest(package: Path) -> str:
    """:returns: sha256 of a packaged chart; "" of a directory, which has none."""
    return hashlib.sha256(package.read_bytes()).hexdigest() if package.is_file() else ""


def images_of(objects: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Image -> ids of the objects whose pods run it, the sidecars of workloads included.

    :returns: one entry per image.
    :raises MeshError: a gateway waits for the image of an injector that is not among the objects.
    """
    objects = list(objects)
    injectors = list(_injectors(objects))
    found: dict[str, set[str]] = {}
    for injector in injectors:
        found.setdefault(proxy_image(injector, {}), set()).add(SIDECARS)
    for obj in objects:
        for image, notes in pod_images(obj):
            if image != INJECTED:
                found.setdefault(image, set()).add(object_id(obj))
                continue
            if not injectors:
                raise MeshError(
                    f"{object_id(obj)}: its image is the injector's, and no injector is installed with it"
                )
            for injector in injectors:
                found.setdefault(proxy_image(injector, notes), set()).add(object_id(obj))
    return found


def _injectors(objects: Sequence[Mapping[str, Any]]) -> Iterator[InjectorSettings]:
    """What each rendered istiod would inject, read as on a cluster."""
    maps = {name_of(obj): obj for obj in objects if obj["kind"] == "ConfigMap"}
    for name, obj in maps.items():
        if name.startswith(_INJECTOR):
            mesh = maps.get(_MESH + name.removeprefix(_INJECTOR), {})
            config = stored_yaml(mesh, "mesh") if mapping_at(mesh, "data") else {}
            yield parse_settings(obj, config)
