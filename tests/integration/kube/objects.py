"""Objects of several kinds, and random edits of them. Everything comes from one seeded generator."""

from __future__ import annotations

import copy
import random
from typing import Any

Obj = dict[str, Any]
WORDS = ["alpha", "beta", "gamma", "delta", "epsilon"]


def istio(kind: str, name: str, space: str, spec: Obj, **metadata: Any) -> Obj:
    group = "security" if kind in ("AuthorizationPolicy", "PeerAuthentication") else "networking"
    version = "v1alpha3" if kind == "EnvoyFilter" else "v1"
    return {
        "apiVersion": f"{group}.istio.io/{version}",
        "kind": kind,
        "metadata": {"name": name, "namespace": space, **metadata},
        "spec": spec,
    }


def core(api_version: str, kind: str, name: str, space: str, **rest: Any) -> Obj:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": space, "labels": {"app": "x", "tier": "y"}},
        **rest,
    }


def templates(space: str, name: str) -> list[Obj]:
    """One object of each sort of schema: granular and atomic maps and lists, keyed lists, sets, free form."""
    return [
        istio(
            "VirtualService",
            name,
            space,
            {
                "hosts": ["a.example.com", "b.example.com"],
                "http": [
                    {
                        "match": [{"uri": {"prefix": "/a"}, "headers": {"x": {"exact": "1"}}}],
                        "route": [
                            {"destination": {"host": "x", "subset": "v1"}, "weight": 90},
                            {"destination": {"host": "x", "subset": "v2"}, "weight": 10},
                        ],
                        "timeout": "3s",
                    },
                    {"route": [{"destination": {"host": "x"}}]},
                ],
            },
            labels={"a": "1", "b": "2"},
            annotations={"note": "n"},
        ),
        istio(
            "DestinationRule",
            name,
            space,
            {
                "host": "x",
                "trafficPolicy": {
                    "connectionPool": {"tcp": {"maxConnections": 7}, "http": {"http1MaxPendingRequests": 3}},
                    "outlierDetection": {"consecutive5xxErrors": 5, "interval": "30s"},
                },
                "subsets": [{"name": "v1", "labels": {"v": "1"}}, {"name": "v2", "labels": {"v": "2"}}],
            },
        ),
        istio(
            "AuthorizationPolicy",
            name,
            space,
            {
                "selector": {"matchLabels": {"app": "x", "tier": "y"}},
                "action": "ALLOW",
                "rules": [
                    {"from": [{"source": {"principals": ["cluster.local/ns/a/sa/b"]}}]},
                    {"to": [{"operation": {"methods": ["GET"], "paths": ["/x", "/x/*"]}}]},
                ],
            },
        ),
        istio("PeerAuthentication", name, space, {"mtls": {"mode": "STRICT"}}),
        istio(
            "EnvoyFilter",
            name,
            space,
            {
                "configPatches": [
                    {
                        "applyTo": "HTTP_FILTER",
                        "match": {"context": "SIDECAR_INBOUND"},
                        "patch": {
                            "operation": "INSERT_BEFORE",
                            "value": {"name": "f", "typed_config": {"a": [1, 2]}},
                        },
                    }
                ],
                "priority": 3,
            },
        ),
        istio("AuthorizationPolicy", f"{name}-deny", space, {}),
        istio(
            "DestinationRule",
            f"{name}-empty",
            space,
            {"host": "x", "trafficPolicy": {}, "subsets": [], "workloadSelector": {"matchLabels": {}}},
            annotations={},
        ),
        {
            "apiVersion": "extensions.istio.io/v1alpha1",
            "kind": "WasmPlugin",
            "metadata": {"name": name, "namespace": space, "labels": {}},
            "spec": {
                "url": "oci://example.com/a:1",
                "pluginConfig": {
                    "on": True,
                    "off": False,
                    "one": 1,
                    "zero": 0,
                    "half": 0.5,
                    "no": {},
                    "l": [],
                },
            },
        },
        core("v1", "ConfigMap", f"{name}-empty", space, data={}),
        core("v1", "ConfigMap", name, space, data={"a": "1", "b": "2"}, binaryData={"c": "AAAA"}),
        core("v1", "Secret", name, space, type="Opaque", data={"a": "MQ==", "b": "Mg=="}),
        core(
            "v1",
            "Service",
            name,
            space,
            spec={
                "selector": {"app": "x"},
                "ports": [
                    {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080},
                    {"name": "grpc", "port": 90, "protocol": "TCP", "targetPort": "grpc"},
                ],
            },
        ),
        core("apps/v1", "Deployment", f"{name}-defaults", space, spec=_defaulted()),
        core(
            "v1",
            "ServiceAccount",
            name,
            space,
            imagePullSecrets=[{"name": "one"}, {"name": "two"}],
        ),
        core(
            "apps/v1",
            "Deployment",
            name,
            space,
            spec={
                "replicas": 0,
                "selector": {"matchLabels": {"app": "x"}},
                "template": {
                    "metadata": {"labels": {"app": "x"}},
                    "spec": {
                        "containers": [
                            {
                                "name": "main",
                                "image": "a/b:1",
                                "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                                "resources": {"limits": {"memory": "64Mi"}},
                            },
                            {"name": "side", "image": "c/d:1", "args": ["x", "y"]},
                        ],
                        "tolerations": [{"key": "k", "operator": "Exists"}],
                    },
                },
            },
        ),
        core(
            "v1",
            "Pod",
            name,
            space,
            spec={
                "serviceAccountName": "default",
                "containers": [{"name": "main", "image": "a/b:1"}],
                "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a", "b"]}],
                "schedulingGates": [{"name": "test.example/held"}],
            },
        ),
    ]


