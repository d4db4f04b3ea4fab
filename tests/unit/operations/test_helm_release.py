# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""helm runs on the cluster of the connection, whatever else the environment names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations import helm_release

from ..support.arguments import refusals, validated
from ..support.programs import calls, program

# Notes what it is given: its environment, its kubeconfig and its standard input.
NOTES = 'env > "$0.env"; cat "$KUBECONFIG" > "$0.kubeconfig"; cat > "$0.stdin"'


class Helm:
    def __init__(self, directory: Path, script: str = NOTES, version: str = "v3.18.0") -> None:
        script = f"case $1 in version) printf {version};; *) {script};; esac"
        self.path = program(directory, "helm", script)
        self.lines: list[str] = []

    def run(self, environment: dict[str, str] | None = None, *, check_mode: bool = False, **more: Any) -> Any:
        given = {"name": "istiod", "release_namespace": "istio-system", "binary": str(self.path), **more}
        given |= {"host": "https://ours.example.com", "api_key": "s3cret", **given}
        checked = validated(helm_release.ARGUMENT_SPEC, given, **helm_release.CONSTRAINTS)
        context = Context(
            check_mode=check_mode,
            environment={"PATH": "/usr/bin:/bin", **(environment or {})},
            progress=self.lines.append,
        )
        return helm_release.run(checked, context)

    def calls(self) -> list[str]:
        """What it was called for, but to ask its version."""
        return [line for line in calls(self.path) if not line.startswith("version ")]

    def noted(self, what: str) -> str:
        return self.path.with_name(f"helm.{what}").read_text()


INSTALLATION = {
    "version": "1.31.1",
    "hub": "docker.io/istio",
    "tag": "",
    "profile": "default",
    "revision": 7,
    "default_revision": "",
    "namespace": "istio-system",
    "mesh_config": '{"trustDomain": "shop.example"}',
    "extension_providers": [],
    "values": {"pilot": {"env": {"VAULT_TOKEN": "s3cret"}}},
    "gateways": "[]",
}


def test_the_values_of_a_release_follow_from_its_installation_also_from_text(tmp_path: Path) -> None:
    helm = Helm(tmp_path)
    helm.run(name="istiod-7", chart="/charts/istiod.tgz", installation=INSTALLATION)
    assert json.loads(helm.noted("stdin")) == {
        "global": {"hub": "docker.io/istio", "tag": "1.31.1", "istioNamespace": "istio-system"},
        "meshConfig": {"trustDomain": "shop.example"},
        "revision": "7",
        "pilot": {"env": {"VAULT_TOKEN": "s3cret"}},
    }


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({}, "installation: has no release istio-system/istiod"),
        ({"values": {"a": 1}}, "values: and installation exclude each other"),
        ({"installation": {**INSTALLATION, "gateways": "x"}}, "istio_gateways: is 'x', not a list such as"),
        ({"installation": {**INSTALLATION, "hub": ""}}, "istio_hub: is empty"),
    ],
)
def test_an_installation_that_says_no_values(tmp_path: Path, given: dict[str, Any], refusal: str) -> None:
    with pytest.raises(InputError) as caught:
        Helm(tmp_path).run(chart="/charts/istiod.tgz", **{"installation": INSTALLATION, **given})
    assert str(caught.value).startswith(refusal)


def test_an_installation(tmp_path: Path) -> None:
    helm = Helm(tmp_path)
    values = {"global": {"token": "s3cret"}, "smile": "\U0001f600"}
    result = helm.run(chart="/charts/istiod.tgz", values=values, timeout=60, history_max=3)
    assert result == {"changed": True, "release": "istio-system/istiod"}
    assert helm.calls() == [
        "upgrade istiod /charts/istiod.tgz --namespace istio-system --install --create-namespace "
        "--reset-values --history-max 3 --wait --timeout 60s --values -"
    ]
    assert json.loads(helm.noted("stdin")) == values
    assert helm.lines == ["helm: apply release istio-system/istiod"]


@pytest.mark.parametrize(("version", "word"), [("v4.0.1", True), ("v4.2.0+g1", True), ("v3.22.0", False)])
def test_helm_4_merges_as_helm_3_does(tmp_path: Path, version: str, word: bool) -> None:
    """Its server-side apply would end with a conflict where AKS owns a webhook's selector."""
    helm = Helm(tmp_path, version=version)
    helm.run(chart="/c")
    helm.run(state="absent")
    assert [("--server-side=false" in line) for line in helm.calls()] == [word, False]


def test_a_gateway_is_not_waited_for_and_a_removal_has_no_values(tmp_path: Path) -> None:
    helm = Helm(tmp_path)
    helm.run(chart="/c", wait=False)
    helm.run(state="absent")
    assert "--wait" not in helm.calls()[0]
    assert helm.calls()[1] == (
        "uninstall istiod --namespace istio-system --ignore-not-found --wait --timeout 300s"
    )
    assert helm.lines == [
        "helm: apply release istio-system/istiod", "helm: remove release istio-system/istiod"
    ]  # fmt: skip
    assert helm.noted("stdin") == ""


FOREIGN = {
    "K8S_AUTH_HOST": "https://theirs.example.com",
    "K8S_AUTH_API_KEY": "theirs",
    "K8S_AUTH_VERIFY_SSL": "no",
    "KUBECONFIG": "/theirs",
    "HELM_KUBECONTEXT": "theirs",
    "HELM_KUBEAPISERVER": "https://theirs.example.com",
    "HELM_KUBETOKEN": "theirs",
    "HELM_NAMESPACE": "theirs",
}


def test_it_reaches_the_cluster_of_the_connection_and_no_other(tmp_path: Path) -> None:
    helm = Helm(tmp_path)
    helm.run(FOREIGN, chart="/c")
    content = json.loads(helm.noted("kubeconfig"))
    assert content["clusters"][0]["cluster"] == {"server": "https://ours.example.com"}
    assert content["users"][0]["user"] == {"token": "s3cret"}
    seen = dict(line.split("=", 1) for line in helm.noted("env").splitlines() if "=" in line)
    assert not [name for name in seen if name.startswith("HELM_KUBE")]
    assert "theirs" not in seen["KUBECONFIG"]
    assert not Path(seen["KUBECONFIG"]).exists()


def test_whoever_reads_k8s_auth_finds_nothing(tmp_path: Path) -> None:
    """A plugin of helm, or a credential plugin, may read kubernetes.core's variables."""
    helm = Helm(tmp_path)
    helm.run(FOREIGN, chart="/c")
    assert "K8S_AUTH_" not in helm.noted("env")


def test_check_mode_starts_nothing(tmp_path: Path) -> None:
    helm = Helm(tmp_path)
    assert helm.run(chart="/c", check_mode=True)["changed"] is True
    assert calls(helm.path) == []


def test_a_failure_is_helms_own_sentence(tmp_path: Path) -> None:
    helm = Helm(tmp_path, 'echo "Error: UPGRADE FAILED: no such chart" >&2; exit 1')
    with pytest.raises(MeshError, match="could not apply Helm release istio-system/istiod: UPGRADE FAILED"):
        helm.run(chart="/c")


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="istio_helm_binary"):
        Helm(tmp_path).run(chart="/c", binary=str(tmp_path / "no"))


def test_a_release_needs_a_chart() -> None:
    spec, rules = helm_release.ARGUMENT_SPEC, helm_release.CONSTRAINTS
    said = refusals(spec, {"name": "a", "release_namespace": "b"}, **rules)
    assert said == ["state is present but all of the following are missing: chart"]
