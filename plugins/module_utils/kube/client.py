# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client for one API server: raw JSON over the kubernetes package's connection.

The package's generated models stay unused: they cost more than the request itself.
"""

from __future__ import annotations

import builtins
import concurrent.futures
import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ApiError, MeshError
from ..fields import mapping_at, name_of, namespace_of, text_at
from ..labels import FIELD_MANAGER
from .answers import check_deleted, items_of, object_in, object_of, unusable
from .discovery import Discovery, Resource
from .execution import ExecResult, execute
from .forwarding import PodAnswer, ask_pod
from .objects import covers, is_untouched
from .transport import Response, Transport

if TYPE_CHECKING:
    from .clock import Clock
    from .options import ConnectionOptions
    from .secret_fields import Pattern

PAGE = 500
# A page may be large, and the way to the server slow.
LIST_SECONDS = 60.0
_PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectList:
    """Objects of one kind. ``missing`` is true when the server does not serve the kind."""

    items: list[dict[str, Any]]
    resource_version: str = ""
    missing: bool = False


class KubeClient:
    """Requests to one API server. Safe for use by several threads. Use :func:`connect`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._discovery = Discovery(transport)
        self._warnings_lock = threading.Lock()
        self.threads = transport.threads
        self.warnings: list[str] = []
        # Fields whose values no error quotes, beside those that are secrets by their place and name.
        self.hidden_fields: Sequence[Pattern] = ()

    def __enter__(self) -> KubeClient:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections and remove key files."""
        self._transport.close()

    @property
    def host(self) -> str:
        """URL of the API server."""
        return self._transport.host

    @property
    def stopped(self) -> bool:
        """Whether the run was interrupted; loops around requests must look at it."""
        return self._transport.stopped

    def although_stopped(self) -> contextlib.AbstractContextManager[None]:
        """Requests in this block are sent even when the run was stopped: what it made has to go again."""
        return self._transport.although_stopped()

    def pause(self, seconds: float) -> None:
        """Sleep; :raises ApiError: the run was interrupted meanwhile."""
        self._transport.pause(seconds)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content_type: str = "application/json",
        query: Mapping[str, Any] | Sequence[tuple[str, str]] | None = None,
        timeout: float = 30.0,
        accept: str = "application/json",
        subject: str = "",
    ) -> Response:
        """One request, retried on 429, 5xx and broken connections within the deadline.

        :param timeout: seconds until the whole answer of one attempt must be there.
        :raises ApiError: status 400 or more, or no answer; ``details["outcome"]`` is ``unknown`` when an
            attempt may have been carried out.
        """
        response = self._transport.send(
            method,
            path,
            body=body,
            content_type=content_type,
            query=query,
            timeout=timeout,
            accept=accept,
            subject=subject or path,
            hidden=self.hidden_fields,
        )
        if response.warnings:
            with self._warnings_lock:
                self.warnings += [text for text in response.warnings if text not in self.warnings]
        return response

    def _object(
        self,
        method: str,
        resource: Resource,
        name: str,
        namespace: str | None,
        *,
        path: str = "",
        collection: bool = False,
        **options: Any,
    ) -> tuple[dict[str, Any], int]:
        """The object of this kind and name that a request is answered with, and the status.

        :param collection: whether the request goes to the collection, as a creation does.
        :raises ApiError: as :meth:`request`; the answer is something else than this object.
        """
        subject = _subject(resource.kind, namespace if resource.namespaced else None, name)
        path = path or resource.path(namespace, None if collection else name)
        response = self.request(method, path, subject=subject, **options)
        return (
            object_of(
                response,
                resource,
                subject,
                name=name,
                namespace=namespace if resource.namespaced else None,
                writes=method != "GET",
            ),
            response.status,
        )

    def server_version(self) -> dict[str, Any]:
        """``/version``. :returns: ``gitVersion``, ``major``, ``minor``, ..."""
        subject = "version of the API server"
        response = self.request("GET", "/version", subject=subject)
        found = object_in(response, subject, writes=False)
        if not isinstance(found.get("gitVersion"), str):
            raise unusable("says no version", response, subject, writes=False)
        return found

    def resource(self, api_version: str, kind: str) -> Resource:
        """How the server serves a kind. :raises ApiError: ``reason="NoKind"``."""
        return self._discovery.resource(api_version, kind)

    def served_kinds(self) -> list[str]:
        """Everything the server serves, as ``group/version`` and ``group/version/Kind``.

        :returns: sorted, each once.
        """
        return self._discovery.served()

    def refresh_discovery(self) -> None:
        """Forget which kinds are served, after CustomResourceDefinitions were written."""
        self._discovery.refresh()

    def get(
        self, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> dict[str, Any] | None:
        """One object, ``None`` when it does not exist (nor its kind).

        :returns: the object as the server stores it.
        """
        try:
            return self._object("GET", self.resource(api_version, kind), name, namespace)[0]
        except ApiError as error:
            if self._is_gone(error, api_version, kind):
                return None
            raise

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> ObjectList:
        """All objects of a kind, page by page, each with ``apiVersion`` and ``kind`` set."""
        try:
            resource = self.resource(api_version, kind)
        except ApiError as error:
            if error.reason == "NoKind":
                return ObjectList([], missing=True)
            raise
        selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        query = {name: value for name, value in selectors.items() if value}
        for _unused in range(3):
            listed = self._pages(resource, namespace, query)
            if listed is not None:
                return listed
        raise ApiError(
            f"the list of {kind} changed faster than it could be read",
            status=410,
            reason="Expired",
            subject=kind,
        )

    def all_if_few(self, api_version: str, kind: str, most: int) -> Sequence[dict[str, Any]] | None:
        """All objects of a kind if the cluster has no more than ``most`` of them: one request.

        :returns: the objects with ``apiVersion`` and ``kind``; ``None`` when there are more.
        :raises ApiError: they may not be listed, or the kind is not served.
        """
        found, more = self._page(self.resource(api_version, kind), None, {"limit": str(most)})
        return None if more else found.items

    def _is_gone(self, error: ApiError, api_version: str, kind: str) -> bool:
        """Whether an API server says that an object, or its kind, is not there.

        A 404 of something else (a proxy that does not know the path) says nothing about the object. The API
        server itself answers so in plain words when the kind was removed since discovery.
        """
        if error.status != 404 or error.reason in ("NotFound", "NoKind"):
            return error.status == 404
        self._discovery.refresh()
        try:
            self.resource(api_version, kind)
        except ApiError as again:
            return again.reason == "NoKind"
        return False

    def _pages(
        self, resource: Resource, namespace: str | None, query: Mapping[str, str]
    ) -> ObjectList | None:
        """``None`` when a continue token expired on the way: the caller starts again."""
        items: list[dict[str, Any]] = []
        token = ""
        while True:
            following = {"continue": token} if token else {}
            try:
                page, token = self._page(resource, namespace, {**query, "limit": str(PAGE), **following})
            except ApiError as error:
                if error.status == 410 and token:
                    return None
                if not token and self._is_gone(error, resource.api_version, resource.kind):
                    return ObjectList([], missing=True)
                raise
            items += page.items
            if not token:
                return ObjectList(items, page.resource_version)

    def _page(
        self, resource: Resource, namespace: str | None, query: Mapping[str, str]
    ) -> tuple[ObjectList, str]:
        """One page of a list, and the token of the next one, ``""`` for none."""
        subject = f"list {resource.plural}"
        response = self.request(
            "GET", resource.path(namespace), query=query, subject=subject, timeout=LIST_SECONDS
        )
        found, token = items_of(response, resource, subject)
        return ObjectList(found, text_at(response.data, "metadata", "resourceVersion")), token

    def apply(
        self,
        obj: Mapping[str, Any],
        *,
        field_manager: str = FIELD_MANAGER,
        force: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Server-side apply of one whole object. A ``metadata.resourceVersion`` in it must still be current.

        :returns: the object after the write, or as a dry run foresees it.
        :raises ConflictError: another manager owns fields and ``force`` is not set.
        """
        return self.apply_told(obj, field_manager=field_manager, force=force, dry_run=dry_run)[0]

    def apply_told(
        self,
        obj: Mapping[str, Any],
        *,
        field_manager: str = FIELD_MANAGER,
        force: bool = False,
        dry_run: bool = False,
    ) -> tuple[dict[str, Any], bool]:
        """Server-side apply, as :meth:`apply`, and whether this call created the object (or would have).

        After a lost answer the second attempt finds what the first one created, and a proxy may deliver one
        request twice: an object that nobody wrote to since its creation counts as created.

        :returns: the object as of :meth:`apply`, and whether it was created.
        """
        query = {"fieldManager": field_manager, "fieldValidation": "Strict"}
        if force:
            query["force"] = "true"
        if dry_run:
            query["dryRun"] = "All"
        # The server takes JSON here as YAML; "apply-patch+json" is answered by 415.
        after, status = self._object(
            "PATCH",
            *self._identity_of(obj),
            body=_without_nulls_in_metadata(obj),
            content_type="application/apply-patch+yaml",
            query=query,
        )
        return after, status == 201 or is_untouched(after)

    def create(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Create one object. After a lost answer, an existing object that holds ours counts as created.

        :returns: the object as it was stored, or as a dry run foresees it.
        """
        identity = self._identity_of(obj)
        query = _write_query(dry_run)
        try:
            return self._object("POST", *identity, collection=True, body=obj, query=query)[0]
        except ApiError as error:
            return self._settled(obj, error)

    def replace(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Replace one whole object (PUT); with ``metadata.resourceVersion`` only if it is still current.

        :returns: the object after the write, or as a dry run foresees it.
        """
        identity = self._identity_of(obj)
        try:
            return self._object("PUT", *identity, body=obj, query=_write_query(dry_run))[0]
        except ApiError as error:
            return self._settled(obj, error)

    def _settled(self, obj: Mapping[str, Any], error: ApiError) -> dict[str, Any]:
        """After 409: our own earlier attempt may have won. Read back and compare before failing."""
        if error.status == 409 and error.details.get("outcome") == "unknown":
            live = self.get(str(obj["apiVersion"]), str(obj["kind"]), name_of(obj), namespace_of(obj))
            if live is not None and covers(live, obj):
                return live
        raise error

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
    ) -> dict[str, Any]:
        """Patch one object. :param patch_type: ``merge``, ``json`` or ``strategic``.

        :returns: the object after the write, or as a dry run foresees it.
        """
        resource = self.resource(api_version, kind)
        query = _write_query(dry_run)
        if field_manager:
            query["fieldManager"] = field_manager
        options: dict[str, Any] = {
            "body": patch,
            "content_type": _PATCH_TYPES[patch_type],
            "query": query,
        }
        if subresource is None or subresource == "status":
            path = resource.path(namespace, name, subresource)
            return self._object("PATCH", resource, name, namespace, path=path, **options)[0]
        subject = f"{_subject(kind, namespace, name)} {subresource}"
        path = resource.path(namespace, name, subresource)
        return object_in(self.request("PATCH", path, subject=subject, **options), subject, writes=True)

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
        """Delete one object; with ``uid`` only that very object. ``False``: it was already gone.

        :param options: fields of ``DeleteOptions``. Its own ``preconditions`` go before ``uid``, and it is an
            error when they do not hold.
        """
        resource = self.resource(api_version, kind)
        subject = _subject(kind, namespace, name)
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            **(options or {}),
        }
        conditional = "preconditions" in body
        if uid:
            body["preconditions"] = {"uid": uid, **body.get("preconditions", {})}
        if dry_run:
            body["dryRun"] = ["All"]
        try:
            response = self.request("DELETE", resource.path(namespace, name), body=body, subject=subject)
        except ApiError as error:
            if self._is_gone(error, api_version, kind) or (
                error.status == 409 and uid and not conditional and "UID" in error.message
            ):
                return False
            raise
        check_deleted(response, resource, name, subject)
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
    ) -> dict[str, Any]:
        """POST to a subresource such as ``eviction`` or ``token``.

        :returns: the server's answer.
        """
        path = self.resource(api_version, kind).path(namespace, name, subresource)
        subject = f"{_subject(kind, namespace, name)} {subresource}"
        response = self.request("POST", path, body=body, query=_write_query(dry_run), subject=subject)
        found = object_in(response, subject, writes=True)
        if not isinstance(found.get("kind"), str):
            raise unusable("has no kind", response, subject, writes=True)
        return found

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
        """Run a command in a container and wait for its end. :param timeout: seconds, for all of it."""
        return execute(self._transport, namespace, pod, container, command, timeout=timeout, stdin=stdin)

    def ask_pod(
        self, namespace: str, pod: str, port: int, path: str, *, method: str = "GET", timeout: float = 30.0
    ) -> PodAnswer:
        """Ask a port of a pod's loopback; any status is an answer. :param timeout: seconds, for all of it."""
        return ask_pod(self._transport, namespace, pod, port, path, method=method, timeout=timeout)

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str | None = None,
        tail_lines: int | None = None,
        *,
        since_seconds: int | None = None,
        limit_bytes: int | None = None,
    ) -> str:
        """A container's log as text.

        :param since_seconds: how far back. :param limit_bytes: how much at most, from its beginning.
        """
        wanted = {
            "sinceSeconds": since_seconds,
            "limitBytes": limit_bytes,
            "container": container or None,
            "tailLines": tail_lines,
        }
        query = {name: str(value) for name, value in wanted.items() if value is not None}
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        subject = f"log of Pod {namespace}/{pod}"
        response = self.request("GET", path, query=query, accept="*/*", subject=subject)
        if not isinstance(response.data, str | None):
            raise unusable("is no text", response, subject, writes=False)
        return response.data or ""

    def service_proxy_get(
        self,
        namespace: str,
        service: str,
        port: int | str,
        path: str,
        query: Mapping[str, Any] | Sequence[tuple[str, str]] | None = None,
        timeout: float = 30.0,
    ) -> Any:
        """GET from a Service through the API server; decoded JSON, or text when it is not JSON."""
        full = f"/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy/{path.lstrip('/')}"
        return self.request(
            "GET",
            full,
            query=query,
            timeout=timeout,
            accept="*/*",
            subject=f"Service {namespace}/{service}:{port}",
        ).data

    def in_parallel(
        self,
        function: Callable[[_Item], _Result],
        items: Iterable[_Item],
        *,
        threads: int | None = None,
    ) -> builtins.list[_Result]:
        """``function`` of each item, in threads; results in the order of the items.

        :raises MeshError: the first one, after every started call has ended. None starts after a failure.
        """
        entries = builtins.list(items)
        width = min(threads or self.threads, len(entries))
        if width <= 1:
            return [function(entry) for entry in entries]
        failures: builtins.list[MeshError] = []

        def guarded(entry: _Item) -> _Result | None:
            if failures:
                return None
            try:
                return function(entry)
            except MeshError as error:
                failures.append(error)
                return None

        with concurrent.futures.ThreadPoolExecutor(max_workers=width) as pool:
            results = builtins.list(pool.map(guarded, entries))
        if failures:
            raise failures[0]
        return results  # type: ignore[return-value]  # None stands for a failure, which was raised

    def _identity_of(self, obj: Mapping[str, Any]) -> tuple[Resource, str, str]:
        resource = self.resource(str(obj["apiVersion"]), str(obj["kind"]))
        return resource, name_of(obj), namespace_of(obj)


