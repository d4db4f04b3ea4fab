# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all sources look at: the cluster, read once, and the judge that they hand their finds to."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...errors import ApiError, MalformedError, MeshError
from ...fields import name_of, namespace_of, text_at
from ...istio.proxy.certificates import ROOT_CONFIG_MAP, ROOT_KEY
from ...istio.proxy.running import RunningProxy, running_proxies
from ...kube.clock import Clock
from ...model.certificates.credentials import Credential
from ...model.certificates.trust import TrustEntry, TrustJudge
from ..mesh_ca.journal import JOURNAL, RotationJournal, parse_journal

if TYPE_CHECKING:
    from ...kube.client import KubeClient
    from ...kube.target import Target

GATEWAY_API = "networking.istio.io/v1"
Source = Callable[["TrustLook"], Iterator[TrustEntry]]


@dataclasses.dataclass(frozen=True)
class TrustLook:
    """One look at a cluster. What several sources need is read when the first one asks.

    :param credentials: what the catalogue's gateways name. :param authority_home: namespace and name of the
        Secret of the collection's own CA. :param max_proxies: how many proxies are asked.
    :param rotation_period: seconds between two scheduled rotations; 0 where none are.
    :param mesh_ca_limit: seconds that a rotation of the mesh's CA may take.
    :ivar certs: what proxies have shown of their certificates.
    :ivar told: serial numbers of the certificates that were found so far.
    """

    client: KubeClient
    judge: TrustJudge
    clock: Clock
    target: Target
    mesh: str
    istio_namespace: str
    credentials: tuple[Credential, ...]
    authority_home: tuple[str, str]
    max_proxies: int
    rotation_period: float = 0.0
    mesh_ca_limit: float = 259_200.0

    certs: list[tuple[RunningProxy, str]] = dataclasses.field(default_factory=list)
    told: set[str] = dataclasses.field(default_factory=set)
    _lists: dict[tuple[Any, ...], list[Any]] = dataclasses.field(default_factory=dict)
    _secrets: dict[tuple[str, str], dict[str, Any] | None] = dataclasses.field(default_factory=dict)

    def listed(
        self, api_version: str, kind: str, namespace: str | None = None, **selectors: str
    ) -> list[Any]:
        """All objects of a kind, read once. :returns: empty where the server does not serve it.

        :raises ApiError: no right to look, or no answer.
        """
        key = (api_version, kind, namespace, *sorted(selectors.items()))
        if key not in self._lists:
            self._lists[key] = self.client.list(api_version, kind, namespace, **selectors).items
        return self._lists[key]

    def secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        """A Secret, read once.

        :returns: the object, or None where there is none. :raises ApiError: no right to look.
        """
        key = (namespace, name)
        if key not in self._secrets:
            self._secrets[key] = self.client.get("v1", "Secret", name, namespace)
        return self._secrets[key]

    @functools.cached_property
    def roots(self) -> bytes:
        """The roots that istiod publishes in its namespace, PEM; empty when there are none."""
        found = self.client.get("v1", "ConfigMap", ROOT_CONFIG_MAP, self.istio_namespace)
        return text_at(found, "data", ROOT_KEY).encode()

    @functools.cached_property
    def rotation(self) -> RotationJournal | None:
        """The rotation of the mesh's CA that is under way. :raises MalformedError: it cannot be read."""
        found = self.secret(self.istio_namespace, JOURNAL)
        try:
            return None if found is None else parse_journal(found, self.istio_namespace)
        except (ApiError, MalformedError):
            raise
        except MeshError as error:
            raise MalformedError(error.message) from error

    @functools.cached_property
    def rotated_roots(self) -> bytes:
        """The roots that proxies may trust meanwhile, PEM; empty while the CA is not being rotated."""
        return b"" if self.rotation is None else self.rotation.old.roots + self.rotation.new.roots

    @functools.cached_property
    def pods(self) -> list[Mapping[str, Any]]:
        """Every pod of the cluster. :returns: API objects."""
        return self.listed("v1", "Pod")

    @functools.cached_property
    def gateways(self) -> list[Mapping[str, Any]]:
        """Every Gateway. :returns: API objects, by namespace and name."""
        return sorted(self.listed(GATEWAY_API, "Gateway"), key=lambda obj: (namespace_of(obj), name_of(obj)))

    @functools.cached_property
    def proxies(self) -> list[RunningProxy]:
        """The proxies that run and are ready. :returns: by namespace and name of the pod."""
        return sorted(running_proxies(self.pods), key=lambda proxy: (proxy.namespace, proxy.pod))


def seen(kind: str, where: str, source: Source, look: TrustLook) -> list[TrustEntry]:
    """What a source finds. Where it may not or cannot look, that is an entry of its own, never silence.

    :param kind: what it looks for. :param where: where, in the words of the report. :returns: its entries.
    """
    found: list[TrustEntry] = []
    try:
        found.extend(source(look))
    except (ApiError, MalformedError) as error:
        found.append(look.judge.unknown(kind, where, error.message))
    return found
