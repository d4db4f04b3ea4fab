"""The bill of an installation: every image of every pod, whoever writes it, and where each comes from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.servicemesh.istio.plugins.module_utils.context import Context
from ansible_collections.servicemesh.istio.plugins.module_utils.errors import InputError, MeshError
from ansible_collections.servicemesh.istio.plugins.module_utils.model.pod_images import pod_images
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.bill import backend
from ansible_collections.servicemesh.istio.plugins.module_utils.operations.bill.contents import images_of

from ...support.arguments import validated
from ...support.programs import calls, program

PATHS = {"PATH": "/bin:/usr/bin"}
PROXY = "hub.example/istio/proxyv2:1.31.1"
VALUES = {"global": {"hub": "hub.example/istio", "tag": "1.31.1", "proxy": {"image": "proxyv2"}}}


def workload(kind: str, image: str, **annotations: str) -> dict[str, Any]:
    template = {"metadata": {"annotations": annotations}, "spec": {"containers": [{"image": image}]}}
    spec: dict[str, Any] = {"template": template}
    if kind == "CronJob":
        spec = {"jobTemplate": {"spec": spec}}
    if kind == "Pod":
        spec = template["spec"]
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": kind.lower(), "namespace": "n"},
        "spec": spec,
    }


def injector(name: str = "istio-sidecar-injector", **values: Any) -> dict[str, Any]:
    data = {"config": "policy: enabled", "values": json.dumps({**VALUES, **values})}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "n"},
        "data": data,
    }


@pytest.mark.parametrize(
    "kind", ["Deployment", "DaemonSet", "StatefulSet", "Job", "CronJob", "Pod", "Rollout"]
)
def test_what_has_pods_counts_whatever_its_kind(kind: str) -> None:
    assert list(pod_images(workload(kind, "a:1"))) == [("a:1", {})]


def test_init_containers_count_and_an_image_that_is_not_there_does_not() -> None:
    obj = workload("Deployment", "a:1")
    obj["spec"]["template"]["spec"] |= {"initContainers": [{"image": "b:1"}, {"name": "without"}]}
    assert sorted(image for image, _notes in pod_images(obj)) == ["a:1", "b:1"]


def test_a_gateway_runs_what_the_injector_gives() -> None:
    found = images_of([injector(), workload("Deployment", "auto"), workload("DaemonSet", "cni:1")])
    assert found == {
        PROXY: {"sidecars", "Deployment n/deployment"},
        "cni:1": {"DaemonSet n/daemonset"},
    }


def test_a_gateway_with_an_image_of_its_own_runs_that() -> None:
    gateway = workload("Deployment", "auto", **{"sidecar.istio.io/proxyImage": "mine/proxy:2"})
    assert images_of([injector(), gateway])["mine/proxy:2"] == {"Deployment n/deployment"}


def test_the_image_type_of_the_mesh_counts() -> None:
    mesh = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "n"},
        "data": {"mesh": "defaultConfig: {image: {imageType: distroless}}"},
    }
    assert list(images_of([injector(), mesh])) == ["hub.example/istio/proxyv2:1.31.1-distroless"]


def test_each_revision_has_its_proxy() -> None:
    other = injector("istio-sidecar-injector-new", **{"global": {"hub": "h", "tag": "2"}})
    assert sorted(images_of([injector(), other])) == ["h/proxyv2:2", PROXY]


def test_a_gateway_without_an_injector_is_not_guessed() -> None:
    with pytest.raises(MeshError, match=r"Deployment n/deployment: .* no injector is installed"):
        images_of([workload("Deployment", "auto")])


# -- the whole bill ------------------------------------------------------------------------------------------


def istioctl(directory: Path) -> Path:
    (directory / "objects").write_text(
        "\n---\n".join(json.dumps(obj) for obj in (injector(), workload("Deployment", "pilot:1")))
    )
    script = (
        'case "$1" in version) echo \'{"clientVersion": {"version": "1.31.1"}}\';; '
        f"*) cat > /dev/null; cat {directory}/objects;; esac"
    )
    return program(directory, "istioctl", script)


def helm(directory: Path) -> Path:
    (directory / "objects").write_text(json.dumps(injector()))
    script = f'case "$1" in version) echo v3.22.0;; *) cat > /dev/null; cat {directory}/objects;; esac'
    return program(directory, "helm", script)


def run(context: Context | None = None, **params: Any) -> dict[str, Any]:
    checked = validated(backend.ARGUMENT_SPEC, {"gateways": [], **params})
    return backend.run(checked, context or Context(environment=PATHS))


def test_a_bill_of_istioctl(tmp_path: Path) -> None:
    path = istioctl(tmp_path)
    found = run(
        istioctl_path=str(path),
        istioctl_source="https://x/istioctl.tar.gz",
        istioctl_sha256="ab",
        probe_image="curl:8",
        deadman="job",
        deadman_job={"image": "curl:8"},
    )
    assert [one["image"] for one in found["images"]] == [
        "curl:8",
        PROXY,
        "pilot:1",
    ]
    assert found["images"][0]["used_by"] == ["Job of a rollout", "probes of verify"]
    assert found["images"][0]["variables"] == ["verify_probe_image", "canary_deadman_job.image"]
    assert found["images"][1] == {
        "image": PROXY,
        "registry": "hub.example",
        "repository": "istio/proxyv2",
        "tag": "1.31.1",
        "digest": "",
        "used_by": ["sidecars"],
        "variables": ["istio_hub", "istio_tag"],
    }
    (tool,) = found["programs"]
    assert (tool["name"], tool["version"], tool["source"], tool["sha256"]) == (
        "istioctl",
        "1.31.1",
        "https://x/istioctl.tar.gz",
        "ab",
    )
    assert (found["changed"], found["charts"], found["manifests"], "files" in found) == (False, [], [], False)
    assert "  istioctl 1.31.1  https://x/istioctl.tar.gz  sha256:ab  mirror: " in "\n".join(found["text"])
    assert all("install" not in line for line in calls(path)), "it only renders"


def test_the_job_of_a_rollout_has_an_image_without_being_asked(tmp_path: Path) -> None:
    path = str(istioctl(tmp_path))
    assert "docker.io/library/python:3.13-slim" in [
        one["image"] for one in run(istioctl_path=path, deadman="job")["images"]
    ]
    assert len(run(istioctl_path=path)["images"]) == 2, "no Job and no probe, no image"


def test_a_bill_of_helm_has_the_charts_with_their_digests(tmp_path: Path) -> None:
    import io
    import tarfile

    for name in ("base", "istiod", "gateway"):
        content = f"name: {name}\nversion: 1.31.1\n".encode()
        with tarfile.open(tmp_path / f"{name}-1.31.1.tgz", "w:gz") as file:
            member = tarfile.TarInfo(f"{name}/Chart.yaml")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    path = helm(tmp_path)
    found = run(method="helm", helm_binary=str(path), chart_source=str(tmp_path), gateways=[{"name": "edge"}])
    assert [chart["name"] for chart in found["charts"]] == ["base", "gateway", "istiod"]
    for chart in found["charts"]:
        package = tmp_path / f"{chart['name']}-1.31.1.tgz"
        assert chart["sha256"] == hashlib.sha256(package.read_bytes()).hexdigest()
    (tool,) = found["programs"]
    assert (tool["name"], tool["version"]) == ("helm", "3.22.0")
    assert tool["source"].startswith("https://get.helm.sh/helm-v3.22.0-linux-")
    assert all(line.startswith(("version", "template")) for line in calls(path))
    assert any("--kube-version v1.36.0" in line for line in calls(path))


def test_addons_are_read_as_they_are_applied(tmp_path: Path) -> None:
    manifest = tmp_path / "prometheus.yaml"
    manifest.write_text(json.dumps(workload("Deployment", "prom/prometheus:v3")))
    found = run(
        istioctl_path=str(istioctl(tmp_path)),
        addons=[{"name": "prometheus", "path": str(manifest)}],
        addons_images={"prom": "mirror.example/prom"},
        release_source="https://x/istio-1.31.1.tar.gz",
        release_sha256="cd",
    )
    assert "mirror.example/prom/prometheus:v3" in [one["image"] for one in found["images"]]
    assert [(one["name"], one["source"], one["sha256"]) for one in found["manifests"]] == [
        ("prometheus", "https://x/istio-1.31.1.tar.gz", "cd")
    ]
    own = {"prometheus": {"url": "https://y/p.yaml", "checksum": "sha256:ef"}}
    again = run(
        istioctl_path=str(istioctl(tmp_path)),
        addons=[{"name": "prometheus", "path": str(manifest)}],
        addons_sources=own,
        release_source="https://x/istio-1.31.1.tar.gz",
    )
    assert [(one["source"], one["sha256"]) for one in again["manifests"]] == [("https://y/p.yaml", "ef")]


def test_the_files_are_written_once(tmp_path: Path) -> None:
    params = {"istioctl_path": str(istioctl(tmp_path)), "path": str(tmp_path / "out" / "bill.of.oslo")}
    looked = run(Context(check_mode=True, environment=PATHS), **params)
    assert looked["changed"] and not (tmp_path / "out").exists()
    first = run(**params)
    json_file, text_file = map(Path, first["files"])
    assert (json_file.name, text_file.name) == ("bill.of.oslo.json", "bill.of.oslo.txt")
    assert json.loads(json_file.read_text())["images"] == first["images"]
    assert text_file.read_text().splitlines() == first["text"]
    assert (first["changed"], run(**params)["changed"]) == (True, False)
    text_file.write_text("other")
    assert run(**params)["changed"] is True


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"bill_path: .*/file/bill cannot be written: Not a directory"):
        run(istioctl_path=str(istioctl(tmp_path)), path=str(tmp_path / "file" / "bill"))


def test_a_missing_program_is_named_by_its_variable() -> None:
    with pytest.raises(InputError, match="istio_istioctl_path"):
        run(istioctl_path="/nowhere/istioctl")
