# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kinds an API server serves: aggregated discovery, one request, cached on disk by ETag.

Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#aggregated-discovery
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..documents.json_text import from_json
from ..errors import ApiError, MalformedError
from ..fields import list_at, mappings_at, name_of, text_at
from ..files import write_whole
from ..labels import COLLECTION

if TYPE_CHECKING:
    from .transport import Transport

AGGREGATED = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)
_INDEXES = ("APIGroupList", "APIVersions")
# The core group never changes in these kinds; knowing them saves the request for /api.
_CORE = {
    "Namespace": ("namespaces", False),
    "Node": ("nodes", False),
    "PersistentVolume": ("persistentvolumes", False),
    "ConfigMap": ("configmaps", True),
    "Endpoints": ("endpoints", True),
    "Event": ("events", True),
    "LimitRange": ("limitranges", True),
    "PersistentVolumeClaim": ("persistentvolumeclaims", True),
    "Pod": ("pods", True),
    "ReplicationController": ("replicationcontrollers", True),
    "ResourceQuota": ("resourcequotas", True),
    "Secret": ("secrets", True),
    "Service": ("services", True),
    "ServiceAccount": ("serviceaccounts", True),
}
_ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclasses.dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API server serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: tuple[str, ...] = _ALL_VERBS

    @property
    def group(self) -> str:
        """The API group, empty for the core group."""
        return self.api_version.rpartition("/")[0]

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """The request path of the collection, of one object, or of a subresource of it."""
        base = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        if self.namespaced and namespace:
            base += f"/namespaces/{namespace}"
        parts = [base, self.plural, name, subresource]
        return "/".join(part for part in parts if part)


_Kinds = dict[str, dict[str, list[Any]]]


