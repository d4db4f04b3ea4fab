"""A Helm chart repository with Istio's charts, and the same charts unpacked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .errors import LabError
from .places import cache_root
from .screen import say, timed

# the charts that Istio publishes, and where its source keeps them
PUBLISHED = {
    "base": "base",
    "istiod": "istio-control/istio-discovery",
    "gateway": "gateway",
    "cni": "istio-cni",
    "ztunnel": "ztunnel",
}


def chart_repository(istio: Path, helm: Path, stamp: str) -> Path:
    """A directory with NAME-STAMP.tgz, index.yaml and the unpacked charts under src/NAME.

    istio, helm: directories of their programs; stamp: the version that the charts are packaged as.
    """
    target = cache_root() / "charts" / f"{istio.name}-{stamp}"
    if target.is_dir():
        say(f"charts {stamp}: reused")
        return target
    with timed(f"charts {stamp}: packaging {', '.join(PUBLISHED)}"):
        draft = target.with_name(target.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        all_charts = draft / "all"
        all_charts.mkdir(parents=True)
        _run([str(istio / "charts"), str(all_charts)])
        (draft / "src").mkdir()
        for name, path in PUBLISHED.items():
            source = draft / "src" / name
            shutil.move(all_charts / path, source)
            versions = ["--version", stamp, "--app-version", stamp]
            _run([str(helm / "helm"), "package", str(source), *versions, "-d", str(draft)])
        shutil.rmtree(all_charts)
        _run([str(helm / "helm"), "repo", "index", str(draft)])
        draft.rename(target)
    return target


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-500:]}")