def _defaulted() -> Obj:
    """A Deployment with empty maps, which the server fills."""
    container = {"name": "main", "image": "a/b:1", "resources": {}, "securityContext": {}, "env": []}
    return {
        "replicas": 0,
        "strategy": {},
        "selector": {"matchLabels": {"app": "x"}},
        "template": {
            "metadata": {"labels": {"app": "x"}, "annotations": {}},
            "spec": {
                "containers": [container],
                "securityContext": {},
                "volumes": [{"name": "v", "emptyDir": {}}],
                "nodeSelector": {"a": "b"},
            },
        },
    }


def edited(obj: Obj, chance: random.Random) -> Obj:
    """A copy with one or two places changed: values, keys, order or length of lists, labels."""
    result = copy.deepcopy(obj)
    for _unused in range(chance.choice((1, 1, 2))):
        chance.choice((_change_somewhere, _change_somewhere, _label, _annotate))(result, chance)
    return result


def _label(obj: Obj, chance: random.Random) -> None:
    labels = obj["metadata"].setdefault("labels", {})
    if labels and chance.random() < 0.4:
        del labels[chance.choice(sorted(labels))]
    else:
        labels[chance.choice(WORDS)] = chance.choice(WORDS)


def _annotate(obj: Obj, chance: random.Random) -> None:
    obj["metadata"].setdefault("annotations", {})[chance.choice(WORDS)] = chance.choice(WORDS)


def _change_somewhere(obj: Obj, chance: random.Random) -> None:
    places: list[tuple[Any, Any]] = []
    for top in ("spec", "data", "imagePullSecrets"):
        if top in obj:
            _collect(obj, top, places)
    if not places:
        return _label(obj, chance)
    holder, key = chance.choice(places)
    value = holder[key]
    if isinstance(value, list):
        _edit_list(value, chance)
    elif isinstance(value, dict):
        if value and chance.random() < 0.5:
            del value[chance.choice(sorted(value))]
        else:
            value[chance.choice(WORDS)] = chance.choice(WORDS)
    elif isinstance(value, (bool, int)) and chance.random() < 0.5:
        # What Python takes for equal and an API server does not, and the other way round.
        holder[key] = chance.choice((True, False, 0, 1, 1.0, 0.0))
    elif isinstance(holder, dict) and chance.random() < 0.3:
        del holder[key]
    else:
        holder[key] = value + 1 if isinstance(value, int) else _other_text(str(value), chance)
    return None


def _other_text(value: str, chance: random.Random) -> str:
    if value.endswith("=="):
        return chance.choice(["MQ==", "Mg==", "Mw=="])
    return chance.choice([value, f"{value}x", *WORDS])


def _edit_list(value: list[Any], chance: random.Random) -> None:
    action = chance.randrange(4)
    if action == 0 and len(value) > 1:
        value.reverse()
    elif action == 1 and value:
        del value[chance.randrange(len(value))]
    elif action == 2 and value:
        extra = copy.deepcopy(chance.choice(value))
        if isinstance(extra, dict) and "name" in extra:
            extra["name"] = chance.choice(WORDS)
        value.insert(
            chance.randrange(len(value) + 1), extra if isinstance(extra, dict) else chance.choice(WORDS)
        )
    else:
        chance.shuffle(value)


def _collect(holder: Any, key: Any, places: list[tuple[Any, Any]]) -> None:
    places.append((holder, key))
    value = holder[key]
    if isinstance(value, dict):
        for inner in value:
            _collect(value, inner, places)
    elif isinstance(value, list):
        for inner in range(len(value)):
            _collect(value, inner, places)


def part_of(obj: Obj, chance: random.Random) -> Obj:
    """The identity of an object with a random part of its content: what another manager might apply."""
    result: Obj = {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "metadata": {"name": obj["metadata"]["name"], "namespace": obj["metadata"]["namespace"]},
    }
    for field in ("labels", "annotations"):
        if field in obj["metadata"] and chance.random() < 0.4:
            result["metadata"][field] = obj["metadata"][field]
    for field in ("spec", "data", "imagePullSecrets", "type"):
        if field in obj and chance.random() < 0.8:
            result[field] = copy.deepcopy(obj[field])
            if isinstance(result[field], dict) and chance.random() < 0.6:
                for key in sorted(result[field]):
                    if len(result[field]) > 1 and chance.random() < 0.5:
                        del result[field][key]
    return result
