"""``make campaign``: what takes too long for every change: the lab's own suite, rollouts, kills."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from . import artefact, demo, integration, kind_page, lab, removal, sanity, scenarios
from .environments import CORES
from .processes import one_at_a_time
from .pytest_run import pytest
from .stages import Stage, report, run_stages

MESH_OWNER = "shop@lab"
"""The inventory that installs what is removed again."""


def faults(cluster: str) -> int:
    """Rollouts on a finished mesh whose releases, metrics and runners fail; then the demo, killed."""
    demo.fresh(cluster)
    integration.browser()
    # Demos take the lock of their own cluster, so it cannot be this one.
    environment = {"CANARY_LAB": cluster, "LAB_CLUSTER": cluster, "DEMO_CLUSTER": f"{cluster}d"}
    return pytest(Path(sys.executable), "faults", "tests/faults", environment=environment)


def proof(cluster: str, seed: int) -> int:
    """Verify on a finished mesh: random policies, servers of every kind, restarts, losses, kills."""
    demo.fresh(cluster)
    return integration.proof(cluster, seed)


def mesh(cluster: str) -> int:
    """What of the catalogue's suite takes longer; then the mesh is removed as the guide says."""
    demo.fresh(cluster)
    return integration.mesh(cluster) + removal.removed_as_documented(cluster, "istioctl", MESH_OWNER)


def removed_helm(cluster: str) -> int:
    """The other method: a mesh that Helm installed, removed as the guide says."""
    scenarios.scenario_alone("site_helm", cluster)
    return removal.removed_as_documented(cluster, "helm", MESH_OWNER)


def awx_jobs(cluster: str) -> int:
    """Every job template of awx/, as AWX runs it, on a finished mesh."""
    demo.fresh(cluster)
    environment = {"LAB_CLUSTER": cluster, "JOBS": "all"}
    return pytest(Path(sys.executable), "awx-jobs", "tests/integration/runner", environment=environment)


def certificates(cluster: str) -> int:
    """Certificates on a finished mesh: hundreds of rotations under load, kills, outages."""
    demo.fresh(cluster)
    return integration.certificates(cluster)


def observe(cluster: str) -> int:
    """Golden signals of thousands of requests on a finished mesh, and the log of a workload after a kill."""
    demo.fresh(cluster)
    return integration.suite(cluster, "observe", "tests/integration/observe")


def addons(cluster: str) -> int:
    """Add-ons on a finished mesh, and one request found in Jaeger, which is built for it."""
    demo.fresh(cluster)
    return integration.suite(cluster, "addons", "tests/integration/addons")


def diagnose(cluster: str) -> int:
    """Every problem planted on a finished mesh, and a healthy one under rolling restarts."""
    demo.fresh(cluster)
    return integration.suite(cluster, "diagnose", "tests/integration/diagnose")


def guides(cluster: str) -> int:
    """Every command of the guides on a finished mesh, and kind's page from its first line to its last."""
    demo.fresh(cluster)
    typed = integration.suite(cluster, "guides", "tests/integration/guides")
    artefact.build()
    return typed + kind_page.walk(cluster)


def in_memory() -> int:
    """Every fault at every call of every rollout, and verifications that lose answers."""
    return pytest(
        Path(sys.executable),
        "in-memory",
        "tests/unit/operations/canary/test_matrix.py",
        "tests/unit/operations/verify/test_lost_answers.py",
        environment={"ROLLOUT_MATRIX": "all", "LOST_ANSWERS": "3000"},
    )


def mesh_ca(cluster: str) -> int:
    """The mesh's CA, rotated and killed in every stage: on a fresh demo, and call by call in memory.

    At last it is plugged in on clusters that were empty, and rotated without a restart.
    """
    demo.fresh(cluster)
    directories = ("tests/integration/mesh_ca", "tests/unit/operations/mesh_ca")
    last = "tests/integration/mesh_ca/installs.py"  # removes the cluster
    return integration.suite(cluster, "mesh-ca", *directories, last, MESH_CA="long")


def stages(cluster: str, seed: int) -> list[Stage]:
    """Everything, in its order. `seed`: of what is thrown with dice."""
    whole = partial(sanity.whole, Path(sys.executable), CORES[0])
    found = [Stage("sanity: each file by itself, and the unit tests", whole)]
    found.append(Stage("integration: the lab itself", integration.lab_suite))
    found += [
        Stage(f"molecule: {name}", partial(scenarios.scenario_alone, name, cluster))
        for name in scenarios.CAMPAIGNS
    ]
    found.append(Stage("the API server's answers, and Helm", partial(integration.dice, cluster)))
    found.append(Stage("proof", partial(proof, cluster, seed)))
    found.append(Stage("the mesh, and its removal", partial(mesh, cluster)))
    found.append(Stage("removed as documented: Helm", partial(removed_helm, cluster)))
    found.append(Stage("AWX: every job", partial(awx_jobs, cluster)))
    found.append(Stage("certificates", partial(certificates, cluster)))
    found.append(Stage("observe", partial(observe, cluster)))
    found.append(Stage("add-ons", partial(addons, cluster)))
    found.append(Stage("diagnose", partial(diagnose, cluster)))
    found.append(Stage("guides", partial(guides, cluster)))
    found.append(Stage("faults", partial(faults, cluster)))
    found.append(Stage("faults in memory: rollouts, verify", in_memory))
    found.append(Stage("the mesh's own CA", partial(mesh_ca, cluster)))
    return found


def main(arguments: Sequence[str]) -> int:
    """Run everything, or the stages that are named, also after a failure."""
    parser = argparse.ArgumentParser(prog="make campaign", description=__doc__)
    parser.add_argument("--only", default="", help="part of the names of the stages to run, such as proof")
    parser.add_argument("--seed", type=int, default=1, help="where the dice of the proof begin")
    options = parser.parse_args(arguments)
    cluster = os.environ.get("LAB_CLUSTER") or "t"
    os.environ["LAB_CLUSTER"] = cluster
    wanted = [stage for stage in stages(cluster, options.seed) if options.only in stage.name]
    if not wanted:
        parser.error(f"no stage is named like {options.only!r}")
    with one_at_a_time(lab.lock_file(cluster), f"cluster {cluster!r}"):
        return report(run_stages(wanted, keep_going=True))


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:]))
