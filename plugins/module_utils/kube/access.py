# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rights are missing, asked of the API server itself before the first write."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import KubeClient

_PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class AccessNeed:
    """One right. An empty ``namespace`` means all namespaces (or a cluster-scoped resource)."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        """As a person says it: ``patch virtualservices.networking.istio.io in namespace shop``."""
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        text = f"{self.verb} {resource}{'.' + self.group if self.group else ''}"
        if self.name:
            text += f" '{self.name}'"
        return f"{text} in namespace {self.namespace}" if self.namespace else text


def missing_rights(client: KubeClient, needed: Sequence[AccessNeed]) -> list[AccessNeed]:
    """Those of ``needed`` that the caller does not have, in their order, each once."""
    needs = list(dict.fromkeys(needed))
    allowed = client.in_parallel(lambda need: _is_allowed(client, need), needs)
    return [need for need, granted in zip(needs, allowed, strict=True) if not granted]


def _is_allowed(client: KubeClient, need: AccessNeed) -> bool:
    attributes = {name: value for name, value in dataclasses.asdict(need).items() if value}
    attributes["group"] = need.group
    review: dict[str, Any] = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = client.request("POST", _PATH, body=review, subject=f"access review: {need}").data
    return bool((answer.get("status") or {}).get("allowed"))
