"""tests/integration: on a cluster with the finished mesh, or on an API server of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from . import lab
from .kept_code import keeping
from .needs import debian_packages
from .paths import ROOT
from .pytest_run import pytest

OWN_CLUSTER = "tests/integration/lab"  # starts, kills and removes clusters of its own

PROOF = "tests/integration/proof"
CERTIFICATES = "tests/integration/certificates"
MESH = "tests/integration/mesh"
API_SERVER = "tests/integration/kube"  # needs an API server, which it starts itself, and no mesh
AWX_OBJECTS = "tests/integration/awx"  # needs no cluster

OBSERVE = "tests/integration/observe"  # counts requests when nothing drains any more: drains.py
BEFORE_OBSERVE = ("tests/integration/guides", "tests/integration/runner")  # replace nothing in a proxy


def directories() -> list[str]:
    """The suites that share the cluster with the finished mesh, in the order in which they run."""
    found = {str(path.parent.relative_to(ROOT)) for path in ROOT.glob("tests/integration/*/test_*.py")}
    others = sorted(found - {OWN_CLUSTER, API_SERVER, AWX_OBJECTS, *BEFORE_OBSERVE})
    at = others.index(OBSERVE)
    return [*others[:at], *BEFORE_OBSERVE, *others[at:]]


def browser() -> None:
    """What opens the pages that people look at."""
    debian_packages("test", {"chromium": "chromium"})


def suite(cluster: str, label: str, *arguments: str, **more: str) -> int:
    """Tests on a finished mesh, with the administrator's kubeconfig; they name other users.

    `label`: names the report; `more`: of the environment.
    """
    browser()
    environment = {
        "LAB_CLUSTER": cluster,
        "KUBECONFIG": str(lab.kubeconfig(cluster, "admin")),
        **keeping(),
        **more,
    }
    return pytest(Path(sys.executable), label, *arguments, environment=environment)


def on_the_mesh(cluster: str) -> int:
    """All suites that work on a mesh, without what is in make campaign."""
    return suite(cluster, "integration", "-m", "not long", *directories())


def proof(cluster: str, seed: int) -> int:
    """The campaigns that put verify to the proof, whole; `make test` runs samples. `seed`: of the dice."""
    return suite(cluster, "proof", PROOF, PROOF="all", PROOF_SEED=str(seed))


def mesh(cluster: str) -> int:
    """What of the catalogue's suite takes longer: streams, moves, who calls on, and more catalogues."""
    more = suite(cluster, "catalogues", f"{MESH}/test_webhook.py", CATALOGUES="600")
    return more + suite(cluster, "mesh", "-m", "long", MESH)


def certificates(cluster: str) -> int:
    """Rotations in great number under load, killed, two at once, and while istiod is down."""
    many = {"ROTATIONS": "200", "CONNECTIONS": "100", "KILLS": "30", "TWICE": "50"}
    return suite(cluster, "certificates", CERTIFICATES, f"{CERTIFICATES}/outages.py", **many)


def beside(cluster: str) -> str:
    """The cluster without nodes whose API server is killed, restarted and flooded."""
    return f"{cluster}k"


def api_server(cluster: str, *tests: str, **more: str) -> int:
    """The suite of the request layer and the write path. `tests`: a part; `more`: of the environment."""
    name = beside(cluster)
    lab.down(name)
    environment = {"LAB_API_CLUSTER": name, **more}
    try:
        return pytest(
            Path(sys.executable), "integration-kube", *(tests or (API_SERVER,)), environment=environment
        )
    finally:
        lab.down(name)


def dice(cluster: str) -> int:
    """Of that suite, what takes a sample: answers that are mutilated, upgrades by Helm, planted secrets."""
    tests = (f"{API_SERVER}/test_{name}.py" for name in ("half_answers", "helm_prediction", "secrets"))
    return api_server(cluster, *tests, HALF_ANSWERS="2000", HELM_UPGRADES="100", SECRETS="all")


def rollouts(cluster: str) -> int:
    """A fair sample of tests/faults: a healthy and a sick version, and a killed controller."""
    browser()
    environment = {"CANARY_LAB": cluster, "LAB_CLUSTER": cluster}
    return pytest(Path(sys.executable), "rollouts", "tests/faults", "-m", "sample", environment=environment)


def lab_suite() -> int:
    """The suite of the lab itself."""
    return pytest(Path(sys.executable), "integration-lab", OWN_CLUSTER)
