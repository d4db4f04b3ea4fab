"""``make test``: everything that must hold, in four lanes.

One has the cluster with the demo and its suites, one the clusters of sites and scenarios. Two have no
cluster: they compute while pods and proxies are waited for, and give way to the others.

What takes longer - rollouts, kills, the lab's own suite - is in ``make campaign``. The first stage that fails
ends all lanes. Prints the time of each stage, and ends with one line: N passed, N failed.
The cluster (LAB_CLUSTER, `t` unless set) is removed at the end, and before, when a killed run left it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from lab.places import state_root

from . import (
    artefact,
    awx,
    demo,
    docsite,
    galaxy,
    integration,
    lab,
    lint,
    meets_ansible,
    readme,
    sanity,
    scenarios,
    unit,
)
from .environments import CORES, matrix_environment
from .interpreters import SUPPORTED, Interpreter, find_all
from .lanes import Lanes
from .paths import BUILD
from .processes import one_at_a_time
from .pytest_run import pytest
from .screen import SetupError, say
from .stages import Stage, StageError, report

MAIN = Path(sys.executable)
NO_TOOLS = ("--ignore=tests/unit/tools",)  # what stands behind make runs in the main environment only
DEMO = "demo on a fresh cluster"
ARTEFACT = "artefact: built, installed, documented"


def leftovers(cluster: str) -> None:
    """Remove what a killed earlier run left: its clusters, its copies, its results."""
    for name in (cluster, for_sites(cluster), integration.beside(for_sites(cluster))):
        lab.down(name)
    for name in ("artefact", "coverage", "junit", "molecule", "readme", "readme-bin", "sanity", "stages"):
        shutil.rmtree(BUILD / name, ignore_errors=True)


def unit_stages() -> list[Stage]:
    """Units with the newest ansible-core, on every supported Python, that of the main environment first.

    These divide what no version decides: ``tests/unit/support/part.py``.

    :returns: one stage for each Python that this machine has.
    """
    versions = [version for version in SUPPORTED if version != sys.version_info[:2]]
    others = [interpreter for version in versions for interpreter in _here(version)]
    parts = 1 + len(others)
    first = Stage(f"units: ansible-core {CORES[0]}, {label()}", partial(unit.measured_units, f"1/{parts}"))
    return [
        first,
        *(
            Stage(
                f"units: ansible-core {CORES[0]}, Python {interpreter.minor}",
                partial(matrix_units, interpreter, CORES[0], f"{number}/{parts}"),
            )
            for number, interpreter in enumerate(others, 2)
        ),
    ]


def newest_sanity() -> Stage:
    """Sanity of the main environment's ansible-core."""
    return Stage(f"sanity: ansible-core {CORES[0]}", partial(matrix_sanity, CORES[0]))


def older_cores() -> Iterator[Stage]:
    """Units of every older ansible-core with the first Python, few files, but whole; and its sanity.

    They share an environment, so they are in one lane.
    """
    for core in CORES[1:]:
        for interpreter in _here(SUPPORTED[0]):
            name = f"units: ansible-core {core}, Python {interpreter.minor}"
            yield Stage(name, partial(matrix_units, interpreter, core, "1/1"))
        yield Stage(f"sanity: ansible-core {core}", partial(matrix_sanity, core))


def _here(version: tuple[int, int]) -> Iterator[Interpreter]:
    """The interpreter of a version, where this machine has one."""
    major, minor = version
    interpreter = find_all().get(f"{major}.{minor}")
    if interpreter is None:
        say(f"    no Python {major}.{minor} here: its units are left to machines that have one")
    else:
        yield interpreter


def matrix_units(interpreter: Interpreter, core: str, part: str) -> int:
    """The unit tests in an environment of their own. ``part``: 2/2 of what the environments divide.

    An older ansible-core runs those that meet Ansible: it decides none of the others.
    """
    python = matrix_environment(interpreter, core, ("unit",), "test")
    label = f"unit-core{core}-py{interpreter.minor}"
    tests = ("tests/unit", *NO_TOOLS) if core == CORES[0] else meets_ansible.test_files()
    return pytest(python, label, *tests, environment={"UNIT_PART": part})


