"""The built collection through Galaxy's own importer: what it refuses, Galaxy refuses."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from .artefact import DIRECTORY
from .paths import BUILD
from .processes import run
from .screen import say
from .stages import StageError

IMPORTED = BUILD / "galaxy"
# Its linter is ours, which `make lint` runs with our configuration; its sanity tests need a container.
SETTINGS = {
    "GALAXY_IMPORTER_CHECK_CHANGELOG": "true",
    "GALAXY_IMPORTER_CHECK_REQUIRED_TAGS": "true",
    "GALAXY_IMPORTER_RUN_ANSIBLE_DOC": "true",
    "GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "false",
    "GALAXY_IMPORTER_RUN_ANSIBLE_TEST": "false",
}


def importer() -> int:
    """Import the tarball that the stage before has built. Every warning counts as a refusal."""
    tarball = next(DIRECTORY.glob("*.tar.gz"))
    shutil.rmtree(IMPORTED, ignore_errors=True)
    IMPORTED.mkdir(parents=True)
    python = Path(sys.executable)
    done = run(
        [python, "-m", "galaxy_importer.main", tarball],
        cwd=IMPORTED,  # it writes its result where it is started
        environment={**SETTINGS, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},
        capture=True,
    )
    lines = done.stdout.splitlines()
    refusals = [line for line in lines if re.match(r"\s*(WARNING|ERROR|CRITICAL)\b", line)]
    if done.returncode or refusals or "Importer processing completed successfully" not in lines:
        say(done.stdout)
        reason = (refusals or lines or ["it said nothing"])[-1]
        raise StageError(f"Galaxy's importer refuses {tarball.name}: {reason}")
    return sum(line.startswith("Loading ") for line in lines)
