"""Authorization in memory: access reviews, what docs/rbac grants, and a client that may do no more.

Grants are read from the files that an administrator applies, never from the table that they are made of.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.servicemesh.istio.plugins.module_utils.errors import ApiError
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.access import AccessNeed

from .repository import yaml_file

RBAC = Path(__file__).resolve().parents[3] / "docs" / "rbac"
REVIEWS = "/apis/authorization.k8s.io/v1/"


class Access(NamedTuple):
    """One verb on one resource. ``resource`` may be ``pods/exec``, no namespace is the whole cluster, no name
    is every object."""

    group: str
    resource: str
    verb: str
    namespace: str = ""
    name: str = ""


def access_of(need: AccessNeed) -> Access:
    resource = f"{need.resource}/{need.subresource}" if need.subresource else need.resource
    return Access(need.group, resource, need.verb, need.namespace, need.name)


def granted_by(name: str, namespaces: Mapping[str, str] | None = None) -> set[Access]:
    """What a file of docs/rbac grants: a ClusterRole where its bindings bind it.

    :param namespaces: what an administrator puts in place of the file's namespaces.
    """
    items = yaml_file(RBAC / name)["items"]
    rules = {item["metadata"]["name"]: item["rules"] for item in items if item["kind"] == "ClusterRole"}
    bound = [
        (item["roleRef"]["name"], item["metadata"].get("namespace", ""))
        for item in items
        if item["kind"].endswith("Binding")
    ]
    return {
        Access(group, resource, verb, (namespaces or {}).get(namespace, namespace), name)
        for role, namespace in bound or [(role, "") for role in rules]
        for rule in rules[role]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def granting(granted: Iterable[Access], wanted: Access) -> Access | None:
    """The grant that allows a request: where it is made or everywhere, for its object or for all."""
    found = set(granted)
    candidates = [
        wanted._replace(namespace=namespace, name=name)
        for namespace in (wanted.namespace, "")
        for name in (wanted.name, "")
    ]
    return next((access for access in candidates if access in found), None)


def allows(granted: Iterable[Access], wanted: Access) -> bool:
    """Whether a request is allowed."""
    return granting(granted, wanted) is not None


@dataclasses.dataclass
class Answer:
    data: Any
    status: int = 200


class Reviews:
    """The access reviews of an API server. ``asked`` notes (user, access); the caller's user is ``""``."""

    def __init__(self, allowed: Callable[[str, Access], bool] = lambda _user, _access: True) -> None:
        self.allowed = allowed
        self.asked: list[tuple[str, Access]] = []

    def asked_of(self, user: str = "") -> set[Access]:
        return {access for asked, access in self.asked if asked == user}

    def request(self, method: str, path: str, *, body: Mapping[str, Any], **_more: Any) -> Answer:
        assert method == "POST"
        spec = body["spec"]
        wanted = spec["resourceAttributes"]
        resource = "/".join(wanted[part] for part in ("resource", "subresource") if wanted.get(part))
        where = (wanted.get("namespace", ""), wanted.get("name", ""))
        access = Access(wanted.get("group", ""), resource, wanted["verb"], *where)
        if body["kind"] == "LocalSubjectAccessReview":
            assert path == f"{REVIEWS}namespaces/{access.namespace}/localsubjectaccessreviews"
            assert body["metadata"]["namespace"] == access.namespace
            assert spec["groups"][0] == "system:serviceaccounts"
        else:
            assert (path, body["kind"]) == (f"{REVIEWS}selfsubjectaccessreviews", "SelfSubjectAccessReview")
        user = spec.get("user", "")
        self.asked.append((user, access))
        return Answer({"status": {"allowed": self.allowed(user, access)}})

    def in_parallel(self, function: Any, items: Sequence[Any], **_more: Any) -> list[Any]:
        return [function(item) for item in items]


def resource_of(kind: str) -> str:
    """The plural of a kind, as Kubernetes and Istio build it; the metrics API calls its objects ``pods``."""
    name = kind.removesuffix("Metrics").lower()
    if name.endswith("ss"):
        return f"{name}es"
    return f"{name[:-1]}ies" if name.endswith("y") and name[-2] not in "aeo" else f"{name}s"


