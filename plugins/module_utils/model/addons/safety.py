# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Add-ons, safer than Istio's samples: nobody is an administrator without a password, and none stands in a
manifest.

What is changed is recognized by what it is (Grafana's anonymous access, Kiali's strategy ``anonymous``), in
whatever manifest it stands; what does otherwise already stays as it is.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...documents.json_text import json_text
from ...documents.read import read_document
from ...errors import InputError, Problem
from ...fields import list_at, mapping_at, mappings_at, name_of, text_at
from ...object_id import object_id
from ..reading.values import QUANTITY
from .manifests import WORKLOADS

Obj = dict[str, Any]
GRAFANA_SECRET, KIALI_SECRET = "grafana-admin", "kiali-signing-key"
KIALI_CONFIG = "config.yaml"
_SIGNING_KEY = "/kiali-override-secrets/login-token-signing-key"
"""Where Kiali looks for it (kiali config/config.go, SecretFileLoginTokenSigningKey)."""
CONFIG_DIGEST = "servicemesh.istio/config-sha256"
RESOURCES = {"requests": {"cpu": "50m", "memory": "128Mi"}}
"""For containers that say nothing themselves: a limit would depend on the size of the mesh."""
_RETENTION = "--storage.tsdb.retention.time="
SAFETY_SPEC: dict[str, dict[str, Any]] = {
    "as_released": {"type": "list", "elements": "str", "default": []},
    "retention": {"type": "dict", "default": {}},
    "storage": {"type": "dict", "default": {}},
    "resources": {"type": "dict", "default": {}},
}
"""The options of a module that asks for it, as parts of its argument spec."""


@dataclasses.dataclass(frozen=True, slots=True)
class Safety:
    """How add-ons are to be.

    :param as_released: names of add-ons that stay as their source has them. :param retention: add-on -> how
        long Prometheus keeps samples, such as ``15d``. :param storage: add-on -> size of a volume that lasts.
    :param resources: add-on -> ``requests`` and ``limits`` of its containers, instead of their own.
    """

    as_released: frozenset[str] = frozenset()
    retention: Mapping[str, str] = dataclasses.field(default_factory=dict)
    storage: Mapping[str, str] = dataclasses.field(default_factory=dict)
    resources: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Safety:
        """Reads the options of ``SAFETY_SPEC``. :raises InputError: a size that is none."""
        storage = {str(name): str(size) for name, size in params["storage"].items()}
        problems = [
            Problem(f"addons_storage.{name}", fault, "quantity")
            for name, size in storage.items()
            if (fault := QUANTITY.fault(size))
        ]
        problems += [
            Problem(f"addons_resources.{name}", "is not requests and limits", "resources")
            for name, value in params["resources"].items()
            if not isinstance(value, Mapping) or not set(value) <= {"requests", "limits"}
        ]
        if problems:
            raise InputError(problems)
        retention = {str(name): str(time) for name, time in params["retention"].items()}
        return cls(frozenset(map(str, params["as_released"])), retention, storage, params["resources"])


def made_safe(
    objects: Sequence[Mapping[str, Any]], addon: str, safety: Safety, enabled: Sequence[str], namespace: str
) -> list[Obj]:
    """The objects of one add-on, changed; claims of volumes come first.

    :param enabled: all add-ons, so that Kiali is told of those that are there. :param namespace: theirs.
    :returns: copies. :raises InputError: Kiali's configuration is no mapping.
    """
    if addon in safety.as_released:
        return [copy.deepcopy(dict(item)) for item in objects]
    found = [copy.deepcopy(dict(item)) for item in objects]
    digests: dict[str, str] = {}
    for item in found:
        if item.get("kind") == "ConfigMap" and _is_kiali(item):
            _kiali_config(item, enabled, namespace)
            text = item["data"][KIALI_CONFIG]
            digests[name_of(item)] = hashlib.sha256(text.encode()).hexdigest()
    claims: list[Obj] = []
    for item in found:
        if item.get("kind") in WORKLOADS:
            claims += _workload(item, addon, safety, digests)
    return [*claims, *found]


