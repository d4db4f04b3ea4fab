"""All that a cluster needs, built or taken from the cache."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import images, programs
from .charts import chart_repository
from .errors import LabError
from .golang import Go, find_go
from .places import LAB, cache_root, locked

# what decides how a running cluster looks, beside programs and images
_SOURCES = ("init.py", "plan.py", "settings.py", "pki.py", "containerd.py", "cluster.py")


@dataclass(frozen=True, slots=True)
class Build:
    """Directories of a finished build, as far as a cluster needs them (without a node: no images)."""

    etcd: Path
    kubernetes: Path
    images: Path | None

    def key(self) -> str:
        """Changes with any part (each path carries a hash of its inputs) and with what shapes a cluster: a
        running cluster of the same key need not be replaced."""
        digest = hashlib.sha256()
        for path in (self.etcd, self.kubernetes, self.images):
            digest.update(f"{path.name if path else ''}\n".encode())
        for name in _SOURCES:
            digest.update((LAB / name).read_bytes())
        return digest.hexdigest()[:16]


def build_everything(stamps: Sequence[str] = (), *, with_images: bool = True) -> Build:
    """Build what is missing. `stamps`: further version names for the same Istio source (upgrade tests).

    Without images (a control plane only) nothing but Kubernetes and etcd is needed.
    """
    with locked(cache_root() / ".lock", "the cache"):
        go = find_go()
        etcd = programs.build(programs.ETCD, go)
        kubernetes = programs.build(programs.kubernetes_module(), go)
        _link_programs(etcd, kubernetes)
        if not with_images:
            return Build(etcd, kubernetes, None)
        helm = programs.build(programs.HELM, go)
        istio = {
            stamp: programs.build(programs.istio_module(stamp), go) for stamp in (programs.ISTIO, *stamps)
        }
        for stamp, directory in istio.items():
            repository = chart_repository(directory, helm, stamp)
            if stamp == programs.ISTIO:
                point(cache_root() / "charts" / "current", repository)
        coredns, prometheus = programs.build(programs.COREDNS, go), programs.build(programs.PROMETHEUS, go)
        _link_programs(helm, istio[programs.ISTIO], coredns, prometheus)
        parts = images.Parts(istio, coredns, prometheus, _bootstrap_template(go))
        return Build(etcd, kubernetes, images.prepared(parts))


def _bootstrap_template(go: Go) -> Path:
    """Istio's bootstrap template for Envoy, read out of the module itself."""
    module = programs.istio_module()
    command = [go.command, "list", "-m", "-f", "{{.Dir}}", "istio.io/istio"]
    done = subprocess.run(
        command, cwd=module.directory, env=go.environment(), capture_output=True, text=True, check=False
    )
    template = Path(done.stdout.strip()) / "tools/packaging/common/envoy_bootstrap.json"
    if done.returncode or not template.is_file():
        raise LabError(f"the Istio module is not in Go's module cache: {done.stderr.strip()[-300:]}")
    return template


def _link_programs(*directories: Path) -> None:
    """Keep `bin` in the cache pointing at the newest programs, for people and their PATH."""
    for program in (path for directory in directories for path in directory.iterdir()):
        point(cache_root() / "bin" / program.name, program)


def point(link: Path, target: Path) -> None:
    """Make the symbolic link `link` lead to `target`, at no moment missing."""
    link.parent.mkdir(parents=True, exist_ok=True)
    draft = link.with_name(f".{link.name}.new")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.replace(link)
