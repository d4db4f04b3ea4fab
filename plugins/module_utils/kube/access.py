# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rights are missing, asked of the API server itself before the first write."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ApiError, MalformedError
from ..fields import field

if TYPE_CHECKING:
    from .client import KubeClient

_API = "/apis/authorization.k8s.io/v1"


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


EVERYTHING = AccessNeed(verb="*", group="*", resource="*")
"""Who has this is an administrator: one question instead of a hundred."""


def missing_rights(client: KubeClient, needed: Sequence[AccessNeed]) -> list[AccessNeed]:
    """Which of ``needed`` the caller does not have.

    :returns: the missing ones in their order, each once.
    """
    return _missing(needed, client, f"{_API}/selfsubjectaccessreviews", "SelfSubjectAccessReview", {})


def missing_rights_of(
    client: KubeClient, needed: Sequence[AccessNeed], account: tuple[str, str]
) -> list[AccessNeed]:
    """Which rights a ServiceAccount does not have, all in one namespace.

    :param needed: with one and the same ``namespace``, which is not empty.
    :param account: its namespace and name. :returns: the missing ones in their order, each once.
    :raises ApiError: with status 403 when the caller may not ask for others.
    """
    home, name = account
    (namespace,) = {need.namespace for need in needed}
    spec = {
        "user": f"system:serviceaccount:{home}:{name}",
        "groups": ["system:serviceaccounts", f"system:serviceaccounts:{home}", "system:authenticated"],
    }
    path = f"{_API}/namespaces/{namespace}/localsubjectaccessreviews"
    return _missing(needed, client, path, "LocalSubjectAccessReview", spec)


def _missing(
    needed: Sequence[AccessNeed], client: KubeClient, path: str, kind: str, subject: Mapping[str, Any]
) -> list[AccessNeed]:
    def allowed(need: AccessNeed) -> bool:
        attributes = {name: value for name, value in dataclasses.asdict(need).items() if value}
        attributes["group"] = need.group
        review: dict[str, Any] = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": kind,
            "metadata": {"namespace": need.namespace} if subject else {},
            "spec": {**subject, "resourceAttributes": attributes},
        }
        about = f"access review: {need}"
        answer = client.request("POST", path, body=review, subject=about).data
        try:
            decision = field(answer, "status", "allowed")
        except MalformedError:
            decision = None
        if not isinstance(decision, bool):
            raise ApiError(f"{about}: it has no answer", reason="NotJSON", subject=about)
        return decision

    needs = list(dict.fromkeys(needed))
    answers = client.in_parallel(allowed, needs)
    return [need for need, granted in zip(needs, answers, strict=True) if not granted]