class Restricted:
    """A client whose user has some rights and no others.

    :ivar used: the grants that requests needed. :ivar refused: what was asked for and not granted.
    """

    def __init__(self, client: Any, allowed: Iterable[Access]) -> None:
        self._client = client
        self.allowed = set(allowed)
        self.used: set[Access] = set()
        self.refused: set[Access] = set()

    def request(self, method: str, path: str, *, body: Any = None, **more: Any) -> Any:
        """Everybody may ask for the version and about himself (ClusterRole system:basic-user)."""
        if path == f"{REVIEWS}selfsubjectaccessreviews":
            return Reviews(lambda _user, access: allows(self.allowed, access)).request(
                method, path, body=body
            )
        if path.endswith("/localsubjectaccessreviews"):
            namespace = path.removeprefix(f"{REVIEWS}namespaces/").partition("/")[0]
            self._check(Access("authorization.k8s.io", "localsubjectaccessreviews", "create", namespace))
        return self._client.request(method, path, body=body, **more)

    def _check(self, access: Access) -> None:
        grant = granting(self.allowed, access)
        self.used.add(grant or access)
        if grant is None:
            self.refused.add(access)
            raise ApiError(f"{access} is forbidden", status=403, reason="Forbidden")

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        accesses = getattr(self, f"_rights_of_{name}", None)
        if accesses is None:
            return method

        def call(*args: Any, **options: Any) -> Any:
            for access in accesses(*args, **options):
                self._check(access)
            return method(*args, **options)

        return call

    def __enter__(self) -> Restricted:
        return self

    def __exit__(self, *_rest: object) -> None:
        pass

    @staticmethod
    def _access(
        api_version: str,
        kind: str,
        verb: str,
        namespace: str | None,
        subresource: str | None = "",
        name: str = "",
    ) -> Access:
        group = api_version.rpartition("/")[0]
        resource = "/".join(part for part in (resource_of(kind), subresource) if part)
        return Access(group, resource, verb, namespace or "", name)

    def _of_object(self, obj: Mapping[str, Any], verb: str, *, named: bool = True) -> Access:
        """A POST is authorized without the name of what it makes."""
        metadata = obj["metadata"]
        name = metadata["name"] if named else ""
        return self._access(obj["apiVersion"], obj["kind"], verb, metadata.get("namespace"), name=name)

    def _rights_of_get(
        self, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> list[Access]:
        return [self._access(api_version, kind, "get", namespace, name=name)]

    def _rights_of_list(
        self, api_version: str, kind: str, namespace: str | None = None, **more: Any
    ) -> list[Access]:
        """A list of one name is authorized as that name (apiserver, fieldSelector metadata.name)."""
        name = str(more.get("field_selector") or "").partition("metadata.name=")[2]
        return [self._access(api_version, kind, "list", namespace, name=name)]

    def _rights_of_create(self, obj: Mapping[str, Any], **_more: Any) -> list[Access]:
        return [self._of_object(obj, "create", named=False)]

    def _rights_of_replace(self, obj: Mapping[str, Any], **_more: Any) -> list[Access]:
        return [self._of_object(obj, "update")]

    def _rights_of_apply(self, obj: Mapping[str, Any], **_more: Any) -> list[Access]:
        """A patch that makes the object is authorized as create, too (apiserver, handlers/patch.go)."""
        metadata = obj["metadata"]
        there = self._client.get(obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace"))
        return [self._of_object(obj, verb) for verb in (("patch",) if there else ("patch", "create"))]

    _rights_of_apply_told = _rights_of_apply

    def _rights_of_patch(
        self, api_version: str, kind: str, name: str, namespace: str | None, patch: Any, **more: Any
    ) -> list[Access]:
        return [self._access(api_version, kind, "patch", namespace, more.get("subresource"), name)]

    def _rights_of_delete(
        self, api_version: str, kind: str, name: str, namespace: str | None = None, **_more: Any
    ) -> list[Access]:
        return [self._access(api_version, kind, "delete", namespace, name=name)]

    def _rights_of_create_subresource(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str,
        subresource: str,
        *_rest: Any,
        **_more: Any,
    ) -> list[Access]:
        return [self._access(api_version, kind, "create", namespace, subresource, name)]

    def _rights_of_logs(self, namespace: str, pod: str, *_rest: Any, **_more: Any) -> list[Access]:
        return [Access("", "pods/log", "get", namespace, pod)]

    def _rights_of_exec(self, namespace: str, pod: str, *_rest: Any, **_more: Any) -> list[Access]:
        return [Access("", "pods/exec", verb, namespace, pod) for verb in ("get", "create")]

    def _rights_of_ask_pod(self, namespace: str, pod: str, *_rest: Any, **_more: Any) -> list[Access]:
        return [Access("", "pods/portforward", verb, namespace, pod) for verb in ("get", "create")]
