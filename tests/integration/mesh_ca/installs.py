"""A CA plugged in at install, on clusters that were empty; and a rotation in which nothing is restarted.

`LAB_CLUSTER=NAME KUBECONFIG=... pytest tests/integration/mesh_ca/installs.py`: cluster NAME is removed and
made anew for each test, so `make campaign` runs them last. What a proxy holds is judged by openssl.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..certificates.company import Company, openssl
from ..site.runs import playbook
from .test_mesh_ca import HOME, ROOT, Mesh, lossless, mesh

__all__ = ["lossless", "mesh"]

CLUSTER = os.environ.get("LAB_CLUSTER", "")
SETTINGS = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/istio.yml").read_text())
GATEWAYS = "istio=ingressgateway"


def lab(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "lab", *arguments, "--name", CLUSTER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def kubectl(*arguments: str) -> str:
    environment = dict(line.removeprefix("export ").split("=", 1) for line in lab("env").splitlines())
    command = [environment["LAB_KUBECTL"], "--kubeconfig", environment["KUBECONFIG"], *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def empty() -> Iterator[None]:
    """A cluster with nothing in it."""
    assert CLUSTER, "LAB_CLUSTER names the cluster that is removed and made anew"
    lab("down")
    lab("up")
    yield


def install(**variables: Any) -> dict[str, int]:
    """istio.yml as the operator runs it. :returns: its recap."""
    done = playbook("playbooks/istio.yml", extra=variables)
    assert done.code == 0, done.output[-4000:]
    return done.recap


def items(kind: str, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl("get", kind, "-o", "json", *arguments))["items"]
    return found


def names(kind: str, namespace: str) -> set[str]:
    return {one["metadata"]["name"] for one in items(kind, "-n", namespace)}


def held_by(namespace: str, pod: str) -> tuple[str, str]:
    """What a proxy has: its certificate with the chain, and what it trusts (PEM)."""
    command = ["exec", "-n", namespace, pod, "-c", "istio-proxy", "--", "pilot-agent", "request", "GET"]
    dump = json.loads(kubectl(*command, "config_dump?resource=dynamic_active_secrets"))
    secrets = {one["name"]: one["secret"] for one in dump["configs"]}
    chain = secrets["default"]["tls_certificate"]["certificate_chain"]["inline_bytes"]
    trusted = secrets["ROOTCA"]["validation_context"]["trusted_ca"]["inline_bytes"]
    return base64.b64decode(chain).decode(), base64.b64decode(trusted).decode()


def issued_below(root: str, directory: Path) -> list[str]:
    """The gateway pods whose certificate leads to the root, and who trust nothing else: openssl says so."""
    below = []
    for pod in items("pods", "-n", HOME, "-l", GATEWAYS):
        name = pod["metadata"]["name"]
        chain, trusted = held_by(HOME, name)
        for what, text in (("root", root), ("chain", chain)):
            (directory / f"{what}.pem").write_text(text)
        told = ["verify", "-CAfile", directory / "root.pem", "-untrusted", directory / "chain.pem"]
        assert openssl(*told, directory / "chain.pem").strip().endswith(": OK")
        assert trusted.split() == root.split()
        below.append(name)
    return below


def published() -> set[str]:
    """The roots that istiod hands out, namespace by namespace."""
    found = items("configmaps", "-A", "--field-selector", "metadata.name=istio-ca-root-cert")
    return {one["data"]["root-cert.pem"].strip() for one in found}


def own_root() -> str:
    (secret,) = [one for one in items("secrets", "-n", "servicemesh-system") if _is_root(one)]
    return base64.b64decode(secret["data"]["tls.crt"]).decode()


def _is_root(secret: dict[str, Any]) -> bool:
    return bool(secret["metadata"]["name"] == "servicemesh-mesh-root")


@pytest.mark.parametrize("method", ["istioctl", "helm"])
def test_a_root_of_one_s_own_is_there_before_istiod(empty: None, tmp_path: Path, method: str) -> None:
    variables = {"istio_ca_source": "own", "istio_method": method}
    install(**variables)
    root = own_root()
    assert issued_below(root, tmp_path)
    assert published() == {root.strip()}
    assert "istio-ca-secret" not in names("secrets", HOME), "istiod never made a CA of its own"
    assert install(**variables)["changed"] == 0


@pytest.mark.parametrize("method", ["istioctl", "helm"])
def test_a_company_s_ca_with_revisions(empty: None, tmp_path: Path, method: str) -> None:
    """Revision blue first, the default one beside it later: both sign with the same CA."""
    company = Company(tmp_path, "company")
    variables = {
        "istio_ca_source": "provided",
        "istio_ca_certificate": company.issuing,
        "istio_ca_private_key": company.key("issuing"),
        "istio_ca_roots": company.root,
        "istio_method": method,
    }
    install(**variables, istio_revision="blue")
    assert issued_below(company.root, tmp_path)
    first = items("secrets", "-n", HOME, "--field-selector", "metadata.name=cacerts")
    install(**variables)
    istiods = items("pods", "-n", HOME, "-l", "app=istiod")
    assert {one["metadata"]["labels"]["istio.io/rev"] for one in istiods} == {"blue", "default"}
    assert items("secrets", "-n", HOME, "--field-selector", "metadata.name=cacerts") == first
    assert issued_below(company.root, tmp_path)
    assert published() == {company.root.strip()}
    assert "istio-ca-secret" not in names("secrets", HOME)
    assert install(**variables)["changed"] == 0


def test_a_root_that_stays_out_of_the_cluster(empty: None, tmp_path: Path) -> None:
    file = tmp_path / "safe" / "mesh-root.pem"
    file.parent.mkdir()
    variables = {"istio_ca_source": "own", "istio_ca_root_file": str(file)}
    install(**variables)
    assert file.stat().st_mode & 0o777 == 0o600
    kept = file.read_text()
    root = kept[kept.index("-----BEGIN CERTIFICATE") : kept.index("-----END CERTIFICATE")]
    root += "-----END CERTIFICATE-----\n"
    assert issued_below(root, tmp_path)
    key = kept[kept.index("-----BEGIN PRIVATE KEY") :].splitlines()[1]
    everything = kubectl("get", "secrets,configmaps", "-A", "-o", "json")
    decoded = [
        base64.b64decode(value).decode(errors="replace")
        for one in json.loads(everything)["items"]
        for value in (one.get("data") or {}).values()
        if one["kind"] == "Secret"
    ]
    assert not [text for text in [everything, *decoded] if key in text]
    assert install(**variables)["changed"] == 0
    assert file.read_text() == kept


LIVE = {
    "istio_ca_source": "own",
    "istio_values": {
        **SETTINGS["istio_values"],
        "pilot": {
            **SETTINGS["istio_values"]["pilot"],
            "env": {**SETTINGS["istio_values"]["pilot"]["env"], "ISTIO_MULTIROOT_MESH": "true"},
        },
    },
    "istio_mesh_config": {
        **SETTINGS["istio_mesh_config"],
        "defaultConfig": {
            **SETTINGS["istio_mesh_config"]["defaultConfig"],
            "proxyMetadata": {
                **SETTINGS["istio_mesh_config"]["defaultConfig"]["proxyMetadata"],
                "PROXY_CONFIG_XDS_AGENT": "true",
            },
        },
    },
}


@pytest.fixture(scope="module")
def live_shop() -> None:
    """The shop in a mesh whose proxies take other roots and certificates over while they run."""
    assert CLUSTER, "LAB_CLUSTER names the cluster that is removed and made anew"
    lab("down")
    lab("up")
    admin = {"mesh_connection": {"kubeconfig": lab("kubeconfig")}}
    for path, extra in (("lab/playbooks/shop.yml", admin), ("playbooks/site.yml", LIVE)):
        done = playbook(path, extra=extra)
        assert done.code == 0, done.output[-4000:]


def pods() -> set[tuple[str, str, int]]:
    """Every pod with a proxy or istiod, by its id, and how often one of its containers was restarted."""
    found = [one for one in items("pods", "-A") if one["metadata"]["namespace"] in ("ecommerce", HOME)]
    return {
        (
            f"{one['metadata']['namespace']}/{one['metadata']['name']}",
            one["metadata"]["uid"],
            sum(status["restartCount"] for status in one["status"]["containerStatuses"]),
        )
        for one in found
    }


PATIENT: dict[str, Any] = {"patience": 240, "timeout": 400}
"""A kubelet hands a changed Secret over within a minute or two; nobody is restarted for it."""


def test_live_nothing_is_restarted(live_shop: None, mesh: Mesh, lossless: None, tmp_path: Path) -> None:
    before, root = pods(), own_root()
    assert issued_below(root, tmp_path)
    result = mesh.run(action="rotate", renew="root", **PATIENT)
    assert (result["outcome"], result["proxies"]["late"]) == ("rotated", []), mesh.lines
    assert pods() == before
    after = own_root()
    assert after != root
    assert issued_below(after, tmp_path)
    assert published() == {after.strip()}
    assert mesh.run(action="rotate")["changed"] is False


def test_live_killed_and_taken_back(live_shop: None, mesh: Mesh, lossless: None, tmp_path: Path) -> None:
    before, root = pods(), own_root()
    mesh.kill_when(lambda: mesh.stage() == "1", action="rotate", renew="root", **PATIENT)
    assert mesh.run(action="rollback", **PATIENT)["outcome"] == "rolled back", mesh.lines
    assert pods() == before
    assert published() == {root.strip()}
    assert issued_below(root, tmp_path)
