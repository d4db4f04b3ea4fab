"""An API server in memory: just enough of it for backends that read, patch and apply."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime
import email.utils
import itertools
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError


@dataclasses.dataclass
class Listed:
    items: list[dict[str, Any]]
    resource_version: str = "1"
    missing: bool = False


@dataclasses.dataclass
class Answer:
    headers: dict[str, str]
    status: int = 200
    data: Any = None


class FakeCluster:
    """Objects by (kind, namespace, name). ``writes`` records what was really written, in order."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self._versions = itertools.count(1)
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.writes: list[tuple[str, str]] = []
        self.dry_runs: list[tuple[str, str]] = []
        self.clock = datetime.datetime.now(datetime.UTC)
        self.forbidden: set[str] = set()
        self.allowed_readers: set[str] = set()
        self.on_patch: Any = None
        self.on_evict: Any = None
        for obj in objects:
            self.put(obj)

    # What tests use.
    def put(self, obj: dict[str, Any]) -> dict[str, Any]:
        stored = copy.deepcopy(obj)
        stored.setdefault("metadata", {})["resourceVersion"] = str(next(self._versions))
        self.objects[self._key(stored)] = stored
        return stored

    def find(self, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        return self.objects.get((kind, namespace, name))

    @staticmethod
    def _key(obj: dict[str, Any]) -> tuple[str, str, str]:
        return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]

    def _guard(self, kind: str) -> None:
        if kind in self.forbidden:
            raise ApiError(f"{kind} is forbidden", status=403, reason="Forbidden")

    # What backends use.
    def __enter__(self) -> FakeCluster:
        return self

    def __exit__(self, *_rest: object) -> None:
        pass

    def request(self, method: str, path: str, **_more: Any) -> Answer:
        return Answer({"Date": email.utils.format_datetime(self.clock, usegmt=True)})

    def get(
        self, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> dict[str, Any] | None:
        self._guard(kind)
        return copy.deepcopy(self.objects.get((kind, namespace or "", name)))

    def list(self, api_version: str, kind: str, namespace: str | None = None, **_more: Any) -> Listed:
        self._guard(kind)
        found = [
            o for (k, n, _name), o in sorted(self.objects.items()) if k == kind and namespace in (None, n)
        ]
        return Listed(copy.deepcopy(found))

    def in_parallel(self, function: Any, items: Any, **_more: Any) -> Any:
        return [function(item) for item in items]

    def _write(self, verb: str, obj: dict[str, Any], dry_run: bool) -> dict[str, Any]:
        kind, namespace, name = self._key(obj)
        label = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
        if namespace and ("Namespace", "", namespace) not in self.objects:
            raise ApiError(f"namespaces {namespace} not found", status=404, reason="NotFound")
        live = self.objects.get((kind, namespace, name))
        wanted = obj["metadata"].get("resourceVersion")
        if wanted and (live is None or live["metadata"]["resourceVersion"] != wanted):
            raise ApiError(f"{label} was changed meanwhile", status=409, reason="Conflict")
        (self.dry_runs if dry_run else self.writes).append((verb, label))
        return copy.deepcopy(obj) if dry_run else copy.deepcopy(self.put(obj))

    def apply(
        self,
        obj: dict[str, Any],
        *,
        field_manager: str = "servicemesh.istio",
        force: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        self._guard(obj["kind"])
        live = self.objects.get(self._key(obj), {})
        return self._write("apply", _merged(live, obj), dry_run)

    def create(self, obj: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        self._guard(obj["kind"])
        if obj["kind"] == "SubjectAccessReview":
            return {"status": {"allowed": obj["spec"]["user"] in self.allowed_readers}}
        if self._key(obj) in self.objects:
            raise ApiError("already exists", status=409, reason="AlreadyExists")
        return self._write("create", obj, dry_run)

    def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None,
        patch: Any,
        *,
        dry_run: bool = False,
        **_more: Any,
    ) -> dict[str, Any]:
        self._guard(kind)
        live = self.objects[kind, namespace or "", name]
        written = self._write("patch", _merged(live, patch), dry_run)
        if self.on_patch is not None and not dry_run:
            self.on_patch(self, self.objects[kind, namespace or "", name])
        return written

    def create_subresource(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str,
        subresource: str,
        body: Any,
        **_more: Any,
    ) -> dict[str, Any]:
        self.writes.append((subresource, f"{kind} {namespace}/{name}"))
        self.on_evict(self, self.objects[kind, namespace, name], body)
        return {}

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        del self.objects[kind, namespace, name]


def _merged(live: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = copy.deepcopy(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


def reaching(cluster: Any) -> Any:
    """``connect`` of a Context: every client is ``cluster``."""
    return lambda _options, **_more: contextlib.nullcontext(cluster)
