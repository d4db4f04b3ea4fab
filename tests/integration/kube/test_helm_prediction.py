# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What check mode says of a Helm upgrade, against what the real Helm then does, on generated objects.

A chart that prints the objects of its values is installed, strangers write into what it made, and the values
change. Nothing of ours takes part in the upgrade. ``HELM_UPGRADES=60`` tries that many.
"""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.installation.commands import Runner
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.options import ConnectionOptions
from ansible_collections.servicemesh.istio.plugins.module_utils.kube.target import tool_environment
from ansible_collections.servicemesh.istio.plugins.module_utils.model.installation.settings import (
    read_installation,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane import helm
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane.drift import (
    quiet,
    repair,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane.installer import (
    find_installer,
)
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.control_plane.options import (
    ToolOptions,
)

from lab.places import cache_root

UPGRADES = int(os.environ.get("HELM_UPGRADES", "8"))
TEMPLATE = "{{ range .Values.objects }}\n---\n{{ toYaml . }}\n{{ end }}"
Obj = dict[str, Any]


def some(chance: random.Random, items: list[Any]) -> list[Any]:
    return [item for item in items if chance.random() < 0.6]


def objects(chance: random.Random) -> list[Obj]:
    """A Service, a Deployment, a ConfigMap, a ServiceAccount, a webhook, a budget and a custom resource."""
    container: Obj = {
        "name": "discovery",
        "image": f"pilot:{chance.randint(1, 2)}",
        "env": some(
            chance, [{"name": name, "value": str(chance.randint(1, 2))} for name in ("A", "B", "C", "D")]
        ),
        "ports": some(chance, [{"containerPort": port, "protocol": "TCP"} for port in (8080, 15010)]),
        "args": some(chance, ["discovery", "--log=info", "--x"]),
        "volumeMounts": [{"name": "v", "mountPath": "/v"}, *some(chance, [{"name": "w", "mountPath": "/w"}])],
    }
    if chance.random() < 0.5:
        container["resources"] = {"requests": {"cpu": "10m"}}
    volumes: list[Obj] = [
        {
            "name": "v",
            **chance.choice(
                [{"emptyDir": {}}, {"configMap": {"name": "m"}}, {"secret": {"secretName": "s"}}]
            ),
        },
        {"name": "w", "emptyDir": {"medium": "Memory"}},
    ]
    spec: Obj = {
        "selector": {"matchLabels": {"app": "istiod"}},
        "template": {
            "metadata": {
                "labels": {"app": "istiod", **dict(some(chance, [("x", "1"), ("y", "2")]))},
                "annotations": dict(some(chance, [("a", "1"), ("b", "2"), ("c", str(chance.randint(1, 2)))])),
            },
            "spec": {
                "containers": [container, *some(chance, [{"name": "extra", "image": "extra:1"}])],
                "volumes": volumes,
                "tolerations": some(chance, [{"key": "k", "operator": "Exists"}]),
            },
        },
    }
    if chance.random() < 0.5:
        spec["replicas"] = chance.randint(1, 3)
    if chance.random() < 0.7:
        spec["strategy"] = chance.choice(
            [{"type": "Recreate"}, {"rollingUpdate": {"maxSurge": 1}}, {"type": "RollingUpdate"}]
        )
    ports = [{"name": f"p{port}", "port": port, "targetPort": port} for port in (80, 443, 15443)]
    service: Obj = {"selector": {"app": "istiod"}, "ports": some(chance, ports[1:]) + ports[:1]}
    if chance.random() < 0.5:
        service["sessionAffinity"] = "ClientIP"
    annotations = dict(some(chance, [("cloud/type", "internal"), ("note", str(chance.randint(1, 2)))]))
    webhook: Obj = {
        "name": "one.example.io",
        "clientConfig": {"service": {"name": "istiod", "namespace": "default", "path": "/inject"}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "objectSelector": {"matchLabels": {"never": "match"}},
        "rules": [
            {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
        ],
        **chance.choice([{}, {"failurePolicy": "Ignore"}, {"timeoutSeconds": 3}]),
    }
    return [
        made("v1", "ServiceAccount", "a", imagePullSecrets=some(chance, [{"name": "s"}, {"name": "t"}])),
        made("v1", "ConfigMap", "m", data=dict(some(chance, [("mesh", "a: 1\n"), ("x", "1"), ("y", "2")]))),
        made("v1", "Service", "istiod", annotations=annotations, spec=service),
        made("apps/v1", "Deployment", "istiod", annotations=annotations, spec=spec),
        made(
            "admissionregistration.k8s.io/v1",
            "MutatingWebhookConfiguration",
            "NAMESPACE-hook",
            webhooks=[webhook, *some(chance, [{**webhook, "name": "two.example.io"}])],
        ),
        made(
            "networking.istio.io/v1alpha3",
            "EnvoyFilter",
            "f",
            spec={
                "priority": chance.randint(1, 2),
                "configPatches": [
                    {"applyTo": "HTTP_FILTER", "match": {"context": context}, "patch": {"operation": "MERGE"}}
                    for context in some(chance, ["ANY", "GATEWAY"])
                ],
            },
        ),
        *some(chance, [made("v1", "ConfigMap", "sometimes", data={"a": "b"})]),
    ]


def made(api_version: str, kind: str, name: str, *, annotations: Obj | None = None, **rest: Any) -> Obj:
    metadata: Obj = {"name": name, "labels": {"app": "x"}}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


class Site:
    """Charts named like Istio's, and the real Helm."""

    def __init__(self, kube: Any, api: str, space: str, directory: Path) -> None:
        self.kube, self.api, self.space, self.directory = kube, api, space, directory
        self.binary = str(cache_root() / "bin" / "helm")
        for chart in ("base", "istiod"):
            (directory / chart / "templates").mkdir(parents=True)
            (directory / chart / "Chart.yaml").write_text(f"apiVersion: v2\nname: {chart}\nversion: 1.31.0\n")
            template = (
                TEMPLATE if chart == "istiod" else "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: base}\n"
            )
            (directory / chart / "templates" / "all.yaml").write_text(template)

    def values(self, wanted: list[Obj]) -> Obj:
        text = json.dumps(wanted).replace("NAMESPACE", self.space)
        return {"objects": json.loads(text)}

    def plan(self, wanted: list[Obj]) -> helm.HelmPlan:
        installation = read_installation(
            {
                "method": "helm",
                "version": "1.31.0",
                "hub": "h",
                "gateways": [],
                "namespace": self.space,
                "values": self.values(wanted),
            }
        )
        tools = ToolOptions("istioctl", self.binary, str(self.directory), str(self.directory / "cache"))
        options = ConnectionOptions.from_params({"kubeconfig": self.api}, {})
        with tool_environment(options, {"PATH": "/usr/bin:/bin", "HOME": str(self.directory)}) as (
            environment,
            _secrets,
        ):
            runner = Runner(environment)
            tool = find_installer(installation, runner, tools)
            return helm.plan(self.kube, installation, runner, tool, tools)

    def upgrade(self, planned: helm.HelmPlan) -> None:
        """What the role does: helm for each release, then the repairs of a second plan."""
        for release in planned.releases:
            if release.action not in ("install", "upgrade"):
                continue
            subprocess.run(
                [
                    *(self.binary, "upgrade", "--install", release.name, release.reference.reference),
                    *("--namespace", release.namespace, "--reset-values", "--values", "-"),
                ],
                input=json.dumps(dict(release.values)),
                env={"KUBECONFIG": self.api, "HOME": str(self.directory), "PATH": "/usr/bin:/bin"},
                text=True,
                check=True,
                capture_output=True,
                timeout=120,
            )

    def state(self, wanted: list[Obj]) -> dict[str, Obj]:
        found = {}
        for obj in self.values(wanted)["objects"]:
            place = None if obj["kind"] == "MutatingWebhookConfiguration" else self.space
            live = self.kube.get(obj["apiVersion"], obj["kind"], obj["metadata"]["name"], place)
            if live is not None:
                found[f"{obj['kind']} {obj['metadata']['name']}"] = plain(live)
        return found


