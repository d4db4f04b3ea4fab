"""Molecule's scenarios, each on a cluster that did not exist before it."""

from __future__ import annotations

import sys
from pathlib import Path

from . import lab
from .paths import COLLECTIONS, ROOT
from .stages import command

BIN = Path(sys.executable).parent
# Run by `make campaign`: a rollout, and a whole mesh moved to another control plane, take their time.
CAMPAIGNS = ("canary", "revision")


def scenarios() -> list[str]:
    """Names of all scenarios but `default`, which only creates and destroys, and the campaigns."""
    found = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    return [name for name in found if name != "default" and name not in CAMPAIGNS]


def scenario(name: str, cluster: str) -> int:
    """Create a fresh cluster, run one scenario's sequence on it, and destroy it."""
    lab.down(cluster)
    command(
        *(BIN / "molecule", "test", "--scenario-name", name),
        environment={
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "LAB_CLUSTER": cluster,
            "MOLECULE_GLOB": "molecule/*/molecule.yml",  # and not the newer default place, extensions/
            **({} if sys.stdout.isatty() else {"NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1", "PY_COLORS": "0"}),
        },
    )
    return 1