def wanted_secrets(objects: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The Secrets that changed add-ons need and that their manifests do not bring.

    :returns: (namespace, name) -> keys whose values are made once, at random.
    """
    brought = {name_of(item) for item in objects if item.get("kind") == "Secret"}
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for item in objects:
        if item.get("kind") not in WORKLOADS:
            continue
        place = text_at(item, "metadata", "namespace")
        used = set(_used_secrets(item)) - brought
        if GRAFANA_SECRET in used:
            found[place, GRAFANA_SECRET] = ("password",)
        if KIALI_SECRET in used:
            found[place, KIALI_SECRET] = ("value.txt",)
    return found


def _used_secrets(item: Mapping[str, Any]) -> Iterator[str]:
    pod = mapping_at(item, "spec", "template", "spec")
    for volume in mappings_at(pod, "volumes"):
        yield text_at(volume, "secret", "secretName")
    for container in mappings_at(pod, "containers"):
        for entry in mappings_at(container, "env"):
            yield text_at(entry, "valueFrom", "secretKeyRef", "name")


def _is_kiali(item: Mapping[str, Any]) -> bool:
    text = mapping_at(item, "data").get(KIALI_CONFIG)
    return isinstance(text, str) and "login_token" in text and "external_services" in text


def kiali_place(item: Mapping[str, Any]) -> str:
    """Where Kiali's configuration stands, for messages."""
    return f"{object_id(item)} data.{KIALI_CONFIG}"


def read_kiali(item: Mapping[str, Any]) -> Obj:
    """Kiali's configuration, as its ConfigMap holds it.

    :returns: section -> its content. :raises InputError: it is no mapping.
    """
    config = read_document(text_at(item, "data", KIALI_CONFIG), kiali_place(item))
    if not isinstance(config, dict):
        raise InputError([Problem(kiali_place(item), "is no mapping", "kiali-config")])
    return config


def section(config: Obj, name: str, about: str, **made: Any) -> Obj:
    """A part of a configuration, to be changed in place. One that is absent or null is made.

    :param about: the configuration, for messages. :param made: what a part holds that is made.
    :returns: the part. :raises InputError: it is no mapping.
    """
    found = config.get(name)
    if found is None:
        found = config[name] = dict(made)
    if not isinstance(found, dict):
        raise InputError([Problem(about, f"{name} is no mapping", "kiali-config")])
    return found


def _kiali_config(item: Obj, enabled: Sequence[str], namespace: str) -> None:
    """Login with a token, a signing key of its own, and the addresses of what is installed beside it."""
    about = kiali_place(item)
    config = read_kiali(item)
    auth = section(config, "auth", about)
    if auth.get("strategy") == "anonymous":
        auth["strategy"] = "token"
    token = section(config, "login_token", about)
    if str(token.get("signing_key") or "CHANGEME").startswith("CHANGEME"):
        token["signing_key"] = ""
    services = section(config, "external_services", about)
    for name, (addon, port) in {"prometheus": ("prometheus", 9090), "grafana": ("grafana", 3000)}.items():
        if addon in enabled:
            key = "url" if name == "prometheus" else "internal_url"
            part = section(services, name, about, enabled=True)
            part.setdefault(key, _url(addon, namespace, port))
        elif name == "grafana":
            section(services, name, about).setdefault("enabled", False)
    if "jaeger" in enabled:
        tracing = section(services, "tracing", about)
        tracing["enabled"] = True
        tracing.setdefault("provider", "jaeger")
        tracing.setdefault("use_grpc", True)
        tracing.setdefault("internal_url", f"{_url('tracing', namespace, 16685)}/jaeger")
    item["data"][KIALI_CONFIG] = json_text(config)


def _url(service: str, namespace: str, port: int) -> str:
    return f"http://{service}.{namespace}:{port}"


def _workload(item: Obj, addon: str, safety: Safety, digests: Mapping[str, str]) -> list[Obj]:
    """Changes a workload. :returns: the claims that it needs."""
    pod = mapping_at(item, "spec", "template", "spec")
    configs = {text_at(one, "configMap", "name") for one in mappings_at(pod, "volumes")}
    for name in sorted(configs & set(digests)):
        annotate_template(item, CONFIG_DIGEST, digests[name])
        _mount_signing_key(item)
    for container in mappings_at(pod, "containers"):
        _container(container, safety.retention.get(addon, ""), safety.resources.get(addon))
    return _claims(item, safety.storage.get(addon, ""))


def annotate_template(workload: Obj, key: str, value: str) -> None:
    """Lets the pods of a workload start anew whenever ``value`` is another one."""
    template = workload["spec"]["template"]
    metadata = mapping_at(template, "metadata")
    template["metadata"] = {**metadata, "annotations": {**mapping_at(metadata, "annotations"), key: value}}


def _mount_signing_key(item: Obj) -> None:
    pod = item["spec"]["template"]["spec"]
    name = "login-token-signing-key"
    if any(text_at(one, "name") == name for one in mappings_at(pod, "volumes")):
        return
    volume = {"name": name, "secret": {"secretName": KIALI_SECRET}}
    pod["volumes"] = [*mappings_at(pod, "volumes"), volume]
    mount = {"name": name, "mountPath": _SIGNING_KEY, "readOnly": True}
    pod["containers"] = [
        {**container, "volumeMounts": [*mappings_at(container, "volumeMounts"), mount]}
        for container in mappings_at(pod, "containers")
    ]


def _container(container: Any, retention: str, resources: Mapping[str, Any] | None) -> None:
    if resources or not container.get("resources"):
        container["resources"] = copy.deepcopy(dict(resources or RESOURCES))
    environment = {text_at(entry, "name"): entry for entry in mappings_at(container, "env")}
    if text_at(environment.get("GF_AUTH_ANONYMOUS_ENABLED"), "value") == "true":
        _set(environment, "GF_AUTH_ANONYMOUS_ENABLED", "false")
        _set(environment, "GF_AUTH_ANONYMOUS_ORG_ROLE", "Viewer")
        _set(environment, "GF_AUTH_BASIC_ENABLED", "true")
        environment.pop("GF_SECURITY_ADMIN_PASSWORD", None)
        environment["GF_SECURITY_ADMIN_PASSWORD"] = {
            "name": "GF_SECURITY_ADMIN_PASSWORD",
            "valueFrom": {"secretKeyRef": {"name": GRAFANA_SECRET, "key": "password"}},
        }
        container["env"] = list(environment.values())
    arguments = [str(word) for word in list_at(container, "args")]
    tsdb = any(word.startswith(("--storage.tsdb.", "--config.file")) for word in arguments)
    if retention and tsdb and text_at(container, "name").startswith("prometheus-server"):
        kept = [word for word in arguments if not word.startswith(_RETENTION)]
        container["args"] = [*kept, f"{_RETENTION}{retention}"]


def _set(environment: dict[str, Any], name: str, value: str) -> None:
    environment[name] = {"name": name, "value": value}


def _claims(item: Obj, size: str) -> list[Obj]:
    """A claim in the place of each volume that ends with the pod and holds data (``storage``)."""
    claims: list[Obj] = []
    pod = mapping_at(item, "spec", "template", "spec")
    for volume in mappings_at(pod, "volumes") if size else ():
        name = text_at(volume, "name")
        if "emptyDir" not in volume or not name.startswith("storage"):
            continue
        claim = f"{name_of(item)}-{name}"
        metadata: Obj = {"name": claim}
        if place := text_at(item, "metadata", "namespace"):
            metadata["namespace"] = place
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        claims.append(
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
        )
        changed = dict(volume)
        del changed["emptyDir"]
        changed["persistentVolumeClaim"] = {"claimName": claim}
        volumes = item["spec"]["template"]["spec"]["volumes"]
        volumes[volumes.index(volume)] = changed
        if item["kind"] == "Deployment":  # two pods cannot have the volume at once
            item["spec"]["strategy"] = {"type": "Recreate"}
    return claims
