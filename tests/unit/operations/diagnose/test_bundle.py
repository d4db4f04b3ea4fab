# Copyright (c) 2026, servicemesh.istio contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The support bundle holds what was looked at, and no secret."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.diagnose import bundle as bundles

from .healthy_mesh import Healthy, diagnose, line, pod

MARK = "hunter2Planted9f3e"


def bundle(cluster: Healthy, path: Path, **symptom: str) -> str:
    diagnose(cluster, bundle_path=str(path), **symptom)
    return path.read_text()


def test_everything_that_was_looked_at_is_in_it(tmp_path: Path) -> None:
    cluster = Healthy()
    cluster.log("web-1", line(503, "UO"))
    found = json.loads(bundle(cluster, tmp_path / "a.json", source="web", destination="api"))
    assert set(found) == {
        "access_log", "figures", "istiods", "mesh_config", "objects", "proxies", "result", "symptom", "sync",
        "time",
    }  # fmt: skip
    assert found["access_log"][0]["flags"] == ["UO"]
    assert found["symptom"]["source"] == "web"
    assert {"VirtualService", "Pod", "Gateway"} <= set(found["objects"])
    assert "shop/web-1" in found["proxies"]
    assert found["result"]["status"] == "pass"
    text = (tmp_path / "a.json").read_text()
    assert text == json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o600


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    cluster = Healthy()
    coded = base64.b64encode(MARK.encode()).decode()
    cluster.edit("Secret", "api-cert", "istio-system")["data"]["password"] = coded
    environment = [{"name": "DATABASE", "value": f"postgres://u:{MARK}@db"}]
    container = {"name": "app", "image": "app:1", "env": environment, "args": ["--key", MARK]}
    cluster.put(pod("web-1", containers=[container]))
    cluster.edit("Pod", "web-1")["metadata"]["annotations"][
        "kubectl.kubernetes.io/last-applied-configuration"
    ] = MARK
    cluster.edit("Pod", "api-1")["metadata"]["annotations"]["note"] = f"password={MARK}"
    cluster.log("web-1", line(200, path=f"/login?token={MARK}"))
    text = bundle(cluster, tmp_path / "b.json")
    assert MARK not in text
    assert coded not in text
    assert "BEGIN PRIVATE KEY" not in text
    assert "Secret" not in json.loads(text)["objects"]
    assert "/login" in text


@pytest.mark.parametrize("name", ["a.txt", "nowhere/a.json"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path: Path, name: str) -> None:
    cluster = Healthy()
    with pytest.raises(InputError, match="diagnose_bundle_path"):
        diagnose(cluster, bundle_path=str(tmp_path / name))
    assert cluster.calls == []


def test_of_a_container_what_concerns_the_mesh_is_kept(tmp_path: Path) -> None:
    cluster = Healthy()
    told = {key: ["x"] for key in ("command", "args", "env", "envFrom")} | {"lifecycle": {"x": "y"}}
    app = {"name": "app", "image": "app:1", "ports": [{"containerPort": 3000}], **told}
    cluster.put(pod("web-1", args=("proxy", "sidecar"), containers=[app]))
    stored = cluster.edit("Pod", "web-1")
    stored["spec"]["initContainers"][0]["env"] = [{"name": "ISTIO_META_X", "value": "y"}]
    stored["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    stored["metadata"]["annotations"]["note"] = "kept"
    stored["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "{}"
    cluster.log("web-1", line(200, path="/a?b=c"), line(200, path="/d"))
    found = json.loads(bundle(cluster, tmp_path / "c.json"))
    (web,) = [one for one in found["objects"]["Pod"] if one["metadata"]["name"] == "web-1"]
    (shown,) = web["spec"]["containers"]
    assert shown == {
        "name": "app",
        "image": "app:1",
        "ports": [{"containerPort": 3000}],
        **dict.fromkeys(told, "<left out>"),
    }
    (proxy,) = web["spec"]["initContainers"]
    assert (proxy["args"], proxy["env"]) == (["proxy", "sidecar"], "<left out>")
    assert "managedFields" not in web["metadata"]
    assert set(web["metadata"]["annotations"]) == {"sidecar.istio.io/status", "note"}
    assert {one["path"] for one in found["access_log"]} == {"/a", "/d"}
    assert not any("data" in one for one in found["objects"].get("ConfigMap", ()))


def test_no_data_and_no_environment_of_any_object_is_shown() -> None:
    proxy = {
        "name": "istio-proxy",
        "env": [{"name": "A"}],
        "envFrom": [{"secretRef": {"name": "s"}}],
        "args": ["x"],
    }
    item = {"kind": "Any", "metadata": {"name": "a"}, "data": {"a": MARK}, "spec": {"containers": [proxy]}}
    shown = dict.fromkeys(("env", "envFrom"), "<left out>")
    assert bundles._shown(item) == {
        "kind": "Any",
        "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "istio-proxy", **shown, "args": ["x"]}]},
    }
