# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a proxy holds, asked of its own admin interface.

``pilot-agent request`` inside the proxy's container is the only way in that needs no port-forward and no
shell: distroless images have none.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from typing import Any, Protocol

from ...documents.json_text import from_json
from ...errors import ApiError
from ..workloads import PROXY_CONTAINER
from .running import RunningProxy

LISTENERS = "dynamic_listeners"
ROUTES = "dynamic_route_configs"
CLUSTERS = "dynamic_active_clusters"


class ExecResult(Protocol):
    """What a command left behind."""

    @property
    def stdout(self) -> str:
        """What the command printed."""

    @property
    def stderr(self) -> str:
        """What it complained about."""

    @property
    def returncode(self) -> int:
        """Its exit code; 0 is success."""


class Executor(Protocol):
    """The part of the Kubernetes client that runs commands in containers."""

    def exec(
        self, namespace: str, pod: str, container: str, command: Sequence[str], *, timeout: float = ...
    ) -> ExecResult:
        """Runs ``command``; a returncode other than 0 is no exception."""


def agent_request(
    client: Executor, namespace: str, pod: str, path: str, *, method: str = "GET", timeout: float = 30.0
) -> ExecResult:
    """A request to Envoy's admin interface in a pod, judged by nobody yet.

    :raises ApiError: no right to exec, or the pod is gone.
    """
    command = ["pilot-agent", "request", method, path]
    return client.exec(namespace, pod, PROXY_CONTAINER, command, timeout=timeout)


def no_answer(result: ExecResult, said: str, subject: str) -> ApiError:
    """The error of a command that did not do what it was for: ``said``, and the last line that it left.

    :param subject: ``Pod namespace/name``.
    """
    cause = (result.stderr or result.stdout).strip().splitlines() or ["no message"]
    return ApiError(f"{said}: {cause[-1][:200]}", reason="Exec", subject=subject)


def admin_get(client: Executor, proxy: RunningProxy, path: str, timeout: float = 15.0) -> str:
    """GET of Envoy's admin interface, such as ``certs`` or ``stats?filter=...``.

    :raises ApiError: no right to exec, the pod is gone, or the proxy does not answer.
    """
    return _request(client, proxy, "GET", path, timeout)


def admin_post(client: Executor, proxy: RunningProxy, path: str, timeout: float = 15.0) -> str:
    """POST to Envoy's admin interface, such as ``logging?level=debug``: it changes a proxy until it restarts.

    :raises ApiError: as ``admin_get``.
    """
    return _request(client, proxy, "POST", path, timeout)


def _request(client: Executor, proxy: RunningProxy, method: str, path: str, timeout: float) -> str:
    result = agent_request(client, proxy.namespace, proxy.pod, path, method=method, timeout=timeout)
    if result.returncode != 0:
        raise no_answer(result, f"the proxy of pod {proxy} did not answer", f"Pod {proxy}")
    return result.stdout


def config_dump(
    client: Executor, proxy: RunningProxy, resource: str, name_regex: str = "", timeout: float = 15.0
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


def cluster_statuses(client: Executor, proxy: RunningProxy, timeout: float = 15.0) -> dict[str, Any]:
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
    return ApiError(message, reason="Exec", subject=f"Pod {proxy}")