def matrix_sanity(core: str) -> int:
    """Sanity of one ansible-core, on the main environment's Python. The older one judges what users get."""
    if core == CORES[0]:
        return sanity.sanity(MAIN, core)
    found = find_all()
    interpreter = found[f"{sys.version_info.major}.{sys.version_info.minor}"]
    return sanity.sanity(matrix_environment(interpreter, core, ("unit",), "test"), core, newest=False)


def label() -> str:
    """The Python of the main environment."""
    return f"Python {sys.version_info.major}.{sys.version_info.minor}"


def finished_mesh(cluster: str) -> int:
    """The demo on a fresh cluster: what the integration suites, or most scenarios, look at."""
    demo.fresh(cluster)
    return 1


def for_sites(cluster: str) -> str:
    """The cluster of whoever installs a mesh from nothing, and of the scenarios."""
    return f"{cluster}s"


def bare_cluster(cluster: str) -> int:
    """For a scenario that installs the mesh itself."""
    lab.fresh(cluster)
    return 1


def removed(cluster: str) -> int:
    """Take the cluster down and see that its state is gone."""
    lab.down(cluster)
    if (state_root() / cluster).exists():
        raise StageError(f"the cluster {cluster!r} left something in {state_root() / cluster}")
    return 1


def beside_the_lab() -> Iterator[Stage]:
    """What needs no cluster, cheapest first."""
    *quick, slowest = lint.STAGES
    yield from quick
    yield Stage("artefact: taken by Galaxy's importer", galaxy.importer, after=(ARTEFACT,))
    yield Stage("AWX: its objects, applied by awx.awx", awx.objects)
    yield Stage("docsite: built without a warning", docsite.docsite)
    yield slowest


def on_the_lab(cluster: str) -> Iterator[Stage]:
    """The demo, and what looks at the mesh that it left, or rolls out on it."""
    yield Stage(DEMO, partial(finished_mesh, cluster))
    # Before anything else has touched the mesh: the suites edit objects by hand.
    yield Stage(
        "artefact: servicemesh.istio.site --check --diff",
        partial(artefact.site_check, cluster),
        after=(ARTEFACT,),
    )
    yield Stage("integration, on the finished mesh", partial(integration.on_the_mesh, cluster))
    yield Stage("rollouts, a sample", partial(integration.rollouts, cluster))
    yield Stage("nothing is left", partial(removed, cluster))


def sites(cluster: str) -> Iterator[Stage]:
    """What installs a mesh itself, and the scenarios. The demo comes first: it fills the cache for all.

    While it comes up, the artefact is built: others want it as soon as the demo is there.
    """
    yield Stage(ARTEFACT, artefact.artefact)
    yield Stage("README: one's own cluster", partial(readme.own_cluster, cluster), after=(DEMO,))
    for name in scenarios.from_a_bare_cluster():
        yield Stage(f"cluster for {name}", partial(bare_cluster, cluster))
        yield Stage(f"molecule: {name}", partial(scenarios.scenario, name, cluster))
    for name in scenarios.on_a_finished_mesh():
        yield Stage(f"molecule: {name}", partial(scenarios.scenario_on_the_mesh, name, cluster))
    yield Stage("nothing is left of the sites", partial(removed, cluster))
    yield Stage("integration, on an API server alone", partial(integration.api_server, cluster))


def main() -> int:
    """Run all stages under the cluster's lock."""
    cluster = os.environ.get("LAB_CLUSTER") or "t"
    os.environ["LAB_CLUSTER"] = cluster
    with one_at_a_time(lab.lock_file(cluster), f"cluster {cluster!r}"):
        try:
            leftovers(cluster)
            # What computes is dealt out so that the lanes end together.
            units, *further_units = unit_stages()
            lanes = {
                "lab": [*on_the_lab(cluster)],
                "sites": [*sites(for_sites(cluster))],
                "beside": [*beside_the_lab(), units],
                "sanity": [newest_sanity(), *further_units, *older_cores()],
            }
            outcome = Lanes(lanes, give_way=("beside", "sanity")).run()
        except SetupError as problem:
            sys.stderr.write(f"make test: {problem}\n")
            return 1
        except KeyboardInterrupt:
            return 130
        if outcome.failed:
            say(f"cluster {cluster!r} is left for a look: LAB_CLUSTER={cluster} make lab-down")
    return report(outcome)


if __name__ == "__main__":
    sys.exit(main())
