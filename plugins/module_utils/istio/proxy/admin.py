# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a proxy holds, asked of its own admin interface over a port-forward, as istioctl does.

It listens on the pod's loopback alone: no policy and no NetworkPolicy is between, and no process has to be
started in a container, as a command of ``pilot-agent`` would need.
"""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING, Any, Protocol

from ...documents.json_text import from_json
from ...errors import ApiError
from .running import RunningProxy

if TYPE_CHECKING:
    from ...kube.forwarding import PodAnswer

LISTENERS = "dynamic_listeners"
ROUTES = "dynamic_route_configs"
CLUSTERS = "dynamic_active_clusters"
ADMIN_PORT = 15000
"""Istio's ``proxyAdminPort``, unless a mesh says otherwise, which istioctl does not see either."""
NO_GOOD_ANSWER = "PodAnswer"
"""Reason of the error for an answer that is not what was asked for."""
_OK = 200


class PodClient(Protocol):
    """The part of the Kubernetes client that asks ports of a pod's loopback."""

    def ask_pod(
        self, namespace: str, pod: str, port: int, path: str, *, method: str = ..., timeout: float = ...
    ) -> PodAnswer:
        """Asks a port; a status other than 200 is no exception."""


def ask(client: PodClient, namespace: str, pod: str, port: int, path: str, said: str, **how: Any) -> str:
    """The body of an answer with status 200.

    :param said: what it means when there is none, for the error, which adds why. :param how: ``method`` and
        ``timeout``.
    :raises ApiError: no right to forward ports, the pod is gone, nobody listens, or another status.
    """
    answer = client.ask_pod(namespace, pod, port, path, **how)
    if cause := not_ok(answer):
        raise ApiError(f"{said}: {cause}", reason=NO_GOOD_ANSWER, subject=f"Pod {namespace}/{pod}")
    return answer.text


def not_ok(answer: PodAnswer) -> str:
    """What an answer with another status than 200 says, its last line; ``""`` for one with 200."""
    if answer.status == _OK:
        return ""
    cause = (answer.text.strip().splitlines() or ["no message"])[-1][:200]
    return f"HTTP {answer.status}, {cause}"


def admin_get(client: PodClient, proxy: RunningProxy, path: str, timeout: float = 15.0) -> str:
    """GET of Envoy's admin interface, such as ``certs`` or ``stats?filter=...``.

    :raises ApiError: no right to forward ports, the pod is gone, or the proxy does not answer.
    """
    return _request(client, proxy, "GET", path, timeout)


def admin_post(client: PodClient, proxy: RunningProxy, path: str, timeout: float = 15.0) -> str:
    """POST to Envoy's admin interface, such as ``logging?level=debug``: it changes a proxy until it restarts.

    :raises ApiError: as ``admin_get``.
    """
    return _request(client, proxy, "POST", path, timeout)


def _request(client: PodClient, proxy: RunningProxy, method: str, path: str, timeout: float) -> str:
    said = f"the proxy of pod {proxy} did not answer"
    where = (proxy.namespace, proxy.pod, ADMIN_PORT)
    return ask(client, *where, f"/{path}", said, method=method, timeout=timeout)


def config_dump(
    client: PodClient, proxy: RunningProxy, resource: str, name_regex: str = "", timeout: float = 15.0
) -> list[dict[str, Any]]:
    """The entries of one kind of configuration, in Envoy's JSON form.

    :param resource: ``LISTENERS``, ``ROUTES`` or ``CLUSTERS``.
    :param name_regex: RE2 expression that the whole name must match; empty for all.
    :returns: the dump's ``configs``; empty when the proxy has none.
    :raises ApiError: as ``admin_get``; also an answer that is not a dump.
    """
    query = {"resource": resource, **({"name_regex": name_regex} if name_regex else {})}
    text = admin_get(client, proxy, f"config_dump?{urllib.parse.urlencode(query)}", timeout)
    if not text.strip():  # Envoy answers with nothing at all when the resource has no entry
        return []
    wanted = "a configuration dump"
    configs = _parsed(proxy, text, wanted).get("configs", [])
    if not isinstance(configs, list) or not all(isinstance(entry, dict) for entry in configs):
        raise _something_else(proxy, wanted)
    return configs


def cluster_statuses(client: PodClient, proxy: RunningProxy, timeout: float = 15.0) -> dict[str, Any]:
    """Every cluster with its hosts and their figures, which ``endpoints`` reads.

    :returns: ``{cluster_statuses: [...]}`` (envoy/admin/v3/clusters.proto).
    :raises ApiError: as ``config_dump``.
    """
    text = admin_get(client, proxy, "clusters?format=json", timeout)
    return _parsed(proxy, text, "its clusters")


def _parsed(proxy: RunningProxy, text: str, wanted: str) -> dict[str, Any]:
    try:
        found = from_json(text)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    raise _something_else(proxy, wanted)


def _something_else(proxy: RunningProxy, wanted: str) -> ApiError:
    message = f"the proxy of pod {proxy} answered with something else than {wanted}"
    return ApiError(message, reason=NO_GOOD_ANSWER, subject=f"Pod {proxy}")