def plain(obj: Obj) -> Obj:
    """Without what the Deployment's controller counts, some time after each write."""
    result = quiet(obj)
    annotations = dict(result["metadata"].get("annotations") or {})
    annotations.pop("deployment.kubernetes.io/revision", None)
    result["metadata"]["annotations"] = annotations
    return result


def strangers(kube: Any, space: str, chance: random.Random) -> None:
    """What controllers and clouds add to objects that somebody else declared."""
    patches: list[tuple[str, str, str, Obj]] = [
        ("v1", "Service", "istiod", {"metadata": {"annotations": {"cloud/added": "1"}}}),
        ("v1", "Service", "istiod", {"metadata": {"annotations": {"note": "theirs"}}}),
        ("apps/v1", "Deployment", "istiod", {"spec": {"replicas": 2}}),
        (
            "apps/v1",
            "Deployment",
            "istiod",
            {"spec": {"template": {"metadata": {"annotations": {"r": "1"}}}}},
        ),
        ("v1", "ConfigMap", "m", {"data": {"theirs": "1"}}),
    ]
    for api_version, kind, name, patch in some(chance, patches):
        kube.patch(api_version, kind, name, space, patch, field_manager="cloud-controller")


@pytest.mark.parametrize("seed", range(UPGRADES))
def test_check_mode_says_exactly_what_helm_does(
    kube: Any, api: str, space: str, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    site = Site(kube, api, space, tmp_path)
    old = objects(chance)
    site.upgrade(site.plan(old))
    strangers(kube, space, chance)
    new = objects(chance)
    both = [*old, *(obj for obj in new if obj["metadata"]["name"] == "sometimes")]
    before = site.state(both)
    planned = site.plan(new)
    assert site.state(both) == before, "a plan wrote something"
    predicted = copy.deepcopy({item.id: item for item in planned.releases[1].differences})
    site.upgrade(planned)
    repair(kube, site.plan(new).drift, field_manager="helm")
    after = site.state(both)
    for name in sorted({*before, *after}):
        kind, short = name.split(" ")
        place = "" if kind == "MutatingWebhookConfiguration" else f"{space}/"
        found = predicted.get(f"{kind} {place}{short}")
        was, now = before.get(name, {}), after.get(name, {})
        if found is None:
            assert now == was, f"{name} changed and nobody said so"
        elif found.action == "create":
            assert not was and now
        elif found.action == "delete":
            assert was and not now
        else:
            assert now != was, f"{name} did not change: {found.before} {found.after}"
            assert now == plain(dict(found.after))
    assert site.plan(new).differences == []
    kube.delete("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", f"{space}-hook")