def connect(
    options: ConnectionOptions,
    *,
    threads: int = 16,
    deadline: float | None = None,
    stop: Callable[[], bool] | None = None,
    clock: Clock | None = None,
) -> KubeClient:
    """A client; a context manager. Sends nothing yet.

    :param threads: requests in flight at most, commands in containers included.
    :param deadline: seconds, once there is a credential, after which nothing is sent nor waited for.
    :param stop: asked between requests and in pauses; true ends the work with an ApiError "Interrupted".
    :param clock: for deadlines and pauses between attempts; the machine's by default.
    :raises InputError: the kubeconfig does not say clearly which cluster is meant.
    """
    return KubeClient(Transport(options, threads=threads, deadline=deadline, stop=stop, clock=clock))


def _write_query(dry_run: bool) -> dict[str, str]:
    query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
    if dry_run:
        query["dryRun"] = "All"
    return query


def _subject(kind: str, namespace: str | None, name: str) -> str:
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _without_nulls_in_metadata(obj: Mapping[str, Any]) -> dict[str, Any]:
    """A null creationTimestamp makes every apply a write (kubernetes#116861); the rest is the server's."""
    metadata = {
        key: value
        for key, value in mapping_at(obj, "metadata").items()
        if value is not None
        and key not in ("managedFields", "creationTimestamp", "generation", "selfLink", "uid")
    }
    return {**obj, "metadata": metadata}
