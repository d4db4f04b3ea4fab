"""One API server in memory, behind the interface of ``kube.client.KubeClient``.

It keeps versions, refuses stale writes, applies server-side with field managers, selects, patches, and can be
told to fail. What it does not do: schemas, admission, garbage collection, watches. Tests with special needs
extend it and do not write another one. Its own behaviour is tested in ``test_cluster.py``.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import email.utils
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.client import ObjectList
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.discovery import Resource
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.execution import ExecResult
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.failures import from_answer
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.forwarding import PodAnswer
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.transport import Response

from . import managed_fields
from .access import Reviews, resource_of
from .copies import copied, identical
from .faults import Call, Failure, failed, no_kind, status
from .patches import PatchError, json_patch, merge_patch
from .selectors import fields_match, labels_match
from .served import check_served

Obj = dict[str, Any]
Key = tuple[str, str, str]
MANAGER = "servicemesh.istio"
CLUSTER_SCOPED = frozenset(
    {
        "Namespace",
        "Node",
        "PersistentVolume",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
    }
)
# Groups whose built-in kinds take a PUT without resourceVersion; others answer 422.
_UNCONDITIONAL = frozenset({"", "apps", "batch", "policy", "rbac.authorization.k8s.io", "discovery.k8s.io"})


class FakeCluster:
    """Objects by (kind, namespace, name).

    :ivar calls: every call, in order. :ivar writes: (verb, ``Kind namespace/name``) of what was really
        written. :ivar dry_runs: the same for dry runs. :ivar forbidden: kinds that answer 403.
    :ivar missing: kinds that the server does not serve. :ivar reviews: answers access reviews.
    :ivar allowed_readers: users, besides the caller, who have every right that is asked about.
    :ivar on_patch: called with cluster and object after a patch; ``on_evict`` with the body besides.
    :ivar delete_options: the options of each deletion.
    :ivar container_logs: by (namespace, pod, container) what it has printed.
    :ivar on_exec: answers a command: called with namespace, pod, container and command.
    :ivar on_ask: answers a request to a pod's loopback: called with namespace, pod, port and path.
    """

    def __init__(self, *objects: Mapping[str, Any]) -> None:
        self._versions = itertools.count(1)
        self._failures: list[Failure] = []
        self.objects: dict[Key, Obj] = {}
        self.calls: list[Call] = []
        self.writes: list[tuple[str, str]] = []
        self.dry_runs: list[tuple[str, str]] = []
        self.clock = datetime.datetime.now(datetime.UTC)
        self.forbidden: set[str] = set()
        self.missing: set[str] = set()
        self.allowed_readers: set[str] = set()
        self.reviews = Reviews(lambda user, _access: not user or user in self.allowed_readers)
        self.on_patch: Callable[[Any, Obj], None] | None = None
        self.on_evict: Callable[[Any, Obj, Any], None] | None = None
        self.on_exec: Callable[[str, str, str, Sequence[str]], ExecResult | str] | None = None
        self.on_ask: Callable[[str, str, int, str], PodAnswer | str] | None = None
        self.container_logs: dict[tuple[str, str, str], str] = {}
        self.warnings: list[str] = []
        self.delete_options: list[Obj] = []
        self.hidden_fields: Sequence[Any] = ()
        self.threads, self.host, self.stopped = 16, "https://api.example", False
        for obj in objects:
            self.put(obj)

    # What tests use.
    def put(self, obj: Mapping[str, Any]) -> Obj:
        """Store an object as it is; without ``managedFields`` its fields belong to nobody."""
        stored = copied(dict(obj))
        stored["metadata"] = {**stored.get("metadata", {}), "resourceVersion": str(next(self._versions))}
        self.objects[self.key(stored)] = stored
        return stored

    def find(self, kind: str, name: str, namespace: str = "") -> Obj | None:
        """The stored object itself."""
        return self.objects.get((kind, namespace, name))

    def of_kind(self, kind: str) -> list[Obj]:
        """All stored objects of a kind."""
        return [self.objects[key] for key in sorted(key for key in self.objects if key[0] == kind)]

    def remove(self, kind: str, name: str, namespace: str = "") -> None:
        """Take an object away behind everybody's back."""
        del self.objects[kind, namespace, name]

    def fail(
        self,
        verb: str = "*",
        kind: str = "*",
        how: int | str = "lost request",
        *,
        times: int = 1,
        when: Callable[[Call], bool] = lambda _call: True,
    ) -> None:
        """Let the next ``times`` calls fail: with a status, or as ``lost request`` or ``lost answer``."""
        self._failures.append(Failure(verb, kind, how, times, when))

    @staticmethod
    def key(obj: Mapping[str, Any]) -> Key:
        return obj["kind"], obj["metadata"].get("namespace") or "", obj["metadata"]["name"]

    @contextlib.contextmanager
    def _call(self, verb: str, kind: str = "", namespace: str | None = None, **more: Any) -> Iterator[None]:
        call = Call(verb, kind, namespace, **more)
        if self.stopped:
            raise ApiError("interrupted: no further request was sent", reason="Interrupted")
        self.calls.append(call)
        failure = next((one for one in self._failures if one.concerns(call)), None)
        if failure is not None:
            failure.times -= 1
            if failure.how != "lost answer":
                raise failed(failure.how, call)
        if kind in self.forbidden:
            raise from_answer(403, status("Forbidden", f"{kind} is forbidden"), f"{verb} {kind}")
        if kind in self.missing and verb not in ("get", "list"):
            raise no_kind(kind)
        yield
        if failure is not None:
            raise failed(failure.how, call)

    # The client: connection.
    def __enter__(self) -> FakeCluster:
        return self

    def __exit__(self, *_rest: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is open."""

    @contextlib.contextmanager
    def although_stopped(self) -> Iterator[None]:
        """See ``KubeClient``."""
        stopped, self.stopped = self.stopped, False
        try:
            yield
        finally:
            self.stopped = stopped

    def pause(self, seconds: float) -> None:
        """Nobody waits."""

    def in_parallel(self, function: Any, items: Iterable[Any], *, threads: int | None = None) -> list[Any]:
        return [function(item) for item in list(items)]

    def server_version(self) -> Obj:
        return {"gitVersion": "v1.36.0"}

    def request(self, method: str, path: str, *, body: Any = None, **_more: Any) -> Any:
        """``/version`` with the server's time, and access reviews."""
        with self._call("request", (body or {}).get("kind", ""), name=path):
            headers = {"Date": email.utils.format_datetime(self.clock, usegmt=True)}
            if path == "/version":
                return Response(200, headers, self.server_version(), [])
            if path.endswith("accessreviews"):
                return self.reviews.request(method, path, body=body)
            raise from_answer(404, None, path)

    def resource(self, api_version: str, kind: str) -> Resource:
        check_served(api_version, kind)
        if kind in self.missing:
            raise no_kind(kind)
        return Resource(api_version, kind, resource_of(kind), kind not in CLUSTER_SCOPED)

    def served_kinds(self) -> list[str]:
        versions = {(str(obj.get("apiVersion", "v1")), key[0]) for key, obj in self.objects.items()}
        return sorted({"v1", *(f"{version}/{kind}" for version, kind in versions)})

    def refresh_discovery(self) -> None:
        self.calls.append(Call("refresh_discovery"))

    # The client: reading.
    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Obj | None:
        check_served(api_version, kind)
        with self._call("get", kind, namespace, name=name):
            found = self.objects.get((kind, namespace or "", name))
            return copied(found) if found and _same_group(found, api_version) else None

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> ObjectList:
        check_served(api_version, kind)
        with self._call("list", kind, namespace, selector=label_selector or ""):
            if kind in self.missing:
                return ObjectList([], missing=True)
            items = [
                {"apiVersion": api_version, **copied(obj)}
                for obj in self.of_kind(kind)
                if namespace in (None, "", obj["metadata"].get("namespace"))
                and _same_group(obj, api_version)
                and labels_match(obj["metadata"].get("labels") or {}, label_selector)
                and fields_match(obj, field_selector)
            ]
            return ObjectList(items, resource_version=str(next(self._versions)))

    def all_if_few(self, api_version: str, kind: str, most: int) -> list[Obj] | None:
        found = self.list(api_version, kind).items
        return found if len(found) <= most else None

    # The client: writing.
    def apply(
        self,
        obj: Mapping[str, Any],
        *,
        field_manager: str = MANAGER,
        force: bool = False,
        dry_run: bool = False,
    ) -> Obj:
        return self.apply_told(obj, field_manager=field_manager, force=force, dry_run=dry_run)[0]

    def apply_told(
        self,
        obj: Mapping[str, Any],
        *,
        field_manager: str = MANAGER,
        force: bool = False,
        dry_run: bool = False,
    ) -> tuple[Obj, bool]:
        """Server-side apply, and whether the object was created."""
        kind, namespace, name = self.key(obj)
        _check_own(obj)
        with self._call("apply", kind, namespace, name=name, dry_run=dry_run):
            wanted = _converted(obj)
            live = self.objects.get((kind, namespace, name))
            self._check_version(live, wanted)
            wanted["metadata"].pop("resourceVersion", None)
            owners = managed_fields.read_owners(live or {})
            causes = managed_fields.conflicts(live or {}, wanted, owners, field_manager)
            if causes and not force:
                details = {"causes": causes}
                raise from_answer(
                    409, {**status("Conflict", "Apply failed"), "details": details}, _subject(obj)
                )
            base = live or {key: obj[key] for key in ("apiVersion", "kind") if key in obj}
            result, owners = managed_fields.applied(base, wanted, owners, field_manager)
            return self._settle("apply", live, result, owners, dry_run), live is None

    def create(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> Obj:
        kind, namespace, name = self.key(obj)
        _check_own(obj)
        with self._call("create", kind, namespace, name=name, dry_run=dry_run):
            if obj["metadata"].get("resourceVersion"):
                message = "resourceVersion should not be set on objects to be created"
                raise from_answer(400, status("BadRequest", message), _subject(obj))
            if (kind, namespace, name) in self.objects:
                message = f"{kind} {name} already exists"
                raise from_answer(409, status("AlreadyExists", message), _subject(obj))
            return self._written("create", None, _converted(obj), MANAGER, dry_run)

    def replace(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> Obj:
        kind, namespace, name = self.key(obj)
        _check_own(obj)
        with self._call("replace", kind, namespace, name=name, dry_run=dry_run):
            live = self._existing(kind, namespace, name)
            if not obj["metadata"].get("resourceVersion") and _group(obj) not in _UNCONDITIONAL:
                message = "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"
                raise from_answer(422, status("Invalid", message), _subject(obj))
            self._check_version(live, obj)
            kept = {
                key: live["metadata"][key]
                for key in ("uid", "creationTimestamp", "generation", "managedFields")
                if key in live["metadata"]
            }
            body = _converted(obj)
            body["metadata"] = {**body["metadata"], **kept}
            return self._written("replace", live, body, MANAGER, dry_run)

    def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None,
        patch: Any,
        *,
        patch_type: str = "merge",
        subresource: str | None = None,
        dry_run: bool = False,
        field_manager: str | None = None,
    ) -> Obj:
        check_served(api_version, kind)
        with self._call("patch", kind, namespace, name=name, dry_run=dry_run):
            live = self._existing(kind, namespace, name)
            try:
                body = json_patch(live, patch) if patch_type == "json" else merge_patch(live, patch)
            except PatchError as error:
                raise from_answer(422, status("Invalid", str(error)), _subject(live)) from error
            self._check_version(live, body)
            written = self._written("patch", live, body, field_manager or MANAGER, dry_run)
        if self.on_patch is not None and not dry_run:
            self.on_patch(self, self.objects[kind, namespace or "", name])
        return written

    def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        dry_run: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> bool:
        check_served(api_version, kind)
        self.delete_options.append(dict(options or {}))
        with self._call("delete", kind, namespace, name=name, dry_run=dry_run):
            live = self.objects.get((kind, namespace or "", name))
            wanted = (options or {}).get("preconditions", {})
            if live is not None and any(live["metadata"].get(key) != value for key, value in wanted.items()):
                raise from_answer(409, status("Conflict", "Precondition failed"), _subject(live))
            if live is None or (uid and live["metadata"].get("uid", uid) != uid):
                return False
            self._log("delete", live, dry_run)
            if dry_run:
                return True
            if live["metadata"].get("finalizers"):
                live["metadata"]["deletionTimestamp"] = self.time
                live["metadata"]["resourceVersion"] = str(next(self._versions))
            else:
                del self.objects[self.key(live)]
            return True

    def create_subresource(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None,
        subresource: str,
        body: Mapping[str, Any],
        *,
        dry_run: bool = False,
    ) -> Obj:
        """An eviction takes the pod away, unless ``on_evict`` knows better."""
        with self._call(subresource, kind, namespace, name=name, dry_run=dry_run):
            live = self._existing(kind, namespace, name)
            self._log(subresource, live, dry_run)
            if subresource == "eviction" and not dry_run:
                if self.on_evict is not None:
                    self.on_evict(self, live, body)
                else:
                    del self.objects[self.key(live)]
            return {}

    def exec(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        timeout: float = 30.0,
        stdin: str | bytes | None = None,
    ) -> ExecResult:
        """What ``on_exec`` answers; text counts as the output of a command that went well."""
        with self._call("exec", "Pod", namespace, name=pod):
            self._existing("Pod", namespace, pod)
            assert self.on_exec is not None, f"nobody answers {command} in {pod}"
            answer = self.on_exec(namespace, pod, container, command)
            return ExecResult(answer, "", 0) if isinstance(answer, str) else answer

    def ask_pod(
        self, namespace: str, pod: str, port: int, path: str, *, method: str = "GET", timeout: float = 30.0
    ) -> PodAnswer:
        """What ``on_ask`` answers; text counts as the body of an answer with status 200."""
        with self._call("ask", "Pod", namespace, name=pod):
            self._existing("Pod", namespace, pod)
            assert self.on_ask is not None, f"nobody answers {method} {path} in {pod}"
            answer = self.on_ask(namespace, pod, port, path)
            return PodAnswer(200, answer) if isinstance(answer, str) else answer

    def logs(
        self, namespace: str, pod: str, container: str | None = None, tail_lines: int | None = None
    ) -> str:
        """What ``container_logs`` holds for the pod; nothing for others."""
        with self._call("logs", "Pod", namespace, name=pod):
            self._existing("Pod", namespace, pod)
            lines = self.container_logs.get((namespace, pod, container or ""), "").splitlines()
            return "\n".join(lines[-tail_lines:] if tail_lines else lines)

    # The store.
    @property
    def time(self) -> str:
        return self.clock.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _existing(self, kind: str, namespace: str | None, name: str) -> Obj:
        live = self.objects.get((kind, namespace or "", name))
        if live is None:
            subject = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
            raise from_answer(404, status("NotFound", f"{kind} {name} not found"), subject)
        return live

    def _check_version(self, live: Obj | None, obj: Mapping[str, Any]) -> None:
        wanted = obj["metadata"].get("resourceVersion")
        if wanted and (live is None or live["metadata"]["resourceVersion"] != wanted):
            message = "the object has been modified; please apply your changes to the latest version"
            raise from_answer(409, status("Conflict", message), f"{_subject(obj)} was changed meanwhile")

    def _written(self, verb: str, live: Obj | None, body: Obj, manager: str, dry_run: bool) -> Obj:
        owners = managed_fields.updated(live or {}, body, managed_fields.read_owners(live or {}), manager)
        return self._settle(verb, live, body, owners, dry_run)

    def _settle(
        self, verb: str, live: Obj | None, body: Obj, owners: managed_fields.Owners, dry_run: bool
    ) -> Obj:
        """Store a write that changes something; the server's own fields follow."""
        namespace = body["metadata"].get("namespace")
        if namespace and ("Namespace", "", namespace) not in self.objects:
            raise from_answer(404, status("NotFound", f'namespaces "{namespace}" not found'), _subject(body))
        metadata = {key: value for key, value in body["metadata"].items() if key != "resourceVersion"}
        if live is None:
            metadata |= {
                "uid": f"uid-{next(self._versions)}",
                "creationTimestamp": self.time,
                "generation": 1,
            }
        elif not identical(_specification(live), _specification(body)) and "generation" in metadata:
            metadata["generation"] += 1
        known = managed_fields.read_owners(live or {})
        if live is None or owners != known:
            metadata["managedFields"] = managed_fields.write_owners(
                owners, body.get("apiVersion", "v1"), self.time
            )
        result = {**copied(body), "metadata": copied(metadata)}
        self._log(verb, result, dry_run)
        if dry_run:
            result["metadata"]["resourceVersion"] = (live or {"metadata": {}})["metadata"].get(
                "resourceVersion", ""
            )
            return result
        if live is not None and identical(_without_version(live), result):
            return copied(live)
        return copied(self.put(result))

    def _log(self, verb: str, obj: Mapping[str, Any], dry_run: bool) -> None:
        (self.dry_runs if dry_run else self.writes).append((verb, _subject(obj)))


def reaching(cluster: Any) -> Any:
    """``connect`` of a Context: every client is ``cluster``."""
    return lambda _options, **_more: contextlib.nullcontext(cluster)


def _check_own(obj: Mapping[str, Any]) -> None:
    """Objects of tests may leave their version out; one that is written must be served."""
    if "apiVersion" in obj:
        check_served(str(obj["apiVersion"]), obj["kind"])


def _subject(obj: Mapping[str, Any]) -> str:
    kind, namespace, name = FakeCluster.key(obj)
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _group(obj: Mapping[str, Any]) -> str:
    return str(obj.get("apiVersion", "v1")).rpartition("/")[0]


def _same_group(obj: Mapping[str, Any], api_version: str) -> bool:
    return "apiVersion" not in obj or not api_version or _group(obj) == api_version.rpartition("/")[0]


def _specification(obj: Mapping[str, Any]) -> Obj:
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}


def _without_version(obj: Mapping[str, Any]) -> Obj:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    return {**obj, "metadata": metadata}


def _converted(obj: Mapping[str, Any]) -> Obj:
    """``stringData`` of a Secret is write-only: the server keeps it as ``data``."""
    result = copied(dict(obj))
    if result["kind"] == "Secret" and "stringData" in result:
        plain = result.pop("stringData")
        coded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        result["data"] = {**result.get("data", {}), **coded}
    return result