class Discovery:
    """Resources by apiVersion and kind, read when first asked for."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._kinds: _Kinds = {}
        self._stale: set[str] = set()
        self._loaded: set[str] = set()
        self._cache = _cache_file(transport)

    def resource(self, api_version: str, kind: str) -> Resource:
        """:raises ApiError: ``reason="NoKind"`` when the server does not serve the kind."""
        if api_version == "v1" and kind in _CORE:
            plural, namespaced = _CORE[kind]
            return Resource(api_version, kind, plural, namespaced)
        root = "/apis" if "/" in api_version else "/api"
        with self._lock:
            if root not in self._loaded:
                self._load(root)
            found = self._find(api_version, kind)
        if found:
            return found
        if api_version in self._stale:
            raise ApiError(
                f"the API server cannot tell now which kinds {api_version} has: its server is down",
                reason="DiscoveryStale",
                subject=f"{kind} ({api_version})",
            )
        raise ApiError(
            f"the API server does not serve kind {kind} in {api_version}",
            status=404,
            reason="NoKind",
            subject=f"{kind} ({api_version})",
        )

    def served(self) -> list[str]:
        """What Helm calls API versions: every ``group/version``, and every ``group/version/Kind``.

        :returns: sorted, each once.
        """
        with self._lock:
            for root in ("/api", "/apis"):
                if root not in self._loaded:
                    self._load(root)
            kinds = self._kinds
        return sorted({*kinds, *(f"{version}/{kind}" for version, found in kinds.items() for kind in found)})

    def refresh(self) -> None:
        """Forget what is known, because a CustomResourceDefinition was just written."""
        with self._lock:
            self._loaded.clear()

    def _find(self, api_version: str, kind: str) -> Resource | None:
        entry = self._kinds.get(api_version, {}).get(kind)
        return Resource(api_version, kind, entry[0], entry[1], tuple(entry[2])) if entry else None

    def _load(self, root: str) -> None:
        cached = _usable(_read_cache(self._cache).get(root))
        headers = {"If-None-Match": cached["etag"]} if cached else {}
        answer = self._transport.send(
            "GET",
            root,
            body=None,
            content_type="",
            query=None,
            timeout=30.0,
            accept=AGGREGATED,
            subject="discovery",
            extra_headers=headers,
        )
        if answer.status == 304 and cached:
            kinds, stale = cached["kinds"], cached["stale"]
        elif isinstance(answer.data, Mapping) and answer.data.get("kind") == "APIGroupDiscoveryList":
            kinds, stale = _read(_flatten, answer.data)
            etag = answer.headers.get("ETag", "")
            if etag and not stale:
                _write_cache(self._cache, root, {"etag": etag, "kinds": kinds, "stale": stale})
        else:
            versions = _read(_versions_in, _told(answer.data, *_INDEXES))
            kinds, stale = self._legacy(root, versions), []
        self._kinds = {gv: k for gv, k in self._kinds.items() if ("/" in gv) != (root == "/apis")} | kinds
        self._stale = {gv for gv in self._stale if ("/" in gv) != (root == "/apis")} | set(stale)
        self._loaded.add(root)

    def _legacy(self, root: str, versions: Sequence[str]) -> _Kinds:
        """Servers before 1.30: one request per group and version."""
        kinds: _Kinds = {}
        for version in versions:
            answer = self._transport.send(
                "GET",
                f"{root}/{version}",
                body=None,
                content_type="",
                query=None,
                timeout=30.0,
                accept="application/json",
                subject="discovery",
            )
            kinds[version] = _read(_resources_in, _told(answer.data, "APIResourceList"))
        return kinds


def _versions_in(index: Mapping[str, Any]) -> list[str]:
    """The group versions that an index names; a server without any is none."""
    versions = [str(version) for version in list_at(index, "versions")]
    for group in mappings_at(index, "groups"):
        versions += [text_at(version, "groupVersion") for version in mappings_at(group, "versions")]
    if not versions or not all(versions):
        raise MalformedError("it names no versions")
    return versions


def _resources_in(answer: Mapping[str, Any]) -> dict[str, list[Any]]:
    if not isinstance(answer.get("resources"), list):
        raise MalformedError("its resources are no list")
    found: dict[str, list[Any]] = {}
    for entry in mappings_at(answer, "resources"):
        plural, kind = text_at(entry, "name"), text_at(entry, "kind")
        if not plural or not kind:
            raise MalformedError("a resource has no name")
        if "/" not in plural:
            verbs = sorted(map(str, list_at(entry, "verbs")))
            found[kind] = [plural, entry.get("namespaced") is True, verbs]
    return found


def _read(read: Callable[[Mapping[str, Any]], Any], data: Mapping[str, Any]) -> Any:
    """:raises ApiError: a part of the answer has another shape than an API server gives it."""
    try:
        return read(data)
    except MalformedError as error:
        message = (
            "the API server does not tell which kinds it serves: its answer to discovery is not whole "
            f"({error.message.removeprefix('an object: ')})"
        )
        raise ApiError(message, reason="Discovery", subject="discovery") from error


def _told(data: Any, *kinds: str) -> Mapping[str, Any]:
    """An answer of one of these kinds. A login page or ``{}`` would look like a server without any kind.

    :raises ApiError: it is something else.
    """
    if isinstance(data, Mapping) and data.get("kind") in kinds:
        return data
    raise ApiError(
        "the API server does not tell which kinds it serves: its answer to discovery is something else "
        "(is this address an API server?)",
        reason="Discovery",
        subject="discovery",
    )


def _flatten(data: Mapping[str, Any]) -> tuple[_Kinds, list[str]]:
    """``{apiVersion: {kind: [plural, namespaced, verbs]}}`` and the apiVersions whose list is stale."""
    kinds: _Kinds = {}
    stale = []
    if not data.get("items"):
        raise MalformedError("it names no groups")
    for group in mappings_at(data, "items"):
        if not mappings_at(group, "versions"):
            raise MalformedError("a group has no versions")
        for version in mappings_at(group, "versions"):
            if not text_at(version, "version"):
                raise MalformedError("a version has no name")
            api_version = "/".join(part for part in (name_of(group), text_at(version, "version")) if part)
            if version.get("freshness") == "Stale":
                stale.append(api_version)
            for entry in mappings_at(version, "resources"):
                kind = text_at(entry, "responseKind", "kind")
                if not kind:
                    continue
                if not text_at(entry, "resource") or entry.get("scope") not in ("Namespaced", "Cluster"):
                    raise MalformedError(f"kind {kind} has no resource or scope")
                kinds.setdefault(api_version, {})[kind] = [
                    text_at(entry, "resource"),
                    entry.get("scope") == "Namespaced",
                    sorted(map(str, list_at(entry, "verbs"))),
                ]
    return kinds, stale


def _cache_file(transport: Transport) -> Path | None:
    """One file per server, trust and caller: what one user may discover is not what another may."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # no home directory
        return None
    authority = b""
    if transport.tls.authority:
        with contextlib.suppress(OSError):
            authority = Path(transport.tls.authority).read_bytes()
    identity = json.dumps([transport.host, transport.target.impersonation()]).encode()
    digest = hashlib.sha256(identity + authority).hexdigest()[:32]
    return base / COLLECTION / f"discovery-{digest}.json"


def _read_cache(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        content = from_json(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _usable(entry: Any) -> dict[str, Any]:
    """A cached answer, or nothing when somebody else wrote the file."""
    if not isinstance(entry, dict) or not isinstance(entry.get("etag"), str):
        return {}
    if not isinstance(entry.get("kinds"), dict) or not isinstance(entry.get("stale"), list):
        return {}
    listed = [item for kinds in entry["kinds"].values() if isinstance(kinds, dict) for item in kinds.values()]
    sound = all(isinstance(item, list) and len(item) == 3 for item in listed)
    return entry if sound and all(isinstance(kinds, dict) for kinds in entry["kinds"].values()) else {}


def _write_cache(path: Path | None, root: str, entry: Mapping[str, Any]) -> None:
    """Replace the file in one step; a cache that cannot be written only costs bytes next time."""
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = {**_read_cache(path), root: entry}
        write_whole(path, json.dumps(content, separators=(",", ":")), 0o600)
