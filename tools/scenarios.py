"""Molecule's scenarios: those that install a mesh, and those on the mesh that the last of them leaves."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from . import lab
from .paths import BUILD, COLLECTIONS, ROOT
from .stages import command

BIN = Path(sys.executable).parent
# Run by `make campaign`: a rollout, and a whole mesh moved to another control plane, take their time.
CAMPAIGNS = ("canary", "revision")


# Install Istio, so they need a cluster without a mesh. The last one leaves the mesh that the others want.
BARE = ("site_helm", "site_istioctl")
# Only look at the mesh that they find; their `converge` is for whoever runs one on a cluster of its own.
LOOK = ("verify_breaks",)


def scenarios() -> list[str]:
    """Names of all scenarios but `default`, which only creates and destroys, and the campaigns."""
    found = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    return [name for name in found if name != "default" and name not in CAMPAIGNS]


def on_a_finished_mesh() -> list[str]:
    """Scenarios for a mesh that is there; `traffic` replaces its catalogue, so it comes last."""
    return sorted((name for name in scenarios() if name not in BARE), key=lambda name: name == "traffic")


def from_a_bare_cluster() -> list[str]:
    """Scenarios that each need a cluster of their own."""
    return [name for name in BARE if name in scenarios()]


def scenario(name: str, cluster: str, *, sequence: str = "test") -> int:
    """Run one scenario's sequence on a cluster that is there, and that is left there."""
    directory = BUILD / "molecule" / name
    shutil.rmtree(directory, ignore_errors=True)  # what a killed run noted there is not true any more
    command(
        *(BIN / "molecule", sequence, "--no-shared-state", "--scenario-name", name),
        environment={
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "LAB_CLUSTER": cluster,
            "MOLECULE_EPHEMERAL_DIRECTORY": str(directory),
            "MOLECULE_GLOB": "molecule/*/molecule.yml",  # and not the newer default place, extensions/
            **({} if sys.stdout.isatty() else {"NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1", "PY_COLORS": "0"}),
        },
    )
    return 1


def scenario_on_the_mesh(name: str, cluster: str) -> int:
    """Run one scenario on a mesh that another one has left, applied, verified and seen to be idempotent."""
    return scenario(name, cluster, sequence="verify" if name in LOOK else "test")


def scenario_alone(name: str, cluster: str) -> int:
    """Run one scenario on a cluster that did not exist before."""
    lab.fresh(cluster)
    return scenario(name, cluster)
