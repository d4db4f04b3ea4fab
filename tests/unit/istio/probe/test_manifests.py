# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole objects of a probe as an API server gets them, and who can say that a runner lives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe import runner as probe_runner
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.manifests import ProbeRun
from ansible_collections.servicemesh.istio.plugins.module_utils.istio.probe.pods import Identity

RUN = ProbeRun("r1", "me", "curl:1", 90, ["pull"])
METADATA = {
    "labels": {
        "app.kubernetes.io/component": "verify-probe",
        "app.kubernetes.io/managed-by": "servicemesh.istio",
        "servicemesh.istio/probe": "r1",
    },
    "annotations": {"servicemesh.istio/probe-runner": "me"},
}


@pytest.mark.parametrize(
    ("identity", "account", "inject"),
    [(Identity("shop", "web"), "web", "true"), (Identity("shop", "web", meshed=False), "default", "false")],
)
def test_a_probe(identity: Identity, account: str, inject: str) -> None:
    assert RUN.pod(identity, "p") == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "p",
            "namespace": "shop",
            "labels": {**METADATA["labels"], "sidecar.istio.io/inject": inject},
            "annotations": {
                **METADATA["annotations"],
                "proxy.istio.io/config": "holdApplicationUntilProxyStarts: true",
                "traffic.sidecar.istio.io/includeInboundPorts": "",
            },
        },
        "spec": {
            "serviceAccountName": account,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": 90,
            "terminationGracePeriodSeconds": 0,
            "imagePullSecrets": [{"name": "pull"}],
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "probe",
                    "image": "curl:1",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "90"],
                    "resources": {
                        "requests": {"cpu": "5m", "memory": "16Mi"},
                        "limits": {"cpu": "500m", "memory": "64Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "runAsGroup": 65532,
                    },
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "8Mi"}}],
        },
    }


def test_its_sidecar() -> None:
    owners = [{"metadata": {"name": f"p{number}", "uid": f"u{number}"}} for number in (1, 2)]
    assert RUN.sidecar("shop", "s", owners) == {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {
            "name": "s",
            "namespace": "shop",
            **METADATA,
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": f"p{number}", "uid": f"u{number}"}
                for number in (1, 2)
            ],
        },
        "spec": {
            "workloadSelector": {"labels": {"servicemesh.istio/probe": "r1"}},
            "egress": [{"hosts": ["*/*"]}],
        },
    }


def test_who_can_be_told_to_live() -> None:
    host, boot, pid, started = probe_runner.runner_id().rsplit(":", 3)
    assert pid == str(os.getpid())
    assert probe_runner.runner_alive(f"{host}:{boot}:{pid}:{started}") is True
    assert probe_runner.runner_alive(f"{host}:{boot}:{pid}:{started}0") is False
    assert probe_runner.runner_alive(f"{host}:{boot}:99999999:{started}") is False
    for elsewhere in (
        f"other:{boot}:{pid}:{started}",
        f"{host}:another:{pid}:{started}",
        f"{host}:{boot}:x:{started}",
        f"{host}:{boot}:{pid}",
        f"{host}:{boot}:-1:{started}",
        "",
    ):
        assert probe_runner.runner_alive(elsewhere) is None, elsewhere


def test_a_process_is_known_by_the_time_it_started() -> None:
    fields = Path(f"/proc/{os.getpid()}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    assert probe_runner.runner_id().endswith(f":{fields[19]}")


def test_a_machine_that_does_not_tell_its_boot_has_one_name_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_path: Path, *_rest: object) -> str:
        raise OSError

    monkeypatch.setattr(Path, "read_text", unreadable)
    assert probe_runner.runner_id().rsplit(":", 3)[1:] == ["unknown", str(os.getpid()), "gone"]
