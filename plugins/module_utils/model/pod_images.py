# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images the pods of an object run, whatever its kind: a pod template is found by its shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..fields import annotations_of, mappings_at, text_at

_CONTAINERS = ("initContainers", "containers")
# istiod puts the proxy's image in its place when the pod is made.
INJECTED = "auto"


def pod_images(obj: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Every container's image, with the annotations of its pod.

    :raises MalformedError: containers of another shape than a pod has.
    """
    for template in _pods(obj):
        for section in _CONTAINERS:
            for container in mappings_at(template, "spec", section):
                if text_at(container, "image"):
                    yield text_at(container, "image"), annotations_of(template)


def _pods(value: Any) -> Iterator[Mapping[str, Any]]:
    """Pods and templates of pods: mappings whose ``spec`` has containers."""
    if isinstance(value, Mapping):
        spec = value.get("spec")
        if isinstance(spec, Mapping) and isinstance(spec.get("containers"), list):
            yield value
        for item in value.values():
            yield from _pods(item)
    elif isinstance(value, list):
        for item in value:
            yield from _pods(item)
